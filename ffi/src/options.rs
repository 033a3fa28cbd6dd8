//! Options: how an engine is opened.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Arc;

use oncegate::{
    Engine, EngineBuilder, FileAccess, FingerprintMode, KeyCharset, KeyRules, ManualClock,
    OnConflict, OnFull, OnLapse, OnLettersFull, Quota, Reach, Secret,
};

use crate::adaptive::{RawAdaptive, adaptive_or_none};
use crate::convert::{check_flags, given, given_ms, given_size, no_choice};
use crate::events::Ring;
use crate::policy::{RawRetryPolicy, retry_policy_or_none};
use crate::raw::{Bytes, Growing, Plain, elements, grown};
use crate::status::{ONCEGATE_BAD_SIZE, ONCEGATE_BAD_VALUE, Refusal};
use crate::tier::{RawTierOptions, with_tier};

/// The table belongs to this process alone.
pub const ONCEGATE_REACH_PROCESS: u32 = 0;
/// This process and the children that it forks share the table.
pub const ONCEGATE_REACH_INHERITED: u32 = 1;
/// Every process of the host that opens `path` shares the table.
pub const ONCEGATE_REACH_HOST: u32 = 2;

/// The file is for its owner and his group.
pub const ONCEGATE_FILE_GROUP: u32 = 1;
/// A file of another owner is accepted.
pub const ONCEGATE_FILE_FOREIGN_OWNER: u32 = 2;
/// A symbolic link is followed.
pub const ONCEGATE_FILE_SYMLINK: u32 = 4;
/// A file system that is not local, or not in memory, is accepted.
pub const ONCEGATE_FILE_ANY_FILE_SYSTEM: u32 = 8;

/// Fingerprints cannot be guessed by who does not know the secret.
pub const ONCEGATE_FINGERPRINT_KEYED: u32 = 0;
/// A faster hash, for keys that only trusted parties choose.
pub const ONCEGATE_FINGERPRINT_FAST_TRUSTED: u32 = 1;

/// Keys of visible ASCII characters, or of any bytes.
pub const ONCEGATE_KEYS_ANY: u32 = 0;
/// Keys of visible ASCII characters.
pub const ONCEGATE_KEYS_VISIBLE: u32 = 1;
/// Keys of letters, digits, dashes and underscores.
pub const ONCEGATE_KEYS_ALPHANUMERIC: u32 = 2;
/// Keys of hexadecimal digits.
pub const ONCEGATE_KEYS_HEX: u32 = 3;
/// Keys that are a UUID (RFC 9562).
pub const ONCEGATE_KEYS_UUID: u32 = 4;

/// A clock that is read in 3 ns and moves every few milliseconds.
pub const ONCEGATE_CLOCK_COARSE: u32 = 0;
/// A precise clock: for leases below 50 ms.
pub const ONCEGATE_CLOCK_PRECISE: u32 = 1;
/// A clock that stands still until `oncegate_engine_advance_clock`: for tests.
pub const ONCEGATE_CLOCK_MANUAL: u32 = 2;

/// A lease that lapsed is followed by the next attempt.
pub const ONCEGATE_LAPSE_RECLAIM: u32 = 1;
/// Nobody runs again until the record is resolved.
pub const ONCEGATE_LAPSE_UNKNOWN: u32 = 2;
/// The record has failed for good.
pub const ONCEGATE_LAPSE_FAILED: u32 = 3;

/// A full table makes room for a new record.
pub const ONCEGATE_FULL_EVICT_LRU: u32 = 0;
/// A full table refuses a new record.
pub const ONCEGATE_FULL_REJECT: u32 = 1;

/// The oldest dead letter goes for a new one.
pub const ONCEGATE_LETTERS_DROP_OLDEST: u32 = 0;
/// The record fails without a dead letter.
pub const ONCEGATE_LETTERS_REJECT: u32 = 1;

/// Limits of a scope. Zeros: none.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct RawQuota {
    /// Live records at most; zero: no limit.
    pub max_live: u64,
    /// New records a second in the long run; zero: no limit.
    pub rate_per_second: f64,
    /// New records at once, with a rate.
    pub burst: u32,
    /// Zero.
    pub reserved: u32,
}

