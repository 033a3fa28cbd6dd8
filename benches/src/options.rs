//! The command line of `compare`.

use std::path::PathBuf;
use std::time::Duration;

use crate::rounds::Settings;
use crate::studies::Subject;
use crate::suite::{Extent, Filter, Task};

/// What was asked for.
#[derive(Clone, Debug)]
pub struct Options {
    /// Which workloads, in this order.
    pub tasks: Vec<Task>,
    /// Which contenders.
    pub filter: Filter,
    /// How to measure.
    pub settings: Settings,
    /// Which studies.
    pub subjects: Vec<Subject>,
    /// How large everything is.
    pub extent: Extent,
    /// Where the report goes, if one is written.
    pub report: Option<PathBuf>,
}

impl Options {
    /// What is measured if nothing else is said.
    #[must_use]
    pub fn of(extent: Extent) -> Self {
        let (slice, rounds, threads, tasks) = match extent {
            Extent::Tiny => (2, 1, vec![1, 2], Task::ALL.to_vec()),
            Extent::Quick => (30, 5, vec![1, 2], Task::ALL[..7].to_vec()),
            Extent::Full => (150, 5, vec![1, 2, 4], Task::ALL.to_vec()),
        };
        let slice = Duration::from_millis(slice);
        let settings = Settings { rounds, slice, threads, latencies: true, seed: 1 };
        let subjects = Subject::ALL.to_vec();
        Self { tasks, filter: Filter::default(), settings, subjects, extent, report: None }
    }

    /// Reads the arguments.
    ///
    /// # Errors
    ///
    /// What is wrong with them, or the help that was asked for.
    pub fn parse(arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self::of(Extent::Full);
        let (mut arguments, mut chosen) = (arguments, (false, false));
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or(format!("{argument} needs a value\n{HELP}"));
            match argument.as_str() {
                "--workload" => {
                    options.tasks = list(&value()?, task)?;
                    chosen.0 = true;
                }
                "--study" => {
                    options.subjects = list(&value()?, subject)?;
                    chosen.1 = true;
                }
                "--threads" => options.settings.threads = list(&value()?, number)?,
                "--rounds" => options.settings.rounds = number(&value()?)?.max(1),
                "--slice" => {
                    options.settings.slice = Duration::from_millis(number(&value()?)? as u64);
                }
                "--peers" => options.filter.names = list(&value()?, |name| Ok(name.to_owned()))?,
                "--seed" => options.settings.seed = number(&value()?)? as u64,
                "--tiny" => options = Self::of(Extent::Tiny),
                "--quick" => options = Self::of(Extent::Quick),
                "--report" => options.report = Some(PathBuf::from(value()?)),
                "--no-latencies" => options.settings.latencies = false,
                "--help" => return Err(HELP.to_owned()),
                _ => return Err(format!("unknown argument {argument}\n{HELP}")),
            }
        }
        // Who names some workloads wants no study, and the other way round.
        match chosen {
            (true, false) => options.subjects.clear(),
            (false, true) => options.tasks.clear(),
            _ => {}
        }
        Ok(options)
    }
}

fn list<T>(text: &str, one: impl Fn(&str) -> Result<T, String>) -> Result<Vec<T>, String> {
    text.split(',').map(|part| one(part.trim())).collect()
}

fn number(text: &str) -> Result<usize, String> {
    text.parse().map_err(|_| format!("{text} is no number"))
}

fn task(name: &str) -> Result<Task, String> {
    let names = || Task::ALL.map(Task::name).join(", ");
    let found = Task::ALL.into_iter().find(|task| task.name() == name);
    found.ok_or_else(|| format!("no workload {name}; there are {}", names()))
}

fn subject(name: &str) -> Result<Subject, String> {
    let names = || Subject::ALL.map(Subject::name).join(", ");
    let found = Subject::ALL.into_iter().find(|subject| subject.name() == name);
    found.ok_or_else(|| format!("no study {name}; there are {}", names()))
}

const HELP: &str = "\
compare: the engine beside its peers
  --quick          three minutes instead of half an hour; stands before all others
  --report DIR     writes report.md, report.json and plots into that folder
  --workload a,b   hot, hits64k, mix, unique, race, hot-text, unique-text, hits16m; default: all
  --study a,b      hit-rate, retention, early-evictions, memory, opening, growth, attack,
                   endurance, placement, host, shared-memory, timers, scheduling; default: all,
                   or none where workloads are named
  --threads 1,2    default: 1,2,4; quick: 1,2
  --rounds 5       rounds that count
  --slice 150      milliseconds of each contender in each round; quick: 30
  --peers a,b      contenders whose name holds one of these; default: all
  --no-latencies   do not time single operations
  --seed 1         chooses orders and keys";

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options, String> {
        Options::parse(line.split_whitespace().map(str::to_owned))
    }

    /// Goal: arguments are understood, and errors say what is wrong. Method: one line of each.
    #[test]
    fn arguments_are_read() {
        let options = parse("--quick --workload hot,race --threads 1,4 --rounds 3 --slice 7");
        let options = options.expect("valid");
        assert_eq!(options.tasks, [Task::Hot, Task::Race]);
        assert_eq!((options.extent, options.settings.rounds), (Extent::Quick, 3));
        assert!(options.subjects.is_empty());
        assert_eq!(options.settings.threads, [1, 4]);
        assert_eq!(options.settings.slice, Duration::from_millis(7));
        let studies = parse("--study memory,growth").expect("valid");
        assert_eq!(studies.subjects, [Subject::Memory, Subject::Growth]);
        assert!(studies.tasks.is_empty());
        assert_eq!(parse("--report there").expect("valid").report, Some("there".into()));
        for (line, complaint) in [
            ("--rounds", "needs a value"),
            ("--rounds many", "many is no number"),
            ("--workload cold", "no workload cold"),
            ("--study weather", "no study weather"),
            ("--fast", "unknown argument --fast"),
        ] {
            let error = parse(line).expect_err(line);
            assert!(error.contains(complaint), "{line}: {error}");
        }
    }
}
