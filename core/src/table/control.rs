//! The control word: one record's state, holder and fencing counter in 64 bits.
//!
//! ```text
//!  63    61 60  59       52 51      44 43                           0
//! +--------+---+-----------+----------+------------------------------+
//! | state  | W | writer(8) | owner(8) |     fencing counter (44)     |
//! +--------+---+-----------+----------+------------------------------+
//! ```
//!
//! `W`: somebody waits for this record to change. `writer`: the process that is writing the slot's
//! inline outcome; zero: nobody. `owner`: the process that claimed or leased. Both are entries of
//! the region's registry, so that what a dead process left can be told from what a slow one has.
//! The two low bits of the fencing counter are those of the attempt number.
//!
//! # States
//!
//! | state | meaning | who may write the slot's other words |
//! |---|---|---|
//! | `Vacant` | no record; all bits of the slot are stale | nobody |
//! | `Claimed` | reserved by one caller, who writes a record into it or vacates it | the claimer, all words |
//! | `Inserting` | written; exists if and only if the arbitration word names it pending | nobody |
//! | `Running` | an attempt holds the lease | see the rules below |
//! | `Waiting` | the next attempt is due at the deadline | nobody |
//! | `Succeeded` | finished; duplicates get the outcome | the deadline, from lease to window |
//! | `Failed` | finished for good without success | as `Succeeded` |
//! | `Unknown` | nobody knows whether the attempt took effect | the outcome, by its holder or a resolver |
//!
//! # Transitions (each one compare-and-swap, here and nowhere else)
//!
//! | from | to | by | success | failure |
//! |---|---|---|---|---|
//! | `Vacant(f)`, or a record `(f)` that may go | `Claimed(g)`, g > f | anyone | AcqRel | Acquire |
//! | `Claimed(f)` | `Inserting(f)` | the claimer | Release | Relaxed |
//! | `Claimed(f)`, `Inserting(f)` | `Vacant(f)` | the claimer | Release | Relaxed |
//! | `Inserting(f)` | `Running(f)` | anyone who saw it pending | AcqRel | Acquire |
//! | `Running(f)` lapsed, `Waiting(f)` due | `Running(g)`, g > f | anyone | AcqRel | Acquire |
//! | `Running(f)` | `Succeeded(f)`, `Failed(f)`, `Waiting(f)`, `Unknown(f)` | the holder, or anyone after the lapse | AcqRel | Acquire |
//! | `Unknown(f)` | `Succeeded(f)`, `Failed(f)`, `Waiting(f)` | its holder or a resolver | AcqRel | Acquire |
//! | `Failed(f)`, a dead letter | `Waiting(f)` | whoever redrives it | AcqRel | Acquire |
//! | `W` clear | `W` set, in `Running` and `Waiting` | a waiter | AcqRel | Acquire |
//! | no writer | a writer, in `Running` and `Unknown` | whoever ends the attempt | AcqRel | Acquire |
//! | a writer | no writer, in any state, or with the end of the attempt | that writer, alone | Release | – |
//! | `Claimed(f)`, `Inserting(f)` of a dead owner | `Claimed(g)`, g > f | anyone | AcqRel | Acquire |
//! | a dead writer | no writer, in any state | anyone | AcqRel | Acquire |
//! | `Running(f)` of a dead owner, closed | `Running(f)` of nobody | anyone | AcqRel | Acquire |
//!
//! Two of them need no comparing, since nobody else may leave `Claimed` of a live process but to
//! clear the writer: where there is none, the claimer stores `Inserting(f)` and `Vacant(f)`.
//!
//! A slot's fencing counter grows with every claim and every takeover, so each pair of state and
//! counter occurs once in the life of the region and no compare-and-swap can meet an old value
//! again (no ABA). The writer's mark alone has no counter: whoever takes away that of a dead
//! process does so while its index is not given to another (see `Region::recover`).
//!
//! # Rules of field access (cited as "rule N")
//!
//! 1. Fingerprint, scope and digest are written only under `Claimed`. A reader loads the control
//!    word, the fields, and the control word again; equal counters mean that the fields belong
//!    together.
//! 2. The deadline carries the low bits of the fencing counter that it belongs to, and is only
//!    ever changed by compare-and-swap, so that a stale holder can change nothing. It decides once
//!    whether an attempt finishes or runs again (see `engine::conclude`).
//! 3. The outcome reference is set by compare-and-swap by whoever finishes the attempt, or by whom
//!    a lapse makes end it as failed, before the control word says finished: it decides between
//!    them. What it names carries slot and counter, so a reference left by an earlier attempt is
//!    never believed.
//! 4. The attempt number is brought up to date by the winner of a takeover, and only while the
//!    control word carries its counter. Its two low bits are in that counter, so a reader can tell
//!    that it lags by one.
//! 5. Nobody but the holder of `Claimed` writes a slot's tag.
//! 6. The inline outcome is written only by who put itself down as the writer, and it stays so,
//!    through whatever ends and claims of the slot, until it is done. Whoever finds one there
//!    writes elsewhere. So a writer that stalls, however long, writes into nobody's outcome; and
//!    one that died writes nothing any more.
//!
//! # Death
//!
//! What a dead process left is known by its entry, and recovered by whoever meets it (see
//! `recover`). An index is given to another process when nothing in the region names it any more.