/// How an engine is opened. All but the size may be zero: then the default holds, which the page
/// of the Rust function of that name gives. Where zero itself is meant, say `ONCEGATE_ZERO`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct RawOptions {
    /// `sizeof(oncegate_options)`.
    pub struct_size: usize,
    /// Live records, from 16 to 200,000,000; default 65,536.
    pub capacity: u64,
    /// Bytes for outcomes that do not lie beside their record.
    pub outcome_bytes: u64,
    /// Outcomes up to this size lie beside their record, at most 448; default 64.
    pub inline_outcome: u64,
    /// The largest outcome that is stored, 64 to 1,000,000 bytes; default 16 KiB.
    pub outcome_limit: u64,
    /// How long an attempt may run before its lease lapses; default 30 s.
    pub lease_ms: u64,
    /// How long a finished record answers duplicates; default 24 hours.
    pub dedup_window_ms: u64,
    /// How long a duplicate waits for the running attempt; default: not at all.
    pub wait_ms: u64,
    /// How many processes may share the table; default 64.
    pub max_processes: u64,
    /// How many scopes may have a quota at once; default 4,096.
    pub max_scopes: u64,
    /// How many callers may wait at once; default 16,384.
    pub max_waiters: u64,
    /// One of `ONCEGATE_REACH_…`.
    pub reach: u32,
    /// `ONCEGATE_FILE_…`, ored.
    pub file_flags: u32,
    /// The file, with `ONCEGATE_REACH_HOST`.
    pub path: Bytes,
    /// The secret of the fingerprints, at least 32 bytes; default: a random one.
    pub secret: Bytes,
    /// The secret that is being rotated out.
    pub retiring_secret: Bytes,
    /// One of `ONCEGATE_FINGERPRINT_…`.
    pub fingerprint_mode: u32,
    /// One of `ONCEGATE_KEYS_…`.
    pub keys: u32,
    /// The shortest key; default 1.
    pub key_min_len: u64,
    /// The longest key; default 255.
    pub key_max_len: u64,
    /// 1: keys that can be predicted are refused.
    pub refuse_predictable_keys: u32,
    /// One of `ONCEGATE_CLOCK_…`.
    pub clock: u32,
    /// One of `ONCEGATE_LAPSE_…`; default: the next attempt follows.
    pub on_lapse: u32,
    /// One of `ONCEGATE_FULL_…`.
    pub on_full: u32,
    /// The quota of every scope that has none of its own; default: none.
    pub default_quota: RawQuota,
    /// The quota of the unauthenticated scope; default: a sixteenth of the capacity.
    pub unauthenticated_quota: RawQuota,
    /// 1: all memory is faulted in when the engine is opened.
    pub prefault: u32,
    /// 1: the smallest engine, for tests that want to see it full.
    pub tiny: u32,
    /// Shares of the capacity at which there is an event.
    pub fill_levels: *const f64,
    /// How many; at most 16.
    pub fill_level_count: usize,
    /// How often a thread of the engine sweeps; default: none does.
    pub ticker_period_ms: u64,
    /// 1: a thread of the engine sees to retries that are due.
    pub driver: u32,
    /// One of `ONCEGATE_LETTERS_…`.
    pub on_letters_full: u32,
    /// Attempts that this process is handed out at a time; default: no limit.
    pub max_in_flight: u64,
    /// Records that may be retried, or be dead letters, at a time.
    pub max_retrying: u64,
    /// The largest context of a retry, in bytes.
    pub context_limit: u64,
    /// The room for the finished steps of a record, in bytes.
    pub steps_limit: u64,
    /// Dead letters at a time.
    pub max_dead_letters: u64,
    /// The seed of the jitter, for tests; `ONCEGATE_ZERO` for zero. Default: from the system.
    pub jitter_seed: u64,
    /// When records are tried again of operations that have no policy of their own. `NULL`: full
    /// jitter below 1 s, 2 s, 4 s and so on, at most 120 s; ten attempts.
    pub retry_policy: *const RawRetryPolicy,
    /// Draws delays out under load. `NULL`: never.
    pub adaptive: *const RawAdaptive,
    /// 1: questions about records that nobody knows the effect of are asked by
    /// `oncegate_reconcile_poll`.
    pub reconcile: u32,
    /// Zero.
    pub reserved: u32,
    /// The store that is shared with engines of other hosts, which have the same `secret`. `NULL`:
    /// none. It is connected to by the first request; while it is not there, `on_outage` says what
    /// is answered. Blocking functions may take `deadline_ms` longer with it for each request;
    /// those of waits never block. `ONCEGATE_INVALID_CONFIG` without a `secret`,
    /// `ONCEGATE_UNSUPPORTED` where the library was built without Redis.
    pub tier: *const RawTierOptions,
}

