//! Outbox: ends that the tier has not heard of yet, and how it is told of them.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::super::Engine;
use super::link::{Counts, Fleet, Gap};
use super::parcel::{How, Parcel};
use super::porter::{BATCH, BREATH, FIRST_WAIT, MOST_DOUBLED, Porter};
use crate::clock::{Clock, PreciseClock};
use crate::sync::park;
use crate::tier::{Ended, TierKey};

/// What waits to be told, and what is being told just now.
///
/// Each end stands for itself: one that the tier does not take keeps no other from being told.
#[derive(Default)]
pub(super) struct Outbox {
    /// What nobody has tried to tell.
    fresh: VecDeque<Parcel>,
    /// What could not be told, in the order of the last tries.
    failed: VecDeque<Parcel>,
    /// What the tier takes then, and not before.
    put_off: Vec<(Duration, Parcel)>,
    /// What could not be told is tried again then.
    next_try: Duration,
    failures: u32,
    /// The records that no new attempt may be asked for before their ends are told.
    records: HashMap<TierKey, Untold>,
    in_flight: u64,
}

/// The ends of a record of which the tier has not heard.
#[derive(Default)]
struct Untold {
    parcels: u32,
    in_flight: u32,
    /// How many the table is deciding just now.
    deciding: u32,
    /// Until then no new attempt may overtake them.
    holds_until: Duration,
}

/// Parcels that were taken out to be told.
struct Taken {
    parcels: Vec<Parcel>,
    /// How many of them, the first ones, had failed before.
    again: usize,
    /// Whether the next try waits for longer should they fail.
    is_tried: bool,
}

/// What becomes of a parcel that was taken out.
enum Fate {
    Told,
    Failed,
    /// The tier takes it then.
    PutOff(Duration),
}

impl Outbox {
    /// How many wait, or are being told.
    pub(super) fn len(&self) -> u64 {
        self.waiting() as u64 + self.in_flight
    }

    fn waiting(&self) -> usize {
        self.fresh.len() + self.failed.len() + self.put_off.len()
    }

    /// Adds `parcel`, unless `limit` wait already. False: they do. `tried`: the tier was just told
    /// of it in vain.
    fn add(&mut self, parcel: Parcel, tried: bool, limit: usize) -> bool {
        let fits = self.waiting() < limit;
        if fits {
            if let Some(until) = parcel.holds_until() {
                let untold = self.records.entry(parcel.key).or_default();
                untold.parcels += 1;
                untold.holds_until = untold.holds_until.max(until);
            }
            // What never ran is told only for the others' sake, after a claim that failed.
            if tried || matches!(parcel.how, How::NeverRan) {
                self.failed.push_back(parcel);
            } else {
                self.fresh.push_back(parcel);
            }
        }
        fits
    }

    /// Takes out what is to be told at `now`; `all`: what has failed before its time, too.
    fn take(&mut self, now: Duration, all: bool) -> Taken {
        let due = self.put_off.extract_if(.., |(at, _)| *at <= now);
        self.fresh.extend(due.map(|(_, parcel)| parcel));
        let again = if all || self.next_try <= now { self.failed.len() } else { 0 };
        // Neither waits until there are fewer of the other.
        let again = again.min(BATCH.saturating_sub(self.fresh.len()).max(BATCH / 2));
        let fresh = self.fresh.len().min(BATCH - again);
        let parcels = self.failed.drain(..again).chain(self.fresh.drain(..fresh)).collect();
        self.depart(Taken { parcels, again, is_tried: true })
    }

    /// Takes out the ends of the record of `key` that are to be told at `now`.
    fn take_of(&mut self, key: &TierKey, now: Duration) -> Taken {
        let mut parcels = Vec::new();
        for queue in [&mut self.failed, &mut self.fresh] {
            let (of_key, rest): (VecDeque<_>, VecDeque<_>) =
                std::mem::take(queue).into_iter().partition(|parcel| parcel.key == *key);
            *queue = rest;
            parcels.extend(of_key);
        }
        let due = self.put_off.extract_if(.., |(at, parcel)| parcel.key == *key && *at <= now);
        parcels.extend(due.map(|(_, parcel)| parcel));
        self.depart(Taken { parcels, again: 0, is_tried: false })
    }

