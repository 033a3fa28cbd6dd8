//! Options of a storm: taken if and only if each is within its limits and given once.

use arbitrary::{Result, Unstructured};
use clap::Parser;
use oncegate_cli::cli::{Cli, Command, StormArgs};

/// Chooses options by `data`.
pub(super) fn run(data: &[u8]) {
    let mut bytes = Unstructured::new(data);
    let mut storm = Asked::default();
    while !bytes.is_empty() && storm.arguments.len() < MOST {
        // What is missing at the end is left out.
        let _ = storm.ask(&mut bytes);
    }
    let arguments = ["oncegate", "storm"].map(str::to_owned).into_iter();
    let parsed = Cli::try_parse_from(arguments.chain(storm.arguments.iter().cloned()));
    assert_eq!(parsed.is_ok(), storm.is_right(), "{parsed:?} of {storm:?}");
    match parsed.map(|cli| cli.command) {
        Ok(Command::Storm(args)) => {
            super::within_limits(&args);
            storm.is_taken(&args);
        }
        Ok(other) => panic!("{other:?} of {storm:?}"),
        Err(error) => assert_eq!(error.exit_code(), 2, "{error}"),
    }
}

#[derive(Debug, Default)]
struct Asked {
    arguments: Vec<String>,
    /// By the option's place in [`NUMBERS`], and after them those without a number.
    given: [u32; 11],
    /// The last value of each option with a number.
    values: [String; 7],
    broken: bool,
}

impl Asked {
    fn ask(&mut self, bytes: &mut Unstructured<'_>) -> Result<()> {
        let choice: u8 = bytes.arbitrary()?;
        let option = usize::from(choice % 11);
        self.given[option] += 1;
        let Some(number) = NUMBERS.get(option) else {
            let text = ["--baseline", "--compare", "--json", "--input=-"][option - NUMBERS.len()];
            self.arguments.push(text.to_owned());
            return Ok(());
        };
        let value = number.value(bytes.arbitrary()?);
        self.broken |= !number.allows(&value);
        match choice & 0x80 {
            0 => self.arguments.push(format!("{}={value}", number.name)),
            _ => self.arguments.extend([number.name.to_owned(), value.clone()]),
        }
        self.values[option] = value;
        Ok(())
    }

    fn is_right(&self) -> bool {
        let [.., baseline, compare, _, input] = self.given;
        let once = self.given.iter().all(|times| *times <= 1);
        once && !self.broken && input == 1 && baseline + compare < 2
    }

    /// Every value is where it belongs; the others are those that the help gives.
    fn is_taken(&self, args: &StormArgs) {
        let found = [
            f64::from(args.clients),
            f64::from(args.copies),
            args.fail_rate,
            args.pause_rate,
            args.seed as f64,
            args.work_ms as f64,
            args.lease_ms as f64,
        ];
        let defaults = [16.0, 4.0, 0.1, 0.05, 1.0, 5.0, 100.0];
        for ((value, found), default) in self.values.iter().zip(found).zip(defaults) {
            let expected = if value.is_empty() { Ok(default) } else { value.parse() };
            assert_eq!(Ok(found), expected, "{args:?} of {self:?}");
        }
        let flags = [args.baseline, args.compare, args.json].map(u32::from);
        assert_eq!(flags, self.given[7..10], "{args:?} of {self:?}");
    }
}

/// An option with a number, and what it may be.
#[derive(Debug)]
struct Number {
    name: &'static str,
    least: u64,
    most: u64,
    share: bool,
}

impl Number {
    /// At an edge, beside one, or no number at all.
    fn value(&self, choice: u8) -> String {
        let at = i128::from(if choice & 1 == 0 { self.least } else { self.most });
        match choice >> 1 {
            0..=63 if self.share => SHARES[usize::from(choice >> 1) % SHARES.len()].to_owned(),
            beside @ 0..=31 => (at + i128::from(beside) - 8).to_string(),
            beside @ 32..=63 => (i128::from(beside) * i128::from(self.most) / 64).to_string(),
            other => OTHERS[usize::from(other) % OTHERS.len()].to_owned(),
        }
    }

    fn allows(&self, value: &str) -> bool {
        if self.share {
            return value.parse().is_ok_and(|share: f64| (0.0..=0.9).contains(&share));
        }
        value.parse().is_ok_and(|number: u64| (self.least..=self.most).contains(&number))
    }
}

const fn whole(name: &'static str, least: u64, most: u64) -> Number {
    Number { name, least, most, share: false }
}

const fn share(name: &'static str) -> Number {
    Number { name, least: 0, most: 0, share: true }
}

const NUMBERS: [Number; 7] = [
    whole("--clients", 1, 512),
    whole("--copies", 1, 100),
    share("--fail-rate"),
    share("--pause-rate"),
    whole("--seed", 0, u64::MAX),
    whole("--work-ms", 0, 10_000),
    whole("--lease-ms", 10, 60_000),
];
const SHARES: [&str; 14] = [
    "0", "-0", "0.9", "0.90", "9e-1", "0.900001", "0.95", "1", "-0.1", "0.5", ".5", "1e-9",
    "0.1e1", "0.05",
];
const OTHERS: [&str; 10] =
    ["", "NaN", "inf", "1.5", "0x10", "+7", "007", "-1", "18446744073709551616", " 5"];
/// Enough for every option twice.
const MOST: usize = 44;
