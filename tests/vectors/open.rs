//! Options of a vector, and the engine that they open.

use std::time::Duration;

use oncegate::{
    Engine, EngineBuilder, FingerprintMode, KeyCharset, KeyRules, ManualClock, OnConflict, OnFull,
    OnLapse, Quota, Secret,
};

use crate::fields::{Failure, Fields, choice};
use crate::policy;

/// Opens the engine of a vector, with a clock that stands still.
pub(crate) fn open(mut options: Fields) -> Result<(Engine, ManualClock), Failure> {
    let clock = ManualClock::new();
    let mut builder = Engine::builder().clock(clock.clone());
    builder = sizes(builder, &mut options)?;
    builder = times(builder, &mut options)?;
    builder = choices(builder, &mut options)?;
    let own = options.bytes("secret")?;
    let secret = own.unwrap_or_else(|| (1..=32).collect());
    builder = builder.secret(Secret::from_bytes(&secret).map_err(|error| error.to_string())?);
    builder = builder.key_rules(key_rules(&mut options)?);
    builder = builder.jitter_seed(options.number("jitter_seed")?.unwrap_or(1));
    let policy = options.object("retry_policy")?;
    if !policy.is_empty() {
        builder = builder.retry_policy(policy::policy(policy)?);
    }
    options.finish()?;
    Ok((builder.build().map_err(|error| format!("opening: {error}"))?, clock))
}

fn sizes(mut builder: EngineBuilder, options: &mut Fields) -> Result<EngineBuilder, Failure> {
    let size = |value: u64| usize::try_from(value).unwrap_or(usize::MAX);
    builder = builder.capacity(size(options.number("capacity")?.unwrap_or(1_000)));
    if let Some(bytes) = options.number("outcome_limit")? {
        builder = builder.outcome_limit(size(bytes));
    }
    if let Some(bytes) = options.number("inline_outcome")? {
        builder = builder.inline_outcome(size(bytes));
    }
    if let Some(waiters) = options.number("max_waiters")? {
        builder = builder.max_waiters(waiters);
    }
    if let Some(records) = options.number("quota_max_live")? {
        builder = builder.default_quota(Quota::unlimited().max_live(records));
    }
    Ok(builder)
}

fn times(mut builder: EngineBuilder, options: &mut Fields) -> Result<EngineBuilder, Failure> {
    if let Some(ms) = options.number("lease_ms")? {
        builder = builder.lease_duration(Duration::from_millis(ms));
    }
    if let Some(ms) = options.number("dedup_window_ms")? {
        builder = builder.dedup_window(Duration::from_millis(ms));
    }
    if let Some(ms) = options.number("wait_ms")? {
        builder = builder.on_conflict(OnConflict::Wait(Duration::from_millis(ms)));
    }
    Ok(builder)
}

fn choices(mut builder: EngineBuilder, options: &mut Fields) -> Result<EngineBuilder, Failure> {
    if let Some(lapse) = options.text("on_lapse")? {
        builder = builder.on_lapse(choice("on_lapse", &lapse, LAPSES)?);
    }
    if let Some(full) = options.text("on_full")? {
        let choices = [("EVICT_LRU", OnFull::EvictLru), ("REJECT", OnFull::Reject)];
        builder = builder.on_full(choice("on_full", &full, &choices)?);
    }
    if let Some(mode) = options.text("fingerprint_mode")? {
        let choices =
            [("KEYED", FingerprintMode::Keyed), ("FAST_TRUSTED", FingerprintMode::FastTrusted)];
        builder = builder.fingerprint_mode(choice("fingerprint_mode", &mode, &choices)?);
    }
    Ok(builder)
}

fn key_rules(options: &mut Fields) -> Result<KeyRules, Failure> {
    let rules = KeyRules::any();
    let mut rules = match options.text("keys")?.as_deref() {
        None | Some("ANY") => rules,
        Some("VISIBLE") => rules.charset(KeyCharset::Visible),
        Some("ALPHANUMERIC") => rules.charset(KeyCharset::AlphanumericDashUnderscore),
        Some("HEX") => rules.charset(KeyCharset::Hex),
        Some("UUID") => rules.uuid(),
        Some(other) => return Err(format!("keys: there is no {other}")),
    };
    if let Some(bytes) = options.number("key_min_len")? {
        rules = rules.min_len(bytes as usize);
    }
    if let Some(bytes) = options.number("key_max_len")? {
        rules = rules.max_len(bytes as usize);
    }
    if options.flag("refuse_predictable_keys")? == Some(true) {
        rules = rules.refuse_predictable();
    }
    Ok(rules)
}

pub(crate) const LAPSES: &[(&str, OnLapse)] =
    &[("RECLAIM", OnLapse::Reclaim), ("UNKNOWN", OnLapse::Unknown), ("FAILED", OnLapse::Failed)];
