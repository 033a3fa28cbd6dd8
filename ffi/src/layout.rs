//! Layouts: where each field of each structure of the header lies, as the library has it. Whoever
//! describes the structures in another language reads them back, and compares.

use std::ffi::c_char;
use std::mem::offset_of;

use crate::adaptive::RawAdaptive;
use crate::attempts::RawAttempt;
use crate::begin::{Hashed, RawAdmission, RawBeginOptions};
use crate::budget::RawBudget;
use crate::drive::RawDriven;
use crate::engine::RawSwept;
use crate::entry::{ErrorInfo, entry};
use crate::events::Event;
use crate::later::{RawAttemptError, RawLater};
use crate::lease::{Lease, LeaseInfo};
use crate::letters::{RawLetter, RawLetterFilter, RawLetterId, RawPastAttempt};
use crate::options::{RawOptions, RawQuota};
use crate::outcome::{Pair, RawOutcome, StoredOutcome};
use crate::policy::RawRetryPolicy;
use crate::raw::{Buffer, Bytes, Out, OutElements, Plain};
use crate::reconcile::Question;
use crate::request::RawRequest;
use crate::stats::{RawLatency, RawStats};
use crate::status::Status;
use crate::steps::Step;
use crate::tier::{RawTierOptions, RawTierStats};
use crate::waits::Completion;

/// Where a field of a structure lies, or how large the structure is.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct RawLayout {
    /// The structure, as the header calls it, zero-terminated. It is never freed.
    pub structure: *const c_char,
    /// The field, zero-terminated. `NULL`: the structure itself.
    pub field: *const c_char,
    /// Where the field begins, in bytes.
    pub offset: usize,
    /// How many bytes it takes.
    pub size: usize,
}

// SAFETY: `repr(C)`, numbers and pointers.
unsafe impl Plain for RawLayout {}

/// Tells the layout of every structure: first the structure itself, then its fields in their order.
///
/// `*count` is how many there are; at most `capacity` of them are written, and `layouts` may be
/// `NULL` where that is 0. For the tests of bindings. Any thread may call it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oncegate_layouts(
    layouts: *mut RawLayout,
    capacity: usize,
    count: *mut usize,
    error: *mut ErrorInfo,
) -> Status {
    entry!(error; layouts = OutElements::new, capacity; count = Out::new; => {
        let mut layouts = layouts;
        for (index, known) in KNOWN.iter().enumerate() {
            layouts.set(index, known.raw());
        }
        count.write(KNOWN.len());
        Ok(())
    })
}

struct Known {
    structure: &'static str,
    field: Option<&'static str>,
    offset: usize,
    size: usize,
}

impl Known {
    fn raw(&self) -> RawLayout {
        // Both end with a zero, by the macro below.
        RawLayout {
            structure: self.structure.as_ptr().cast(),
            field: self.field.map_or(std::ptr::null(), |field| field.as_ptr().cast()),
            offset: self.offset,
            size: self.size,
        }
    }
}

/// The size of the field that a function leads to.
const fn size_of_field<S, F>(_: fn(&S) -> &F) -> usize {
    size_of::<F>()
}

/// Lists structures with all of their fields: one that is left out does not compile.
macro_rules! known {
    ($($of:ident $name:literal { $($field:ident),* $(,)? })*) => {
        const KNOWN: &[Known] = &[$(
            Known {
                structure: concat!($name, "\0"),
                field: None,
                offset: 0,
                size: size_of::<$of>(),
            },
            $(Known {
                structure: concat!($name, "\0"),
                field: Some(concat!(stringify!($field), "\0")),
                offset: offset_of!($of, $field),
                size: size_of_field(|of: &$of| &of.$field),
            },)*
        )*];
        $(const _: fn(&$of) = |$of { $($field: _),* }: &$of| ();)*
    };
}