// SAFETY: `repr(C)`, numbers.
unsafe impl Plain for RawQuota {}
// SAFETY: `repr(C)`, numbers and pointers.
unsafe impl Plain for RawOptions {}
// SAFETY: the first field is the size.
unsafe impl Growing for RawOptions {
    const LEAST: usize = 16;
}

/// What the options ask for.
pub(crate) struct Wanted {
    pub(crate) builder: EngineBuilder,
    pub(crate) clock: Option<ManualClock>,
    pub(crate) events: Arc<Ring>,
    pub(crate) ticker_ms: u64,
    pub(crate) driver: bool,
    pub(crate) reconcile: bool,
}

/// Looks at the options.
///
/// # Safety
///
/// `at` is `NULL`, or options whose references are the caller's for reading during the call.
pub(crate) unsafe fn wanted(field: &'static str, at: *const RawOptions) -> Result<Wanted, Refusal> {
    // SAFETY: the same contract.
    let raw = unsafe { grown(field, at) }?;
    let events = Arc::new(Ring::default());
    let (fill, noticed) = (Arc::clone(&events), Arc::clone(&events));
    let mut builder = Engine::builder().on_event(move |event| noticed.note(event));
    builder = sizes(builder, &raw);
    builder = choices(builder, &raw)?;
    builder = retries(builder, &raw)?;
    // SAFETY: the same contract.
    builder = unsafe { references(builder, &raw) }?;
    // SAFETY: the same contract.
    let levels = unsafe { elements("fill_levels", raw.fill_levels, raw.fill_level_count) }?;
    if !levels.is_empty() {
        builder = builder.on_fill(levels, move |event| fill.note_fill(event));
    }
    let clock = (raw.clock == ONCEGATE_CLOCK_MANUAL).then(ManualClock::new);
    match (&clock, raw.clock) {
        (Some(clock), _) => builder = builder.clock(clock.clone()),
        (None, ONCEGATE_CLOCK_COARSE) => {}
        (None, ONCEGATE_CLOCK_PRECISE) => builder = builder.precise_clock(),
        (None, other) => return Err(no_choice("clock", other, ONCEGATE_CLOCK_MANUAL)),
    }
    let driver = crate::convert::flag("driver", raw.driver)?;
    let reconcile = crate::convert::flag("reconcile", raw.reconcile)?;
    if raw.reserved != 0 {
        return Err(no_choice("reserved", raw.reserved, 0));
    }
    let ticker_ms = raw.ticker_period_ms;
    Ok(Wanted { builder, clock, events, ticker_ms, driver, reconcile })
}

fn sizes(mut builder: EngineBuilder, raw: &RawOptions) -> EngineBuilder {
    if raw.tiny == 1 {
        builder = builder.tiny();
    }
    if let Some(records) = given_size(raw.capacity) {
        builder = builder.capacity(records);
    }
    if let Some(bytes) = given_size(raw.outcome_bytes) {
        builder = builder.outcome_bytes(bytes);
    }
    if let Some(bytes) = given_size(raw.inline_outcome) {
        builder = builder.inline_outcome(bytes);
    }
    if let Some(bytes) = given_size(raw.outcome_limit) {
        builder = builder.outcome_limit(bytes);
    }
    if let Some(duration) = given_ms(raw.lease_ms) {
        builder = builder.lease_duration(duration);
    }
    if let Some(duration) = given_ms(raw.dedup_window_ms) {
        builder = builder.dedup_window(duration);
    }
    if let Some(duration) = given_ms(raw.wait_ms) {
        builder = builder.on_conflict(OnConflict::Wait(duration));
    }
    if let Some(processes) = given_size(raw.max_processes) {
        builder = builder.max_processes(processes);
    }
    if let Some(scopes) = given_size(raw.max_scopes) {
        builder = builder.max_scopes(scopes);
    }
    if let Some(waiters) = given(raw.max_waiters) {
        builder = builder.max_waiters(waiters);
    }
    builder
}

