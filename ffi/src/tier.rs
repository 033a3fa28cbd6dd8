//! Tier: the store that engines of several hosts share records by, as the header has it.

use std::time::Duration;

#[cfg(feature = "redis")]
use oncegate::tier::RedisBuilder;
use oncegate::tier::{Hazard, OnOutage, TierOptions};
use oncegate::{EngineBuilder, TierStats};

use crate::bell::{give_up, left};
#[cfg(feature = "redis")]
use crate::convert::flag;
use crate::convert::{given_ms, given_size, no_choice};
use crate::engine::{RawEngine, held};
use crate::entry::{ErrorInfo, entry};
use crate::lease::{Lease, token};
use crate::raw::{Bytes, Growing, Out, OutGrown, Plain, grown};
use crate::status::{ONCEGATE_NOT_FOUND, Refusal, Status};

/// While the tier gives no answer nothing new is run: `ONCEGATE_TIER_UNAVAILABLE`.
pub const ONCEGATE_ON_OUTAGE_REFUSE: u32 = 0;
/// The table of this host alone decides, unless the tier is known to have forgotten records.
pub const ONCEGATE_ON_OUTAGE_LOCAL_ONLY: u32 = 1;
/// The table of this host alone decides.
pub const ONCEGATE_ON_OUTAGE_RUN: u32 = 2;

/// The server may evict records before their time is over.
pub const ONCEGATE_HAZARD_EVICTS: u32 = 1;
/// The server is almost full, and will refuse what is new.
pub const ONCEGATE_HAZARD_ALMOST_FULL: u32 = 2;
/// A restart of the server forgets records.
pub const ONCEGATE_HAZARD_NOT_PERSISTENT: u32 = 4;
/// The server's clock is behind the fencing tokens that it gave.
pub const ONCEGATE_HAZARD_CLOCK_BEHIND: u32 = 8;
/// Something that this version of the header has no name for.
pub const ONCEGATE_HAZARD_OTHER: u32 = 2_147_483_648;

/// A store in Redis or Valkey by which engines of several hosts share their records. All but the
/// size and the URL may be zero: then the default holds, which the page of the Rust function of
/// that name gives. Where zero itself is meant, say `ONCEGATE_ZERO`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct RawTierOptions {
    /// `sizeof(oncegate_tier_options)`.
    pub struct_size: usize,
    /// The server: `redis://user:password@host:port/database`, `rediss://…` for TLS, or
    /// `unix:///path/of/a/socket`.
    pub url: Bytes,
    /// What the names of all keys begin with, at most 64 bytes; default `oncegate:`.
    pub prefix: Bytes,
    /// 32 bytes: outcomes are stored encrypted with them. `NULL`: as they are.
    pub encryption_key: Bytes,
    /// 32 bytes that outcomes are still read with, and no longer written. `NULL`: none.
    pub retiring_key: Bytes,
    /// How long a call of the store may take, 1 ms to a minute; default 500 ms.
    pub deadline_ms: u64,
    /// A call that takes longer counts as failed for the breaker; default: none does.
    pub latency_objective_ms: u64,
    /// Leases are claimed for at most this long, and renewed by the engine; default: for all of it.
    pub lease_slice_ms: u64,
    /// How much sooner than in the store a lease ends here; default: a fiftieth, and 10 ms.
    pub margin_ms: u64,
    /// How often who waits looks without a notice; default 250 ms.
    pub poll_every_ms: u64,
    /// How long nothing runs after the store may have forgotten records; default: the longest
    /// lease.
    pub quarantine_ms: u64,
    /// Ends of attempts that are kept while the store cannot be reached; default 65,536.
    pub undelivered: u64,
    /// One of `ONCEGATE_ON_OUTAGE_…`.
    pub on_outage: u32,
    /// 1: a server that may evict records is used; a request whose record it evicted runs again.
    pub allow_eviction: u32,
    /// The certificate of the authority that the server's is checked with, in PEM. Default: those
    /// that the system trusts.
    pub tls_root: Bytes,
    /// The certificate that shows the server who connects, in PEM, with `tls_key`. Default: none.
    pub tls_certificate: Bytes,
    /// Its key, in PEM.
    pub tls_key: Bytes,
    /// 1: the server is a node of a Cluster, whose others it names.
    pub cluster: u32,
    /// Zero.
    pub reserved: u32,
    /// How many dead letters of all hosts a stream of the server shows, 1 to 1,000,000, the same on
    /// each host; default: there is none.
    pub dead_letters: u64,
    /// How many replicas must have a grant or an end; default: none.
    pub wait_replicas: u64,
    /// How long they are waited for; default 50 ms. Refused without `wait_replicas`.
    pub wait_replicas_ms: u64,
    /// How large an outcome may be as it is stored, in bytes, at most 16 MiB; default 64 KiB.
    pub outcome_limit: u64,
    /// Outcomes of that many bytes and more are compressed; default: none is.
    pub compress_from: u64,
    /// What Sentinels call the primary. Default: there are none, and the server is that of the URL.
    pub sentinel_name: Bytes,
    /// Their URLs, separated by commas. The user, the password and whether TLS is spoken with the
    /// primary are those of `url`, whose address is not used then.
    pub sentinels: Bytes,
}

