//! Arguments of the command.

use std::time::Duration;

/// What is measured, and for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Rounds that count; one more warms up.
    pub rounds: usize,
    /// How long each contender is measured in each round.
    pub slice: Duration,
    /// How many records are counted where it is counted.
    pub count: u64,
    /// Chooses the orders.
    pub seed: u64,
    /// The only ones that are measured; nothing else is then. Empty: all.
    pub only: Vec<String>,
}

impl Options {
    /// Reads them. `--quick` stands before all others.
    ///
    /// # Errors
    ///
    /// An argument is unknown, or its value is no number.
    pub fn parse(arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let slice = Duration::from_millis(100);
        let mut options = Self { rounds: 7, slice, count: 20_000, seed: 1, only: Vec::new() };
        let mut arguments = arguments;
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
            let mut number = || {
                let value = value()?;
                value.parse::<u64>().map_err(|_| format!("{value} is no number"))
            };
            match argument.as_str() {
                "--quick" => {
                    options.slice = Duration::from_millis(40);
                    (options.rounds, options.count) = (3, 2_000);
                }
                "--rounds" => options.rounds = number()?.max(1) as usize,
                "--slice" => options.slice = Duration::from_millis(number()?.max(1)),
                "--count" => options.count = number()?.max(128),
                "--seed" => options.seed = number()?,
                "--only" => options.only.extend(value()?.split(';').map(str::to_owned)),
                _ => return Err(format!("unknown argument {argument}\n{HELP}")),
            }
        }
        Ok(options)
    }
}

const HELP: &str = "\
bench-tier: the tier in Redis beside its peers
  --quick          half a minute; stands before all others
  --rounds 7       rounds that count
  --slice 100      milliseconds of each contender in each round; quick: 40
  --count 20000    operations that are counted, and records that are weighed; quick: 2000
  --seed 1         chooses orders
  --only a;b       only contenders of these names, and no counts: for a profiler";

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: arguments are understood, and errors say what is wrong. Method: one line of each.
    #[test]
    fn arguments_are_read() {
        let parse = |line: &str| Options::parse(line.split_whitespace().map(str::to_owned));
        let line = "--quick --rounds 2 --slice 5 --count 300 --seed 9 --only a;b";
        let (slice, only) = (Duration::from_millis(5), vec!["a".to_owned(), "b".to_owned()]);
        let wanted = Options { rounds: 2, slice, count: 300, seed: 9, only };
        assert_eq!(parse(line).expect("valid"), wanted);
        assert_eq!(parse("").expect("valid").rounds, 7);
        for (line, complaint) in [
            ("--rounds", "needs a value"),
            ("--slice long", "long is no number"),
            ("--fast", "unknown argument --fast"),
        ] {
            let error = parse(line).expect_err(line);
            assert!(error.contains(complaint), "{line}: {error}");
        }
    }
}
