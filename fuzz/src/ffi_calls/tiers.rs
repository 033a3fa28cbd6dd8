//! Engines that share their records by a store, which is nobody's here, and what the functions for
//! them do with an engine that has none.

use oncegate_ffi::*;

use super::memory::{Given, Grown, MARK, Place, first, zeroed};
use super::requests::{bytes, sound};
use super::world::{Kind, World, call};

impl World<'_> {
    /// Opens an engine with a store of nobody, asks it for a request, and closes it.
    pub(super) fn open_fleet(&mut self) {
        let (tier, refused) = self.tier();
        let mut raw: RawOptions = zeroed();
        raw.struct_size = size_of::<RawOptions>();
        (raw.capacity, raw.secret) = (32, bytes(&[7; 32]));
        (raw.max_processes, raw.max_scopes) = (1, 16);
        (raw.outcome_bytes, raw.max_waiters) = (64 << 10, 64);
        raw.tier = &raw const tier.value.value;
        let mut place = Place::<*mut RawEngine>::new();
        let at = place.at(&mut self.input);
        let status = call!(self, oncegate_engine_open(&raw const raw, at.value));
        let call = "oncegate_engine_open";
        assert_eq!(status, first(&[at.refused, tier.refused, refused]), "{call}: with a tier");
        if status != 0 {
            assert!(place.is_untouched(), "{call}: {status}, and a handle");
            return;
        }
        let engine = place.get(call);
        self.ask_nobody(engine, tier.value.value.on_outage);
        assert_eq!(call!(self, oncegate_engine_close(engine)), 0);
    }

    /// Options of a tier, right or with a mistake, and what they are refused with.
    fn tier(&mut self) -> (Given<Grown<RawTierOptions>>, Status) {
        let mut raw: RawTierOptions = zeroed();
        // Nobody waits: it is refused at once, and there is no time to ask again.
        (raw.url, raw.deadline_ms) = (bytes(b"unix:///nobody/is/there"), 1);
        raw.encryption_key = bytes(KEY);
        raw.on_outage = self.input.index(3) as u32;
        let odd = bytes(b"{hunter2}");
        let refused = match self.input.mistake(20) {
            None => 0,
            Some(0) => put(&mut raw.on_outage, 3, ONCEGATE_BAD_VALUE),
            Some(1) => put(&mut raw.allow_eviction, 2, ONCEGATE_BAD_VALUE),
            Some(2) => put(&mut raw.cluster, 2, ONCEGATE_BAD_VALUE),
            Some(3) => put(&mut raw.reserved, 1, ONCEGATE_BAD_VALUE),
            Some(4) => put(&mut raw.url, bytes(URL), ONCEGATE_INVALID_CONFIG),
            Some(5) => put(&mut raw.url, bytes(b""), ONCEGATE_INVALID_CONFIG),
            Some(6) => put(&mut raw.url, bytes(b"\xffhunter2"), ONCEGATE_NOT_UTF8),
            Some(7) => put(&mut raw.url.data, std::ptr::null(), ONCEGATE_NULL_ARGUMENT),
            Some(8) => put(&mut raw.url.len, usize::MAX, ONCEGATE_BAD_SIZE),
            Some(9) => put(&mut raw.prefix, odd, ONCEGATE_INVALID_CONFIG),
            Some(10) => put(&mut raw.encryption_key, odd, ONCEGATE_BAD_SIZE),
            Some(11) => put(&mut raw.retiring_key, odd, ONCEGATE_BAD_SIZE),
            Some(12) => put(&mut raw.tls_root, odd, ONCEGATE_INVALID_CONFIG),
            Some(13) => put(&mut raw.tls_key, odd, ONCEGATE_INVALID_CONFIG),
            Some(14) => put(&mut raw.tls_certificate, odd, ONCEGATE_INVALID_CONFIG),
            Some(15) => put(&mut raw.deadline_ms, ONCEGATE_ZERO, ONCEGATE_INVALID_CONFIG),
            Some(16) => put(&mut raw.dead_letters, ONCEGATE_ZERO, ONCEGATE_INVALID_CONFIG),
            Some(17) => put(&mut raw.sentinel_name, odd, ONCEGATE_INVALID_CONFIG),
            Some(18) => put(&mut raw.sentinels, odd, ONCEGATE_INVALID_CONFIG),
            Some(_) => put(&mut raw.undelivered, ONCEGATE_ZERO - 1, ONCEGATE_INVALID_CONFIG),
        };
        // One of the first version would wait for half a second.
        (Grown::new(raw, size_of::<RawTierOptions>(), &mut self.input), refused)
    }

    /// What an engine does whose store gives no answer.
    fn ask_nobody(&mut self, engine: *mut RawEngine, on_outage: u32) {
        let request = sound();
        let mut place = Place::<RawAdmission>::new();
        let admission = place.at(&mut self.input);
        let refused = if on_outage == 0 { ONCEGATE_TIER_UNAVAILABLE } else { 0 };
        let (options, buffer) = (std::ptr::null(), std::ptr::null_mut());
        let into = admission.value;
        let status = call!(self, oncegate_begin(engine, &raw const request, options, buffer, into));
        assert_eq!(status, first(&[admission.refused, refused]), "a store of nobody");
        if status != 0 {
            assert!(place.is_untouched(), "oncegate_begin: {status}");
            return;
        }
        let admission = place.get("oncegate_begin");
        assert_eq!(admission.verdict, ONCEGATE_ADMITTED, "a store of nobody");
        let (lease, mut alone, mut stored) = (&raw const admission.lease, 7, 7);
        let alone_at = &raw mut alone;
        assert_eq!(call!(self, oncegate_lease_is_local_only(engine, lease, alone_at)), 0);
        assert_eq!(alone, 1, "nobody was asked");
        let (outcome, stored_at) = (std::ptr::null(), &raw mut stored);
        assert_eq!(call!(self, oncegate_lease_complete(engine, lease, outcome, stored_at)), 0);
        assert_eq!(stored, ONCEGATE_STORED_HERE, "nobody was told");
        let mut stats = RawTierStats { struct_size: size_of::<RawTierStats>(), ..zeroed() };
        assert_eq!(call!(self, oncegate_engine_tier_stats(engine, &raw mut stats)), 0);
        assert_eq!((stats.local_only, stats.undelivered, stats.granted), (1, 1, 0));
        let status = call!(self, oncegate_engine_flush_tier(engine, 0));
        assert_eq!(status, ONCEGATE_TIER_UNAVAILABLE, "nobody was told");
    }

    /// An engine without a tier has nothing to count.
    pub(super) fn tier_stats(&mut self) {
        let engine = self.handle(Kind::Engine);
        let mut stats = Grown::new(zeroed::<RawTierStats>(), 16, &mut self.input);
        let at = &raw mut stats.value.value;
        let status = call!(self, oncegate_engine_tier_stats(engine.at(), at));
        let call = "oncegate_engine_tier_stats";
        // An output may say that it is larger, whatever is in there: it would be written over.
        let refused = if stats.value.is_larger() { 0 } else { stats.refused };
        assert_eq!(status, first(&[engine.refused, refused, ONCEGATE_NOT_FOUND]), "{call}");
    }

    /// An engine without a tier has told all.
    pub(super) fn flush_tier(&mut self) {
        let engine = self.handle(Kind::Engine);
        let limit = [0, 1, u64::MAX][self.input.index(3)];
        let status = call!(self, oncegate_engine_flush_tier(engine.at(), limit));
        assert_eq!(status, engine.refused, "oncegate_engine_flush_tier");
    }

    /// An engine without a tier runs nothing alone.
    pub(super) fn is_local_only(&mut self) {
        let engine = self.handle(Kind::Engine);
        let lease = self.lease(&engine);
        let mut place = Place::<u32>::new();
        let alone = place.at(&mut self.input);
        let status =
            call!(self, oncegate_lease_is_local_only(engine.at(), lease.at(), alone.value));
        let call = "oncegate_lease_is_local_only";
        let refused = first(&[engine.refused, lease.refused, alone.refused]);
        assert!(status == 0 || place.is_untouched(), "{call}: {status}");
        if self.held(call, status, refused, (&engine, &lease)).is_some() {
            assert_eq!(place.get(call), 0, "{call}");
        }
    }
}

/// Makes a mistake, and says what it is refused with.
fn put<T>(at: &mut T, wrong: T, refused: Status) -> Status {
    *at = wrong;
    refused
}

/// What the error of a refusal must not tell is in both.
const URL: &[u8] = b"http://app:hunter2@127.0.0.1:1/";
const KEY: &[u8] = b"hunter2-a-key-of-thirty-two-byte";
const _: () = assert!(KEY.len() == 32 && MARK.len() == 7);
