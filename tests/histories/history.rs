//! A history: what the threads of one run did to one key, and what they were told.

use oncegate::OnLapse;

use crate::checker::Call;
use crate::spec::{Answer, End, Rules, Verdict};

/// Everything that the checker needs to judge one key, and a reader to understand it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct History {
    /// The kind of run, and the seed of its programs.
    pub(crate) kind: String,
    pub(crate) seed: u64,
    pub(crate) key: usize,
    pub(crate) terms: Terms,
    /// The times that the clock showed, in their order.
    pub(crate) times: Vec<u64>,
    /// By invocation.
    pub(crate) events: Vec<Event>,
}

/// What the engine of a run was allowed to do. Durations and times are milliseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Terms {
    pub(crate) rules: Rules,
    /// The lease of callers that ask for none.
    pub(crate) lease: u64,
    /// Finished records were evicted.
    pub(crate) evicts: bool,
    /// Stored outcomes were dropped.
    pub(crate) drops: bool,
    /// Outcomes may find no room.
    pub(crate) scarce: bool,
    /// New records may find no room.
    pub(crate) fills: bool,
}

/// One call, as its thread saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) thread: usize,
    /// Stamps from one counter: a call that returned before another was invoked has the lower
    /// one.
    pub(crate) invoked: u64,
    pub(crate) returned: u64,
    /// What the clock showed before the call and after it.
    pub(crate) from: u64,
    pub(crate) to: u64,
    /// Of all calls of the run that were invoked before this one returned: the latest return,
    /// and the latest time after it.
    pub(crate) reach: Reach,
    pub(crate) ask: Ask,
    pub(crate) answer: Answer,
    /// What was admitted.
    pub(crate) grant: Option<Grant>,
}

/// How far the calls go on that are under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Reach {
    pub(crate) returned: u64,
    pub(crate) to: u64,
}

/// What a call asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    Begin {
        payload: usize,
        lease: u64,
        lapse: OnLapse,
        patience: Patience,
    },
    /// By the holder of `token`, whose outcome would answer duplicates for `window`.
    End {
        token: u64,
        window: u64,
        how: End,
    },
    Resolve(Verdict),
    /// A `begin` that may have taken the next attempt over and lost it again before it knew: it
    /// stalled until the lease that others had given it for the time being was over.
    LostTakeover,
}

/// How a caller meets a running attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Patience {
    /// Is told at once.
    None,
    /// Waits for at most so many milliseconds.
    Wait(u64),
    /// Waits as a future.
    Join,
    /// Polls a future once, and drops it.
    Glance,
}

/// An admitted attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Grant {
    pub(crate) token: u64,
    /// When its lease lapses.
    pub(crate) until: u64,
}

impl Call for Event {
    fn invoked(&self) -> u64 {
        self.invoked
    }

    fn returned(&self) -> u64 {
        self.returned
    }

    fn is_optional(&self) -> bool {
        self.ask == Ask::LostTakeover
    }

    fn only_reads(&self) -> bool {
        match self.answer {
            Answer::Replayed(_)
            | Answer::InProgress { .. }
            | Answer::Scheduled { .. }
            | Answer::Mismatched
            | Answer::Unresolved
            | Answer::OutcomeGone
            | Answer::Refused(_) => true,
            // Of a future that was dropped; a dropped guard ends its attempt.
            Answer::Dropped => matches!(self.ask, Ask::Begin { .. }),
            Answer::Admitted { .. } | Answer::Completed(_) | Answer::Done => false,
        }
    }
}

impl Event {
    /// Whether the caller waits for a while.
    pub(crate) fn waits(&self) -> bool {
        matches!(self.ask, Ask::Begin { patience: Patience::Wait(_), .. })
    }

    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        self.invoked < other.returned && other.invoked < self.returned
    }
}

impl History {
    /// The same with every takeover that may have been lost.
    pub(crate) fn with_lost_takeovers(&self) -> Self {
        let begins = self.events.iter().filter(|event| matches!(event.ask, Ask::Begin { .. }));
        let lost = begins.map(|event| {
            let (ask, answer) = (Ask::LostTakeover, Answer::Done);
            Event { ask, answer, grant: None, ..event.clone() }
        });
        let mut events: Vec<Event> = self.events.iter().cloned().chain(lost).collect();
        events.sort_by_key(|event| event.invoked);
        Self { events, ..self.clone() }
    }

    /// How many calls were under way at once, at most.
    pub(crate) fn depth(&self) -> usize {
        let others = |event: &Event| {
            let at = event.invoked;
            self.events.iter().filter(|other| other.invoked <= at && at < other.returned).count()
        };
        self.events.iter().map(others).max().unwrap_or(0)
    }

    /// Whether two calls overlapped of which one changed something.
    pub(crate) fn is_contended(&self) -> bool {
        self.events.iter().filter(|event| !event.only_reads()).any(|event| {
            self.events.iter().any(|other| other.invoked != event.invoked && event.overlaps(other))
        })
    }
}