fn choices(mut builder: EngineBuilder, raw: &RawOptions) -> Result<EngineBuilder, Refusal> {
    let tiny = crate::convert::flag("tiny", raw.tiny)?;
    if tiny && raw.capacity != 0 {
        let detail = "found a capacity; limit: none with `tiny`";
        return Err(Refusal::new(ONCEGATE_BAD_VALUE, "capacity", detail));
    }
    builder = builder.prefault(crate::convert::flag("prefault", raw.prefault)?);
    builder = builder.fingerprint_mode(match raw.fingerprint_mode {
        ONCEGATE_FINGERPRINT_KEYED => FingerprintMode::Keyed,
        ONCEGATE_FINGERPRINT_FAST_TRUSTED => FingerprintMode::FastTrusted,
        other => return Err(no_choice("fingerprint_mode", other, 1)),
    });
    if let Some(lapse) = lapse(raw.on_lapse)? {
        builder = builder.on_lapse(lapse);
    }
    builder = builder.on_full(match raw.on_full {
        ONCEGATE_FULL_EVICT_LRU => OnFull::EvictLru,
        ONCEGATE_FULL_REJECT => OnFull::Reject,
        other => return Err(no_choice("on_full", other, ONCEGATE_FULL_REJECT)),
    });
    builder = builder.key_rules(key_rules(raw)?);
    if let Some(quota) = quota("default_quota", &raw.default_quota)? {
        builder = builder.default_quota(quota);
    }
    if let Some(quota) = quota("unauthenticated_quota", &raw.unauthenticated_quota)? {
        builder = builder.unauthenticated_quota(quota);
    }
    Ok(builder)
}

fn retries(mut builder: EngineBuilder, raw: &RawOptions) -> Result<EngineBuilder, Refusal> {
    builder = builder.on_letters_full(match raw.on_letters_full {
        ONCEGATE_LETTERS_DROP_OLDEST => OnLettersFull::DropOldest,
        ONCEGATE_LETTERS_REJECT => OnLettersFull::Reject,
        other => return Err(no_choice("on_letters_full", other, ONCEGATE_LETTERS_REJECT)),
    });
    if let Some(attempts) = given_size(raw.max_in_flight) {
        builder = builder.max_in_flight(attempts);
    }
    if let Some(records) = given_size(raw.max_retrying) {
        builder = builder.max_retrying(records);
    }
    if let Some(bytes) = given_size(raw.context_limit) {
        builder = builder.context_limit(bytes);
    }
    if let Some(bytes) = given_size(raw.steps_limit) {
        builder = builder.steps_limit(bytes);
    }
    if let Some(letters) = given_size(raw.max_dead_letters) {
        builder = builder.max_dead_letters(letters);
    }
    if let Some(seed) = given(raw.jitter_seed) {
        builder = builder.jitter_seed(seed);
    }
    Ok(builder)
}

/// # Safety
///
/// What `raw` refers to is the caller's for reading during the call.
unsafe fn references(
    mut builder: EngineBuilder,
    raw: &RawOptions,
) -> Result<EngineBuilder, Refusal> {
    // SAFETY: the same contract.
    let path = unsafe { raw.path.get("path") }?;
    // SAFETY: the same contract.
    let secret = unsafe { raw.secret.get("secret") }?;
    // SAFETY: the same contract.
    let retiring = unsafe { raw.retiring_secret.get("retiring_secret") }?;
    let reach = match raw.reach {
        ONCEGATE_REACH_HOST => Reach::Host(PathBuf::from(OsStr::from_bytes(path))),
        _ if !path.is_empty() => {
            let detail = format!("found {} bytes; limit: none for this reach", path.len());
            return Err(Refusal::new(ONCEGATE_BAD_SIZE, "path", detail));
        }
        ONCEGATE_REACH_PROCESS => Reach::Process,
        ONCEGATE_REACH_INHERITED => Reach::HostInherited,
        other => return Err(no_choice("reach", other, ONCEGATE_REACH_HOST)),
    };
    builder = builder.reach(reach).file_access(file_access(raw.file_flags)?);
    if !secret.is_empty() {
        builder = builder.secret(Secret::from_bytes(secret)?);
    }
    if !retiring.is_empty() {
        builder = builder.retiring_secret(Secret::from_bytes(retiring)?);
    }
    // SAFETY: the same contract.
    if let Some(policy) = unsafe { retry_policy_or_none("retry_policy", raw.retry_policy) }? {
        builder = builder.retry_policy(policy);
    }
    // SAFETY: the same contract.
    if let Some(adaptive) = unsafe { adaptive_or_none("adaptive", raw.adaptive) }? {
        builder = builder.adaptive_backoff(adaptive);
    }
    // SAFETY: the same contract.
    unsafe { with_tier(builder, "tier", raw.tier) }
}

