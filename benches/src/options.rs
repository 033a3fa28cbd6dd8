//! The command line of `compare`.

use std::path::PathBuf;
use std::time::Duration;

use crate::rounds::Settings;
use crate::suite::{Filter, Task};

/// How much time a run takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Three minutes: smaller tables, shorter slices, no table of 16 million records.
    Quick,
    /// Half an hour.
    Full,
}

/// What was asked for.
#[derive(Clone, Debug)]
pub struct Options {
    /// Which workloads, in this order.
    pub tasks: Vec<Task>,
    /// Which contenders.
    pub filter: Filter,
    /// How to measure.
    pub settings: Settings,
    /// How large everything is.
    pub mode: Mode,
    /// Where the report goes; without it only tables are printed, and no studies are made.
    pub report: Option<PathBuf>,
}

impl Options {
    /// What is measured if nothing else is said.
    #[must_use]
    pub fn of(mode: Mode) -> Self {
        let (slice, threads, tasks) = match mode {
            Mode::Quick => (30, vec![1, 2], Task::ALL[..7].to_vec()),
            Mode::Full => (150, vec![1, 2, 4], Task::ALL.to_vec()),
        };
        let slice = Duration::from_millis(slice);
        let settings = Settings { rounds: 5, slice, threads, latencies: true, seed: 1 };
        Self { tasks, filter: Filter::default(), settings, mode, report: None }
    }

    /// Reads the arguments.
    ///
    /// # Errors
    ///
    /// What is wrong with them, or the help that was asked for.
    pub fn parse(arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self::of(Mode::Full);
        let mut arguments = arguments;
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or(format!("{argument} needs a value\n{HELP}"));
            match argument.as_str() {
                "--workload" => options.tasks = list(&value()?, task)?,
                "--threads" => options.settings.threads = list(&value()?, number)?,
                "--rounds" => options.settings.rounds = number(&value()?)?.max(1),
                "--slice" => {
                    options.settings.slice = Duration::from_millis(number(&value()?)? as u64);
                }
                "--peers" => options.filter.names = list(&value()?, |name| Ok(name.to_owned()))?,
                "--seed" => options.settings.seed = number(&value()?)? as u64,
                "--quick" => options = Self { report: options.report, ..Self::of(Mode::Quick) },
                "--report" => options.report = Some(PathBuf::from(value()?)),
                "--no-latencies" => options.settings.latencies = false,
                "--help" => return Err(HELP.to_owned()),
                _ => return Err(format!("unknown argument {argument}\n{HELP}")),
            }
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

const HELP: &str = "\
compare: the engine beside its peers
  --quick          three minutes instead of half an hour; stands before what changes it
  --report DIR     studies too, and report.md, report.json and plots in that folder
  --workload a,b   hot, hits64k, mix, unique, race, hot-text, unique-text, hits16m; default: all
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
        assert_eq!((options.mode, options.settings.rounds), (Mode::Quick, 3));
        assert_eq!(options.settings.threads, [1, 4]);
        assert_eq!(options.settings.slice, Duration::from_millis(7));
        assert_eq!(parse("--report there").expect("valid").report, Some("there".into()));
        for (line, complaint) in [
            ("--rounds", "needs a value"),
            ("--rounds many", "many is no number"),
            ("--workload cold", "no workload cold"),
            ("--fast", "unknown argument --fast"),
        ] {
            let error = parse(line).expect_err(line);
            assert!(error.contains(complaint), "{line}: {error}");
        }
    }
}
