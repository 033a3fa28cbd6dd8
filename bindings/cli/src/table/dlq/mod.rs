//! `oncegate dlq`: the dead letters of a table, listed, shown, redriven and discarded.

mod args;
mod json;
mod text;

pub use self::args::{
    ContextAs, DlqArgs, DlqCommand, LetterFilterArgs, LetterOnes, LsArgs, Reason, ShowArgs,
};
pub(crate) use self::args::{DLQ_ABOUT, DLQ_HELP};

use oncegate::{DeadLetters, Error, ErrorCode, LetterFilter, LetterId};

use super::TableError;

/// What a command prints.
pub(crate) struct Answered {
    pub(crate) text: String,
    /// Whether everything that was named was there.
    pub(crate) is_whole: bool,
}

/// What becomes of dead letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    Redrive,
    Discard,
}

/// Carries out one of the commands.
pub(crate) fn dlq(args: &DlqArgs) -> Result<Answered, TableError> {
    let whole = |text| Answered { text, is_whole: true };
    match &args.command {
        DlqCommand::Ls(args) => ls(args).map(whole),
        DlqCommand::Show(args) => show(args).map(whole),
        DlqCommand::Redrive(args) => change(args, Change::Redrive),
        DlqCommand::Discard(args) => change(args, Change::Discard),
    }
}

fn ls(args: &LsArgs) -> Result<String, TableError> {
    let letters = args.table.letters()?;
    let filter = args.filter.filter();
    let mut told = if args.json { String::new() } else { text::heading() };
    let (mut left, mut listed, mut after) = (args.limit as usize, 0_u64, args.after);
    let next = loop {
        // A page at a time: with their contexts, all of them may be much.
        let page = letters.list(&filter, after, left.min(PAGE));
        let page = page.map_err(|error| args.table.failed(error))?;
        for letter in &page.letters {
            told.push_str(&if args.json {
                json::letter(letter, None).to_string() + "\n"
            } else {
                text::row(letter)
            });
        }
        (left, listed) = (left - page.letters.len(), listed + page.letters.len() as u64);
        after = page.next;
        if left == 0 || after.is_none() {
            break page.next;
        }
    };
    if !args.json {
        if listed == 0 {
            told.clear();
        }
        told.push_str(&text::footing(listed, next));
    }
    Ok(told)
}

fn show(args: &ShowArgs) -> Result<String, TableError> {
    let letters = args.table.letters()?;
    let letter = letters.get(args.id).map_err(|error| args.table.failed(error))?;
    Ok(if args.json {
        json::letter(&letter, args.context).to_string() + "\n"
    } else {
        text::letter(&letter, args.context)
    })
}

fn change(args: &LetterOnes, change: Change) -> Result<Answered, TableError> {
    let letters = args.table.letters()?;
    let failed = |error| args.table.failed(error);
    let (mut done, mut missing) = (0, Vec::new());
    if args.all {
        let limit = args.limit.map_or(usize::MAX, |limit| limit as usize);
        done = change.all(&letters, &args.filter.filter(), limit).map_err(failed)?;
    }
    for id in &args.ids {
        match change.one(&letters, *id) {
            Ok(()) => done += 1,
            // Somebody else was faster, or it was never there.
            Err(error) if error.code() == ErrorCode::NotFound => missing.push(*id),
            Err(error) => return Err(failed(error)),
        }
    }
    let text = if args.json {
        json::changed(&args.table.path, change.name(), done, &missing).to_string() + "\n"
    } else {
        text::changed(change.name(), done, &missing)
    };
    Ok(Answered { text, is_whole: missing.is_empty() })
}

impl Change {
    /// What was done.
    fn name(self) -> &'static str {
        match self {
            Self::Redrive => "redriven",
            Self::Discard => "discarded",
        }
    }

    fn one(self, letters: &DeadLetters, id: LetterId) -> Result<(), Error> {
        match self {
            Self::Redrive => letters.redrive(id),
            Self::Discard => letters.discard(id),
        }
    }

    fn all(
        self,
        letters: &DeadLetters,
        filter: &LetterFilter,
        limit: usize,
    ) -> Result<usize, Error> {
        match self {
            Self::Redrive => letters.redrive_all(filter, limit),
            Self::Discard => letters.discard_all(filter, limit),
        }
    }
}

/// How many dead letters are read at a time.
const PAGE: usize = 256;