/// What an engine and its tier have done in this process.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct RawTierStats {
    /// `sizeof(oncegate_tier_stats)`.
    pub struct_size: usize,
    /// Claims that were granted.
    pub granted: u64,
    /// Outcomes of other hosts that were stored here.
    pub imported: u64,
    /// Requests that another host ran, or waits to run.
    pub elsewhere: u64,
    /// Requests that were refused for want of an answer.
    pub refused: u64,
    /// Attempts that the table of this host alone admitted.
    pub local_only: u64,
    /// Calls of which nobody knows whether they were carried out.
    pub unknown: u64,
    /// Ends of attempts that wait to be told.
    pub undelivered: u64,
    /// Those that were told later.
    pub delivered_late: u64,
    /// Those that were lost for want of room.
    pub undelivered_lost: u64,
    /// Attempts that ran here, and that the tier contradicts.
    pub conflicts: u64,
    /// How often the tier may have forgotten what it had acknowledged.
    pub sessions_lost: u64,
    /// 1: the breaker refuses calls for a moment.
    pub breaker_open: u32,
    /// `ONCEGATE_HAZARD_…`, ored, as they were looked at last: every few seconds from the first
    /// request on.
    pub hazards: u32,
    /// Dead letters and conflicts that the server's stream was told of, if there is one.
    pub letters_logged: u64,
    /// Those that wait to be told.
    pub letters_waiting: u64,
    /// Those that it is not told of, for want of room.
    pub letters_lost: u64,
}

// SAFETY: `repr(C)`, numbers and pointers.
unsafe impl Plain for RawTierOptions {}
// SAFETY: the first field is the size.
unsafe impl Growing for RawTierOptions {
    const LEAST: usize = 24;
}
// SAFETY: `repr(C)`, numbers.
unsafe impl Plain for RawTierStats {}
// SAFETY: the first field is the size.
unsafe impl Growing for RawTierStats {
    const LEAST: usize = 16;
}

/// `builder` with the tier of the options; `NULL` is none.
///
/// # Safety
///
/// `at` is `NULL`, or options whose references are the caller's for reading during the call.
pub(crate) unsafe fn with_tier(
    builder: EngineBuilder,
    field: &'static str,
    at: *const RawTierOptions,
) -> Result<EngineBuilder, Refusal> {
    if at.is_null() {
        return Ok(builder);
    }
    // SAFETY: the same contract.
    let raw = unsafe { grown(field, at) }?;
    let builder = builder.tier_options(options(&raw)?);
    // SAFETY: the same contract.
    unsafe { store(builder, &raw) }
}

