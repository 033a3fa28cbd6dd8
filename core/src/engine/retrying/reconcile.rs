//! Reconciling: records that nobody knows the effect of are resolved by a hook, and what lapsed or
//! failed for good is cleaned up under a lease of its own.

use std::sync::Arc;

use super::super::{Engine, FencingToken, LeaseToken, is_open};
use super::hooks::{CleanUpHook, LapsedAttempt, ReconcileHook, Reconciled, UndoHook, Unresolved};
use super::later::{Buried, EXHAUSTED_STATUS};
use super::registry::Setting;
use crate::error::{Error, ErrorCode};
use crate::observe::Event;
use crate::retry::journal::{End, Journal};
use crate::table::control::State;
use crate::table::entry::Entry;
use crate::table::slot::Lapse;
use crate::table::{Found, LeaseDraft, Rules};

/// What one call of [`Engine::reconcile`] did.
///
/// ```
/// let engine = oncegate::Engine::builder().capacity(1_000).build()?;
/// assert_eq!(engine.reconcile(100)?.asked, 0);
/// # Ok::<(), oncegate::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reconciliation {
    /// How many records the hook was asked about.
    pub asked: usize,
    /// How many of them it resolved.
    pub resolved: usize,
}

/// Names a record that somebody was asked about, and the attempt that is in doubt.
///
/// ```
/// use oncegate::{DoubtId, Engine, Reconciled, Unresolved};
/// fn ask_elsewhere(record: &Unresolved<'_>) -> DoubtId {
///     // … send record.fencing_token to whoever may know, and wait for nothing …
///     record.doubt
/// }
/// fn answer(engine: &Engine, doubt: DoubtId) -> Result<(), oncegate::Error> {
///     engine.settle(doubt, Reconciled::RunAgain)
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DoubtId {
    slot: usize,
    fencing: FencingToken,
}

/// What came of cleaning up after a lapse.
#[must_use]
pub(super) enum CleanUp {
    /// There is nothing that cleans up.
    Needless,
    /// Somebody has done it, or does it.
    Done,
    /// Not done, and nothing was changed: there is no room to note it.
    NoRoom,
}

/// A record to ask about.
#[derive(Clone, Copy, Debug)]
pub(super) struct Doubt {
    fence: u64,
    ask_ms: u64,
    /// How long to wait if it is still unknown.
    pause_ms: u64,
}