use std::fmt;

use crate::sync::planted::Bug;
use crate::sync::{AtomicU64, Ordering};

/// What a record is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub(crate) enum State {
    Vacant = 0,
    Claimed = 1,
    Inserting = 2,
    Running = 3,
    Waiting = 4,
    Succeeded = 5,
    Failed = 6,
    Unknown = 7,
}

impl State {
    pub(crate) const ALL: [State; 8] = [
        State::Vacant,
        State::Claimed,
        State::Inserting,
        State::Running,
        State::Waiting,
        State::Succeeded,
        State::Failed,
        State::Unknown,
    ];

    #[inline]
    fn from_bits(bits: u64) -> Self {
        // The numbers of the states: the compiler makes no table of it.
        match bits & 0b111 {
            0 => State::Vacant,
            1 => State::Claimed,
            2 => State::Inserting,
            3 => State::Running,
            4 => State::Waiting,
            5 => State::Succeeded,
            6 => State::Failed,
            _ => State::Unknown,
        }
    }

    /// Whether a slot in this state holds a record that a look-up may find.
    pub(crate) fn is_record(self) -> bool {
        matches!(
            self,
            State::Running | State::Waiting | State::Succeeded | State::Failed | State::Unknown
        )
    }

    /// Whether the record has come to its end, and answers duplicates from its outcome.
    pub(crate) fn is_finished(self) -> bool {
        matches!(self, State::Succeeded | State::Failed)
            || self == State::Unknown && Bug::UnknownCountsAsFinished.is_planted()
    }
}

/// A fencing counter: 44 bits, growing per slot and per home set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Fence(u64);

impl Fence {
    pub(crate) const MAX: u64 = (1 << FENCE_BITS) - 1;
    /// The end of the counter.
    pub(crate) const LAST: Self = Self(Self::MAX);
    /// How many low bits other words of the slot carry to say which attempt they belong to.
    pub(crate) const LOW_BITS: u32 = 20;

    /// `None` at the end of the counter.
    pub(crate) fn new(counter: u64) -> Option<Self> {
        (counter <= Self::MAX).then_some(Self(counter))
    }

    pub(crate) fn get(self) -> u64 {
        self.0
    }

    pub(crate) fn low(self) -> u64 {
        self.0 & ((1 << Self::LOW_BITS) - 1)
    }

