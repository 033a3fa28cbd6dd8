//! The engine, with everything on: leases, fencing, windows, digests, statistics.
//!
//! One thread has one buffer, which every replay goes into.

use oncegate::{
    Admission, BeginOptions, Engine, Error, Fingerprint, FingerprintMode, Lease, Outcome, Prepared,
    Request, Scope,
};

use crate::key::{Hashed, PeerKey, Text};
use crate::record::{LEASE, WINDOW};
use crate::store::{Begun, Store};

/// With fingerprints that the caller has made, as a broker's message id that is a hash.
pub struct Oncegate {
    engine: Engine,
    options: BeginOptions,
}

impl Oncegate {
    pub(super) fn of(engine: Engine, options: BeginOptions) -> Self {
        Self { engine, options }
    }

    /// The engine, for what only it has.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Begins as many as there are keys, with their memory fetched together. `batch` is room for
    /// the requests, used again from call to call.
    #[inline]
    pub fn begin_batch<'s>(
        &'s self,
        keys: impl Iterator<Item = [u64; 4]>,
        batch: &mut Vec<Prepared<'static>>,
        into: &mut Outcome,
        mut each: impl FnMut(Begun<Lease<'s>>),
    ) {
        batch.clear();
        batch.extend(keys.map(|key| self.prepare(key)));
        self.engine.begin_batch(batch, &self.options, into, |_, answer| each(begun(answer)));
    }

    #[inline]
    fn prepare(&self, words: [u64; 4]) -> Prepared<'static> {
        let fingerprint = Fingerprint::from_bytes(bytes(words));
        self.engine.prepare_hashed(Scope::single_tenant(), fingerprint, 0)
    }
}

impl Store for Oncegate {
    type Key = [u64; 4];
    type Lease<'s> = Lease<'s>;
    type Outcome = Outcome;
    const NAME: &'static str = "oncegate";
    const BOUNDED: bool = true;
    const LOCKS: bool = false;
    const NOTE: &'static str = "With leases, fencing, windows, digests and statistics on.";

    fn open(capacity: usize) -> Self {
        let (engine, options) = open(capacity, FingerprintMode::Keyed);
        Self { engine, options }
    }

    /// The same 128 bits that the peers get, and two words made of them.
    #[inline]
    fn key(number: u64) -> [u64; 4] {
        four(Hashed::of(number).0)
    }

    fn outcome(fill: u8) -> Outcome {
        Outcome::new(200, [fill; 64])
    }

    #[inline]
    fn begin<'s>(&'s self, key: &[u64; 4], into: &mut Outcome) -> Begun<Lease<'s>> {
        begun(self.engine.begin_into(&self.prepare(*key), &self.options, into))
    }

    #[inline]
    fn complete<'s>(&'s self, lease: Lease<'s>, outcome: &Outcome) {
        lease.complete(outcome).expect("the lease lasts");
    }

    fn remove(&self, _: &[u64; 4]) {}
}

/// With keys as clients send them: `KEYED` hashes with HMAC-SHA-256, otherwise with the fast mode
/// for trusted keys.
pub struct OncegateText<const KEYED: bool> {
    engine: Engine,
    options: BeginOptions,
}

impl<const KEYED: bool> Store for OncegateText<KEYED> {
    type Key = Text;
    type Lease<'s> = Lease<'s>;
    type Outcome = Outcome;
    const NAME: &'static str = if KEYED { "oncegate" } else { "oncegate, fast hash" };
    const BOUNDED: bool = true;
    const LOCKS: bool = false;
    const NOTE: &'static str = "With leases, fencing, windows, digests and statistics on.";

    fn open(capacity: usize) -> Self {
        let mode = if KEYED { FingerprintMode::Keyed } else { FingerprintMode::FastTrusted };
        let (engine, options) = open(capacity, mode);
        Self { engine, options }
    }

    #[inline]
    fn key(number: u64) -> Text {
        Text::of(number)
    }

    fn outcome(fill: u8) -> Outcome {
        Outcome::new(200, [fill; 64])
    }

