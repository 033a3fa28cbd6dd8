//! Record: what is known from outside of one request, in plain data.

use oncegate::{OnLapse, Outcome};

/// Between two numbers, both included: what is known of a time that nobody was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) least: u64,
    pub(crate) most: u64,
}

impl Span {
    pub(crate) const fn exactly(at: u64) -> Self {
        Self { least: at, most: at }
    }

    pub(crate) fn new(least: u64, most: u64) -> Self {
        Self { least: least.min(most), most: most.max(least) }
    }

    pub(crate) fn contains(&self, at: u64) -> bool {
        (self.least..=self.most).contains(&at)
    }

    pub(crate) fn after(&self, ms: u64) -> Self {
        Self { least: self.least.saturating_add(ms), most: self.most.saturating_add(ms) }
    }
}

/// Which life of which process; `None`: the engine itself, on its own behalf.
pub(crate) type Home = Option<(usize, u64)>;

/// What one request's record may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Absent,
    Running { until: u64, home: Home },
    Waiting { due: Span },
    Finished(Finished),
    Unknown,
}

/// A record that has finished.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finished {
    pub(crate) outcome: Outcome,
    /// When its window is over.
    pub(crate) ends: Span,
    /// Whether the bytes of its outcome may be gone.
    pub(crate) may_be_gone: bool,
    /// Whether it is a dead letter; then, since when.
    pub(crate) letter: Option<u64>,
}

/// A step that is finished.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) name: u64,
    pub(crate) result: Vec<u8>,
    /// It was undone, and nobody was told whether that was noted.
    pub(crate) in_doubt: bool,
}

/// One request.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    /// What it may be, as far as anybody was told: one of these.
    pub(crate) states: Vec<State>,
    /// The latest attempt that anybody was told of.
    pub(crate) attempt: u32,
    /// How many of them count no more: those before a redrive, and those that cleaned up.
    pub(crate) before: u32,
    /// How many attempts of the engine's own may have come since.
    pub(crate) untold: u32,
    /// The highest token that anybody ever got for this request.
    pub(crate) token: u64,
    pub(crate) payload: u8,
    pub(crate) lapse: OnLapse,
    /// The window that a lease of this record was given.
    pub(crate) window: Span,
    /// Whether the engine looks after the next attempt.
    pub(crate) scheduled: bool,
    /// Whether anything was noted in its journal.
    pub(crate) journal: bool,
    pub(crate) context: Vec<u8>,
    /// The finished steps, in the order in which they were done.
    pub(crate) steps: Vec<Step>,
    /// Whether the reconciler was asked about it since it became unknown.
    pub(crate) asked: bool,
    /// In which order of the simulation the engine took an attempt of its own.
    pub(crate) led_in: u64,
    /// The token of the last lapse that was cleaned up after.
    pub(crate) cleaned: u64,
}

impl Record {
    pub(crate) fn new() -> Self {
        Self {
            states: vec![State::Absent],
            attempt: 0,
            before: 0,
            untold: 0,
            token: 0,
            payload: 0,
            lapse: OnLapse::Reclaim,
            window: Span::exactly(0),
            scheduled: false,
            journal: false,
            context: Vec::new(),
            steps: Vec::new(),
            asked: false,
            led_in: 0,
            cleaned: 0,
        }
    }

    /// It is `state` for certain.
    pub(crate) fn becomes(&mut self, state: State) {
        self.states = vec![state];
    }

    /// Whether it certainly has finished.
    pub(crate) fn has_finished(&self) -> bool {
        self.states.iter().all(|state| matches!(state, State::Finished(_)))
    }

    /// Whether `attempt` may be the latest one.
    pub(crate) fn is_this(&self, attempt: u32) -> bool {
        (self.attempt..=self.attempt + self.untold).contains(&attempt)
    }

    /// Whether `attempt` may be the one after it.
    pub(crate) fn is_next(&self, attempt: u32) -> bool {
        self.is_this(attempt.wrapping_sub(1))
    }

    /// A step is undone, or is about to be: it must be the last one that is not. What came after it
    /// was undone before.
    pub(crate) fn undoes(&mut self, name: u64, result: &[u8]) -> Result<(), String> {
        let known = self.steps.iter().position(|step| step.name == name && step.result == result);
        let at = known.ok_or_else(|| format!("step {name} is none of {:?}", self.steps))?;
        if !self.steps[at + 1..].iter().all(|step| step.in_doubt) {
            return Err(format!("step {name} is undone before others of {:?}", self.steps));
        }
        self.steps.truncate(at + 1);
        self.steps[at].in_doubt = true;
        Ok(())
    }

    /// Forgets what a record before this one had; its tokens go on.
    pub(crate) fn begin_anew(&mut self) {
        let Self { token, cleaned, .. } = *self;
        *self = Self { token, cleaned, ..Self::new() };
    }
}
