//! Options for dead letters: taken if and only if each is right, given once, and means something
//! beside the others.

use arbitrary::{Result, Unstructured};
use clap::Parser;
use oncegate_cli::cli::{
    Cli, Command, DlqArgs, DlqCommand, LetterFilterArgs, LetterOnes, LsArgs, Moment,
};

/// Chooses a command and its options by `data`.
pub(super) fn run(data: &[u8]) {
    let mut bytes = Unstructured::new(data);
    let command = ["ls", "redrive", "discard"][usize::from(byte(&mut bytes)) % 3];
    let mut asked = Asked::default();
    while !bytes.is_empty() && asked.arguments.len() < MOST {
        // What is missing at the end is left out.
        let _ = asked.ask(&mut bytes, command == "ls");
    }
    let first = ["oncegate", "dlq", command, "t"].map(str::to_owned).into_iter();
    let parsed = Cli::try_parse_from(first.chain(asked.arguments.iter().cloned()));
    let is_right = asked.is_right(command == "ls");
    assert_eq!(parsed.is_ok(), is_right, "{command}: {parsed:?} of {asked:?}");
    match parsed.map(|cli| cli.command) {
        Ok(Command::Dlq(args)) => {
            within_limits(&args);
            asked.is_taken(&args);
        }
        Ok(other) => panic!("{other:?} of {asked:?}"),
        Err(error) => assert_eq!(error.exit_code(), 2, "{error}"),
    }
}

/// What was taken is within the limits that the help gives, and no change of all letters is asked
/// for by accident.
pub(super) fn within_limits(args: &DlqArgs) {
    match &args.command {
        DlqCommand::Ls(LsArgs { limit, .. }) => assert!((1..=1_000_000).contains(limit)),
        DlqCommand::Show(show) => assert_eq!(show.id.to_string().parse(), Ok(show.id)),
        DlqCommand::Redrive(ones) | DlqCommand::Discard(ones) => {
            let LetterOnes { ids, all, filter, limit, yes, .. } = ones;
            assert!(limit.is_none_or(|limit| (1..=1_000_000).contains(&limit)), "{ones:?}");
            assert_eq!(ids.is_empty(), *all, "{ones:?}");
            assert!(!all || *yes || filter.is_some(), "{ones:?}");
            assert!(*all || !filter.is_some() && limit.is_none() && !yes, "{ones:?}");
        }
    }
}

#[derive(Debug, Default)]
struct Asked {
    arguments: Vec<String>,
    /// By the option's place in [`OPTIONS`], and after them the flags.
    given: [u32; OPTIONS.len() + 3],
    /// The last value of each option.
    values: [&'static str; OPTIONS.len()],
    ids: u32,
    broken: bool,
}

impl Asked {
    fn ask(&mut self, bytes: &mut Unstructured<'_>, is_list: bool) -> Result<()> {
        let choice: u8 = bytes.arbitrary()?;
        let option = usize::from(choice & 0x7f) % (self.given.len() + 1);
        if option == self.given.len() {
            let (id, is_id) = IDS[usize::from(byte(bytes)) % IDS.len()];
            self.ids += 1;
            self.broken |= !is_id;
            self.arguments.push(id.to_owned());
            return Ok(());
        }
        self.given[option] += 1;
        let Some((name, values)) = OPTIONS.get(option) else {
            let flag = ["--json", "--all", "--yes"][option - OPTIONS.len()];
            self.broken |= is_list && flag != "--json";
            self.arguments.push(flag.to_owned());
            return Ok(());
        };
        let value: u8 = bytes.arbitrary()?;
        let (value, is_value) = values[usize::from(value) % values.len()];
        self.broken |= !is_value || *name == "--after" && !is_list;
        match choice & 0x80 {
            0 => self.arguments.push(format!("{name}={value}")),
            _ if value.starts_with('-') => self.arguments.push(format!("{name}={value}")),
            _ => self.arguments.extend([(*name).to_owned(), value.to_owned()]),
        }
        self.values[option] = value;
        Ok(())
    }

    fn is_right(&self, is_list: bool) -> bool {
        let [filters @ .., limit, _after, _json, all, yes] = self.given;
        let filters: u32 = filters.iter().sum();
        let once = self.given.iter().all(|times| *times <= 1);
        let fits = match (is_list, self.ids, all) {
            (true, ids, _) => ids == 0,
            (false, 0, 0) => false,
            (false, 0, _) => filters + yes > 0,
            (false, _, 0) => filters + limit + yes == 0,
            (false, ..) => false,
        };
        once && !self.broken && fits
    }

    /// Every value is where it belongs.
    fn is_taken(&self, args: &DlqArgs) {
        let [operation, _, class, since, until, limit, after] = self.values;
        let text = |value: &'static str| (!value.is_empty()).then_some(value);
        let filter = |filter: &LetterFilterArgs| {
            assert_eq!(filter.operation.as_deref(), text(operation), "{args:?} of {self:?}");
            assert_eq!(filter.class.as_deref(), text(class), "{args:?} of {self:?}");
            assert_eq!(filter.reason.is_some(), self.given[1] == 1, "{args:?} of {self:?}");
            for (found, asked) in [(filter.since, since), (filter.until, until)] {
                let is_span = asked.ends_with(|c: char| c.is_ascii_lowercase());
                let kind = found.map(|moment| matches!(moment, Moment::Ago(_)));
                assert_eq!(kind, text(asked).map(|_| is_span), "{args:?} of {self:?}");
            }
        };
        match &args.command {
            DlqCommand::Ls(ls) => {
                filter(&ls.filter);
                let expected = text(limit).map_or(Ok(100), str::parse);
                assert_eq!(Ok(ls.limit), expected, "{args:?} of {self:?}");
                assert_eq!(ls.after.map(|id| id.to_string()).as_deref(), text(after));
            }
            DlqCommand::Redrive(ones) | DlqCommand::Discard(ones) => {
                filter(&ones.filter);
                assert_eq!(ones.ids.len(), self.ids as usize, "{args:?} of {self:?}");
            }
            DlqCommand::Show(_) => panic!("{args:?} of {self:?}"),
        }
    }
}

fn byte(bytes: &mut Unstructured<'_>) -> u8 {
    bytes.arbitrary().unwrap_or_default()
}

/// Values, and whether they are some.
type Values = &'static [(&'static str, bool)];

const OPTIONS: [(&str, Values); 7] = [
    ("--operation", &[("charge", true), ("--all", true), ("é", true)]),
    ("--reason", &[("attempts", true), ("final_error", true), ("Lapsed", false), ("", false)]),
    ("--class", &[("503", true), ("-1", true), ("timeout", true)]),
    ("--since", TIMES),
    ("--until", TIMES),
    ("--limit", &[("1", true), ("1000000", true), ("0", false), ("1000001", false), ("-1", false)]),
    ("--after", IDS),
];
const TIMES: Values = &[
    ("2h", true),
    ("2024-02-29", true),
    ("2026-11-23T14:05:00Z", true),
    ("2026-11-23 23:59:59", true),
    ("2023-02-29", false),
    ("-2h", false),
    ("2026-11-23T24:00:00Z", false),
    ("yesterday", false),
];
const IDS: Values = &[
    ("17-3", true),
    ("0-0", true),
    ("4294967295-4294967295", true),
    ("4294967296-1", false),
    ("17", false),
    ("017-3", false),
    ("+1-1", false),
];
/// Enough for every option twice.
const MOST: usize = 40;
