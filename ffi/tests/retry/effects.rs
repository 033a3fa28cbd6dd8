//! What policies, budgets and loads do: they are set through the header, whose engine then decides
//! over attempts that lapse.

use std::time::Duration;

use crate::support::{Folder, NOTHING, Opened, blank, bytes};
use oncegate::{
    AttemptError, BackoffPolicy, Engine, Later, LeaseToken, ManualClock, Outcome, RetryContext,
    RetryPolicy,
};
use oncegate_ffi::*;

/// A table that is used through the header and, beside that, as a user of the engine does, under
/// two clocks that are moved together.
struct Both {
    header: Opened,
    user: Engine,
    clock: ManualClock,
    _folder: Folder,
}

impl Both {
    fn new(change: impl FnOnce(&mut RawOptions)) -> Self {
        let folder = Folder::new();
        let header = folder.header(change);
        let clock = ManualClock::new();
        let policy = RetryPolicy::new(BackoffPolicy::constant(Duration::ZERO));
        let builder = folder.builder().clock(clock.clone()).retry_policy(policy);
        let user = builder.build().expect("the same options");
        Self { header, user, clock, _folder: folder }
    }

    fn advance(&self, seconds: u64) {
        self.header.advance(seconds * 1_000);
        self.clock.advance(Duration::from_secs(seconds));
    }

    fn next(&self) -> LeaseToken {
        let next = self.user.next_attempt(Duration::ZERO).expect("answered").expect("due");
        next.into_lease().into_token()
    }

    /// A record of the operation `charge` whose second attempt has lapsed.
    fn lapse(&self, key: &str) {
        let token = LeaseToken::from_bytes(&self.header.lease(key).token).expect("a lease");
        let (error, context) = (AttemptError::new("503"), RetryContext::new("charge", b""));
        let later = self.user.retry_later(&token, &error, &context).expect("room");
        assert!(matches!(later, Later::Scheduled { due_in: Duration::ZERO, .. }));
        assert_eq!(self.next().attempt(), 2);
        self.advance(30);
    }

    /// What the header's engine decides over it: the time until the next attempt.
    fn due_in(&self, key: &str) -> u64 {
        self.lapse(key);
        let answer = self.header.begin(key);
        assert_eq!((answer.verdict, answer.attempt), (ONCEGATE_SCHEDULED, 3));
        // Nobody is to get it in the place of the next one.
        self.advance(10);
        self.user.complete(&self.next(), &Outcome::default()).expect("it holds the lease");
        answer.time_ms
    }

    /// That it decides that there is none, and why.
    fn buried(&self, key: &str) -> u32 {
        self.lapse(key);
        assert_eq!(self.header.begin(key).verdict, ONCEGATE_REPLAYED);
        let mut space = [0; 64];
        let mut buffer = Buffer { data: space.as_mut_ptr(), capacity: 64, needed: 0 };
        let (mut letter, mut count, mut id) = (RawLetter::default(), 0, RawLetterId::default());
        let (filter, into, to) = (std::ptr::null(), &raw mut buffer, &raw mut letter);
        let (after, made, next) = (std::ptr::null(), &raw mut count, &raw mut id);
        let (engine, more) = (self.header.0, std::ptr::null_mut());
        call!(oncegate_letters(engine, filter, after, into, to, 1, made, next, more)).expect("one");
        assert_eq!(count, 1);
        call!(oncegate_letter_discard(engine, &raw const letter.id)).expect("a letter");
        letter.reason
    }
}

/// A policy of one delay each time.
fn constant(delay_ms: u64, max_attempts: u32) -> RawRetryPolicy {
    let mut policy: RawRetryPolicy = blank();
    (policy.backoff, policy.initial_ms) = (ONCEGATE_BACKOFF_CONSTANT, delay_ms);
    policy.max_attempts = max_attempts;
    policy
}

/// A budget that pays for nothing.
fn empty() -> RawBudget {
    let mut budget: RawBudget = blank();
    (budget.kind, budget.min_per_second) = (ONCEGATE_BUDGET_RATIO, ONCEGATE_ZERO);
    budget.ratio = ONCEGATE_ZERO_F64;
    budget
}