    fn depart(&mut self, taken: Taken) -> Taken {
        self.in_flight += taken.parcels.len() as u64;
        for parcel in &taken.parcels {
            if let Some(untold) = self.untold(parcel) {
                untold.in_flight += 1;
            }
        }
        taken
    }

    /// What has become of `taken` by `now`; `at_once`: the tier has answered somebody meanwhile.
    /// False: none was told.
    fn put_back(&mut self, taken: Taken, fates: Vec<Fate>, now: Duration, at_once: bool) -> bool {
        let alone = self.failed.is_empty();
        let failed = |fates: &[Fate]| fates.iter().filter(|it| matches!(it, Fate::Failed)).count();
        let (all, left, left_again) = (fates.len(), failed(&fates), failed(&fates[..taken.again]));
        for (parcel, fate) in taken.parcels.into_iter().zip(fates) {
            self.in_flight = self.in_flight.saturating_sub(1);
            if let Some(untold) = self.untold(&parcel) {
                untold.in_flight = untold.in_flight.saturating_sub(1);
                untold.parcels -= u32::from(matches!(fate, Fate::Told));
                self.forget_told(&parcel.key);
            }
            match fate {
                Fate::Told => {}
                Fate::Failed => self.failed.push_back(parcel),
                Fate::PutOff(until) => self.put_off.push((until, parcel)),
            }
        }
        if self.failed.is_empty() || at_once || left_again < taken.again {
            (self.next_try, self.failures) = (Duration::ZERO, 0);
        }
        if left > 0 && taken.is_tried && !at_once && (taken.again > 0 || alone) {
            self.failures = self.failures.saturating_add(1);
            self.next_try = now + FIRST_WAIT * (1 << self.failures.min(MOST_DOUBLED));
        }
        left < all
    }

    fn untold(&mut self, parcel: &Parcel) -> Option<&mut Untold> {
        parcel.holds_until()?;
        self.records.get_mut(&parcel.key)
    }

    fn forget_told(&mut self, key: &TierKey) {
        let told = |untold: &Untold| untold.parcels == 0 && untold.deciding == 0;
        if self.records.get(key).is_some_and(told) {
            self.records.remove(key);
        }
    }

    /// The tier answers again: what has failed is tried at once. False: there is nothing.
    pub(super) fn try_at_once(&mut self) -> bool {
        (self.next_try, self.failures) = (Duration::ZERO, 0);
        !self.failed.is_empty()
    }

    /// When there is something to tell next.
    pub(super) fn next(&self) -> Option<Duration> {
        let fresh = (!self.fresh.is_empty()).then_some(Duration::ZERO);
        let failed = (!self.failed.is_empty()).then_some(self.next_try);
        let put_off = self.put_off.iter().map(|(at, _)| *at).min();
        [fresh, failed, put_off].into_iter().flatten().min()
    }
}

impl Fleet {
    /// Tells the tier of an end, as soon as it can be reached.
    pub(super) fn send(self: &Arc<Self>, parcel: Parcel) {
        self.drop_off(parcel, false);
        self.start_porter();
        self.porter().unpark();
    }

    /// The same for an end of which it was just told in vain.
    pub(super) fn send_again(self: &Arc<Self>, parcel: Parcel) {
        self.drop_off(parcel, true);
        self.start_porter();
        self.porter().unpark();
    }

    /// The same where the porter runs.
    pub(super) fn drop_off(&self, parcel: Parcel, tried: bool) {
        let porter = self.porter();
        let mut load = porter.load();
        let fits = load.outbox.add(parcel, tried, self.options.undelivered);
        porter.note_untold(load.outbox.records.len());
        drop(load);
        if !fits {
            Counts::add(&self.counts.undelivered_lost);
        }
    }

