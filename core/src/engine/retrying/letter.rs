//! What is told of a dead letter.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::later::Buried;
use crate::error::{Error, ErrorCode};
use crate::retry::journal::{End, Journal, Note};
use crate::table::entry::Entry;

/// The name of a dead letter, as long as it is one. Two numbers: `17-3`.
///
/// ```
/// use oncegate::LetterId;
/// let id: LetterId = "17-3".parse()?;
/// assert_eq!(id.to_string(), "17-3");
/// assert!("17".parse::<LetterId>().is_err());
/// # Ok::<(), oncegate::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LetterId {
    index: u32,
    generation: u32,
}

impl LetterId {
    pub(super) fn of(entry: Entry) -> Self {
        Self::new(entry.index, entry.word.generation())
    }

    pub(super) fn new(index: usize, generation: u64) -> Self {
        // Both have fewer than 32 bits.
        Self { index: index as u32, generation: generation as u32 }
    }

    /// The letter that [`to_parts`](Self::to_parts) was asked of, if it is one still.
    ///
    /// ```
    /// use oncegate::LetterId;
    /// assert_eq!(LetterId::from_parts(17, 3), "17-3".parse::<LetterId>()?);
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    #[must_use]
    pub const fn from_parts(place: u32, generation: u32) -> Self {
        Self { index: place, generation }
    }

    /// Its two numbers: the place that it takes, and which of those who took it one after the other
    /// it is.
    ///
    /// ```
    /// assert_eq!(oncegate::LetterId::from_parts(17, 3).to_parts(), (17, 3));
    /// ```
    #[must_use]
    pub const fn to_parts(self) -> (u32, u32) {
        (self.index, self.generation)
    }

    pub(super) fn index(self) -> usize {
        self.index as usize
    }
}

impl fmt::Display for LetterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.index, self.generation)
    }
}

impl FromStr for LetterId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let numbers = text.split_once('-').and_then(|(index, generation)| {
            Some(Self { index: index.parse().ok()?, generation: generation.parse().ok()? })
        });
        // One letter has one name: no signs, and no zeros before it.
        let numbers = numbers.filter(|id| id.to_string() == text);
        numbers.ok_or_else(|| {
            let found = format!("{} bytes", text.len());
            Error::new(ErrorCode::InvalidOption, "letter", found, "two numbers, as in 17-3")
        })
    }
}

/// A record that has failed for good.
///
/// ```
/// use oncegate::{DeadLetter, Engine, LetterFilter};
/// let engine = Engine::builder().capacity(1_000).build()?;
/// let letters: Vec<DeadLetter> = engine.dead_letters(&LetterFilter::all(), None, 10)?.letters;
/// # Ok::<(), oncegate::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeadLetter {
    /// By which it is redriven or discarded.
    pub id: LetterId,
    /// The operation that would run it.
    pub operation: String,
    /// Why it is not tried again.
    pub reason: Buried,
    /// When it failed for good: since 1970, by the wall clock.
    pub buried: Duration,
    /// How many attempts there were, all told: those included that the engine made itself, to clean
    /// up, or to give up what there was no time left for.
    pub attempts: u32,
    /// What became of the first of them and of the last.
    pub history: Vec<PastAttempt>,
    /// How many were left out between those.
    pub left_out: u32,
    /// The names of the steps that were finished, and were not undone.
    pub steps: Vec<String>,
    context: Vec<u8>,
}

impl DeadLetter {
    pub(super) fn new(
        id: LetterId,
        attempts: u32,
        journal: Journal,
        unix: impl Fn(u64) -> Duration,
    ) -> Self {
        Self {
            id,
            operation: journal.operation,
            reason: Buried::from_number(journal.reason).unwrap_or(Buried::FinalError),
            buried: unix(journal.buried_ms),
            attempts,
            history: journal.notes.into_iter().map(|n| PastAttempt::new(n, &unix)).collect(),
            left_out: journal.left_out,
            steps: journal.steps.into_iter().map(|step| step.name).collect(),
            context: journal.context,
        }
    }

    /// The context, as it was given: what the request needs to run again.
    ///
    /// ```
    /// fn size(letter: &oncegate::DeadLetter) -> usize { letter.context().len() }
    /// ```
    #[must_use]
    pub fn context(&self) -> &[u8] {
        &self.context
    }
}

impl fmt::Debug for DeadLetter {
    /// Without what the caller gave: it may hold what no log may.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeadLetter")
            .field("id", &self.id)
            .field("reason", &self.reason)
            .field("attempts", &self.attempts)
            .field("context_bytes", &self.context.len())
            .finish_non_exhaustive()
    }
}

/// What became of one attempt of a record.
///
/// ```
/// use oncegate::PastAttempt;
/// fn line(attempt: &PastAttempt) -> String {
///     format!("{}: {:?} {}", attempt.attempt, attempt.end, attempt.class)
/// }
/// ```
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PastAttempt {
    /// Its number, from 1 on.
    pub attempt: u32,
    /// How it ended.
    pub end: AttemptEnd,
    /// The class of its error, if its holder told one.
    pub class: String,
    /// Its fencing token.
    pub fencing_token: u64,
    /// The process that ran it, by its number in the table's registry.
    pub process: u8,
    /// When it was handed out to a worker, as [`ended`](Self::ended). `None`: it was the first one,
    /// or a caller's, or its end was noted by another process.
    pub began: Option<Duration>,
    /// When it ended: since 1970, by the wall clock.
    pub ended: Duration,
}

