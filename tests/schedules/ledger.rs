//! What the callers of a few keys know, apart from the engine.
//!
//! Every entry is written by a caller, from what calls answered and when: so an entry holds at
//! the latest when its call has returned, and a check fails only where the engine broke a promise.
//! The words are atomics that order nothing between threads, so that the ledger hides no missing
//! ordering of the engine from a checker: loads are Acquire to stay before what follows them in
//! their own thread, stores are Relaxed and so publish nothing.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use oncegate::{Clock, LeaseToken, ManualClock, Outcome};

/// One page for each key.
pub(crate) struct Ledger {
    pages: Vec<Page>,
    clock: ManualClock,
    /// Whether finished records and their outcomes stay for the whole window: nothing is evicted,
    /// and there is room for all.
    kept: bool,
}

#[derive(Default)]
struct Page {
    /// Until when the holder's lease lasts at least; zero: nobody is known to hold one.
    until_ms: AtomicU64,
    /// The highest fencing token that was handed out.
    fence: AtomicU64,
    /// The highest fencing token of an attempt that finished.
    finished: AtomicU64,
    /// Until when it answers duplicates at least.
    window_ms: AtomicU64,
    /// Before when no attempt may start.
    due_ms: AtomicU64,
    /// The token of the attempt whose end was refused last.
    refused: AtomicU64,
}

/// What was known of a key before a call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Before {
    at_ms: u64,
    fence: u64,
    finished: u64,
    window_ms: u64,
    due_ms: u64,
    refused: u64,
}

/// An attempt as its holder knows it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Held {
    key: usize,
    fence: u64,
    until_ms: u64,
}

impl Ledger {
    pub(crate) fn new(keys: usize, clock: ManualClock, kept: bool) -> Self {
        Self { pages: (0..keys).map(|_| Page::default()).collect(), clock, kept }
    }

    pub(crate) fn now_ms(&self) -> u64 {
        self.clock.now().as_millis() as u64
    }

    /// To be called before each call about `key`.
    pub(crate) fn before(&self, key: usize) -> Before {
        let page = &self.pages[key];
        Before {
            at_ms: self.now_ms(),
            fence: page.fence.load(Ordering::Acquire),
            finished: page.finished.load(Ordering::Acquire),
            window_ms: page.window_ms.load(Ordering::Acquire),
            due_ms: page.due_ms.load(Ordering::Acquire),
            refused: page.refused.load(Ordering::Acquire),
        }
    }

    /// An attempt was admitted, with a lease of `lease`.
    ///
    /// Nobody else's lease is known to last (I1), tokens grow (I2), and neither a window that was
    /// known before (I4) nor a delay (I5) is still open.
    pub(crate) fn admitted(
        &self,
        key: usize,
        before: Before,
        token: &LeaseToken,
        lease: Duration,
    ) -> Held {
        let page = &self.pages[key];
        let fence = token.fencing_token().get();
        let now_ms = self.now_ms();
        assert!(fence > before.fence, "I2, key {key}: token {fence}, known {before:?}");
        assert!(now_ms >= before.due_ms, "I5, key {key}: at {now_ms}, known {before:?}");
        let open = self.kept && now_ms < before.window_ms;
        assert!(!open, "I4, key {key}: runs again at {now_ms}, known {before:?}");
        page.fence.fetch_max(fence, Ordering::Relaxed);
        let held = Held { key, fence, until_ms: before.at_ms + millis(lease) };
        self.book(held, 0);
        held
    }

    /// Books that `held` lasts, where the page says that it did until `booked`.
    fn book(&self, held: Held, booked: u64) {
        let word = &self.pages[held.key].until_ms;
        loop {
            let other = word.load(Ordering::Acquire);
            // Read after the other's entry: both lasted when it was read.
            let now_ms = self.now_ms();
            if held.until_ms <= now_ms {
                return;
            }
            let both = other > now_ms && other != booked;
            assert!(!both, "I1: another lease until {other} beside {held:?} at {now_ms}");
            let change = (Ordering::Relaxed, Ordering::Relaxed);
            if word.compare_exchange(other, held.until_ms, change.0, change.1).is_ok() {
                return;
            }
        }
    }

    /// The lease was renewed by a call that was made at `before`.
    pub(crate) fn renewed(&self, held: &mut Held, before: Before, lease: Duration) {
        self.still_the_latest(held, before);
        let booked = held.until_ms;
        held.until_ms = before.at_ms + millis(lease);
        self.book(*held, booked);
    }

