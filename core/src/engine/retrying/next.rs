//! Next: a worker asks for an attempt that is due.

use std::fmt;
use std::task::Waker;
use std::time::Duration;

use super::super::{Engine, Lease, LeaseToken, Status, millis_up};
use super::ready::Due;
use crate::config::{YEAR, check_duration};
use crate::error::{Error, ErrorCode};
use crate::observe::Event;
use crate::region::geometry::RETRIES_PER_CHANGE;
use crate::retry::journal::{End, Journal};
use crate::sync::park;
use crate::sync::planted::Bug;
use crate::table::control::State;
use crate::table::retrying::{Entry, Standing};
use crate::table::slot::{Kind, Lapse};
use crate::table::{Found, Lapsed, LeaseDraft, NotTaken, Open, Rules};
use crate::wait::thread_waker;

/// A due attempt, with what is needed to run it. Ends like a [`Lease`].
///
/// ```
/// use std::time::Duration;
/// use oncegate::{
///     Admission, AttemptError, Engine, ManualClock, Outcome, Request, RetryContext, Scope,
/// };
///
/// let clock = ManualClock::new();
/// let engine = Engine::builder().capacity(1_000).clock(clock.clone()).build()?;
/// let request = Request::new(Scope::single_tenant(), "POST /charges", "key-1")?;
/// if let Admission::Admitted(lease) = engine.begin(&request)? {
///     let _ = lease.retry_later(&AttemptError::new("503"), &RetryContext::new("charge", b"7"))?;
/// }
/// clock.advance(Duration::from_secs(3600));
/// let attempt = engine.next_attempt(Duration::ZERO)?.expect("it is due");
/// assert_eq!((attempt.operation(), attempt.context()), ("charge", &b"7"[..]));
/// assert_eq!(attempt.lease().attempt(), 2);
/// attempt.into_lease().complete(&Outcome::new(200, b"charged"))?;
/// # Ok::<(), oncegate::Error>(())
/// ```
#[must_use = "an attempt that is dropped is given back"]
pub struct Attempt<'e> {
    lease: Lease<'e>,
    journal: Journal,
}

impl<'e> Attempt<'e> {
    /// The lease: renew it while the attempt runs, and pass its fencing token on.
    #[must_use]
    pub fn lease(&self) -> &Lease<'e> {
        &self.lease
    }

    /// The lease alone, to end it.
    pub fn into_lease(self) -> Lease<'e> {
        self.lease
    }

    /// The operation that the context was given for.
    #[must_use]
    pub fn operation(&self) -> &str {
        &self.journal.operation
    }

    /// The context, as it was given.
    #[must_use]
    pub fn context(&self) -> &[u8] {
        &self.journal.context
    }
}

impl fmt::Debug for Attempt<'_> {
    /// Without the context, which may hold what no log may.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attempt")
            .field("lease", &self.lease)
            .field("context_bytes", &self.journal.context.len())
            .finish_non_exhaustive()
    }
}

/// What became of a record that was due.
enum Taken<'e> {
    Attempt(Attempt<'e>),
    /// It is to be looked at again then.
    Later(u64),
    /// Somebody else looks after it, or nobody has to.
    Nothing,
}

