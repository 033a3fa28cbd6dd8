//! What `oncegate dlq` takes, and the help that teaches it.

use clap::{ArgGroup, Args, Subcommand, ValueEnum};
use oncegate::{Buried, LetterFilter, LetterId};

use super::super::TableArgs;
use super::super::time::Moment;
use crate::cli::whole;

/// Options of `oncegate dlq`.
#[derive(Debug, Args)]
pub struct DlqArgs {
    /// What to do with dead letters.
    #[command(subcommand)]
    pub command: DlqCommand,
}

/// What `oncegate dlq` does.
#[derive(Debug, Subcommand)]
pub enum DlqCommand {
    /// List dead letters
    #[command(long_about = LS_ABOUT, after_long_help = LS_HELP)]
    Ls(LsArgs),
    /// Show one dead letter with its history
    #[command(long_about = SHOW_ABOUT, after_long_help = SHOW_HELP)]
    Show(ShowArgs),
    /// Let dead letters run again, at once
    #[command(long_about = REDRIVE_ABOUT, after_long_help = REDRIVE_HELP)]
    Redrive(LetterOnes),
    /// Give dead letters up
    #[command(long_about = DISCARD_ABOUT, after_long_help = DISCARD_HELP)]
    Discard(LetterOnes),
}

impl DlqCommand {
    /// Whether JSON was asked for.
    pub(crate) fn is_json(&self) -> bool {
        match self {
            Self::Ls(args) => args.json,
            Self::Show(args) => args.json,
            Self::Redrive(args) | Self::Discard(args) => args.json,
        }
    }
}

/// Which dead letters are meant.
#[derive(Debug, Args)]
pub struct LetterFilterArgs {
    /// Those of this operation
    #[arg(long, value_name = "NAME")]
    pub operation: Option<String>,
    /// Those that were given up for this reason
    #[arg(long)]
    pub reason: Option<Reason>,
    /// Those whose last attempt ended with an error of this class
    #[arg(long, value_name = "CLASS")]
    pub class: Option<String>,
    /// Those that were buried then or later: a date, a date and a time in UTC, or how long ago
    #[arg(long, value_name = "TIME", value_parser = Moment::read)]
    pub since: Option<Moment>,
    /// Those that were buried before then
    #[arg(long, value_name = "TIME", value_parser = Moment::read)]
    pub until: Option<Moment>,
}

impl LetterFilterArgs {
    pub(super) fn filter(&self) -> LetterFilter {
        let mut filter = LetterFilter::all();
        if let Some(operation) = &self.operation {
            filter = filter.operation(operation);
        }
        if let Some(reason) = self.reason {
            filter = filter.reason(reason.buried());
        }
        if let Some(class) = &self.class {
            filter = filter.class(class);
        }
        if let Some(since) = self.since {
            filter = filter.since(since.unix_time());
        }
        if let Some(until) = self.until {
            filter = filter.until(until.unix_time());
        }
        filter
    }

    /// Whether it lets some through and others not.
    #[must_use]
    pub fn is_some(&self) -> bool {
        let texts = self.operation.is_some() || self.class.is_some();
        texts || self.reason.is_some() || self.since.is_some() || self.until.is_some()
    }
}

/// Why a record was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum Reason {
    /// As many attempts failed as its policy allows
    Attempts,
    /// No further attempt fitted before its policy's deadline
    Deadline,
    /// The retry budget was spent
    Budget,
    /// Its error was final
    FinalError,
    /// Its last attempt lapsed
    Lapsed,
}

impl Reason {
    fn buried(self) -> Buried {
        match self {
            Self::Attempts => Buried::Attempts,
            Self::Deadline => Buried::Deadline,
            Self::Budget => Buried::Budget,
            Self::FinalError => Buried::FinalError,
            Self::Lapsed => Buried::Lapsed,
        }
    }
}

/// Options of `oncegate dlq ls`.
#[derive(Debug, Args)]
pub struct LsArgs {
    /// The table.
    #[command(flatten)]
    pub table: TableArgs,
    /// Which ones.
    #[command(flatten)]
    pub filter: LetterFilterArgs,
    /// List at most so many, 1 to 1000000
    #[arg(long, value_name = "N", default_value_t = 100,
        value_parser = whole::<u32>(1, 1_000_000), allow_negative_numbers = true)]
    pub limit: u32,
    /// Go on behind this one, the last one of the page before
    #[arg(long, value_name = "ID")]
    pub after: Option<LetterId>,
    /// Print one JSON object a line and nothing else
    #[arg(long)]
    pub json: bool,
}

/// Options of `oncegate dlq show`.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// The table.
    #[command(flatten)]
    pub table: TableArgs,
    /// The dead letter, as `ls` names it
    #[arg(value_name = "ID")]
    pub id: LetterId,
    /// Show the context, too, which may hold what no screen or log may
    #[arg(long, value_name = "HOW", num_args = 0..=1, default_missing_value = "text")]
    pub context: Option<ContextAs>,
    /// Print one JSON object and nothing else
    #[arg(long)]
    pub json: bool,
}

