//! The numbers of a region, from one pass over its file.

use std::cmp::Reverse;

use super::entries;
use super::read::Pages;
use super::report::{
    Chunks, Inspection, KeyStatus, Leases, ProcessState, ProcessStatus, RetryEntries, ScopeStatus,
};
use crate::clock;
use crate::engine::{KeyState, OnFull};
use crate::error::Error;
use crate::fingerprint::FingerprintMode;
use crate::observe::Live;
use crate::outcome::ChunkImage;
use crate::region::geometry::{CHUNK_ENTRY_WORDS, PROCESS_WORDS, SCOPE_WORDS};
use crate::region::registry::{PID, SINCE_MS, TAKEN};
use crate::region::{SLOT_WORDS, header};
use crate::table::control::State;
use crate::table::image::SlotImage;
use crate::table::scope::{self, ScopeLimits};
use crate::table::slot::Kind;

pub(super) fn inspect(pages: &Pages<'_>) -> Result<Inspection, Error> {
    let (geometry, identity, header) = (pages.geometry(), &pages.identity, &pages.header);
    let mut census = Census::new(pages);
    census.take()?;
    let chunks = census.count_chunks()?;
    let retries = census.count_entries()?;
    let capacity = identity.option("capacity");
    let keys = KeyState::unpack(header[header::KEYS]);
    let reject = identity.option("on_full") == 0;
    let keyed = identity.option("fingerprint_mode") != 0;
    Ok(Inspection {
        format: header::format_of(&identity.words()),
        bytes: geometry.file_bytes(),
        capacity,
        slots: geometry.slots() as u64,
        sets: geometry.sets() as u64,
        inline_outcome: (geometry.inline_words() * size_of::<u64>()) as u64,
        outcome_limit: identity.option("outcome_limit"),
        max_processes: geometry.processes() as u64,
        max_scopes: identity.option("max_scopes"),
        on_full: if reject { OnFull::Reject } else { OnFull::EvictLru },
        fingerprint_mode: if keyed { FingerprintMode::Keyed } else { FingerprintMode::FastTrusted },
        epoch: header[header::EPOCH],
        same_boot: pages.is_of_this_boot(),
        now_ms: census.now_ms,
        records: census.records,
        half_done: census.half_done,
        fill: census.records.total() as f64 / capacity.max(1) as f64,
        leases: census.leases,
        processes: census.processes()?,
        buried: header[header::DEATHS],
        scopes: census.scopes()?,
        unlimited_records: census.by_scope.first().copied().unwrap_or(0),
        chunks,
        retries,
        keys: KeyStatus {
            generation: keys.generation,
            current: keys.current,
            is_rotating: keys.retiring.is_some(),
        },
    })
}

/// What is counted on the way through the slots.
struct Census<'p> {
    pages: &'p Pages<'p>,
    now_ms: u64,
    records: Live,
    half_done: u64,
    leases: Leases,
    by_scope: Vec<u64>,
    by_process: Vec<Held>,
}

/// What one process has in the region.
#[derive(Clone, Copy, Default)]
struct Held {
    leases: u64,
    half_done: u64,
    /// Whether it was alive when it was asked last.
    is_alive: bool,
}

impl<'p> Census<'p> {
    fn new(pages: &'p Pages<'p>) -> Self {
        Self {
            pages,
            now_ms: pages.now_ms(),
            records: Live::default(),
            half_done: 0,
            leases: Leases::default(),
            by_scope: vec![0; pages.geometry().scopes()],
            // An entry for whatever a word may say.
            by_process: vec![Held::default(); usize::from(u8::MAX) + 1],
        }
    }

    fn take(&mut self) -> Result<(), Error> {
        let geometry = self.pages.geometry();
        let (_, slots) = geometry.lines_and_slots();
        let stride = SLOT_WORDS + geometry.inline_words();
        self.pages.each(slots.start, stride, geometry.slots(), |_, words| {
            self.count(SlotImage::new(*words));
            Ok(())
        })
    }

    fn count(&mut self, slot: SlotImage) {
        let seen = slot.seen();
        match slot.state() {
            State::Vacant => {}
            State::Claimed | State::Inserting => {
                self.half_done += 1;
                self.by_process[usize::from(seen.owner())].half_done += 1;
            }
            State::Running => {
                self.records.running += 1;
                self.by_process[usize::from(seen.owner())].leases += 1;
                self.count_lease(slot);
            }
            State::Waiting => self.records.waiting += 1,
            State::Succeeded => self.records.succeeded += 1,
            State::Failed => self.records.failed += 1,
            State::Unknown => self.records.unknown += 1,
        }
        if seen.writing() {
            self.by_process[usize::from(seen.writer())].half_done += 1;
        }
        let scope = usize::from(slot.scope());
        if slot.state().is_record()
            && let Some(count) = self.by_scope.get_mut(scope)
        {
            *count += 1;
        }
    }

