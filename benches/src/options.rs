//! The command line of `compare`.

use std::time::Duration;

use crate::rounds::Settings;
use crate::suite::{Filter, Task};

/// What was asked for.
#[derive(Clone, Debug)]
pub struct Options {
    /// Which workloads, in this order.
    pub tasks: Vec<Task>,
    /// Which contenders.
    pub filter: Filter,
    /// How to measure.
    pub settings: Settings,
}

impl Options {
    /// Reads the arguments.
    ///
    /// # Errors
    ///
    /// What is wrong with them, or the help that was asked for.
    pub fn parse(arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self {
            tasks: Task::ALL.to_vec(),
            filter: Filter::default(),
            settings: Settings {
                rounds: 5,
                slice: Duration::from_millis(150),
                threads: vec![1, 2],
                latencies: false,
                seed: 1,
            },
        };
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
                "--latencies" => options.settings.latencies = true,
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
  --workload a,b   hot, hits64k, mix, unique, race, hot-text, unique-text, hits16m; default: all
  --threads 1,2    default: 1,2
  --rounds 5       rounds that count
  --slice 150      milliseconds of each contender in each round
  --peers a,b      contenders whose name holds one of these; default: all
  --latencies      time single operations too
  --seed 1         chooses orders and keys";