/// How a context is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ContextAs {
    /// What is no text is replaced, and what would steer the terminal is written out
    Text,
    /// Hexadecimal digits
    Hex,
}

/// Options of `oncegate dlq redrive` and `oncegate dlq discard`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("which").args(["ids", "all"]).required(true))]
#[command(group = ArgGroup::new("sure").multiple(true)
    .args(["operation", "reason", "class", "since", "until", "yes"]))]
pub struct LetterOnes {
    /// The table.
    #[command(flatten)]
    pub table: TableArgs,
    /// Dead letters, as `ls` names them
    #[arg(value_name = "ID", conflicts_with_all = ["sure", "limit"])]
    pub ids: Vec<LetterId>,
    /// All of them, or all that the filters let through; without a filter, say --yes as well
    #[arg(long, requires = "sure")]
    pub all: bool,
    /// With --all: which ones.
    #[command(flatten)]
    pub filter: LetterFilterArgs,
    /// With --all: at most so many, 1 to 1000000
    #[arg(long, value_name = "N", value_parser = whole::<u32>(1, 1_000_000),
        allow_negative_numbers = true)]
    pub limit: Option<u32>,
    /// With --all: every single one is meant
    #[arg(long)]
    pub yes: bool,
    /// Print one JSON object and nothing else
    #[arg(long)]
    pub json: bool,
}

pub(crate) const DLQ_ABOUT: &str = "\
Look after dead letters: records that the engine retried and that have failed for good.

They stay in the table, with their context and their history, until somebody redrives or discards \
them, or newer ones need their place. Each command takes part in the table as a process of its own \
while it runs. It needs no secret and lets nothing begin.";

pub(crate) const DLQ_HELP: &str = "\
Examples:
  oncegate dlq ls /dev/shm/charges
  oncegate dlq show /dev/shm/charges 17-3
  oncegate dlq redrive /dev/shm/charges --all --class 503

Exit status:
  0  done
  1  the table could not be opened, or something that was named is no dead letter
  2  wrong usage";

const LS_ABOUT: &str = "\
List dead letters: what was to be done, why it was given up, when, and after how many attempts.

They are listed in the order of their places in the table. Times are UTC.";

const LS_HELP: &str = "\
Examples:
  oncegate dlq ls /dev/shm/charges
  oncegate dlq ls /dev/shm/charges --operation charge --reason attempts --since 2h
  oncegate dlq ls /dev/shm/charges --since 2026-11-23 --until 2026-11-23T14:05:00Z
  oncegate dlq ls /dev/shm/charges --limit 1000 --after 17-3 --json

With --json, each line is an object with the fields of `show`, without the context. Where there are
as many lines as --limit, there may be more: go on with --after and the last one's `id`.
docs/looking-after-shared-tables.md tells what each field means.

Exit status:
  0  done, also where there is none
  1  the table could not be opened; with --json, the object says why in `error`
  2  wrong usage";

const SHOW_ABOUT: &str = "\
Show one dead letter: why it was given up, what became of its attempts, which steps are done, and \
how large its context is.

The context itself is what the request needs to run again. It is shown only with --context.";

const SHOW_HELP: &str = "\
Examples:
  oncegate dlq show /dev/shm/charges 17-3
  oncegate dlq show /dev/shm/charges 17-3 --context
  oncegate dlq show /dev/shm/charges 17-3 --context hex

Of many attempts the first and the last are kept. When an attempt began is not. A fencing token is
what the attempt's own store has seen; a process is told by its number in `oncegate inspect`.

Exit status:
  0  done
  1  the table could not be opened, or there is no such dead letter
  2  wrong usage";

const REDRIVE_ABOUT: &str = "\
Let dead letters run again, at once: each is the next attempt of the same record, with the context \
and the steps that it has. The attempts before count no more against its policy.

Workers of the table's processes get them, those that wait for one at once. A request that had \
its effect before it was given up may have it again, unless its handler checks.";

const REDRIVE_HELP: &str = "\
Examples:
  oncegate dlq redrive /dev/shm/charges 17-3 18-1
  oncegate dlq redrive /dev/shm/charges --all --class 503 --since 2h --limit 100
  oncegate dlq redrive /dev/shm/charges --all --yes

Exit status:
  0  done
  1  the table could not be opened, or a named one is no dead letter; the others were redriven
  2  wrong usage";

const DISCARD_ABOUT: &str = "\
Give dead letters up: the record has failed, and its context and its history are gone. It answers \
duplicates with its outcome for the longest default dedup window of those who opened the table.";

const DISCARD_HELP: &str = "\
Examples:
  oncegate dlq discard /dev/shm/charges 17-3
  oncegate dlq discard /dev/shm/charges --all --operation mail --until 30d
  oncegate dlq discard /dev/shm/charges --all --yes

Exit status:
  0  done
  1  the table could not be opened, or a named one is no dead letter; the others were discarded
  2  wrong usage";
