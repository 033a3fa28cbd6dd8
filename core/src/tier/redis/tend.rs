//! What is done now and then: a table says that it is there, the store is looked after, and what
//! other tables left behind is found.

use std::collections::HashMap;
use std::time::Duration;

use redis::Value;

use super::ask::Request;
use super::fault::Fault;
use super::link::Op;
use super::node::Greeting;
use super::scripts::Script;
use super::wire::{Seen, beat, due, pack, reading, seen};
use super::{Redis, keys};
use crate::clock::{Clock, PreciseClock};
use crate::sync::Ordering;
use crate::tier::{FenceClock, Hazard, Orphan, Sighting, TableId, TierKey};

impl Redis {
    pub(super) fn tend(
        &self,
        table: TableId,
        lasts: Duration,
        deadline: Duration,
    ) -> Result<Vec<Hazard>, Fault> {
        let left = || deadline.saturating_sub(PreciseClock.now());
        let (bucket, name) = keys::table(&self.core.settings.prefix, table);
        let fixed = beat(lasts.max(Duration::from_millis(1)), self.shift());
        let op = Op::plain(Script::Beat.call(&[&name], &[&fixed]));
        self.process().routes.ask(Request { bucket, op, again: None }, left())?;
        let mut hazards = Vec::new();
        let map = self.process().routes.map(deadline)?;
        for link in &map.links {
            let ops = Greeting::SECTIONS.map(|section| Op::plain(pack(&[b"INFO", section])));
            let mut greeting = Greeting::default();
            for answer in link.call(ops.to_vec(), deadline) {
                greeting.read(&answer?);
            }
            greeting.hazards(&mut hazards);
        }
        hazards.extend(self.clock_behind(bucket, left())?);
        Ok(hazards)
    }

    /// Whether the server's clock is behind the highest token of this bucket.
    fn clock_behind(&self, bucket: u8, within: Duration) -> Result<Option<Hazard>, Fault> {
        let guard = keys::guard(&self.core.settings.prefix, bucket);
        let plain = |bytes| Request { bucket, op: Op::plain(bytes), again: None };
        let requests = vec![plain(pack(&[b"GET", &guard])), plain(pack(&[b"TIME"]))];
        let mut answers = self.ask_all(requests, within).into_iter();
        let (Some(guard), Some(time)) = (answers.next(), answers.next()) else { return Ok(None) };
        let (Value::BulkString(guard), Value::Array(time)) = (guard?, time?) else {
            return Ok(None);
        };
        let highest = guard.get(8..14).map(|ms| {
            let mut bytes = [0; 8];
            bytes[..ms.len()].copy_from_slice(ms);
            u64::from_le_bytes(bytes).saturating_add(FenceClock::START_MS)
        });
        let now = match time.first() {
            Some(Value::BulkString(seconds)) => {
                str::from_utf8(seconds).ok().and_then(|text| text.parse::<u64>().ok())
            }
            _ => None,
        };
        let (Some(highest), Some(now)) = (highest, now) else { return Ok(None) };
        let now = now.saturating_mul(1_000).saturating_add_signed(self.shift());
        let by = highest.saturating_sub(now);
        // The time was read in whole seconds.
        Ok((by > 1_000).then(|| Hazard::ClockBehind { by: Duration::from_millis(by) }))
    }