impl PastAttempt {
    fn new(note: Note, unix: &impl Fn(u64) -> Duration) -> Self {
        let end = match note.end {
            End::Failed => AttemptEnd::Failed,
            End::Lapsed => AttemptEnd::Lapsed,
            End::Unnoted => AttemptEnd::GivenBack,
        };
        Self {
            attempt: note.attempt,
            end,
            class: note.class,
            fencing_token: note.fencing,
            process: note.process,
            began: (note.began_ms != 0).then(|| unix(note.began_ms)),
            ended: unix(note.ended_ms),
        }
    }
}

impl fmt::Debug for PastAttempt {
    /// Without the class, which is the caller's text.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PastAttempt")
            .field("attempt", &self.attempt)
            .field("end", &self.end)
            .field("fencing_token", &self.fencing_token)
            .finish_non_exhaustive()
    }
}

/// How an attempt ended that did not succeed.
///
/// ```
/// assert_ne!(oncegate::AttemptEnd::Failed, oncegate::AttemptEnd::Lapsed);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AttemptEnd {
    /// It failed, and said so.
    Failed,
    /// Its lease lapsed, or its process died.
    Lapsed,
    /// It was given back without an error.
    GivenBack,
}

impl AttemptEnd {
    /// One word for it.
    ///
    /// ```
    /// assert_eq!(oncegate::AttemptEnd::GivenBack.name(), "given_back");
    /// ```
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Lapsed => "lapsed",
            Self::GivenBack => "given_back",
        }
    }
}

/// Which dead letters are meant. What is not set lets all through.
///
/// ```
/// use oncegate::{Buried, LetterFilter};
/// let filter = LetterFilter::all().operation("charge").reason(Buried::Attempts);
/// # let _ = filter;
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
#[must_use]
pub struct LetterFilter {
    operation: Option<String>,
    reason: Option<Buried>,
    class: Option<String>,
    since: Option<Duration>,
    until: Option<Duration>,
}

impl LetterFilter {
    /// All of them.
    ///
    /// ```
    /// let _ = oncegate::LetterFilter::all();
    /// ```
    pub fn all() -> Self {
        Self::default()
    }

    /// Those of this operation.
    ///
    /// ```
    /// let _ = oncegate::LetterFilter::all().operation("charge");
    /// ```
    pub fn operation(mut self, operation: &str) -> Self {
        self.operation = Some(operation.to_owned());
        self
    }

    /// Those that were given up for this reason.
    ///
    /// ```
    /// use oncegate::{Buried, LetterFilter};
    /// let _ = LetterFilter::all().reason(Buried::Deadline);
    /// ```
    pub fn reason(mut self, reason: Buried) -> Self {
        self.reason = Some(reason);
        self
    }

    /// Those whose last attempt ended with an error of this class.
    ///
    /// ```
    /// let _ = oncegate::LetterFilter::all().class("timeout");
    /// ```
    pub fn class(mut self, class: &str) -> Self {
        self.class = Some(class.to_owned());
        self
    }

    /// Those that were buried then or later: since 1970, by the wall clock.
    ///
    /// ```
    /// use std::time::Duration;
    /// let _ = oncegate::LetterFilter::all().since(Duration::from_secs(1_700_000_000));
    /// ```
    pub fn since(mut self, unix_time: Duration) -> Self {
        self.since = Some(unix_time);
        self
    }

    /// Those that were buried before then.
    ///
    /// ```
    /// use std::time::Duration;
    /// let _ = oncegate::LetterFilter::all().until(Duration::from_secs(1_700_000_000));
    /// ```
    pub fn until(mut self, unix_time: Duration) -> Self {
        self.until = Some(unix_time);
        self
    }

    pub(super) fn lets_through(&self, letter: &DeadLetter) -> bool {
        let last = letter.history.last().map_or("", |past| past.class.as_str());
        self.operation.as_ref().is_none_or(|operation| *operation == letter.operation)
            && self.reason.is_none_or(|reason| reason == letter.reason)
            && self.class.as_ref().is_none_or(|class| class == last)
            && self.since.is_none_or(|since| letter.buried >= since)
            && self.until.is_none_or(|until| letter.buried < until)
    }
}

impl fmt::Debug for LetterFilter {
    /// Without the texts, which are the caller's.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LetterFilter")
            .field("reason", &self.reason)
            .field("since", &self.since)
            .field("until", &self.until)
            .finish_non_exhaustive()
    }
}

/// One page of dead letters.
///
/// ```
/// assert!(oncegate::LetterPage::default().letters.is_empty());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LetterPage {
    /// The letters, in the order of their places in the table.
    pub letters: Vec<DeadLetter>,
    /// What to ask for the next page with; `None`: there is none.
    pub next: Option<LetterId>,
}
