//! Later: an attempt fails, and the engine sees to the next one.

use std::fmt;
use std::time::Duration;

use super::super::{Engine, Lease, LeaseToken, millis_up};
use super::care::Keeping;
use super::letter::LetterId;
use super::retries::{Asked, Denied, Granted, check_operation};
use crate::error::{Error, ErrorCode};
use crate::observe::Event;
use crate::outcome::Outcome;
use crate::retry::journal::{End, Journal, MAX_CLASS, MAX_NAME};
use crate::retry::{BudgetExhausted, FailureKind, Hint, Withdrawal};
use crate::sync::planted::Bug;
use crate::table::control::State;
use crate::table::entry::{Entry, EntryState, JournalWord};
use crate::table::slot::Deadline;
use crate::table::{Found, Rules};

/// Why an attempt failed, for its history and for the policy.
///
/// ```
/// use oncegate::AttemptError;
/// let error = AttemptError::new("connection reset");
/// # let _ = error;
/// ```
#[derive(Clone)]
#[must_use]
pub struct AttemptError {
    class: String,
    kind: FailureKind,
    hint: Option<Hint>,
    terminal: bool,
    outcome: Option<Outcome>,
}

impl AttemptError {
    /// An error of this class, 1 to 32 bytes: `timeout`, `503`, `connection reset`. It is shown in
    /// histories, so it may hold nothing of the request.
    ///
    /// ```
    /// let _ = oncegate::AttemptError::new("timeout");
    /// ```
    pub fn new(class: &str) -> Self {
        let kind = FailureKind::Transient;
        Self { class: class.to_owned(), kind, hint: None, terminal: false, outcome: None }
    }

    /// Why it failed, as far as the price of another attempt depends on it. Default: `Transient`.
    ///
    /// ```
    /// use oncegate::{AttemptError, FailureKind};
    /// let _ = AttemptError::new("timeout").kind(FailureKind::Timeout);
    /// ```
    pub fn kind(mut self, kind: FailureKind) -> Self {
        self.kind = kind;
        self
    }

    /// What the service said about retrying, if it said something.
    ///
    /// ```
    /// use std::time::Duration;
    /// use oncegate::{AttemptError, Hint};
    /// let _ = AttemptError::new("429").hint(Hint::retry_after("7", Duration::ZERO));
    /// ```
    pub fn hint(mut self, hint: Option<Hint>) -> Self {
        self.hint = hint;
        self
    }

    /// It is never tried again, whatever the policy says: the record has failed, and is a dead
    /// letter.
    ///
    /// ```
    /// let _ = oncegate::AttemptError::new("card declined").terminal();
    /// ```
    pub fn terminal(mut self) -> Self {
        self.terminal = true;
        self
    }

    pub(super) fn is_terminal(&self) -> bool {
        self.terminal
    }

    pub(super) fn kind_given(&self) -> FailureKind {
        self.kind
    }

    pub(super) fn hint_given(&self) -> Option<Hint> {
        self.hint
    }

    /// What duplicates get if this was the last attempt. Default: status 500 without bytes.
    ///
    /// ```
    /// use oncegate::{AttemptError, Outcome};
    /// let _ = AttemptError::new("503").outcome(Outcome::new(502, b"no answer"));
    /// ```
    pub fn outcome(mut self, outcome: Outcome) -> Self {
        self.outcome = Some(outcome);
        self
    }
}

impl fmt::Debug for AttemptError {
    /// Without the class, which is the caller's text.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AttemptError")
            .field("kind", &self.kind)
            .field("hint", &self.hint)
            .field("outcome", &self.outcome)
            .finish_non_exhaustive()
    }
}

/// What is needed to run a record again, by whichever worker of whichever process.
///
/// ```
/// use oncegate::RetryContext;
/// let context = RetryContext::new("send-webhook", br#"{"delivery": 7}"#);
/// # let _ = context;
/// ```
#[derive(Clone, Copy)]
#[must_use]
pub struct RetryContext<'c> {
    operation: &'c str,
    bytes: Option<&'c [u8]>,
}