/// Goal: the policy of the options decides, until an operation gets one of its own, and again when
/// that is taken back.
/// Method: the delay that the header's engine names, and the reason where there is none.
#[test]
fn policies_decide() {
    let of_options = constant(7_000, 5);
    let both = Both::new(|options| options.retry_policy = &raw const of_options);
    let header = both.header.0;
    let set = |policy: Option<RawRetryPolicy>| {
        let policy = policy.as_ref().map_or(std::ptr::null(), |policy| &raw const *policy);
        call!(oncegate_set_operation(header, bytes("charge"), policy, 0)).expect("a policy");
    };
    assert_eq!(both.due_in("options"), 7_000);
    set(Some(constant(9_000, 5)));
    assert_eq!(both.due_in("operation"), 9_000);
    set(Some(constant(9_000, 2)));
    assert_eq!(both.buried("attempts"), ONCEGATE_BURIED_ATTEMPTS);
    let mut late = constant(9_000, 5);
    late.deadline_ms = 20_000;
    set(Some(late));
    assert_eq!(both.buried("deadline"), ONCEGATE_BURIED_DEADLINE);
    set(None);
    assert_eq!(both.due_in("options again"), 7_000);
}

/// Goal: budgets of the engine, of the operation and of the scope are asked, and each alone ends
/// retries.
/// Method: an empty one for each, put in the place of a full one; a scope's is taken away.
#[test]
fn budgets_end_retries() {
    let policy = constant(7_000, 5);
    let both = Both::new(|options| options.retry_policy = &raw const policy);
    let (header, single, full) = (both.header.0, ONCEGATE_SCOPE_SINGLE_TENANT, blank());
    let (none, full): (RawBudget, RawBudget) = (empty(), full);
    let (none, full) = (&raw const none, &raw const full);
    let set_scope = |budget| call!(oncegate_set_scope_budget(header, single, NOTHING, budget));
    assert_eq!(both.due_in("none"), 7_000);
    set_scope(none).expect("a budget");
    assert_eq!(both.buried("scope"), ONCEGATE_BURIED_BUDGET);
    call!(oncegate_remove_scope_budget(header, single, NOTHING)).expect("a scope");
    assert_eq!(both.due_in("none again"), 7_000);
    call!(oncegate_set_operation_budget(header, bytes("charge"), none)).expect("a budget");
    assert_eq!(both.buried("operation"), ONCEGATE_BURIED_BUDGET);
    call!(oncegate_set_operation_budget(header, bytes("charge"), full)).expect("a budget");
    assert_eq!(both.due_in("full"), 7_000);
    call!(oncegate_set_retry_budget(header, none)).expect("a budget");
    assert_eq!(both.buried("engine"), ONCEGATE_BURIED_BUDGET);
    call!(oncegate_set_retry_budget(header, full)).expect("a budget");
    assert_eq!(both.due_in("all full"), 7_000);
}

/// Goal: the settings of an adaptive backoff reach it: a load above its target stretches delays at
/// the pace that was set, and up to the bound that was.
/// Method: a high load, one interval after the other; the factor, and the delay under it.
#[test]
fn loads_stretch_delays() {
    let mut adaptive: RawAdaptive = blank();
    (adaptive.load_target, adaptive.interval_ms) = (0.5, 30_000);
    (adaptive.decrease, adaptive.max_factor) = (0.5, 3.0);
    let policy = constant(1_000, 5);
    let both = Both::new(|options| {
        (options.adaptive, options.retry_policy) = (&raw const adaptive, &raw const policy);
    });
    assert_eq!(both.header.stats().backoff_factor, 1.0);
    let under = |load, key| {
        call!(oncegate_set_load(both.header.0, load)).expect("a load");
        let delay = both.due_in(key);
        (both.header.stats().backoff_factor, delay)
    };
    assert_eq!(under(0.5, "a"), (1.0, 1_000));
    assert_eq!(under(0.51, "b"), (2.0, 2_000));
    assert_eq!(under(0.51, "c"), (3.0, 3_000));
    assert_eq!(under(0.51, "d"), (3.0, 3_000));
    assert!(under(0.0, "e").0 < 3.0);
}
