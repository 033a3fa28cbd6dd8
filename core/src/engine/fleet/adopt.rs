//! Adopt: records that the scheduler of another host retried, and that host is there no more.

use std::sync::Arc;
use std::time::Duration;

use super::super::retrying::Keeping;
use super::super::{Engine, OnLapse, keys};
use super::link::{Counts, Fleet};
use super::parcel::{How, Parcel};
use crate::retry::journal::Journal;
use crate::table::control::{Fence, State};
use crate::table::slot::{DigestWord, Lapse};
use crate::table::{Draft, Found, Insertion, LeaseDraft};
use crate::tier::{Claim, Claimed, Orphan, TierKey};

impl Engine {
    /// Takes in what the porter has found without a host: it is due here from now on. For whoever
    /// asks for attempts; the tier decides which host gets each.
    pub(in super::super) fn adopt_orphans(&self) {
        let Some(fleet) = &self.fleet else { return };
        fleet.looks_for_orphans(self.scheduler());
        for orphan in fleet.take_orphans() {
            self.adopt(fleet, &orphan);
        }
    }

    fn adopt(&self, fleet: &Arc<Fleet>, orphan: &Orphan) {
        // Without what it was to be run with, whoever asks for it next may run it.
        let journal = Journal::decode(&orphan.context);
        let mut journal = journal.unwrap_or_default();
        let is_known = !journal.operation.is_empty();
        self.rebase(&mut journal);
        // It stands for all that were made elsewhere, and never runs.
        let attempt = u16::try_from(orphan.next_attempt.saturating_sub(1)).unwrap_or(u16::MAX);
        let rules = self.rules();
        let until_ms = rules.now_ms.saturating_add(rules.default_lease_ms);
        let digest = DigestWord::of_word(orphan.digest);
        let key = keys::short(keys::load(&self.region).current);
        let draft = Draft {
            scope: 0,
            attempt: attempt.max(1),
            digest: digest.with_key(key),
            lease: LeaseDraft { until_ms, lapse: Lapse::Reclaim },
        };
        let probe = self.table.probe(fingerprint_of(orphan.key));
        let inserted = self.table.insert(&probe, None, &draft, &rules, None, || true);
        // There is one already, or no room: then it is another host's.
        let Insertion::Inserted { slot, seen, .. } = inserted else { return };
        self.counters.live(State::Running, 1);
        let found = Found { slot, seen };
        let keeping = Keeping { found, entry: None, scope: 0, journal: &journal, rules };
        let kept = if is_known { self.keep_journal(&keeping) } else { Ok(None) };
        match kept {
            Ok(Some((entry, _))) if self.table.set_due(slot, seen, rules.now_ms) => {
                Counts::add(&fleet.counts.adopted);
                self.end_failing(found, rules.now_ms, &rules);
                self.announce(entry, rules.now_ms);
            }
            Ok(Some((entry, made))) => _ = self.withdraw(entry, made),
            Ok(None) => {
                self.release_orphan(fleet, orphan, found);
                self.table.withdraw(slot, seen);
            }
            Err(_) => _ = self.table.withdraw(slot, seen),
        }
    }

    /// The journal as another host reads it: its times are those of the wall, and its attempts are
    /// counted as in the fleet, where that of `parcel` is the last.
    pub(super) fn for_the_fleet(&self, journal: &Journal, parcel: &Parcel) -> Vec<u8> {
        let mut told = journal.clone();
        let ahead = self.life.time().wall_ms().wrapping_sub(self.now_ms());
        shift(&mut told, ahead);
        let at = self.table.slot(parcel.slot);
        if let Some(counter) = Fence::new(parcel.holder.counter) {
            let elsewhere = parcel.attempt.wrapping_sub(counter.attempt(at.attempt()));
            told.before = told.before.wrapping_add(elsewhere);
            let cleaning = told.cleaning.wrapping_add(elsewhere);
            told.cleaning = if told.cleaning == 0 { 0 } else { cleaning };
            for note in &mut told.notes {
                note.attempt = note.attempt.wrapping_add(elsewhere);
            }
        }
        told.encode()
    }

    fn rebase(&self, journal: &mut Journal) {
        let behind = self.now_ms().wrapping_sub(self.life.time().wall_ms());
        shift(journal, behind);
    }
}

impl Engine {
    /// Lets whoever asks for it run a record that nobody can run without being asked: its host told
    /// nobody how. `found` stands for it here.
    fn release_orphan(&self, fleet: &Arc<Fleet>, orphan: &Orphan, found: Found) {
        let retention = Duration::from_millis(self.longest_window_ms());
        let holder = fleet.holder(found.seen.fence().get());
        let mut claim = Claim {
            session: 0,
            key: orphan.key,
            holder,
            digest: orphan.digest,
            lease: Duration::from_millis(self.defaults.lease_ms),
            retention,
            on_lapse: OnLapse::Reclaim,
            creates: false,
            takes_scheduled: true,
            watches: false,
            above: 0,
        };
        if let Ok(Claimed::Granted(grant)) = fleet.claim(&mut claim) {
            let how = How::Retry { due: self.now(), retention, scheduled: None };
            let (fence, attempt) = (grant.fence, grant.attempt);
            fleet.send(Parcel { fence, attempt, how, ..Parcel::never_ran(&claim) });
        }
    }
}

/// Moves all times of `journal` that are known; what comes to lie before the table's is its first.
fn shift(journal: &mut Journal, by_ms: u64) {
    let moved = |ms: u64| match ms {
        0 => 0,
        ms => ms.wrapping_add(by_ms).cast_signed().max(1).cast_unsigned(),
    };
    journal.began_ms = moved(journal.began_ms);
    journal.buried_ms = moved(journal.buried_ms);
    for note in &mut journal.notes {
        (note.began_ms, note.ended_ms) = (moved(note.began_ms), moved(note.ended_ms));
    }
}

/// A fingerprint that the table takes for the one that `key` was made of: what it does not store of
/// one is zero.
fn fingerprint_of(key: TierKey) -> [u64; 4] {
    let bytes = key.to_bytes();
    let (words, rest) = bytes.as_chunks::<8>();
    let mut fingerprint = [0; 4];
    for (word, bytes) in fingerprint.iter_mut().zip(words) {
        *word = u64::from_le_bytes(*bytes);
    }
    let last = rest.first_chunk::<4>().copied().map_or(0, u32::from_le_bytes);
    fingerprint[3] = u64::from(last) << 32;
    fingerprint
}