impl<'c> RetryContext<'c> {
    /// The longest operation.
    ///
    /// ```
    /// assert_eq!(oncegate::RetryContext::MAX_OPERATION_BYTES, 255);
    /// ```
    pub const MAX_OPERATION_BYTES: usize = MAX_NAME;

    /// The operation that runs it, 1 to 255 bytes, by which workers know what to do and limits are
    /// set; and bytes that only its handler reads, as many as
    /// [`context_limit`](crate::EngineBuilder::context_limit) says. They lie in the table as they
    /// are: do not put secrets there.
    ///
    /// ```
    /// let _ = oncegate::RetryContext::new("send-webhook", b"7");
    /// ```
    pub fn new(operation: &'c str, bytes: &'c [u8]) -> Self {
        Self { operation, bytes: Some(bytes) }
    }

    pub(super) fn write(&self, journal: &mut Journal) {
        journal.operation = self.operation.to_owned();
        if let Some(bytes) = self.bytes {
            journal.context = bytes.to_vec();
        }
    }

    pub(super) fn check(&self, limit: usize) -> Result<(), Error> {
        let refuse = |field, found: usize, limit: String| {
            Err(Error::new(ErrorCode::InvalidOption, field, format!("{found} bytes"), limit))
        };
        check_operation(self.operation)?;
        match self.bytes {
            Some(bytes) if bytes.len() > limit => {
                refuse("context", bytes.len(), format!("0 to {limit} bytes"))
            }
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for RetryContext<'_> {
    /// Sizes only: a context may hold what no log may.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryContext")
            .field("operation_bytes", &self.operation.len())
            .field("context_bytes", &self.bytes.map(<[u8]>::len))
            .finish()
    }
}

/// What becomes of a record whose attempt failed.
///
/// ```
/// use oncegate::{Admission, AttemptError, Engine, Later, Request, RetryContext, Scope};
///
/// let engine = Engine::builder().capacity(1_000).build()?;
/// let request = Request::new(Scope::single_tenant(), "op", "key-1")?;
/// let Admission::Admitted(lease) = engine.begin(&request)? else { unreachable!() };
/// let context = RetryContext::new("op", b"what to do");
/// let later = lease.retry_later(&AttemptError::new("503"), &context)?;
/// assert!(matches!(later, Later::Scheduled { next_attempt: 2, .. }));
/// # Ok::<(), oncegate::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Later {
    /// A worker gets the next attempt.
    Scheduled {
        /// The attempt that is to come.
        next_attempt: u32,
        /// How long until it may start.
        due_in: Duration,
    },
    /// There is no next attempt: the record has failed, and is a dead letter if `kept`.
    Buried {
        /// Why.
        reason: Buried,
        /// Whether it can be looked at and redriven.
        kept: bool,
        /// Which budget was spent, and when it refills, if that was the reason.
        budget: Option<BudgetExhausted>,
    },
}

/// Why a record is not tried again. Which limit ended it, whether its last attempt failed or
/// lapsed: the latter is in its [history](crate::DeadLetter::history).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum Buried {
    /// As many attempts failed, or lapsed, as the policy allows.
    Attempts = 1,
    /// No further attempt fits before the policy's deadline; or one that was due was asked for too
    /// late to fit.
    Deadline = 2,
    /// The retry budget was spent.
    Budget = 3,
    /// The error was terminal, or the service said not to retry.
    FinalError = 4,
    /// Its last attempt was given up by its lapse, and no limit ended it.
    Lapsed = 5,
}

impl Buried {
    /// One word for it.
    ///
    /// ```
    /// assert_eq!(oncegate::Buried::FinalError.name(), "final_error");
    /// ```
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Attempts => "attempts",
            Self::Deadline => "deadline",
            Self::Budget => "budget",
            Self::FinalError => "final_error",
            Self::Lapsed => "lapsed",
        }
    }

    pub(super) fn from_number(number: u8) -> Option<Self> {
        [Self::Attempts, Self::Deadline, Self::Budget, Self::FinalError, Self::Lapsed]
            .into_iter()
            .find(|reason| *reason as u8 == number)
    }
}

