//! Counters, striped by thread.
//!
//! A counter that two cores write costs more than a look-up. So each of the first threads of the
//! process counts in a stripe of its own with plain loads and stores; later threads share a few
//! stripes with atomic additions. A snapshot adds the stripes up.

use std::cell::Cell;

use crossbeam_utils::CachePadded;

use crate::sync::Ordering;
use crate::sync::plain::AtomicU64;
use crate::sync::planted::Bug;
use crate::table::control::State;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub(crate) enum Event {
    Begun,
    Created,
    Expired,
    Retried,
    Replayed,
    InProgress,
    Scheduled,
    Mismatched,
    Unresolved,
    OutcomeGone,
    Fenced,
    Lapsed,
    EvictedExpired,
    EvictedEarly,
    Full,
    Quota,
    HandOff,
    Completed,
    OutcomesEvicted,
    OutcomesCarried,
    Recovered,
    Later,
    Asked,
    Stuck,
    Compensated,
    Buried,
    Redriven,
    Discarded,
    LettersLost,
}

/// The counters of one engine in one process.
pub(crate) struct Counters {
    stripes: Box<[CachePadded<Stripe>; STRIPES]>,
}

struct Stripe {
    /// Whether one thread alone writes to it.
    owned: bool,
    events: [AtomicU64; EVENTS],
    /// Records by state: entered minus left, modulo 2^64; only the sum of all stripes counts.
    live: [AtomicU64; STATES],
}

impl Counters {
    pub(crate) fn new() -> Self {
        let stripe = |index| {
            CachePadded::new(Stripe {
                owned: index < OWNED,
                events: [const { AtomicU64::new(0) }; EVENTS],
                live: [const { AtomicU64::new(0) }; STATES],
            })
        };
        // Made where it stays: a thread's stack may be as small as all of them are large.
        let stripes: Box<[_]> = (0..STRIPES).map(stripe).collect();
        Self { stripes: stripes.try_into().unwrap_or_else(|_| unreachable!("one for each")) }
    }

    /// Counts from zero on: in a forked child, whose parent has counted the rest.
    pub(crate) fn reset(&self) {
        for stripe in self.stripes.iter() {
            // Relaxed: a counter orders nothing.
            let zero = |counter: &AtomicU64| counter.store(0, Ordering::Relaxed);
            stripe.events.iter().chain(&stripe.live).for_each(zero);
        }
    }

    #[inline]
    pub(crate) fn add(&self, event: Event) {
        self.bump(|stripe| &stripe.events[event as usize], 1);
    }

    /// A record entered (`1`) or left (`-1`) `state`.
    #[inline]
    pub(crate) fn live(&self, state: State, change: i64) {
        self.bump(|stripe| &stripe.live[state as usize], change as u64);
    }

    /// A record went from one state to another.
    #[inline]
    pub(crate) fn moved(&self, from: State, to: State) {
        let mine = self.mine();
        mine.bump(&mine.0.live[from as usize], 1_u64.wrapping_neg());
        mine.bump(&mine.0.live[to as usize], 1);
    }

    /// How many of `event` there were.
    pub(crate) fn total(&self, event: Event) -> u64 {
        self.sum(|stripe| &stripe.events[event as usize])
    }

    /// How many records are in `state`, as far as all threads have told.
    pub(crate) fn in_state(&self, state: State) -> u64 {
        let sum = self.sum(|stripe| &stripe.live[state as usize]);
        // Stripes are read one after the other, so a record may be seen leaving but not entering.
        if (sum as i64) < 0 { 0 } else { sum }
    }

    /// How many records there are, in whichever state.
    pub(crate) fn records(&self) -> u64 {
        State::ALL.into_iter().map(|state| self.in_state(state)).sum()
    }

    /// How many times this thread's stripe has counted `event`: a cheap clock for sampling.
    #[inline]
    pub(crate) fn own(&self, event: Event) -> u64 {
        self.mine().total(event)
    }

    /// How many attempts this thread's stripe has counted that were not retries: a clock that goes
    /// on with each new record, whether there was nothing before it or one that was over.
    #[inline]
    pub(crate) fn own_admitted(&self) -> u64 {
        let mine = self.mine();
        if Bug::TendedByCreatedOnly.is_planted() {
            return mine.total(Event::Created);
        }
        mine.total(Event::Created).wrapping_add(mine.total(Event::Expired))
    }

    /// This thread's stripe, for several uses in one call.
    #[inline(always)]
    pub(crate) fn mine(&self) -> Mine<'_> {
        Mine(&self.stripes[stripe_index() % STRIPES])
    }

    #[inline]
    fn bump(&self, of: impl Fn(&Stripe) -> &AtomicU64, change: u64) {
        let mine = self.mine();
        mine.bump(of(mine.0), change);
    }

    fn sum(&self, of: impl Fn(&Stripe) -> &AtomicU64) -> u64 {
        // Relaxed: a counter orders nothing.
        let each = self.stripes.iter().map(|stripe| of(stripe).load(Ordering::Relaxed));
        each.fold(0, u64::wrapping_add)
    }
}

/// The stripe that a thread counts in.
#[derive(Clone, Copy)]
pub(crate) struct Mine<'a>(&'a Stripe);

impl Mine<'_> {
    #[inline(always)]
    pub(crate) fn add(self, event: Event) {
        self.bump(&self.0.events[event as usize], 1);
    }

    #[inline(always)]
    pub(crate) fn total(self, event: Event) -> u64 {
        // Relaxed: a counter orders nothing.
        self.0.events[event as usize].load(Ordering::Relaxed)
    }

    #[inline(always)]
    fn bump(self, counter: &AtomicU64, change: u64) {
        // Relaxed, all: a counter orders nothing.
        if self.0.owned {
            counter.store(counter.load(Ordering::Relaxed).wrapping_add(change), Ordering::Relaxed);
        } else {
            counter.fetch_add(change, Ordering::Relaxed);
        }
    }
}

/// This thread's stripe.
#[inline(always)]
pub(crate) fn stripe_index() -> usize {
    let known = STRIPE.get() as usize;
    if known == 0 { choose_stripe() } else { known - 1 }
}

#[cold]
fn choose_stripe() -> usize {
    // Relaxed: the threads' numbers only have to differ.
    let thread = THREADS.fetch_add(1, Ordering::Relaxed) as usize;
    let stripe = if thread < OWNED { thread } else { OWNED + thread % SHARED };
    STRIPE.set(stripe as u32 + 1);
    stripe
}

thread_local! {
    /// One more than this thread's stripe; zero before it has one. A number, without a destructor:
    /// nothing of ours runs when a thread ends.
    static STRIPE: Cell<u32> = const { Cell::new(0) };
}

static THREADS: AtomicU64 = AtomicU64::new(0);

/// Stripes that one thread each has to itself.
const OWNED: usize = 48;
/// Stripes that all later threads share.
const SHARED: usize = 16;
const STRIPES: usize = OWNED + SHARED;
const EVENTS: usize = Event::LettersLost as usize + 1;
const STATES: usize = State::ALL.len();