    fn count_lease(&mut self, slot: SlotImage) {
        if !self.is_alive(slot.seen().owner()) {
            self.leases.of_dead += 1;
            return;
        }
        // A lease that was taken a moment ago has no deadline of its own yet.
        let Some(deadline) = slot.deadline() else {
            self.leases.held += 1;
            return;
        };
        let left = deadline.at_ms.saturating_sub(self.now_ms);
        match deadline.kind {
            Kind::Window | Kind::Due => self.leases.ending += 1,
            Kind::Lease if left > 0 => {
                self.leases.held += 1;
                let next = &mut self.leases.next_lapse_ms;
                *next = Some(next.map_or(left, |next| next.min(left)));
            }
            Kind::Lease | Kind::Closed => {
                self.leases.lapsed += 1;
                let past = self.now_ms.saturating_sub(deadline.at_ms);
                self.leases.longest_lapsed_ms = self.leases.longest_lapsed_ms.max(Some(past));
            }
        }
    }

    /// Whether the process of entry `index` is alive. One that was not is asked for again: its
    /// entry may be another one's by now.
    fn is_alive(&mut self, index: u8) -> bool {
        let held = &mut self.by_process[usize::from(index)];
        held.is_alive = held.is_alive || self.pages.is_alive(index);
        held.is_alive
    }

    fn count_chunks(&mut self) -> Result<Chunks, Error> {
        let geometry = self.pages.geometry();
        let bytes_each = (geometry.chunk_words() * size_of::<u64>()) as u64;
        let mut chunks = Chunks { total: geometry.chunks() as u64, bytes_each, ..<_>::default() };
        let start = geometry.chunk_entry_at(0);
        self.pages.each(start, CHUNK_ENTRY_WORDS, geometry.chunks(), |_, words| {
            let chunk = ChunkImage::read(words);
            let kind = match chunk {
                _ if chunk.is_recycling() => &mut chunks.recycling,
                _ if chunk.is_torn() => &mut chunks.torn,
                _ if chunk.is_used() => &mut chunks.open,
                _ => &mut chunks.unused,
            };
            *kind += 1;
            chunks.live += u64::from(chunk.is_live(self.now_ms));
            let filled = (chunk.filled_words() * size_of::<u64>()) as u64;
            chunks.filled_bytes += filled.min(bytes_each);
            let busy = chunk.busy_process();
            self.by_process[usize::from(busy)].half_done += u64::from(busy != 0);
            Ok(())
        })?;
        Ok(chunks)
    }

    fn count_entries(&mut self) -> Result<RetryEntries, Error> {
        let (pages, mut claims) = (self.pages, [0_u64; u8::MAX as usize + 1]);
        let claimed = |owner: u8| claims[usize::from(owner)] += 1;
        let seen = entries::count(pages, self.now_ms, claimed, |owner| self.is_alive(owner))?;
        for (held, claims) in self.by_process.iter_mut().zip(claims) {
            held.half_done += claims;
        }
        Ok(seen)
    }

    fn processes(&mut self) -> Result<Vec<ProcessStatus>, Error> {
        let mut all = Vec::new();
        for index in 1..=self.pages.geometry().processes() {
            let at = self.pages.geometry().process_at(index).start;
            let entry: [u64; PROCESS_WORDS] = self.pages.words(at)?;
            let held = self.by_process[index];
            let index = index as u8;
            let state = match entry[PID] {
                _ if self.pages.is_alive(index) => ProcessState::Alive,
                0 => ProcessState::Left,
                _ => ProcessState::Dead,
            };
            let is_nobodys = entry[TAKEN] == 0 && held.leases + held.half_done == 0;
            if is_nobodys && state != ProcessState::Alive {
                continue;
            }
            all.push(ProcessStatus {
                index,
                state,
                pid: entry[PID],
                since_unix_ms: clock::unix_ms(entry[SINCE_MS]),
                leases: held.leases,
                half_done: held.half_done,
            });
        }
        Ok(all)
    }

    fn scopes(&self) -> Result<Vec<ScopeStatus>, Error> {
        let geometry = self.pages.geometry();
        let mut all = Vec::new();
        self.pages.each::<SCOPE_WORDS>(
            geometry.scope_at(0),
            SCOPE_WORDS,
            geometry.scopes(),
            |entry, words| {
                let found = scope::read_entry(words).filter(|_| entry != 0);
                all.extend(found.map(|found| self.scope(entry, found)));
                Ok(())
            },
        )?;
        all.sort_by_key(|scope| (Reverse(scope.records), scope.hash));
        Ok(all)
    }

    fn scope(&self, entry: usize, (hash, charged, limits): (u64, u64, ScopeLimits)) -> ScopeStatus {
        ScopeStatus {
            hash,
            records: self.by_scope.get(entry).copied().unwrap_or(0),
            charged,
            max_live: (limits.max_live != u64::MAX).then_some(limits.max_live),
            per_second: (limits.nanos_each != 0).then(|| 1e9 / limits.nanos_each as f64),
            by_name: limits.pinned,
            is_guest: hash == scope::GUEST,
        }
    }
}