/// An attempt that failed, and what is to be written about it.
pub(super) struct Failing<'a> {
    found: Found,
    entry: Option<(Entry, JournalWord)>,
    scope: u32,
    journal: Journal,
    error: &'a AttemptError,
    rules: Rules,
}

impl Failing<'_> {
    fn keeping(&self) -> Keeping<'_> {
        let Self { found, entry, scope, ref journal, rules, .. } = *self;
        Keeping { found, entry, scope, journal, rules }
    }
}

impl Lease<'_> {
    /// [`Engine::retry_later`] for this attempt.
    ///
    /// # Errors
    ///
    /// As [`Engine::retry_later`]. The lease is then given back as [`OnDrop`](crate::OnDrop) says,
    /// unless it was lost.
    ///
    /// ```
    /// # use oncegate::{Admission, AttemptError, Engine, Request, RetryContext, Scope};
    /// # let engine = Engine::builder().capacity(1_000).build()?;
    /// # let request = Request::new(Scope::single_tenant(), "op", "key-1")?;
    /// # let Admission::Admitted(lease) = engine.begin(&request)? else { unreachable!() };
    /// let later = lease.retry_later(&AttemptError::new("503"), &RetryContext::new("op", b""))?;
    /// # let _ = later;
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn retry_later(
        mut self,
        error: &AttemptError,
        context: &RetryContext<'_>,
    ) -> Result<Later, Error> {
        self.own()?;
        self.make_way();
        let later = self.engine().retry_later(self.token(), error, context);
        if later.as_ref().map_or_else(Error::is_fenced, |_| true) {
            // A lease that is lost is not given back either.
            self.ended();
        }
        later
    }
}

impl Engine {
    /// The longest context that this engine takes, in bytes: what
    /// [`context_limit`](crate::EngineBuilder::context_limit) said.
    ///
    /// ```
    /// let engine = oncegate::Engine::builder().capacity(1_000).context_limit(256).build()?;
    /// assert_eq!(engine.context_limit(), 256);
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    #[must_use]
    pub fn context_limit(&self) -> usize {
        self.retries.context_limit
    }

    /// Ends the attempt without success, and leaves the next one to the engine: by the policy of
    /// the operation, [`next_attempt`](Self::next_attempt) hands it to a worker when it is due,
    /// with `context`, in any process that shares the table. Duplicates meet
    /// [`Scheduled`](crate::Admission::Scheduled) meanwhile. If the policy allows no further
    /// attempt, the record has failed: duplicates get the outcome of `error`, and the record is
    /// kept as a dead letter.
    ///
    /// Costs about as much as storing an outcome of the size of the context, and a search among 64
    /// entries: three to four times the instructions of a new request from begin to complete (`make
    /// instructions`), and half as long again where a hundred thousand others wait (study
    /// `scheduling` of `make bench`).
    ///
    /// # Errors
    ///
    /// [`ErrorCode::Fenced`]: the lease is lost; nothing was changed. (Where it was lost in the
    /// midst of this call, the next attempt may have the context that was given.)
    /// [`ErrorCode::InvalidOption`]: a class, an operation or a context that is too long.
    /// [`ErrorCode::Full`], field `max_retrying` or `outcome_bytes`: there is no room; the lease
    /// lasts. [`ErrorCode::Forked`].
    ///
    /// ```
    /// use std::time::Duration;
    /// use oncegate::{
    ///     Admission, AttemptError, Engine, Later, Outcome, Request, RetryContext, Scope,
    /// };
    ///
    /// let engine = Engine::builder().capacity(1_000).build()?;
    /// let request = Request::new(Scope::single_tenant(), "POST /charges", "key-1")?;
    /// let Admission::Admitted(lease) = engine.begin(&request)? else { unreachable!() };
    /// let context = RetryContext::new("charge", br#"{"amount": 100}"#);
    /// let later = lease.retry_later(&AttemptError::new("timeout"), &context)?;
    /// assert!(matches!(later, Later::Scheduled { .. }));
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn retry_later(
        &self,
        token: &LeaseToken,
        error: &AttemptError,
        context: &RetryContext<'_>,
    ) -> Result<Later, Error> {
        self.enter()?;
        context.check(self.retries.context_limit)?;
        if !(1..=MAX_CLASS).contains(&error.class.len()) {
            let found = format!("{} bytes", error.class.len());
            let limit = format!("1 to {MAX_CLASS} bytes");
            return Err(Error::new(ErrorCode::InvalidOption, "class", found, limit));
        }
        self.make_way(token);
        let later = self.leave_later(token, error, context);
        self.settle_token(token, &later, false);
        later
    }