impl Engine {
    /// Hands out the next attempt that is due, waiting for one for at most `timeout`. `None`: the
    /// time has passed. Zero never waits.
    ///
    /// Attempts come by due time, of the scope that was served the longest time ago. Whichever
    /// process scheduled them, each is handed out once. What was leased to a process that died, or
    /// whose lease lapsed, comes again by its policy.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::InvalidOption`]: a timeout above a year. [`ErrorCode::Forked`].
    ///
    /// ```
    /// use std::time::Duration;
    /// let engine = oncegate::Engine::builder().capacity(1_000).build()?;
    /// assert!(engine.next_attempt(Duration::ZERO)?.is_none());
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn next_attempt(&self, timeout: Duration) -> Result<Option<Attempt<'_>>, Error> {
        self.enter()?;
        check_duration(ErrorCode::InvalidOption, "timeout", timeout.max(MS), YEAR)?;
        let give_up = self.now().saturating_add(timeout);
        let scheduler = self.scheduler();
        loop {
            if timeout.is_zero() {
                return self.try_next();
            }
            let waker = thread_waker();
            // Queued before it looks: whoever schedules something after the look wakes it.
            let ticket = scheduler.enter(waker.clone());
            let found = self.try_next();
            let again = matches!(found, Ok(None)) && self.now() < give_up;
            if again {
                self.doze(&waker, give_up);
            }
            let woken = !scheduler.leave(ticket);
            if !again {
                // What this one was woken for, or did not get to, is another's.
                if woken || self.has_ready() {
                    scheduler.wake_one();
                }
                return found;
            }
        }
    }

    /// Sleeps until something may be due, until woken, or until `give_up`.
    fn doze(&self, waker: &Waker, give_up: Duration) {
        let first = self.scheduler().index().first_due_ms();
        self.life.time().wake_on_jump(waker);
        // `now_ms` counts from one.
        let due = first.map_or(Duration::MAX, |ms| Duration::from_millis(ms.saturating_sub(1)));
        let left = give_up.min(due).saturating_sub(self.now());
        if !left.is_zero() {
            park(Some(left));
        }
    }

    fn has_ready(&self) -> bool {
        self.scheduler().index().ready.len() != 0
    }

    /// The next attempt that is due now.
    fn try_next(&self) -> Result<Option<Attempt<'_>>, Error> {
        let rules = self.rules();
        self.watch_file(rules.now_ms)?;
        self.look_at_changes();
        loop {
            let popped = {
                let mut index = self.scheduler().index();
                while let Some(due) = index.next_due(rules.now_ms) {
                    if let Some(entry) = self.table.entry_at(due.index as usize) {
                        let scope = self.table.scope_of(entry);
                        index.ready.push(self.table.operation_of(entry), scope, due);
                    }
                }
                index.ready.pop(|operation| self.retries.may_run(operation))
            };
            let Some((_, Due { index, .. })) = popped else { return Ok(None) };
            let index = index as usize;
            let Some(entry) = self.table.entry_at(index) else { continue };
            match self.take_entry(entry, &rules)? {
                Taken::Attempt(attempt) => return Ok(Some(attempt)),
                Taken::Later(due_ms) => self.scheduler().index().file(index, due_ms),
                Taken::Nothing => {}
            }
        }
    }

    /// Files what has changed about the entries since it was looked at last.
    fn look_at_changes(&self) {
        let in_all = self.table.changes();
        let entries = self.table.retry_entries();
        let blocks = entries.div_ceil(RETRIES_PER_CHANGE);
        let mut index = self.scheduler().index();
        let changed = index.changed(in_all, blocks, entries, |block| self.table.changes_of(block));
        for block in changed {
            let first = block * RETRIES_PER_CHANGE;
            for number in first..(first + RETRIES_PER_CHANGE).min(entries) {
                if let Some(due_ms) = self.table.entry_at(number).and_then(|e| self.due_of(e)) {
                    index.file(number, due_ms);
                }
            }
        }
    }

    /// When `entry` is to be looked at: when its next attempt is due, or its lease ends.
    fn due_of(&self, entry: Entry) -> Option<u64> {
        let at = self.table.slot(entry.word.slot());
        let seen = at.control().load();
        let deadline = at.deadline();
        let runs = matches!(seen.state(), State::Running | State::Waiting);
        // One that is just being written is looked at soon.
        runs.then(|| if deadline.belongs_to(seen.fence()) { deadline.at_ms } else { self.now_ms() })
    }

    /// Tells the workers of every process that `entry` is due then.
    pub(super) fn announce(&self, entry: Entry, due_ms: u64) {
        self.table.note_change(entry.index);
        let _ = due_ms;
        if !Bug::WorkersNotWoken.is_planted() {
            self.scheduler().wake_one();
        }
    }

    /// Takes the record of `entry` if its next attempt is due, or sees to its lapse.
    fn take_entry(&self, entry: Entry, rules: &Rules) -> Result<Taken<'_>, Error> {
        let slot = entry.word.slot();
        for _ in 0..MOST_ROUNDS {
            let at = self.table.slot(slot);
            let seen = at.control().load();
            let found = Found { slot, seen };
            match self.table.standing(entry, seen) {
                Standing::Current => {}
                Standing::Changed if self.table.entry_word(entry.index) == entry.word => continue,
                Standing::Changed => return Ok(Taken::Nothing),
                Standing::Nobodys => {
                    self.table.without_leavings(entry);
                    return Ok(Taken::Nothing);
                }
            }
            let deadline = at.deadline();
            let own = deadline.belongs_to(seen.fence());
            match seen.state() {
                State::Waiting if own && deadline.kind == Kind::Due => {
                    if deadline.at_ms > rules.now_ms {
                        return Ok(Taken::Later(deadline.at_ms));
                    }
                    match self.run_due(found, entry, deadline.lapse, rules)? {
                        Some(taken) => return Ok(taken),
                        None => continue,
                    }
                }
                State::Running => match self.table.close_lease(slot, seen, rules) {
                    Err(Open::Until(until_ms)) => return Ok(Taken::Later(until_ms)),
                    Err(Open::Ending) => _ = self.help(found),
                    Err(Open::Changed) => {}
                    Ok(Lapsed(policy)) => self.lapse_retried(found, entry, policy, rules),
                },
                State::Waiting | State::Vacant | State::Claimed | State::Inserting => {}
                State::Unknown => return Ok(Taken::Nothing),
                State::Succeeded | State::Failed => match self.redriven(found) {
                    Some(dead) => self.carry_out_redrive(found, dead, rules),
                    None => {
                        self.table.without_leavings(entry);
                        return Ok(Taken::Nothing);
                    }
                },
            }
        }
        // In a file that was damaged a record may be in a state that nothing leads out of.
        Ok(Taken::Nothing)
    }

    /// Starts the next attempt of a record that is due. `None`: it has changed.
    fn run_due(
        &self,
        found: Found,
        entry: Entry,
        lapse: Lapse,
        rules: &Rules,
    ) -> Result<Option<Taken<'_>>, Error> {
        let Found { slot, seen } = found;
        if !self.seal(found, entry, End::Unnoted, rules) {
            return Ok(None);
        }
        let Some((_, journal)) = self.journal(entry) else { return Ok(None) };
        let until_ms = rules.now_ms.saturating_add(self.retries.lease_ms(self, &journal, rules));
        let home = self.table.home_of(slot);
        let taken = self.table.take(slot, seen, home, LeaseDraft { until_ms, lapse });
        let (taken, attempt) = match taken {
            Ok(taken) => taken,
            Err(NotTaken::Changed) => return Ok(None),
            Err(NotTaken::Exhausted) => {
                return Err(Error::of(ErrorCode::Exhausted, "attempt"));
            }
        };
        self.table.follow(entry, taken.fence());
        // It is looked at again when its lease ends, here and elsewhere.
        self.table.note_change(entry.index);
        if taken.waiters() {
            self.waiters.wake_sooner(slot, until_ms);
        }
        self.counters.add(Event::Retried);
        let window_ms = match journal.window_ms {
            0 => self.defaults.window_ms,
            given => given.min(millis_up(crate::config::TEN_YEARS)),
        };
        let token = LeaseToken {
            slot: slot as u64,
            fencing: self.fencing_token(taken.fence()),
            window_ms,
            attempt,
            scope: self.table.scope_of(entry),
        };
        let lease = Lease::new(self, token, Status::Retried, until_ms);
        Ok(Some(Taken::Attempt(Attempt { lease, journal })))
    }
}

const MS: Duration = Duration::from_millis(1);
/// Whoever meets a change that is under way makes it himself, so that a few rounds do.
const MOST_ROUNDS: u32 = 1_000;
