//! A small engine, its clock and its ledger, and what a caller does with them.

use std::borrow::Borrow;
use std::sync::Arc;
use std::time::Duration;

use oncegate::{
    Admission, BeginOptions, Engine, EngineBuilder, Error, ErrorCode, Failure, FingerprintMode,
    Lease, ManualClock, OnFull, Outcome, Request, Resolution, Scope, Secret,
};

use crate::ledger::{Before, Held, Ledger, outcome_of};

pub(crate) const LEASE: Duration = Duration::from_millis(20);
pub(crate) const WINDOW: Duration = Duration::from_millis(100);
/// Long enough for everything to be over.
pub(crate) const AGES: Duration = Duration::from_secs(24 * 3600);

/// One engine under test.
pub(crate) struct Site {
    pub(crate) engine: Arc<Engine>,
    pub(crate) clock: ManualClock,
    pub(crate) ledger: Ledger,
    keys: Vec<String>,
    /// Words of an outcome: each holds the token once more.
    words: usize,
}

/// Where a caller's choices come from.
pub(crate) trait Dice {
    /// A number below `sides`.
    fn roll(&mut self, sides: u64) -> u64;

    /// One of `all`.
    fn any<T: Clone>(&mut self, all: &[T]) -> T {
        all[self.roll(all.len() as u64) as usize].clone()
    }
}

/// How a holder ends its attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Complete,
    CompleteTwice,
    Renew,
    Fail,
    Unknown,
    Abandon,
    RetryLater,
    Drop,
    Vanish,
    Late,
}

impl Site {
    /// A site of `keys` keys with the smallest engine: records and outcomes evict each other.
    /// Outcomes of up to `inline` bytes lie beside their record.
    pub(crate) fn tight(keys: usize, inline: usize) -> Self {
        let builder = Engine::builder().tiny().inline_outcome(inline);
        Self::new(keys, 1, false, builder.on_full(OnFull::EvictLru))
    }

    /// A site with room for all records and outcomes of `keys` keys, which evicts nothing.
    /// Outcomes of up to `inline` bytes lie beside their record.
    pub(crate) fn roomy(keys: usize, inline: usize) -> Self {
        let builder =
            Engine::builder().capacity(16).outcome_limit(64).outcome_bytes(12 * 256).max_scopes(8);
        Self::new(keys, 1, true, builder.inline_outcome(inline).on_full(OnFull::Reject))
    }

    /// A site of an engine with short times. `kept`: it has room for everything. An outcome has
    /// `words` words.
    pub(crate) fn new(keys: usize, words: usize, kept: bool, builder: EngineBuilder) -> Self {
        let clock = ManualClock::new();
        let engine = builder
            .clock(clock.clone())
            .lease_duration(LEASE)
            .dedup_window(WINDOW)
            .fingerprint_mode(FingerprintMode::FastTrusted)
            .secret(secret(7))
            .build()
            .expect("a valid configuration");
        let ledger = Ledger::new(keys, clock.clone(), kept);
        let keys = (0..keys).map(|key| format!("key-{key}")).collect();
        Self { engine: Arc::new(engine), clock, ledger, keys, words }
    }

    /// How many keys there are.
    pub(crate) fn keys(&self) -> usize {
        self.keys.len()
    }