    fn leave_later(
        &self,
        token: &LeaseToken,
        error: &AttemptError,
        context: &RetryContext<'_>,
    ) -> Result<Later, Error> {
        loop {
            let (slot, seen) = self.held(token).ok_or_else(|| self.fenced())?;
            let found = Found { slot, seen };
            let mut failing = self.failing(found, token, error)?;
            context.write(&mut failing.journal);
            if let Some(later) = self.decide_failing(failing, token)? {
                return Ok(later);
            }
        }
    }

    /// Ends an attempt whose holder says nothing any more, and decides what follows.
    pub(in super::super) fn go_on_after(&self, token: &LeaseToken, class: &str) {
        let error = AttemptError::new(class);
        while let Some((slot, seen)) = self.held(token) {
            let failing = self.failing(Found { slot, seen }, token, &error);
            match failing.and_then(|failing| self.decide_failing(failing, token)) {
                Ok(None) => {}
                // What is refused for want of room is left to the lapse of its lease.
                Ok(Some(_)) | Err(_) => return,
            }
        }
    }

    /// The attempt that was found, with its journal and the note of its failure.
    pub(super) fn failing<'a>(
        &self,
        found: Found,
        token: &LeaseToken,
        error: &'a AttemptError,
    ) -> Result<Failing<'a>, Error> {
        let rules = self.rules();
        let (entry, mut journal) = self.open_journal(found, token, &rules)?;
        let known = entry.map(|(entry, _)| entry);
        journal.note(self.note_of(found, known, End::Failed, error.class.clone(), &rules));
        Ok(Failing { found, entry, scope: token.scope, journal, error, rules })
    }

    /// Schedules the next attempt, or buries the record. `None`: somebody else has changed its
    /// journal, or the place of it; look again.
    pub(super) fn decide_failing(
        &self,
        failing: Failing<'_>,
        token: &LeaseToken,
    ) -> Result<Option<Later>, Error> {
        let Failing { found, scope, error, .. } = failing;
        let asked =
            Asked { found, journal: &failing.journal, scope, kind: error.kind, error: Some(error) };
        match self.ask(&asked, &failing.rules) {
            Ok(Granted { delay, paid }) => {
                let mut paid = Some(paid);
                let scheduled = self.schedule(failing, delay, &mut paid);
                if let Some(paid) = paid {
                    // It is asked for anew, or the failure is somebody else's to charge.
                    paid.revoke();
                }
                scheduled
            }
            Err(denied) => {
                let operation = failing.journal.operation.clone();
                let context = failing.journal.context.clone();
                let mut failing = failing;
                // Once more if the journal changes meanwhile, and not from the start: a budget may
                // have been charged for this failure.
                loop {
                    let buried = self.bury_failing(failing, token, denied.clone())?;
                    if buried.is_some() {
                        return Ok(buried);
                    }
                    let (slot, seen) = self.held(token).ok_or_else(|| self.fenced())?;
                    failing = self.failing(Found { slot, seen }, token, error)?;
                    failing.journal.operation.clone_from(&operation);
                    failing.journal.context.clone_from(&context);
                }
            }
        }
    }

    /// Schedules the next attempt, and takes what was `paid` for it once that is decided.
    fn schedule(
        &self,
        mut failing: Failing<'_>,
        delay: Duration,
        paid: &mut Option<Withdrawal>,
    ) -> Result<Option<Later>, Error> {
        failing.journal.delay_ms = millis_up(delay);
        let Failing { found, rules, .. } = failing;
        let due_ms = rules.now_ms.saturating_add(failing.journal.delay_ms);
        // Before it is left: then the next attempt may begin at once.
        let next_attempt = self.attempt_of(found) + 1;
        let Some((entry, made)) = self.keep_journal(&failing.keeping())? else {
            return Ok(None);
        };
        let parcel = self.parcel(found);
        let elsewhere = parcel.as_ref().map(|parcel| parcel.attempt());
        if !self.set_due_of(found, due_ms) {
            self.withdraw(entry, made);
            return Err(self.fenced());
        }
        self.tell_scheduled(parcel, due_ms, &failing.journal);
        if let Some(paid) = paid.take() {
            self.keep_grant(found, next_attempt, paid);
        }
        self.end_failing(found, due_ms, &rules);
        if next_attempt > 2 {
            self.attempt_over(entry, found.seen.fence());
        }
        self.counters.add(Event::Later);
        self.announce(entry, due_ms);
        let due_in = Duration::from_millis(due_ms.saturating_sub(rules.now_ms));
        let next_attempt = elsewhere.map_or(next_attempt, |attempt| attempt.saturating_add(1));
        Ok(Some(Later::Scheduled { next_attempt, due_in }))
    }

    fn set_due_of(&self, found: Found, due_ms: u64) -> bool {
        let Found { slot, seen } = found;
        if seen.state() == State::Unknown {
            self.table.set_due_unknown(slot, seen, due_ms)
        } else {
            self.table.set_due(slot, seen, due_ms)
        }
    }

    /// Takes an entry back that was `made` for a lease which is lost. False: the next attempt has
    /// it.
    pub(in super::super) fn withdraw(&self, entry: Entry, made: bool) -> bool {
        if Bug::EntryNotWithdrawn.is_planted() {
            return true;
        }
        !made || self.table.withdraw_entry(entry)
    }

    /// The record fails for good, and becomes a dead letter if there is room for one. Its steps are
    /// undone once nothing can be refused any more for want of room.
    fn bury_failing(
        &self,
        mut failing: Failing<'_>,
        token: &LeaseToken,
        denied: Denied,
    ) -> Result<Option<Later>, Error> {
        let Denied { reason, budget } = denied;
        let Failing { found, error, rules, .. } = failing;
        let plain = Outcome::new(EXHAUSTED_STATUS, []);
        let outcome = error.outcome.clone().unwrap_or(plain);
        failing.journal.reason = reason as u8;
        failing.journal.buried_ms = rules.now_ms;
        let window_ms = failing.journal.window_ms;
        let Found { slot, seen } = found;
        if !self.room_for_letter() {
            self.undo_steps(token, &failing.journal);
            let parcel = self.parcel_of_token(token);
            let _deciding = self.deciding(parcel.as_ref());
            self.finish_at(slot, seen, &outcome, State::Failed, window_ms)?;
            self.tell_buried(parcel, &outcome, reason, None);
            if let Some((entry, _)) = failing.entry {
                self.attempt_over(entry, seen.fence());
                self.table.free_entry(entry);
            }
            return Ok(Some(Later::Buried { reason, kept: false, budget }));
        }
        let Some((entry, made)) = self.keep_journal(&failing.keeping())? else {
            return Ok(None);
        };
        self.undo_steps(token, &failing.journal);
        let Some((dead, _)) = self.table.mark_entry(entry, EntryState::Dead) else {
            return Err(self.fenced());
        };
        let parcel = self.parcel_of_token(token);
        let _deciding = self.deciding(parcel.as_ref());
        // It stays until it is redriven or discarded.
        match self.finish_at(slot, seen, &outcome, State::Failed, Deadline::MAX_MS) {
            Ok(_) => {
                self.tell_buried(parcel, &outcome, reason, Some(LetterId::of(dead)));
                self.attempt_over(dead, seen.fence());
                self.note_letter();
                self.table.note_change(dead.index);
                Ok(Some(Later::Buried { reason, kept: true, budget }))
            }
            Err(fenced) => {
                self.table.mark_entry(dead, EntryState::Live);
                self.withdraw(dead, made);
                Err(fenced)
            }
        }
    }
}

/// The status of the outcome of a record whose attempts are used up: 500 Internal Server Error.
pub(super) const EXHAUSTED_STATUS: u16 = 500;