impl Engine {
    /// Has `hook` decide about records that are unknown: whose attempt ended with
    /// [`Failure::unknown`](crate::Failure::unknown), or lapsed under
    /// [`OnLapse::Unknown`](crate::OnLapse::Unknown).
    ///
    /// It is called by [`advance`](Self::advance), and so by a driver or an event loop, and by
    /// [`reconcile`](Self::reconcile), in this process alone; set it in each process that drives.
    /// Two processes may ask about one record at once; one answer counts. A hook that panics knows
    /// nothing. It must not block for long.
    ///
    /// # Errors
    ///
    /// As [`set_retry_budget`](Self::set_retry_budget).
    ///
    /// ```
    /// use oncegate::{Engine, Reconciled};
    /// let engine = Engine::builder().capacity(1_000).build()?;
    /// engine.set_reconciler(|record| {
    ///     println!("attempt {} is in doubt", record.attempt);
    ///     Reconciled::StillUnknown
    /// })?;
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn set_reconciler(
        &self,
        hook: impl Fn(&Unresolved<'_>) -> Reconciled + Send + Sync + 'static,
    ) -> Result<(), Error> {
        self.retries.set(Setting::Reconciler(ReconcileHook(Arc::new(hook))))?;
        // What became unknown before is found by the sweep.
        self.scheduler().forget_seen();
        Ok(())
    }

    /// Asks the [reconciler](Self::set_reconciler) about records that are unknown, at most `limit`
    /// of those that have been found. Whoever looks after attempts does so too: workers in
    /// [`next_attempt`](Self::next_attempt), a [`Driver`](crate::Driver), and
    /// [`advance`](Self::advance). One that stays unknown is asked about again after a second, then
    /// two, and so on up to five minutes. Costs a call of the hook for each that is asked about,
    /// and a walk over those that are kept in mind, a thousand at most.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::Forked`](crate::ErrorCode::Forked) in a forked child.
    ///
    /// ```
    /// use oncegate::{Admission, Engine, Failure, Outcome, Reconciled, Request, Scope};
    ///
    /// let engine = Engine::builder().capacity(1_000).build()?;
    /// engine.set_reconciler(|_| Reconciled::Succeeded(Outcome::new(200, b"it did")))?;
    /// let request = Request::new(Scope::single_tenant(), "op", "key-1")?;
    /// if let Admission::Admitted(lease) = engine.begin(&request)? {
    ///     lease.fail(Failure::unknown())?;
    /// }
    /// let done = engine.reconcile(100)?;
    /// assert_eq!((done.asked, done.resolved), (1, 1));
    /// assert!(matches!(engine.begin(&request)?, Admission::Replayed(_)));
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn reconcile(&self, limit: usize) -> Result<Reconciliation, Error> {
        self.enter()?;
        let mut done = Reconciliation::default();
        let Some(hook) = self.retries.reconciler() else { return Ok(done) };
        let rules = self.rules();
        for _ in 0..limit {
            let doubt = self.scheduler().index().next_doubt(rules.now_ms);
            let Some((slot, doubt)) = doubt else { break };
            let seen = self.table.slot(slot).control().load();
            let found = Found { slot, seen };
            if seen.state() != State::Unknown || seen.fence().get() != doubt.fence {
                continue;
            }
            if self.help(found) {
                continue;
            }
            done.asked += 1;
            self.counters.add(Event::Asked);
            if self.ask_about(found, &hook, &rules) {
                done.resolved += 1;
            } else {
                self.scheduler().index().doubt_again(slot, doubt, rules.now_ms);
            }
        }
        Ok(done)
    }

    /// Decides about a record that is unknown, as the [reconciler](Self::set_reconciler) would: for
    /// one that has to ask somebody else, says `StillUnknown`, and gets the answer later. In any
    /// process that shares the table. `StillUnknown` changes nothing.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::NotFound`](crate::ErrorCode::NotFound): the record is not in doubt any more.
    /// [`ErrorCode::Forked`](crate::ErrorCode::Forked).
    ///
    /// ```
    /// use std::sync::mpsc;
    /// use oncegate::{Admission, Engine, Failure, Outcome, Reconciled, Request, Scope};
    ///
    /// let (questions, answers) = mpsc::channel();
    /// let engine = Engine::builder().capacity(1_000).build()?;
    /// engine.set_reconciler(move |record| {
    ///     let _ = questions.send(record.doubt);
    ///     Reconciled::StillUnknown
    /// })?;
    /// let request = Request::new(Scope::single_tenant(), "op", "key-1")?;
    /// if let Admission::Admitted(lease) = engine.begin(&request)? {
    ///     lease.fail(Failure::unknown())?;
    /// }
    /// assert_eq!(engine.reconcile(100)?.resolved, 0);
    /// let doubt = answers.recv().expect("it was asked about");
    /// engine.settle(doubt, Reconciled::Succeeded(Outcome::new(200, b"it did")))?;
    /// assert!(matches!(engine.begin(&request)?, Admission::Replayed(_)));
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn settle(&self, doubt: DoubtId, answer: Reconciled) -> Result<(), Error> {
        self.enter()?;
        let not_found = || Error::of(ErrorCode::NotFound, "record");
        let slot = Some(doubt.slot).filter(|slot| *slot < self.table.slots());
        let slot = slot.ok_or_else(not_found)?;
        let seen = self.table.slot(slot).control().load();
        let found = Found { slot, seen };
        let same = self.fencing_token(seen.fence()) == doubt.fencing;
        // What somebody else has decided is carried out first.
        if seen.state() != State::Unknown || !same || self.help(found) {
            return Err(not_found());
        }
        let unknown = answer == Reconciled::StillUnknown;
        let decided = unknown || self.decide_doubt(found, answer, &self.rules());
        if decided { Ok(()) } else { Err(not_found()) }
    }

    /// Asks about one record. False: it is still unknown.
    fn ask_about(&self, found: Found, hook: &ReconcileHook, rules: &Rules) -> bool {
        let Found { slot, seen } = found;
        let entry = self.table.entry_of(slot, seen).ok().flatten();
        let journal = entry.and_then(|entry| self.journal(entry)).map(|(_, journal)| journal);
        let journal = journal.unwrap_or_default();
        let fencing = self.fencing_token(seen.fence());
        let record = Unresolved {
            operation: &journal.operation,
            context: &journal.context,
            attempt: self.attempt_of(found),
            fencing_token: fencing.get(),
            doubt: DoubtId { slot, fencing },
        };
        let answer = hook.ask(&record);
        self.decide_doubt(found, answer, rules)
    }

    /// Ends the uncertainty about a record. False: it is still unknown, or somebody else has.
    fn decide_doubt(&self, found: Found, answer: Reconciled, rules: &Rules) -> bool {
        let Found { slot, seen } = found;
        let entry = self.table.entry_of(slot, seen).ok().flatten();
        let journal = entry.and_then(|entry| self.journal(entry)).map(|(_, journal)| journal);
        let window_ms = match journal.map_or(0, |journal| journal.window_ms) {
            0 => self.longest_window_ms(),
            window_ms => window_ms,
        };
        if !self.settle_doubt(found, &answer) {
            // The tier gave no answer: it is asked about again.
            return false;
        }
        let resolved = match answer {
            Reconciled::StillUnknown => return false,
            Reconciled::Succeeded(outcome) => {
                self.finish_at(slot, seen, &outcome, State::Succeeded, window_ms).is_ok()
            }
            Reconciled::Failed(outcome) => {
                self.finish_at(slot, seen, &outcome, State::Failed, window_ms).is_ok()
            }
            Reconciled::RunAgain => {
                let decided = self.table.set_due_unknown(slot, seen, rules.now_ms);
                self.help(found);
                decided
            }
        };
        if let Some(entry) = entry {
            self.table.without_leavings(entry);
            self.announce(entry, rules.now_ms);
        }
        resolved
    }

    /// Notes that the record which was found is unknown, if anybody is to be asked about it.
    pub(in super::super) fn note_unknown(&self, found: Found) {
        if self.retries.reconciler().is_some() {
            let (fence, now_ms) = (found.seen.fence().get(), self.now_ms());
            self.scheduler().index().doubt(found.slot, fence, now_ms);
            // Nothing has changed about any entry, and somebody has to look all the same.
            let _ = self.table.changes_from_now();
            self.scheduler().tell(now_ms, now_ms);
        }
    }

    /// A lease of the engine's own on a record whose attempt has lapsed, or that is due. `None`:
    /// somebody else has it.
    fn lead(
        &self,
        (found, ended): (Found, End),
        entry: Entry,
        policy: Lapse,
        rules: &Rules,
    ) -> Option<(LeaseToken, Found)> {
        let Found { slot, seen } = found;
        if !self.seal(found, entry, ended, rules) {
            return None;
        }
        let until_ms = rules.now_ms.saturating_add(self.defaults.lease_ms);
        let draft = LeaseDraft { until_ms, lapse: policy };
        let (taken, attempt) = self.table.take(slot, seen, self.table.home_of(slot), draft).ok()?;
        self.table.follow(entry, taken.fence());
        self.table.note_change(entry.index);
        let token = LeaseToken {
            slot: slot as u64,
            fencing: self.fencing_token(taken.fence()),
            window_ms: self.longest_window_ms(),
            attempt,
            scope: self.table.scope_of(entry),
            counter: 0,
            alone: false,
        };
        Some((token, Found { slot, seen: taken }))
    }

    /// Runs the hooks that clean up after the lapse of an attempt, under a lease of its own: once
    /// for each lapse, since the lease is taken once. Where they have run, what comes next is
    /// decided, too.
    pub(super) fn clean_up_lapse(
        &self,
        found: Found,
        entry: Entry,
        policy: Lapse,
        rules: &Rules,
    ) -> CleanUp {
        let Some((_, mut journal)) = self.journal(entry) else { return CleanUp::Needless };
        let hook = self.retries.clean_up_of(&journal.operation);
        let Some(hook) = hook else { return CleanUp::Needless };
        // Before the lease of its own, which raises the number that lies beside the record.
        let attempt = self.attempt_of(found);
        // The lapse of a clean-up is cleaned up after no more.
        if journal.cleaning == attempt {
            return CleanUp::Needless;
        }
        // What cannot be noted would use up an attempt for nothing, and be taken for a lapse of the
        // work when it lapses.
        journal.note(self.note_of(found, Some(entry), End::Lapsed, String::new(), rules));
        if !self.has_room_for(&journal, rules) {
            return CleanUp::NoRoom;
        }
        let Some((token, _)) = self.lead((found, End::Lapsed), entry, policy, rules) else {
            return CleanUp::Done;
        };
        let cleaning = token.attempt;
        let noted = self.change_journal_of(&token, |journal| {
            journal.cleaning = cleaning;
            // It is no attempt of the work.
            journal.before = journal.before.wrapping_add(1);
            Ok(())
        });
        if noted.is_ok() {
            let lapsed = LapsedAttempt {
                operation: &journal.operation,
                context: &journal.context,
                attempt,
                lapsed_token: self.fencing_token(found.seen.fence()).get(),
                fencing_token: token.fencing_token().get(),
            };
            let class = if hook.run(&lapsed) { "cleaned up" } else { "not cleaned up" };
            self.counters.add(Event::Compensated);
            self.go_on_after(&token, class);
        }
        // If somebody else had the room meanwhile, it is left to the lapse of this lease.
        CleanUp::Done
    }

    /// Undoes the finished steps of a record that is about to fail for good, by the hook of its
    /// operation, if it has one.
    pub(super) fn undo_steps(&self, token: &LeaseToken, journal: &Journal) {
        let Some(hook) = self.retries.undo_of(&journal.operation) else { return };
        // What cannot be undone stays in the record, for whoever looks at the dead letter.
        let _ = self.compensate_steps(token, |step| {
            self.counters.add(Event::Compensated);
            hook.run(step)
        });
    }

    /// Takes a lease of the engine's own to undo the steps of a record whose last attempt lapsed.
    /// `None`: nothing is to be undone, or somebody else does it.
    pub(super) fn lead_to_undo(
        &self,
        found: Found,
        entry: Entry,
        journal: &Journal,
        rules: &Rules,
    ) -> Option<Found> {
        if journal.steps.is_empty() || self.retries.undo_of(&journal.operation).is_none() {
            return None;
        }
        let (token, led) = self.lead((found, End::Lapsed), entry, Lapse::Reclaim, rules)?;
        self.undo_steps(&token, journal);
        self.still_open(led)
    }

    /// The attempt that was found, as it is now, if it has not ended.
    fn still_open(&self, led: Found) -> Option<Found> {
        let seen = self.table.slot(led.slot).control().load();
        (seen.fence() == led.seen.fence() && is_open(seen.state()))
            .then_some(Found { slot: led.slot, seen })
    }

    /// [`bury_late`](Self::bury_late), if there is no time left for the next attempt. False: there
    /// is.
    pub(in super::super) fn bury_if_late(
        &self,
        found: Found,
        entry: Entry,
        lapse: Lapse,
        rules: &Rules,
    ) -> bool {
        let journal = self.journal(entry);
        let late =
            journal.is_some_and(|(_, journal)| self.next_lease_ms(&journal, rules).is_none());
        if late {
            self.bury_late(found, entry, lapse, rules);
        }
        late
    }

    /// Buries a record that is due, and whose next attempt cannot end before its deadline: under a
    /// lease of the engine's own, so that nobody starts it meanwhile.
    pub(super) fn bury_late(&self, found: Found, entry: Entry, lapse: Lapse, rules: &Rules) {
        let led = self.lead((found, End::Unnoted), entry, lapse, rules);
        let Some((token, led)) = led else { return };
        let Some((_, journal)) = self.journal(entry) else { return };
        self.undo_steps(&token, &journal);
        let Some(led) = self.still_open(led) else { return };
        let Some((word, mut journal)) = self.journal(entry) else { return };
        self.grant_back(found);
        journal.note(self.note_of(led, None, End::Failed, "not started".to_owned(), rules));
        let why = (Buried::Deadline, EXHAUSTED_STATUS);
        self.bury_led(led, entry, (word, journal), why, rules);
    }
}

impl super::Retries {
    pub(super) fn clean_up_of(&self, operation: &str) -> Option<CleanUpHook> {
        self.settings_of(operation).and_then(|settings| settings.clean_up.clone())
    }

    pub(super) fn undo_of(&self, operation: &str) -> Option<UndoHook> {
        self.settings_of(operation).and_then(|settings| settings.undo.clone())
    }
}

impl Doubt {
    pub(super) fn new(fence: u64, now_ms: u64) -> Self {
        Self { fence, ask_ms: now_ms, pause_ms: FIRST_PAUSE_MS }
    }

    pub(super) fn is_of(&self, fence: u64) -> bool {
        self.fence == fence
    }

    pub(super) fn ask_ms(&self) -> u64 {
        self.ask_ms
    }

    pub(super) fn pause_ms(&self) -> u64 {
        self.pause_ms
    }

    pub(super) fn was_asked(&self) -> bool {
        self.pause_ms > FIRST_PAUSE_MS
    }

    pub(super) fn later(self, now_ms: u64) -> Self {
        let ask_ms = now_ms.saturating_add(self.pause_ms);
        Self { ask_ms, pause_ms: (self.pause_ms * 2).min(LONGEST_PAUSE_MS), ..self }
    }
}

/// How long an answer that nobody knows is waited for, first and at most.
const FIRST_PAUSE_MS: u64 = 1_000;
const LONGEST_PAUSE_MS: u64 = 300_000;