    /// The holder is about to end its attempt, or to drop its lease.
    pub(crate) fn ends(&self, held: &Held) {
        let word = &self.pages[held.key].until_ms;
        // Where it is not this lease's any more, it had lapsed.
        let _ = word.compare_exchange(held.until_ms, 0, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// The attempt finished, by a call that was made at `before`.
    pub(crate) fn finished(&self, held: &Held, before: Before, window: Duration) {
        self.still_the_latest(held, before);
        let page = &self.pages[held.key];
        page.finished.fetch_max(held.fence, Ordering::Relaxed);
        page.window_ms.fetch_max(before.at_ms + millis(window), Ordering::Relaxed);
    }

    /// The attempt was given back for `delay`, by a call that was made at `before`.
    pub(crate) fn given_back(&self, held: &Held, before: Before, delay: Duration) {
        self.still_the_latest(held, before);
        let due_ms = before.at_ms + millis(delay);
        self.pages[held.key].due_ms.fetch_max(due_ms, Ordering::Relaxed);
    }

    /// A call that had an effect was not a stale holder's (I3).
    fn still_the_latest(&self, held: &Held, before: Before) {
        assert!(before.fence <= held.fence, "I3: {held:?} took effect, known {before:?}");
    }

    /// A call of the holder was refused: then its lease has lapsed.
    pub(crate) fn fenced(&self, held: &Held) {
        let now_ms = self.now_ms();
        assert!(now_ms >= held.until_ms, "fenced at {now_ms}, inside the lease of {held:?}");
    }

    /// The holder's end was refused: besides, it changed nothing (I3).
    pub(crate) fn refused(&self, held: &Held) {
        self.fenced(held);
        self.pages[held.key].refused.store(held.fence, Ordering::Relaxed);
    }

    /// A duplicate got `outcome`: an attempt's of this key, whole, and none from before the last
    /// that was known to have finished (I4).
    pub(crate) fn replayed(&self, key: usize, before: Before, outcome: &Outcome) {
        let fence = fence_of(key, outcome);
        assert!(fence >= before.finished, "I4, key {key}: {fence} is old, known {before:?}");
        assert!(fence != before.refused, "I3, key {key}: {fence} was refused, known {before:?}");
    }

    /// A duplicate got an outcome that no holder left: a lapse's, or a resolver's. Then no holder
    /// had finished it (I4).
    pub(crate) fn replayed_without_bytes(&self, key: usize, before: Before) {
        let finished = self.kept && self.now_ms() < before.window_ms;
        assert!(!finished, "I4, key {key}: a holder's outcome is gone, known {before:?}");
    }

    /// A duplicate heard that the bytes are gone: there was no room for them.
    pub(crate) fn gone(&self, key: usize, before: Before) {
        assert!(!self.kept, "I4, key {key}: the outcome is gone, known {before:?}");
    }
}

/// The outcome that the attempt of `fence` leaves: `words` times its token and its key.
pub(crate) fn outcome_of(key: usize, fence: u64, words: usize) -> Outcome {
    // The clocks of these tests start early enough for tokens of 56 bits.
    let word = fence << KEY_BITS | key as u64;
    Outcome::new(FIRST_STATUS + key as u16, word.to_le_bytes().repeat(words))
}

/// The token of the attempt that left `outcome`.
fn fence_of(key: usize, outcome: &Outcome) -> u64 {
    let (words, rest) = outcome.body().as_chunks::<8>();
    assert!(!words.is_empty() && rest.is_empty(), "I4, key {key}: cut off, {outcome:?}");
    let mut words = words.iter().map(|word| u64::from_le_bytes(*word));
    let first = words.next().unwrap_or(0);
    assert!(words.all(|word| word == first), "I4, key {key}: torn, {:?}", outcome.body());
    let found = (usize::from(outcome.status() - FIRST_STATUS), first as usize % (1 << KEY_BITS));
    assert_eq!(found, (key, key), "I4, key {key}: another's outcome, by status and by bytes");
    first >> KEY_BITS
}

impl Held {
    pub(crate) fn fence(&self) -> u64 {
        self.fence
    }
}

fn millis(duration: Duration) -> u64 {
    duration.as_millis() as u64
}

const KEY_BITS: u32 = 8;
/// Statuses from here on name the key.
const FIRST_STATUS: u16 = 200;