fn options(raw: &RawTierOptions) -> Result<TierOptions, Refusal> {
    let mut options = TierOptions::new().on_outage(match raw.on_outage {
        ONCEGATE_ON_OUTAGE_REFUSE => OnOutage::Refuse,
        ONCEGATE_ON_OUTAGE_LOCAL_ONLY => OnOutage::LocalOnly,
        ONCEGATE_ON_OUTAGE_RUN => OnOutage::Run,
        other => return Err(no_choice("tier.on_outage", other, ONCEGATE_ON_OUTAGE_RUN)),
    });
    if let Some(deadline) = given_ms(raw.deadline_ms) {
        options = options.deadline(deadline);
    }
    if let Some(objective) = given_ms(raw.latency_objective_ms) {
        options = options.latency_objective(objective);
    }
    if let Some(slice) = given_ms(raw.lease_slice_ms) {
        options = options.lease_slice(slice);
    }
    if let Some(margin) = given_ms(raw.margin_ms) {
        options = options.margin(margin);
    }
    if let Some(period) = given_ms(raw.poll_every_ms) {
        options = options.poll_every(period);
    }
    if let Some(duration) = given_ms(raw.quarantine_ms) {
        options = options.quarantine(duration);
    }
    if let Some(ends) = given_size(raw.undelivered) {
        options = options.undelivered(ends);
    }
    Ok(options)
}

/// # Safety
///
/// What `raw` refers to is the caller's for reading during the call.
#[cfg(feature = "redis")]
unsafe fn store(builder: EngineBuilder, raw: &RawTierOptions) -> Result<EngineBuilder, Refusal> {
    // SAFETY: the same contract.
    let url = unsafe { raw.url.text("tier.url") }?;
    let mut redis = oncegate::tier::Redis::builder(url);
    // SAFETY: the same contract.
    let prefix = unsafe { raw.prefix.text("tier.prefix") }?;
    if !prefix.is_empty() {
        redis = redis.prefix(prefix);
    }
    // SAFETY: the same contract.
    if let Some(key) = unsafe { key("tier.encryption_key", raw.encryption_key) }? {
        redis = redis.encryption_key(key);
    }
    // SAFETY: the same contract.
    if let Some(key) = unsafe { key("tier.retiring_key", raw.retiring_key) }? {
        redis = redis.retiring_key(key);
    }
    redis = redis.allow_eviction(flag("tier.allow_eviction", raw.allow_eviction)?);
    if flag("tier.cluster", raw.cluster)? {
        redis = redis.cluster(&[]);
    }
    if raw.reserved != 0 {
        return Err(no_choice("tier.reserved", raw.reserved, 0));
    }
    if raw.wait_replicas == 0 && raw.wait_replicas_ms != 0 {
        let detail = "found a time; limit: none without tier.wait_replicas";
        return Err(Refusal::new(
            crate::status::ONCEGATE_BAD_VALUE,
            "tier.wait_replicas_ms",
            detail,
        ));
    }
    redis = sized(redis, raw);
    // SAFETY: the same contract.
    redis = unsafe { sentinels(redis, raw) }?;
    // SAFETY: the same contract.
    redis = unsafe { tls(redis, raw) }?;
    Ok(builder.tier(redis.build().map_err(|error| refusal(error.what()))?))
}

#[cfg(feature = "redis")]
fn sized(mut redis: RedisBuilder, raw: &RawTierOptions) -> RedisBuilder {
    if let Some(entries) = given_size(raw.dead_letters) {
        redis = redis.dead_letters(entries);
    }
    if let Some(replicas) = given_size(raw.wait_replicas) {
        let time = given_ms(raw.wait_replicas_ms).unwrap_or(REPLICAS_WITHIN);
        redis = redis.wait_replicas(replicas, time);
    }
    if let Some(bytes) = given_size(raw.outcome_limit) {
        redis = redis.outcome_limit(bytes);
    }
    if let Some(bytes) = given_size(raw.compress_from) {
        redis = redis.compress_from(bytes);
    }
    redis
}

/// # Safety
///
/// What `raw` refers to is the caller's for reading during the call.
#[cfg(feature = "redis")]
unsafe fn sentinels(redis: RedisBuilder, raw: &RawTierOptions) -> Result<RedisBuilder, Refusal> {
    // SAFETY: the same contract.
    let name = unsafe { raw.sentinel_name.text("tier.sentinel_name") }?;
    // SAFETY: the same contract.
    let urls = unsafe { raw.sentinels.text("tier.sentinels") }?;
    match (name.is_empty(), urls.is_empty()) {
        (true, true) => Ok(redis),
        (false, false) => {
            let urls: Vec<&str> = urls.split(',').collect();
            Ok(redis.sentinels(name, &urls))
        }
        (is_missing, _) => {
            let field = if is_missing { "tier.sentinel_name" } else { "tier.sentinels" };
            let detail = "found nothing; limit: a name and the URLs of Sentinels";
            Err(Refusal::new(crate::status::ONCEGATE_INVALID_CONFIG, field, detail))
        }
    }
}