fn file_access(flags: u32) -> Result<FileAccess, Refusal> {
    let has = |flag| flags & flag != 0;
    let known = ONCEGATE_FILE_GROUP
        | ONCEGATE_FILE_FOREIGN_OWNER
        | ONCEGATE_FILE_SYMLINK
        | ONCEGATE_FILE_ANY_FILE_SYSTEM;
    check_flags("file_flags", flags, known)?;
    let mut access = FileAccess::owner_only();
    if has(ONCEGATE_FILE_GROUP) {
        access = access.group();
    }
    Ok(access
        .foreign_owner(has(ONCEGATE_FILE_FOREIGN_OWNER))
        .symlink(has(ONCEGATE_FILE_SYMLINK))
        .any_file_system(has(ONCEGATE_FILE_ANY_FILE_SYSTEM)))
}

fn key_rules(raw: &RawOptions) -> Result<KeyRules, Refusal> {
    let mut rules = KeyRules::any();
    rules = match raw.keys {
        ONCEGATE_KEYS_ANY => rules,
        ONCEGATE_KEYS_VISIBLE => rules.charset(KeyCharset::Visible),
        ONCEGATE_KEYS_ALPHANUMERIC => rules.charset(KeyCharset::AlphanumericDashUnderscore),
        ONCEGATE_KEYS_HEX => rules.charset(KeyCharset::Hex),
        ONCEGATE_KEYS_UUID => rules.uuid(),
        other => return Err(no_choice("keys", other, ONCEGATE_KEYS_UUID)),
    };
    if let Some(bytes) = given_size(raw.key_min_len) {
        rules = rules.min_len(bytes);
    }
    if let Some(bytes) = given_size(raw.key_max_len) {
        rules = rules.max_len(bytes);
    }
    if crate::convert::flag("refuse_predictable_keys", raw.refuse_predictable_keys)? {
        rules = rules.refuse_predictable();
    }
    Ok(rules)
}

/// What a lapse does, by its number; zero says nothing.
pub(crate) fn lapse(number: u32) -> Result<Option<OnLapse>, Refusal> {
    Ok(match number {
        0 => None,
        ONCEGATE_LAPSE_RECLAIM => Some(OnLapse::Reclaim),
        ONCEGATE_LAPSE_UNKNOWN => Some(OnLapse::Unknown),
        ONCEGATE_LAPSE_FAILED => Some(OnLapse::Failed),
        other => return Err(no_choice("on_lapse", other, ONCEGATE_LAPSE_FAILED)),
    })
}

/// A quota; `None` where all is zero.
pub(crate) fn quota(field: &'static str, raw: &RawQuota) -> Result<Option<Quota>, Refusal> {
    let RawQuota { max_live, rate_per_second, burst, reserved } = *raw;
    if reserved != 0 || (rate_per_second == 0.0 && burst != 0) {
        let detail = "found a burst without a rate, or bits that mean nothing";
        return Err(Refusal::new(ONCEGATE_BAD_VALUE, field, detail));
    }
    let mut quota = Quota::unlimited();
    if let Some(records) = given(max_live) {
        quota = quota.max_live(records);
    }
    if rate_per_second != 0.0 {
        quota = quota.rate(rate_per_second, burst);
    }
    Ok((max_live != 0 || rate_per_second != 0.0).then_some(quota))
}