    /// The smallest counter above this one that carries the low bits of `attempt`.
    pub(crate) fn next_for(self, attempt: u32) -> Option<Self> {
        let want = u64::from(attempt) & ATTEMPT_MASK;
        let next = self.0 + 1;
        Self::new(next + (want.wrapping_sub(next) & ATTEMPT_MASK))
    }

    /// The attempt that this counter belongs to, from a number that lags by at most three.
    pub(crate) fn attempt(self, recorded: u32) -> u32 {
        let behind = self.0.wrapping_sub(u64::from(recorded)) & ATTEMPT_MASK;
        recorded + behind as u32
    }
}

/// A plain copy of a control word, read and changed as the word that it is: the way of a request
/// through the table compares and writes many of them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Snapshot(u64);

impl Snapshot {
    /// The copy of a word that was read from a file, whatever it says.
    #[cfg(all(target_os = "linux", not(any(oncegate_loom, oncegate_shuttle))))]
    pub(crate) fn of_word(word: u64) -> Self {
        Self(word)
    }

    #[inline]
    pub(crate) fn state(self) -> State {
        State::from_bits(self.0 >> STATE_SHIFT)
    }

    /// Whether somebody waits for this record to change.
    #[inline]
    pub(crate) fn waiters(self) -> bool {
        self.0 & WAITERS_BIT != 0
    }

    /// Whether somebody is writing the slot's inline outcome.
    #[inline]
    pub(crate) fn writing(self) -> bool {
        self.0 & WRITER_MASK != 0
    }

    /// The process that is doing that; zero: none.
    pub(crate) fn writer(self) -> u8 {
        (self.0 >> WRITER_SHIFT) as u8
    }

    /// The process that claimed the slot or holds the lease.
    #[inline]
    pub(crate) fn owner(self) -> u8 {
        (self.0 >> FENCE_BITS) as u8
    }

    #[inline]
    pub(crate) fn fence(self) -> Fence {
        Fence(self.0 & Fence::MAX)
    }

    /// The word itself, to compare.
    pub(crate) fn word(self) -> u64 {
        self.0
    }

    /// Whether `other` is the same state of the same attempt; waiters and writers may differ.
    #[inline]
    pub(crate) fn is_same_record(self, other: Self) -> bool {
        (self.0 ^ other.0) & (STATE_MASK | Fence::MAX) == 0
    }

    /// Whether `other` differs in nothing but its writer.
    #[inline]
    fn differs_in_writer(self, other: Self) -> bool {
        let differ = self.0 ^ other.0;
        differ != 0 && differ & !WRITER_MASK == 0
    }

    #[inline]
    fn with_state(self, state: State) -> Self {
        Self(self.0 & !STATE_MASK | (state as u64) << STATE_SHIFT)
    }

    #[inline]
    fn with_waiters(self, waiters: bool) -> Self {
        Self(self.0 & !WAITERS_BIT | u64::from(waiters) << WAITERS_SHIFT)
    }

    #[inline]
    fn with_writer(self, writer: u8) -> Self {
        Self(self.0 & !WRITER_MASK | u64::from(writer) << WRITER_SHIFT)
    }

    #[inline]
    fn with_holder(self, fence: Fence, owner: u8) -> Self {
        let kept = self.0 & !(Fence::MAX | OWNER_MASK);
        Self(kept | u64::from(owner) << FENCE_BITS | fence.0)
    }