/// How long replicas are waited for, where that is not said.
#[cfg(feature = "redis")]
const REPLICAS_WITHIN: Duration = Duration::from_millis(50);

/// A setting that the store refuses: which one it is, and never what was given.
#[cfg(feature = "redis")]
fn refusal(what: &str) -> Refusal {
    let field = match what.split(':').next() {
        Some("url") => "tier.url",
        Some("prefix") => "tier.prefix",
        Some("tls_root") => "tier.tls_root",
        Some("tls_client") => "tier.tls_certificate",
        Some("dead_letters") => "tier.dead_letters",
        Some("outcome_limit") => "tier.outcome_limit",
        Some("sentinels" | "sentinels or cluster, not both") => "tier.sentinels",
        _ => "tier",
    };
    Refusal::new(crate::status::ONCEGATE_INVALID_CONFIG, field, what.to_owned())
}

/// # Safety
///
/// As for the one above.
#[cfg(feature = "redis-tls")]
unsafe fn tls(mut redis: RedisBuilder, raw: &RawTierOptions) -> Result<RedisBuilder, Refusal> {
    // SAFETY: the same contract.
    let root = unsafe { raw.tls_root.get("tier.tls_root") }?;
    if !root.is_empty() {
        redis = redis.tls_root(root);
    }
    // SAFETY: the same contract.
    let certificate = unsafe { raw.tls_certificate.get("tier.tls_certificate") }?;
    // SAFETY: the same contract.
    let key = unsafe { raw.tls_key.get("tier.tls_key") }?;
    match (certificate.is_empty(), key.is_empty()) {
        (true, true) => Ok(redis),
        (false, false) => Ok(redis.tls_client(certificate, key)),
        (is_missing, _) => {
            let field = if is_missing { "tier.tls_certificate" } else { "tier.tls_key" };
            let detail = "found nothing; limit: a certificate and its key";
            Err(Refusal::new(crate::status::ONCEGATE_INVALID_CONFIG, field, detail))
        }
    }
}

/// # Safety
///
/// None: it reads nothing of the caller.
#[cfg(all(feature = "redis", not(feature = "redis-tls")))]
unsafe fn tls(redis: RedisBuilder, raw: &RawTierOptions) -> Result<RedisBuilder, Refusal> {
    let fields = [
        ("tier.tls_root", raw.tls_root),
        ("tier.tls_certificate", raw.tls_certificate),
        ("tier.tls_key", raw.tls_key),
    ];
    let Some((field, _)) = fields.iter().find(|(_, bytes)| bytes.len != 0) else {
        return Ok(redis);
    };
    let detail = "found a value; limit: a library with the feature redis-tls";
    Err(Refusal::new(crate::status::ONCEGATE_UNSUPPORTED, *field, detail))
}

/// # Safety
///
/// As for the one above.
#[cfg(not(feature = "redis"))]
unsafe fn store(_: EngineBuilder, _: &RawTierOptions) -> Result<EngineBuilder, Refusal> {
    let detail = "found a tier; limit: a library with the feature redis";
    Err(Refusal::new(crate::status::ONCEGATE_UNSUPPORTED, "tier", detail))
}

/// A key, if one is given: `NULL` is none.
///
/// # Safety
///
/// The bytes are the caller's for reading during the call.
#[cfg(feature = "redis")]
unsafe fn key(field: &'static str, bytes: Bytes) -> Result<Option<[u8; 32]>, Refusal> {
    // SAFETY: the same contract.
    let given = unsafe { bytes.get(field) }?;
    if bytes.data.is_null() {
        return Ok(None);
    }
    // One of no bytes was read from where none is yet: nothing is to be stored in clear for that.
    let key = given.try_into().map_err(|_| {
        let detail = format!("found {} bytes; limit: 32", given.len());
        Refusal::new(crate::status::ONCEGATE_BAD_SIZE, field, detail)
    });
    key.map(Some)
}

