//! Sizes: what the settings of an engine come to in memory, after each was held to its limits.

use std::time::Duration;

use super::EngineBuilder;
use crate::engine::{OnConflict, OnFull, unauthenticated_quota};
use crate::error::{Error, ErrorCode};
use crate::fingerprint::FingerprintMode;
use crate::outcome::{self, Outcome};
use crate::region::{Geometry, INLINE_STEP, Identity, MAX_PROCESSES, WAYS};
use crate::table::set::MAX_SLOTS;

impl EngineBuilder {
    /// What all who share the region have in common.
    pub(super) fn identity(&self) -> Result<Identity, Error> {
        let geometry = self.geometry()?;
        let [live, each, burst] = self.default_quota.words()?;
        let unauthenticated =
            unauthenticated_quota(self.unauthenticated_quota, self.capacity).words()?;
        let [guest_live, guest_each, guest_burst] = unauthenticated;
        let options = [
            self.capacity as u64,
            self.outcome_limit as u64,
            u64::from(self.on_full == OnFull::EvictLru),
            u64::from(self.mode == FingerprintMode::Keyed),
            live,
            each,
            burst,
            guest_live,
            guest_each,
            guest_burst,
            self.max_scopes as u64,
            self.retries.context_limit as u64,
            self.retries.steps_limit as u64,
            self.retries.dead_letters(geometry.retries()) as u64,
        ];
        Ok(Identity { geometry, options })
    }

    /// The sizes of the region, after checking every limit.
    fn geometry(&self) -> Result<Geometry, Error> {
        let [least_records, least_outcome] = if self.tiny { [1, 1] } else { [16, 64] };
        within("capacity", self.capacity, least_records..=200_000_000)?;
        within("outcome_limit", self.outcome_limit, least_outcome..=1_000_000)?;
        within("inline_outcome", self.inline_outcome, 0..=MAX_INLINE)?;
        self.key_rules.validate()?;
        within("max_scopes", self.max_scopes, 2..=32_000)?;
        within("max_processes", self.max_processes, 1..=MAX_PROCESSES)?;
        self.default_quota.check("default_quota")?;
        if let Some(quota) = self.unauthenticated_quota {
            quota.check("unauthenticated_quota")?;
        }
        // Twice as many entries: half empty, they are found within a few probes.
        // Half of those that are tried, the one that is none, and the guest's.
        let scopes = 2 * self.max_scopes + 2;
        lasts("lease_duration", self.lease, YEAR)?;
        lasts("dedup_window", self.window, TEN_YEARS)?;
        if let OnConflict::Wait(limit) = self.on_conflict {
            lasts("on_conflict", limit, YEAR)?;
        }
        if let Some(fill) = &self.fill {
            fill.check()?;
        }
        within("max_in_flight", self.max_in_flight, 1..=usize::MAX)?;
        self.retry_policy.check()?;
        let too_large =
            || Error::new(ErrorCode::InvalidConfig, "region", "sizes beyond the address space", "");
        let inline = self.inline_outcome.div_ceil(INLINE_STEP * size_of::<u64>()) * INLINE_STEP;
        if self.tiny {
            let retries = self.retries.most.unwrap_or(0);
            let [chunks, words] = if retries == 0 { TINY_CHUNKS } else { RETRYING_CHUNKS };
            let processes = self.max_processes;
            return Geometry::new(2, inline, scopes, chunks, words, processes, retries)
                .ok_or_else(too_large);
        }
        // At a live load of 0.85 two sets of 32 ways lose nothing in the steady state.
        let slots = (self.capacity * 20).div_ceil(17);
        let sets = slots.div_ceil(WAYS).max(2);
        debug_assert!(sets * WAYS <= MAX_SLOTS);
        let (chunks, chunk_words) = self.chunks()?;
        let chunk_bytes = chunk_words * size_of::<u64>();
        let retries = self.retries.count(self.capacity, chunks * chunk_bytes, chunk_bytes);
        self.retries.check(retries, chunks * chunk_bytes)?;
        let processes = self.max_processes;
        Geometry::new(sets, inline, scopes, chunks, chunk_words, processes, retries)
            .ok_or_else(too_large)
    }