    pub(super) fn look_for_orphans(
        &self,
        limit: usize,
        deadline: Duration,
    ) -> Result<Vec<Orphan>, Fault> {
        let left = || deadline.saturating_sub(PreciseClock.now());
        // Relaxed: who looks where orders nothing.
        let turn = self.core.turn.fetch_add(BUCKETS_PER_LOOK, Ordering::Relaxed);
        let fixed = due(limit.saturating_mul(4).clamp(64, MOST_IN_A_CALL), self.shift());
        let buckets: Vec<u8> = (turn..turn + BUCKETS_PER_LOOK).map(|bucket| bucket as u8).collect();
        let requests = buckets.chunks(self.core.settings.place.keys_together()).map(|part| {
            let names = part.iter().map(|&at| keys::schedule(&self.core.settings.prefix, at));
            let names: Vec<Vec<u8>> = names.collect();
            let names: Vec<&[u8]> = names.iter().map(Vec::as_slice).collect();
            let op = Op::plain(Script::Due.call(&names, &[&fixed]));
            Request { bucket: part[0], op, again: None }
        });
        let mut due: Vec<[u8; TierKey::BYTES]> = Vec::new();
        for answer in self.ask_all(requests.collect(), left()) {
            let Value::Array(members) = answer? else { return Err(Fault::odd_reply()) };
            let keys = members.iter().filter_map(|member| match member {
                Value::BulkString(bytes) => <[u8; TierKey::BYTES]>::try_from(bytes.as_slice()).ok(),
                _ => None,
            });
            due.extend(keys);
        }
        // Some are their tables' own yet: a few looks find the others, and none is without bound.
        due.truncate(MOST_IN_A_CALL);
        let due: Vec<TierKey> = due.into_iter().map(TierKey::from_bytes).collect();
        let fixed = reading(true, self.shift());
        let reads = due.iter().map(|&key| {
            let op = Op::plain(self.script(Script::Read, key, &[&fixed]));
            Request { bucket: keys::bucket(key), op, again: None }
        });
        let answers = self.ask_all(reads.collect(), left());
        let mut found = Vec::new();
        for (key, answer) in due.into_iter().zip(answers) {
            let seen =
                seen(answer?, key, &self.core.settings.codec).ok_or_else(Fault::odd_reply)?;
            found.extend(seen.and_then(|seen| orphan(key, seen)));
        }
        self.keep_abandoned(&mut found, left())?;
        found.truncate(limit);
        Ok(found)
    }

    /// Leaves those whose table is not there.
    fn keep_abandoned(&self, found: &mut Vec<Orphan>, within: Duration) -> Result<(), Fault> {
        let mut alive: HashMap<u128, bool> = HashMap::new();
        found.iter().for_each(|orphan| {
            alive.insert(orphan.holder.table.0, true);
        });
        let tables: Vec<u128> = alive.keys().copied().collect();
        let fixed = beat(Duration::ZERO, self.shift());
        let requests = tables.iter().map(|&table| {
            let (bucket, name) = keys::table(&self.core.settings.prefix, TableId(table));
            let op = Op::plain(Script::Beat.call(&[&name], &[&fixed]));
            Request { bucket, op, again: None }
        });
        for (table, answer) in tables.iter().zip(self.ask_all(requests.collect(), within)) {
            alive.insert(*table, answer? != Value::Int(0));
        }
        found.retain(|orphan| alive.get(&orphan.holder.table.0) == Some(&false));
        Ok(())
    }
}

impl Greeting {
    fn hazards(&self, out: &mut Vec<Hazard>) {
        let mut add = |hazard| {
            if !out.contains(&hazard) {
                out.push(hazard);
            }
        };
        if self.evicts() {
            add(Hazard::Evicts { policy: self.policy.clone() });
        }
        let percent = self.memory.saturating_mul(100).checked_div(self.memory_limit);
        if let Some(percent) = percent.filter(|percent| *percent >= ALMOST_FULL) {
            add(Hazard::AlmostFull { percent: percent.min(100) as u8 });
        }
        if !self.persistent {
            add(Hazard::NotPersistent);
        }
    }
}

fn orphan(key: TierKey, seen: Seen) -> Option<Orphan> {
    match seen.sighting {
        Sighting::Waiting { next_attempt, due_in, .. } if seen.scheduled && due_in.is_zero() => {
            let (holder, digest, context) = (seen.holder, seen.digest, seen.context);
            Some(Orphan { key, holder, next_attempt, digest, context })
        }
        _ => None,
    }
}

/// Eight looks go round.
const BUCKETS_PER_LOOK: u64 = 32;
const MOST_IN_A_CALL: usize = 4_096;
const ALMOST_FULL: u64 = 90;