    /// The transitions, as pure functions: what the word becomes, or `None` where that is illegal.
    #[inline(always)]
    pub(crate) fn after(self, step: Step) -> Option<Self> {
        use State as S;
        let next = match (step, self.state()) {
            (Step::Claim { fence, owner }, state)
                if fence > self.fence() && !matches!(state, S::Claimed | S::Inserting) =>
            {
                self.with_state(S::Claimed).with_waiters(false).with_holder(fence, owner)
            }
            (Step::Present, S::Claimed) => self.with_state(S::Inserting),
            (Step::Vacate, S::Claimed | S::Inserting) => self.with_state(S::Vacant),
            (Step::Finish, S::Inserting) => self.with_state(S::Running),
            (Step::Take { fence, owner }, S::Running | S::Waiting) if fence > self.fence() => {
                let waiters = self.waiters() && !Bug::TakeoverForgetsWaiters.is_planted();
                self.with_state(S::Running).with_waiters(waiters).with_holder(fence, owner)
            }
            (Step::End(state), S::Running) if state.is_record() && state != S::Running => {
                self.with_state(state).with_waiters(self.waiters() && state == S::Waiting)
            }
            (Step::End(state), S::Unknown) if state.is_finished() || state == S::Waiting => {
                self.with_state(state)
            }
            (Step::Redrive, S::Failed) => self.with_state(S::Waiting),
            (Step::Write { writer }, S::Running | S::Unknown) if !self.writing() => {
                self.with_writer(writer)
            }
            (Step::EndWritten(state), S::Running | S::Unknown)
                if self.writing() && state.is_finished() =>
            {
                self.with_state(state).with_waiters(false).with_writer(0)
            }
            (Step::Announce, S::Running | S::Waiting) => self.with_waiters(true),
            (Step::Seize { fence, owner }, S::Claimed | S::Inserting) if fence > self.fence() => {
                self.with_state(S::Claimed).with_holder(fence, owner)
            }
            (Step::Disown, _) if self.writing() => self.with_writer(0),
            (Step::Orphan, S::Running) => self.with_holder(self.fence(), 0),
            _ => return None,
        };
        Some(next)
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot")
            .field("state", &self.state())
            .field("waiters", &self.waiters())
            .field("writer", &self.writer())
            .field("owner", &self.owner())
            .field("fence", &self.fence().get())
            .finish()
    }
}

/// One arrow of the transition table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Reserve the slot. That the record in it may go is the caller's duty to have checked.
    Claim { fence: Fence, owner: u8 },
    /// The claimed slot is written and may be arbitrated for.
    Present,
    /// Give a claimed slot back.
    Vacate,
    /// The insertion won its arbitration.
    Finish,
    /// A new attempt takes the lease.
    Take { fence: Fence, owner: u8 },
    /// The attempt ends in this state, or an unknown record is resolved to it.
    End(State),
    /// A dead letter waits for another attempt.
    Redrive,
    /// Whoever ends the attempt starts to write the inline outcome (rule 6).
    Write { writer: u8 },
    /// As `End`, by the writer of the inline outcome, who is done with it.
    EndWritten(State),
    /// Somebody waits.
    Announce,
    /// Take over what a dead process claimed and did not insert.
    Seize { fence: Fence, owner: u8 },
    /// A dead process writes here no more.
    Disown,
    /// The lease of a dead process, closed, is nobody's.
    Orphan,
}

/// A slot's control word.
#[derive(Clone, Copy)]
pub(crate) struct ControlWord<'a>(&'a AtomicU64);

impl<'a> ControlWord<'a> {
    pub(super) fn new(word: &'a AtomicU64) -> Self {
        Self(word)
    }

    #[inline]
    pub(crate) fn load(self) -> Snapshot {
        // Acquire: pairs with the AcqRel and Release of `advance`; the fields that were written
        // before the transition are visible to whoever sees its result.
        Snapshot(self.0.load(Ordering::Acquire))
    }