/// Writes what the engine and its tier have done; set `stats->struct_size` before. Asks nothing of
/// the store. Returns `ONCEGATE_NOT_FOUND` for an engine without a tier. Any thread may call it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oncegate_engine_tier_stats(
    engine: *const RawEngine,
    stats: *mut RawTierStats,
    error: *mut ErrorInfo,
) -> Status {
    entry!(error; engine = held; stats = OutGrown::new; => {
        let found = engine.engine.tier_stats()?;
        let found = found.ok_or_else(|| Refusal::new(ONCEGATE_NOT_FOUND, "tier", ""))?;
        let hazards = engine.engine.tier_hazards()?;
        stats.write(told(&found, &hazards));
        Ok(())
    })
}

/// The statistics and hazards of a tier, as they are told.
fn told(found: &TierStats, hazards: &[Hazard]) -> RawTierStats {
    RawTierStats {
        struct_size: 0,
        granted: found.granted,
        imported: found.imported,
        elsewhere: found.elsewhere,
        refused: found.refused,
        local_only: found.local_only,
        unknown: found.unknown,
        undelivered: found.undelivered,
        delivered_late: found.delivered_late,
        undelivered_lost: found.undelivered_lost,
        conflicts: found.conflicts,
        sessions_lost: found.sessions_lost,
        breaker_open: u32::from(found.breaker_open),
        hazards: hazards.iter().fold(0, |all, hazard| all | number(hazard)),
        letters_logged: found.letters_logged,
        letters_waiting: found.letters_waiting,
        letters_lost: found.letters_lost,
    }
}

/// How long the tier is told of ends before this looks whether the engine is being closed.
const SLICE: Duration = Duration::from_millis(50);

fn number(hazard: &Hazard) -> u32 {
    match hazard {
        Hazard::Evicts { .. } => ONCEGATE_HAZARD_EVICTS,
        Hazard::AlmostFull { .. } => ONCEGATE_HAZARD_ALMOST_FULL,
        Hazard::NotPersistent => ONCEGATE_HAZARD_NOT_PERSISTENT,
        Hazard::ClockBehind { .. } => ONCEGATE_HAZARD_CLOCK_BEHIND,
        _ => ONCEGATE_HAZARD_OTHER,
    }
}

/// Waits until the tier has been told of every attempt that ended here, for at most `timeout_ms`
/// of real time, and a call of the store that is under way. For a process that is about to go.
/// Returns `ONCEGATE_CLOSED` when the engine is closed meanwhile.
///
/// Returns `ONCEGATE_TIER_UNAVAILABLE` where something is left. An engine without a tier has told
/// all. Any thread may call it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oncegate_engine_flush_tier(
    engine: *const RawEngine,
    timeout_ms: u64,
    error: *mut ErrorInfo,
) -> Status {
    entry!(error; engine = held; => {
        let give_up = give_up(timeout_ms);
        loop {
            let left = left(give_up).unwrap_or_default();
            let told = engine.engine.flush_tier(left.min(SLICE));
            if told.is_ok() || left <= SLICE {
                return Ok(told?);
            }
            // Whoever waits is sent back when the handle is closed.
            engine.check_open("engine")?;
        }
    })
}

/// Tells whether the tier gave no answer, so that the table of this host alone admitted the attempt
/// of a lease: 1. Another host may run the same request then. 0: it did, or there is no tier.
///
/// Asks nothing of the store. Returns `ONCEGATE_FENCED` where the attempt is over. Any thread may
/// call it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oncegate_lease_is_local_only(
    engine: *const RawEngine,
    lease: *const Lease,
    is_local_only: *mut u32,
    error: *mut ErrorInfo,
) -> Status {
    entry!(error; engine = held; lease = token; is_local_only = Out::new; => {
        let held = engine.engine.take_up(&lease)?;
        let alone = held.is_local_only();
        // The caller's copy stays as good as it was.
        let _ = held.into_token();
        is_local_only.write(u32::from(alone));
        Ok(())
    })
}

#[cfg(test)]
mod tests;
