//! A table as JSON: the same names as in the engine's own types.

use std::path::Path;

use oncegate::{Finding, FingerprintMode, Inspection, OnFull, ProcessStatus, ScopeStatus};
use serde_json::{Value, json};

use super::text::first_processes;

/// The whole of an inspection of the table at `path`, with the first `top` of its processes and
/// scopes.
pub(super) fn inspection(path: &Path, seen: &Inspection, top: usize) -> Value {
    let mut object = made_for(seen);
    if let (Some(all), Value::Object(more)) = (object.as_object_mut(), state(seen)) {
        all.extend(more);
        all.insert("path".to_owned(), path.to_string_lossy().into());
        let processes = first_processes(seen).into_iter().take(top).map(process).collect();
        all.insert("processes".to_owned(), Value::Array(processes));
        all.insert("processes_total".to_owned(), seen.processes.len().into());
        let scopes = seen.scopes.iter().take(top).map(scope).collect();
        all.insert("scopes".to_owned(), Value::Array(scopes));
        all.insert("scopes_total".to_owned(), seen.scopes.len().into());
    }
    object
}

fn made_for(seen: &Inspection) -> Value {
    json!({
        "format": seen.format,
        "bytes": seen.bytes,
        "capacity": seen.capacity,
        "slots": seen.slots,
        "sets": seen.sets,
        "inline_outcome": seen.inline_outcome,
        "outcome_limit": seen.outcome_limit,
        "max_processes": seen.max_processes,
        "max_scopes": seen.max_scopes,
        "on_full": match seen.on_full {
            OnFull::Reject => "reject",
            _ => "evict_lru",
        },
        "fingerprint_mode": match seen.fingerprint_mode {
            FingerprintMode::Keyed => "keyed",
            _ => "fast_trusted",
        },
    })
}

fn state(seen: &Inspection) -> Value {
    let (records, leases) = (&seen.records, &seen.leases);
    let (chunks, retries) = (&seen.chunks, &seen.retries);
    json!({
        // Beyond what a double holds.
        "epoch": seen.epoch.to_string(),
        "same_boot": seen.same_boot,
        "now_ms": seen.now_ms,
        "records": {
            "running": records.running,
            "waiting": records.waiting,
            "succeeded": records.succeeded,
            "failed": records.failed,
            "unknown": records.unknown,
            "total": records.total(),
        },
        "half_done": seen.half_done,
        "fill": seen.fill,
        "leases": {
            "held": leases.held,
            "lapsed": leases.lapsed,
            "of_dead": leases.of_dead,
            "ending": leases.ending,
            "longest_lapsed_ms": leases.longest_lapsed_ms,
            "next_lapse_ms": leases.next_lapse_ms,
        },
        "buried": seen.buried,
        "unlimited_records": seen.unlimited_records,
        "chunks": {
            "total": chunks.total,
            "bytes_each": chunks.bytes_each,
            "unused": chunks.unused,
            "open": chunks.open,
            "recycling": chunks.recycling,
            "torn": chunks.torn,
            "live": chunks.live,
            "filled_bytes": chunks.filled_bytes,
        },
        "retries": {
            "total": retries.total,
            "running": retries.running,
            "waiting": retries.waiting,
            "due": retries.due,
            "unknown": retries.unknown,
            "dead_letters": retries.dead_letters,
            "max_dead_letters": retries.max_dead_letters,
            "claimed": retries.claimed,
            "left_over": retries.left_over,
        },
        "keys": {
            "generation": seen.keys.generation,
            "current": seen.keys.current,
            "is_rotating": seen.keys.is_rotating,
        },
    })
}

/// One process.
fn process(status: &ProcessStatus) -> Value {
    json!({
        "index": status.index,
        "state": status.state.name(),
        "pid": status.pid,
        "since_unix_ms": status.since_unix_ms,
        "leases": status.leases,
        "half_done": status.half_done,
    })
}

/// One scope.
pub(super) fn scope(status: &ScopeStatus) -> Value {
    json!({
        "hash": format!("{:016x}", status.hash),
        "records": status.records,
        "charged": status.charged,
        "max_live": status.max_live,
        "per_second": status.per_second,
        "by_name": status.by_name,
        "is_guest": status.is_guest,
    })
}

/// One finding of a check.
pub(super) fn finding(finding: &Finding) -> Value {
    json!({
        "severity": finding.severity.name(),
        "code": finding.code,
        "text": finding.text,
        "advice": finding.advice,
    })
}