known! {
    RawAdaptive "oncegate_adaptive" {
        struct_size, lag_target_ms, ready_target, in_flight_target, load_target,
        interval_ms, quiet_ms, decrease, increase, max_factor, max_base, max_ceiling,
        max_width,
    }
    RawAdmission "oncegate_admission" {
        verdict, status, lease, fencing_token, attempt, how, time_ms, outcome,
    }
    RawAttempt "oncegate_attempt" {
        lease, fencing_token, remaining_ms, attempt, reserved, operation_offset, operation_len,
        context_offset, context_len,
    }
    RawAttemptError "oncegate_attempt_error" {
        struct_size, kind, hint, hint_after_ms, error_class, terminal, reserved, outcome,
    }
    RawBeginOptions "oncegate_begin_options" {
        struct_size, lease_ms, dedup_window_ms, wait_ms, on_lapse, run_due,
    }
    RawBudget "oncegate_budget" {
        struct_size, kind, preset, name, capacity, cost_transient, cost_throttled,
        cost_timeout, charge, refund_cost, threshold, success, refill_per_second, ratio,
        min_per_second, ttl_ms, slices, share, min_retries,
    }
    Buffer "oncegate_buffer" {
        data, capacity, needed,
    }
    Bytes "oncegate_bytes" {
        data, len,
    }
    Completion "oncegate_completion" {
        id, user_data, admission,
    }
    RawDriven "oncegate_driven" {
        looked_at, ready, due_in_ms, more, reserved,
    }
    ErrorInfo "oncegate_error" {
        struct_size, status, transient, retry_after_ms, field, message,
    }
    Event "oncegate_event" {
        kind, process, level, fill, slot, stands_ms, text,
    }
    Hashed "oncegate_hashed" {
        scope_kind, reserved, scope, fingerprint, payload_digest,
    }
    RawLater "oncegate_later" {
        verdict, reason, next_attempt, kept, due_in_ms,
    }
    RawLatency "oncegate_latency" {
        p50_ns, p99_ns, p999_ns,
    }
    RawLayout "oncegate_layout" {
        structure, field, offset, size,
    }
    Lease "oncegate_lease" {
        token,
    }
    LeaseInfo "oncegate_lease_info" {
        fencing_token, remaining_ms, attempt, how,
    }
    RawLetter "oncegate_letter" {
        id, reason, attempts, past_count, left_out, step_count, reserved, buried_unix_ms,
        operation_offset, operation_len, context_offset, context_len, class_offset,
        class_len, steps_offset, steps_len,
    }
    RawLetterFilter "oncegate_letter_filter" {
        struct_size, reason, reserved, operation, error_class, since_unix_ms, until_unix_ms,
    }
    RawLetterId "oncegate_letter_id" {
        place, generation,
    }
    RawOptions "oncegate_options" {
        struct_size, capacity, outcome_bytes, inline_outcome, outcome_limit, lease_ms,
        dedup_window_ms, wait_ms, max_processes, max_scopes, max_waiters, reach, file_flags,
        path, secret, retiring_secret, fingerprint_mode, keys, key_min_len, key_max_len,
        refuse_predictable_keys, clock, on_lapse, on_full, default_quota,
        unauthenticated_quota, prefault, tiny, fill_levels, fill_level_count,
        ticker_period_ms, driver, on_letters_full, max_in_flight, max_retrying,
        context_limit, steps_limit, max_dead_letters, jitter_seed, retry_policy, adaptive,
        reconcile, reserved, tier,
    }
    RawOutcome "oncegate_outcome" {
        struct_size, status, withheld, body, metadata, metadata_count,
    }
    Pair "oncegate_pair" {
        name, value,
    }
    RawPastAttempt "oncegate_past_attempt" {
        fencing_token, began_unix_ms, ended_unix_ms, attempt, end, process, reserved,
        class_offset, class_len,
    }
    Question "oncegate_question" {
        id, fencing_token, attempt, reserved, operation_offset, operation_len, context_offset,
        context_len,
    }
    RawQuota "oncegate_quota" {
        max_live, rate_per_second, burst, reserved,
    }
    RawRequest "oncegate_request" {
        struct_size, scope_kind, key_kind, payload_kind, reserved, scope, operation, key,
        payload, boundary, excluded, excluded_count, included, included_count,
    }
    RawRetryPolicy "oncegate_retry_policy" {
        struct_size, preset, backoff, jitter, max_attempts, multiplier, jitter_share,
        initial_ms, increment_ms, max_ms, delays_ms, delay_count, deadline_ms, expected_ms,
        attempt_timeout_ms, ignore_hints, reserved, hint_min_ms, hint_max_ms,
        hint_beyond_drawn_ms,
    }
    RawStats "oncegate_stats" {
        struct_size, begun, created, reused, expired, retried, replayed, in_progress,
        scheduled, mismatched, unresolved, outcome_gone, fenced, lapsed, completed,
        evicted_expired, evicted_early, outcomes_evicted, full, quota, waiters, hand_offs,
        live_running, live_waiting, live_succeeded, live_failed, live_unknown,
        retries_scheduled, retries_waiting, retries_ready, retries_in_flight, dead_letters,
        buried, redriven, discarded, letters_lost, stuck, bytes, fill, outcome_fill,
        backoff_factor, begin, complete, dispatch_lag,
    }
    Step "oncegate_step" {
        name_offset, name_len, result_offset, result_len,
    }
    StoredOutcome "oncegate_stored_outcome" {
        status, metadata_count, metadata_offset, metadata_len, body_offset, body_len,
    }
    RawSwept "oncegate_swept" {
        visited, cleared, lapsed,
    }
    RawTierOptions "oncegate_tier_options" {
        struct_size, url, prefix, encryption_key, retiring_key, deadline_ms,
        latency_objective_ms, lease_slice_ms, margin_ms, poll_every_ms, quarantine_ms,
        undelivered, on_outage, allow_eviction, tls_root, tls_certificate, tls_key, cluster,
        reserved, dead_letters, wait_replicas, wait_replicas_ms, outcome_limit, compress_from,
        sentinel_name, sentinels,
    }
    RawTierStats "oncegate_tier_stats" {
        struct_size, granted, imported, elsewhere, refused, local_only, unknown, undelivered,
        delivered_late, undelivered_lost, conflicts, sessions_lost, breaker_open, hazards,
        letters_logged, letters_waiting, letters_lost,
    }
}