    #[inline]
    fn begin<'s>(&'s self, key: &Text, into: &mut Outcome) -> Begun<Lease<'s>> {
        let request = Request::new(Scope::single_tenant(), "op", key.borrowed());
        let prepared = self.engine.prepare(&request.expect("a valid key")).expect("not forked");
        begun(self.engine.begin_into(&prepared, &self.options, into))
    }

    #[inline]
    fn complete<'s>(&'s self, lease: Lease<'s>, outcome: &Outcome) {
        lease.complete(outcome).expect("the lease lasts");
    }

    fn remove(&self, _: &Text) {}
}

/// Without outcomes: a duplicate is told that its request has been finished, and no more.
pub struct Bare(Oncegate);

impl Store for Bare {
    type Key = [u64; 4];
    type Lease<'s> = Lease<'s>;
    type Outcome = Outcome;
    const NAME: &'static str = "oncegate, no outcomes";
    const BOUNDED: bool = true;
    const LOCKS: bool = false;
    const NOTE: &'static str = "Finishes records without bytes.";

    fn open(capacity: usize) -> Self {
        let builder = Engine::builder().capacity(capacity).outcome_limit(64);
        let builder = builder.lease_duration(LEASE).dedup_window(WINDOW);
        let builder = builder.inline_outcome(0).outcome_bytes(64 << 10);
        let engine = builder.build().expect("a valid configuration");
        Self(Oncegate { engine, options: BeginOptions::new() })
    }

    #[inline]
    fn key(number: u64) -> [u64; 4] {
        Oncegate::key(number)
    }

    fn outcome(_: u8) -> Outcome {
        Outcome::withheld(200)
    }

    #[inline]
    fn begin<'s>(&'s self, key: &[u64; 4], into: &mut Outcome) -> Begun<Lease<'s>> {
        self.0.begin(key, into)
    }

    #[inline]
    fn complete<'s>(&'s self, lease: Lease<'s>, outcome: &Outcome) {
        self.0.complete(lease, outcome);
    }

    fn remove(&self, _: &[u64; 4]) {}
}

fn open(capacity: usize, mode: FingerprintMode) -> (Engine, BeginOptions) {
    let builder = Engine::builder().capacity(capacity).fingerprint_mode(mode);
    let builder = builder.lease_duration(LEASE).dedup_window(WINDOW).outcome_limit(64);
    // All outcomes are small enough to lie beside their records.
    let builder = builder.inline_outcome(64).outcome_bytes(64 << 10);
    (builder.build().expect("a valid configuration"), BeginOptions::new())
}

/// The bytes of a fingerprint that is made of the 128 bits that the peers get.
#[inline]
#[must_use]
pub fn widened(words: [u64; 2]) -> [u8; 32] {
    bytes(four(words))
}

#[inline]
fn four([a, b]: [u64; 2]) -> [u64; 4] {
    [a, b, fold(a, 0x9e37_79b9_7f4a_7c15), fold(b, 0xc2b2_ae3d_27d4_eb4f)]
}

#[inline]
fn bytes(words: [u64; 4]) -> [u8; 32] {
    let mut bytes = [0; 32];
    let (parts, _) = bytes.as_chunks_mut::<8>();
    for (part, word) in parts.iter_mut().zip(words) {
        *part = word.to_le_bytes();
    }
    bytes
}

/// Two words multiplied, and the halves of the product joined.
#[inline]
const fn fold(word: u64, by: u64) -> u64 {
    let product = word as u128 * by as u128;
    (product >> 64) as u64 ^ product as u64
}

#[inline]
fn begun<'e>(answer: Result<Admission<'e, &Outcome>, Error>) -> Begun<Lease<'e>> {
    match answer.expect("an evicting table has room") {
        Admission::Admitted(lease) => Begun::Created(lease),
        // Without outcomes, this is what a finished record answers.
        Admission::Replayed(_) | Admission::OutcomeGone => Begun::Replayed,
        Admission::InProgress { .. } => Begun::InFlight,
        other => unreachable!("no workload asks for {other:?}"),
    }
}