    /// Makes `step` if the word still is `from`. `Err` carries what it is instead.
    ///
    /// # Panics
    ///
    /// In debug builds, where the step is not in the table: the caller's bug, not an input.
    #[must_use = "a transition may lose its race"]
    #[inline(always)]
    pub(crate) fn advance(self, from: Snapshot, step: Step) -> Result<Snapshot, Snapshot> {
        let Some(next) = from.after(step) else {
            // A writer whose place somebody else has is no bug of the caller.
            let writes = matches!(step, Step::Write { .. });
            debug_assert!(writes, "{step:?} is no step from {from:?}");
            return Err(self.load());
        };
        let success = match step {
            // Release: publishes the fields written under the claim to the `load` of a reader or
            // of a helper. Nothing is read on the strength of this step.
            Step::Present | Step::Vacate => Ordering::Release,
            // AcqRel: publishes what was written before, and sees what the previous holder wrote.
            _ => Ordering::AcqRel,
        };
        // Acquire on failure: the caller goes on with what it found, and reads that one's fields.
        match self.0.compare_exchange(from.0, next.0, success, Ordering::Acquire) {
            Ok(_) => Ok(next),
            Err(found) => Err(Snapshot(found)),
        }
    }

    /// Makes a step that its caller alone may make: out of `Claimed`, or out of an `Inserting` that
    /// is not pending. A writer of the slot's inline outcome may leave meanwhile (rule 6).
    #[inline(always)]
    pub(super) fn advance_claimed(self, held: Snapshot, step: Step) -> Option<Snapshot> {
        if !held.writing()
            && let Some(next) = held.after(step)
        {
            // Release: publishes the fields written under the claim, as in `advance`. A plain
            // store: nobody else changes this word now, since there is no writer to leave.
            self.0.store(next.0, Ordering::Release);
            return Some(next);
        }
        self.advance_for(held, step)
    }

    /// Makes `step` while the word says `from`'s state and counter, whatever becomes of the writer.
    #[inline(always)]
    pub(super) fn advance_for(self, mut from: Snapshot, step: Step) -> Option<Snapshot> {
        loop {
            match self.advance(from, step) {
                Ok(next) => return Some(next),
                Err(now) if now.is_same_record(from) && now.after(step).is_some() => from = now,
                Err(_) => return None,
            }
        }
    }

    /// [`advance`](Self::advance), whatever becomes of a writer meanwhile (rule 6).
    #[inline(always)]
    pub(super) fn advance_past_writers(
        self,
        mut from: Snapshot,
        step: Step,
    ) -> Result<Snapshot, Snapshot> {
        loop {
            match self.advance(from, step) {
                Err(now) if now.differs_in_writer(from) => from = now,
                ended => return ended,
            }
        }
    }

    /// The writer of the inline outcome is done with it, and has not ended the attempt (rule 6).
    pub(crate) fn done_writing(self) {
        // Release: pairs with the Acquire of `advance` to `Write`; the next writer's words come
        // after this one's. No other bit of the word changes.
        self.0.fetch_and(!WRITER_MASK, Ordering::Release);
    }

    /// Stores the end of an attempt without comparing: the broken twin of [`Self::advance`].
    pub(super) fn store_end_unchecked(self, seen: Snapshot, state: State) -> Snapshot {
        let end = seen.with_state(state);
        // Release: as in `advance`.
        self.0.store(end.0, Ordering::Release);
        end
    }
}

const FENCE_BITS: u32 = 44;
const OWNER_MASK: u64 = 0xff << FENCE_BITS;
const WRITER_SHIFT: u32 = FENCE_BITS + u8::BITS;
const WRITER_MASK: u64 = 0xff << WRITER_SHIFT;
const WAITERS_SHIFT: u32 = WRITER_SHIFT + u8::BITS;
const WAITERS_BIT: u64 = 1 << WAITERS_SHIFT;
const STATE_SHIFT: u32 = WAITERS_SHIFT + 1;
const STATE_MASK: u64 = 0b111 << STATE_SHIFT;
const ATTEMPT_MASK: u64 = 0b11;

const _: () = assert!(STATE_SHIFT + 3 == u64::BITS, "the fields fill the word");
const _: () = assert!(Fence::LOW_BITS < FENCE_BITS && ATTEMPT_MASK < 1 << Fence::LOW_BITS);

#[cfg(all(test, not(oncegate_loom)))]
mod tests;
