//! Quotas, in plain sequential code: which new records a scope may make, and when.
//!
//! A record counts for its scope if the scope had a quota other than the default one, which is
//! none, when the record was made, until the record is cleared.

use std::collections::HashMap;
use std::time::Duration;

use oncegate::{Error, ErrorCode};

use crate::model::Oracle;
use crate::ops::Limits;
use crate::requests::Tenant;

#[derive(Debug, Default)]
pub(crate) struct Quotas {
    of_scope: HashMap<Tenant, Used>,
    /// Requests whose record counts.
    counted: HashMap<usize, Tenant>,
    pub(crate) refused: u64,
}

#[derive(Debug)]
struct Used {
    limits: Limits,
    /// When the next record is due at the rate, in nanoseconds.
    arrival: u64,
}

impl Quotas {
    pub(crate) fn set(&mut self, tenant: Tenant, limits: Limits) {
        let used = self.of_scope.entry(tenant).or_insert(Used { limits, arrival: 0 });
        used.limits = limits;
    }

    /// A record was made for `key`. Says what stood against it.
    pub(crate) fn made(
        &mut self,
        key: usize,
        tenant: Tenant,
        oracle: &Oracle,
        (now_ms, now_us): (u64, u64),
    ) -> Result<(), String> {
        let (fewest, _) = self.records(key, tenant, oracle, now_ms);
        self.counted.remove(&key);
        let Some(used) = self.of_scope.get_mut(&tenant) else { return Ok(()) };
        if used.limits.max_live.is_none() && used.limits.rate.is_none() {
            // What was set back to the default counts no more.
            return Ok(());
        }
        let now = now_us * 1_000;
        if used.limits.max_live.is_some_and(|limit| fewest >= limit) {
            return Err(format!("made beside {fewest} of {used:?}"));
        }
        if used.wait(now).is_some() {
            return Err(format!("made too early, at {now} of {used:?}"));
        }
        let each = used.nanos_each();
        if each > 0 {
            used.arrival = used.arrival.max(now) + each;
        }
        self.counted.insert(key, tenant);
        Ok(())
    }

    /// A new record for `key` was refused. Says what speaks for it.
    pub(crate) fn refused(
        &mut self,
        key: usize,
        tenant: Tenant,
        oracle: &Oracle,
        (now_ms, now_us): (u64, u64),
        error: &Error,
    ) -> Result<(), String> {
        self.refused += 1;
        let (fewest, most) = self.records(key, tenant, oracle, now_ms);
        let limits = self.of_scope.get(&tenant).map(|used| used.limits);
        let limit = limits.and_then(|limits| limits.max_live).unwrap_or(u64::MAX);
        let wait = self.of_scope.get(&tenant).and_then(|used| used.wait(now_us * 1_000));
        let right = match error.retry_after() {
            None => most >= limit,
            told => fewest < limit && told == wait,
        };
        if right && error.code() == ErrorCode::QuotaExceeded {
            return Ok(());
        }
        Err(format!("{error} with {fewest} to {most} records of {limits:?}, due in {wait:?}"))
    }

    /// Fewest and most records that count for `tenant`, without that of `key`.
    fn records(&self, key: usize, tenant: Tenant, oracle: &Oracle, now: u64) -> (u64, u64) {
        let others = self.counted.iter().filter(|(other, of)| **other != key && **of == tenant);
        others.fold((0, 0), |(fewest, most), (other, _)| {
            let (certain, perhaps) = oracle.has_record(*other, now);
            (fewest + u64::from(certain), most + u64::from(perhaps))
        })
    }
}

impl Used {
    /// Whole nanoseconds of one record; zero without a rate.
    fn nanos_each(&self) -> u64 {
        self.limits.rate.map_or(0, |(per_second, _)| (1e9 / per_second).round() as u64)
    }

    /// How long the rate asks to wait; told in milliseconds at least.
    fn wait(&self, now: u64) -> Option<Duration> {
        let (_, burst) = self.limits.rate?;
        let ahead = self.nanos_each() * u64::from(burst - 1);
        let early = self.arrival.checked_sub(now + ahead).filter(|early| *early > 0)?;
        Some(Duration::from_nanos(early).max(Duration::from_millis(1)))
    }
}