    pub(crate) fn request(&self, key: usize) -> Request<'_> {
        Request::new(Scope::single_tenant(), "op", &self.keys[key]).expect("a key")
    }

    /// Begins `key`, and gives the lease if it was admitted.
    pub(crate) fn begin(&self, key: usize, options: &BeginOptions) -> Option<(Lease<'_>, Held)> {
        let before = self.ledger.before(key);
        let answer = self.engine.begin_with(&self.request(key), options);
        self.met(key, before, answer)
    }

    /// Checks an answer of `begin` or `join` that was asked for at `before`.
    pub(crate) fn met<'e>(
        &self,
        key: usize,
        before: Before,
        answer: Result<Admission<'e, impl Borrow<Outcome>>, Error>,
    ) -> Option<(Lease<'e>, Held)> {
        match answer {
            Ok(Admission::Admitted(lease)) => {
                let held = self.ledger.admitted(key, before, lease.token(), LEASE);
                return Some((lease, held));
            }
            Ok(Admission::Replayed(outcome)) => {
                self.ledger.replayed(key, before, outcome.borrow());
            }
            Ok(Admission::Mismatched) => panic!("key {key}: a mismatch"),
            Ok(Admission::OutcomeGone) => self.ledger.gone(key, before),
            Ok(_) => {}
            Err(error) => {
                let code = error.code();
                let expected = [ErrorCode::Full, ErrorCode::QuotaExceeded].contains(&code);
                assert!(expected, "key {key}: {error}");
            }
        }
        None
    }

    /// Begins `key` and ends what was admitted. True: it ran.
    pub(crate) fn run(&self, key: usize, options: &BeginOptions, end: End) -> bool {
        let begun = self.begin(key, options);
        begun.map(|(lease, held)| self.end(key, lease, held, end)).is_some()
    }

    /// Ends an attempt.
    pub(crate) fn end(&self, key: usize, mut lease: Lease<'_>, mut held: Held, end: End) {
        let token = *lease.token();
        let outcome = outcome_of(key, held.fence(), self.words);
        match end {
            End::Vanish => {
                let _ = lease.into_token();
                return;
            }
            End::Late => self.clock.advance(LEASE / 2),
            End::Renew => {
                let before = self.ledger.before(key);
                match lease.renew(LEASE) {
                    Ok(()) => self.ledger.renewed(&mut held, before, LEASE),
                    Err(error) if error.is_fenced() => self.ledger.fenced(&held),
                    Err(error) => panic!("{held:?}: {error}"),
                }
            }
            _ => {}
        }
        let before = self.ledger.before(key);
        self.ledger.ends(&held);
        let ended = match end {
            End::Drop => return drop(lease),
            End::Unknown => lease.fail(Failure::unknown()),
            End::Abandon => lease.abandon(),
            End::RetryLater => lease.fail(Failure::retryable_after(DELAY)),
            End::Fail => lease.fail(Failure::terminal(outcome.clone())),
            _ => lease.complete(&outcome).map(|_| ()),
        };
        match (ended, end) {
            (Err(error), _) if error.is_fenced() => self.ledger.refused(&held),
            (Err(error), _) => panic!("{held:?}: {error}"),
            (Ok(()), End::Unknown) => {}
            (Ok(()), End::Abandon) => self.ledger.given_back(&held, before, Duration::ZERO),
            (Ok(()), End::RetryLater) => self.ledger.given_back(&held, before, DELAY),
            (Ok(()), _) => self.ledger.finished(&held, before, WINDOW),
        }
        if end == End::CompleteTwice {
            let again = self.engine.complete(&token, &outcome);
            assert!(again.is_err_and(|error| error.is_fenced()), "{held:?} ended twice");
        }
    }

    /// Resolves an unknown record of `key`, if there is one: it runs again.
    pub(crate) fn runs_again(&self, key: usize) {
        self.resolve(key, Resolution::RunAgain);
    }

    /// Resolves an unknown record of `key`, if there is one.
    pub(crate) fn resolve(&self, key: usize, resolution: Resolution) {
        if let Err(error) = self.engine.resolve(&self.request(key), resolution) {
            assert_eq!(error.code(), ErrorCode::NotFound, "key {key}: {error}");
        }
    }

    /// Nothing is stuck: when all leases, delays and windows are over, nobody waits, and each key
    /// is admitted again.
    pub(crate) fn comes_to_rest(&self) {
        self.passes();
        (0..self.keys()).for_each(|key| self.runs_again(key));
        let stats = self.engine.stats().expect("not forked");
        assert_eq!(stats.waiters, 0, "somebody is left in the queue");
        for key in 0..self.keys() {
            self.passes();
            let ran = self.run(key, &BeginOptions::new(), End::Complete);
            assert!(ran, "key {key} is stuck: {:?}", self.engine.stats());
        }
        self.passes();
        let live = self.engine.stats().expect("not forked").live;
        assert_eq!(live.total(), live.running, "records that are over are counted: {live:?}");
    }

    /// Every lease, delay and window runs out, and what is over is swept away.
    fn passes(&self) {
        self.clock.advance(AGES);
        self.engine.sweep(usize::MAX).expect("not forked");
    }
}

impl End {
    /// Completion twice as often as any other end.
    pub(crate) const ALL: [Self; 11] = [
        Self::Complete,
        Self::Complete,
        Self::CompleteTwice,
        Self::Renew,
        Self::Fail,
        Self::Unknown,
        Self::Abandon,
        Self::RetryLater,
        Self::Drop,
        Self::Vanish,
        Self::Late,
    ];
}

pub(crate) fn secret(byte: u8) -> Secret {
    Secret::from_bytes(&[byte; 32]).expect("32 bytes")
}

/// Outcomes in the store, or beside their records.
pub(crate) const INLINE: [usize; 2] = [0, 16];
const DELAY: Duration = Duration::from_millis(15);