    /// The table is about to end an attempt of the record of `key`: until that is dropped, and the
    /// end was left here by then, the tier is asked for no other attempt.
    fn deciding(&self, key: TierKey) -> Deciding<'_> {
        let mut load = self.porter().load();
        load.outbox.records.entry(key).or_default().deciding += 1;
        self.porter().note_untold(load.outbox.records.len());
        Deciding { fleet: self, key }
    }

    /// Tells what has not been told, for at most `limit` of real time. False: something is left.
    pub(super) fn flush(&self, limit: Duration) -> bool {
        let give_up = PreciseClock.now().saturating_add(limit);
        loop {
            while self.deliver(self.now(), true) || self.deliver_letters(self.now(), true) {}
            let porter = self.porter();
            if porter.load().is_idle(self.now()) && porter.letters.count() == 0 {
                return true;
            }
            if PreciseClock.now() >= give_up {
                return false;
            }
            // The thread is telling the rest, or the tier does not answer.
            park(Some(BREATH));
        }
    }

    /// Tells what has not been told; `last`: before its time, too. False: nothing was.
    pub(super) fn deliver(&self, now: Duration, last: bool) -> bool {
        let taken = self.porter().load().outbox.take(now, last);
        self.tell(taken)
    }

    /// Tells the tier what was taken out, and puts back what it does not take. False: all of it.
    fn tell(&self, taken: Taken) -> bool {
        if taken.parcels.is_empty() {
            return false;
        }
        let porter = self.porter();
        let returns = porter.load().returns;
        let replies = self.end_all(&taken.parcels);
        let now = self.now();
        let fates = taken.parcels.iter().zip(replies);
        let fates = fates.map(|(parcel, reply)| self.fate(parcel, reply, now)).collect();
        let mut load = porter.load();
        let at_once = load.returns != returns;
        let any = load.outbox.put_back(taken, fates, now, at_once);
        porter.note_untold(load.outbox.records.len());
        any
    }

    fn fate(&self, parcel: &Parcel, reply: Result<Ended, Gap>, now: Duration) -> Fate {
        match reply {
            Ok(Ended::Done | Ended::WithoutBytes) => Counts::add(&self.counts.delivered_late),
            // What nobody would hear of any more contradicts nobody.
            Ok(Ended::Fenced) if parcel.has_effect() && parcel.is_heard(now) => {
                self.report_conflict(parcel);
            }
            Ok(Ended::Fenced) => {}
            Err(Gap::PutOff(rest)) => return Fate::PutOff(now.saturating_add(rest)),
            Err(_) => return Fate::Failed,
        }
        Fate::Told
    }

    /// Whether the tier has heard of how the record of `key` ended here, so that it may be asked
    /// for another attempt, which it would give to this table whatever came of the one before.
    ///
    /// What is untold is told first. `waits`: also while another thread is telling it.
    pub(super) fn is_told(&self, key: &TierKey, waits: bool) -> bool {
        let porter = self.porter();
        porter.untold() == 0 || self.tell_first(porter, key, waits)
    }

    #[cold]
    fn tell_first(&self, porter: &Porter, key: &TierKey, waits: bool) -> bool {
        let give_up = PreciseClock.now().saturating_add(self.options.deadline);
        let mut tried = false;
        loop {
            let (now, mut load) = (self.now(), porter.load());
            let untold = load.outbox.records.get(key);
            let untold = untold.filter(|it| it.deciding > 0 || now < it.holds_until);
            let Some(untold) = untold else { return true };
            if untold.in_flight > 0 || untold.deciding > 0 {
                drop(load);
                if !waits || PreciseClock.now() >= give_up {
                    return false;
                }
                park(Some(PAUSE));
                continue;
            }
            if std::mem::replace(&mut tried, true) {
                return false;
            }
            let taken = load.outbox.take_of(key, now);
            drop(load);
            // Nothing was taken where all is put off.
            self.tell(taken);
            porter.unpark();
        }
    }
}

/// An end that the table is deciding. Whoever hears of it there comes after it here.
pub(in super::super) struct Deciding<'f> {
    fleet: &'f Fleet,
    key: TierKey,
}

impl Drop for Deciding<'_> {
    fn drop(&mut self) {
        let mut load = self.fleet.porter().load();
        if let Some(untold) = load.outbox.records.get_mut(&self.key) {
            untold.deciding = untold.deciding.saturating_sub(1);
            load.outbox.forget_told(&self.key);
        }
        self.fleet.porter().note_untold(load.outbox.records.len());
    }
}

impl Engine {
    /// The table is about to end the attempt of `parcel`, which is to be told before anybody who
    /// hears of it here asks the tier. To be kept until it has been.
    pub(in super::super) fn deciding(&self, parcel: Option<&Parcel>) -> Option<Deciding<'_>> {
        Some(self.fleet.as_ref()?.deciding(parcel?.key))
    }
}

/// Between two looks whether another thread has told what it is telling.
const PAUSE: Duration = Duration::from_millis(1);