    /// How the outcome budget is cut into chunks: each holds some of the largest outcomes, and
    /// there are enough of them that recycling one forgets little.
    fn chunks(&self) -> Result<(usize, usize), Error> {
        // Where little room was asked for, none is added for retries that nobody asked for.
        let asked = self.retries.most.map_or(self.outcome_bytes.is_none(), |most| most > 0);
        let journal = if asked { self.retries.largest() } else { 0 };
        let largest = Outcome::new(0, []).stored_bytes() + self.outcome_limit.max(journal) + SLACK;
        let retried = self.retries.most.unwrap_or(0).saturating_mul(self.retries.largest());
        // Cutting it into chunks loses less than one.
        let retried =
            if retried == 0 { 0 } else { retried.saturating_mul(2) + (64 << 10) + largest };
        let least = largest.saturating_mul(16).max(retried);
        let budget = self.outcome_bytes.unwrap_or((self.capacity * 256).max(least));
        if budget < largest * 2 {
            let limit = format!("at least two outcomes of the largest size, {} bytes", largest * 2);
            let found = format!("{budget} bytes");
            return Err(Error::new(ErrorCode::InvalidConfig, "outcome_bytes", found, limit));
        }
        let words = |bytes: usize| bytes / size_of::<u64>();
        let wanted = (budget / 256).clamp(LEAST_CHUNK, 64 << 10).max(largest).next_multiple_of(64);
        let largest_chunk = outcome::MAX_CHUNK_WORDS * size_of::<u64>();
        // A budget beyond what small chunks can name gets larger ones.
        let chunk = wanted.max(budget.div_ceil(outcome::MAX_CHUNKS)).min(largest_chunk);
        // However small the budget, it holds two of them, and each holds a largest outcome.
        let chunk = chunk.min(budget / 2);
        let chunks = budget / chunk;
        within("outcome_bytes", chunks, 2..=outcome::MAX_CHUNKS)?;
        Ok((chunks, words(chunk.next_multiple_of(64))))
    }
}

fn within(
    field: &'static str,
    found: usize,
    range: std::ops::RangeInclusive<usize>,
) -> Result<(), Error> {
    if range.contains(&found) {
        return Ok(());
    }
    let limit = format!("{} to {}", range.start(), range.end());
    Err(Error::new(ErrorCode::InvalidConfig, field, found.to_string(), limit))
}

fn lasts(field: &'static str, found: Duration, most: Duration) -> Result<(), Error> {
    check_duration(ErrorCode::InvalidConfig, field, found, most)
}

/// Refuses durations below a millisecond and above `most`.
#[inline]
pub(crate) fn check_duration(
    code: ErrorCode,
    field: &'static str,
    found: Duration,
    most: Duration,
) -> Result<(), Error> {
    if found >= Duration::from_millis(1) && found <= most {
        return Ok(());
    }
    Err(out_of_range(code, field, found, most))
}

#[cold]
fn out_of_range(code: ErrorCode, field: &'static str, found: Duration, most: Duration) -> Error {
    let limit = format!("1 ms to {} s", most.as_secs());
    Error::new(code, field, format!("{} ms", found.as_millis()), limit)
}

/// Number and words of the chunks of a tiny engine; a model needs even smaller ones.
const TINY_CHUNKS: [usize; 2] = if MODELLED { [2, 8] } else { [4, 48] };
/// The same where records are retried, whose journals need more room.
const RETRYING_CHUNKS: [usize; 2] = if MODELLED { [3, 32] } else { [8, 128] };
pub(super) const TINY_OUTCOME: usize = if MODELLED { 8 } else { 64 };
/// What a reference can tell, in whole lines.
const MAX_INLINE: usize = 448;
/// Bytes of the smallest chunk: a page.
const LEAST_CHUNK: usize = if MODELLED { 256 } else { 4 << 10 };
const MODELLED: bool = cfg!(any(oncegate_loom, oncegate_shuttle));
/// The longest lease.
pub(crate) const YEAR: Duration = Duration::from_secs(366 * 24 * 3600);
/// The longest dedup window.
pub(crate) const TEN_YEARS: Duration = Duration::from_secs(3653 * 24 * 3600);
/// What metadata and rounding may add to the body of an outcome.
const SLACK: usize = 64;
