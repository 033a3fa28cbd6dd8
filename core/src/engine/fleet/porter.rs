//! The porter: one thread of an engine with a tier, which carries what nobody waits for, and what
//! those wait for who may not block.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, TryLockError};
use std::task::{Poll, Waker};
use std::time::Duration;

use super::super::retrying::Scheduler;
use super::super::thread::OwnThread;
use super::bell::Bell;
use super::held::{Held, HeldLease};
use super::letters::Letters;
use super::link::{Fleet, Gap};
use super::outbox::Outbox;
use super::parcel::Parcel;
use crate::fork;
use crate::sync::plain::{AtomicBool, AtomicU64, Mutex, MutexGuard};
use crate::sync::{Ordering, park};
use crate::tier::{Claim, Claimed, Ended, Hazard, Orphan, Renewal, Renewed, Sighting, TierKey};

/// What one process has for its tier.
#[derive(Default)]
pub(super) struct Porter {
    load: Mutex<Load>,
    /// Of how many records an end is untold, as it was noted last.
    untold: AtomicU64,
    pub(super) letters: Letters,
    thread: Mutex<Option<OwnThread>>,
    bell: Arc<Bell>,
    /// Held while leases are renewed, each for some slots: what was to be asked for before must not
    /// come after.
    renewing: [Mutex<()>; STRIPES],
}

#[derive(Default)]
pub(super) struct Load {
    errands: VecDeque<Errand>,
    pub(super) outbox: Outbox,
    held: Held,
    alarms: Vec<(Duration, Waker)>,
    hazards: Vec<Hazard>,
    /// The tier may have forgotten the leases.
    restores: bool,
    /// How many errands are being run just now.
    running: u64,
    /// How often the tier has answered again after it had been let alone.
    pub(super) returns: u64,
    next_beat: Duration,
    beats: bool,
    /// Those who take attempts here, if somebody does.
    workers: Option<Arc<Scheduler>>,
    /// Records without a host, for them to take in.
    orphans: Vec<Orphan>,
    /// The tier is to be asked for notices.
    watches: bool,
}

/// What somebody waits for who may not block.
enum Errand {
    Claim(Claim, Arc<Slip<Result<Claimed, Gap>>>),
    End(Box<Parcel>, Arc<Slip<Result<Ended, Gap>>>),
    Read(TierKey, Arc<Slip<Result<Option<Sighting>, Gap>>>),
}

/// Where the answer to an errand is left.
pub(super) struct Slip<T>(Mutex<Left<T>>);

struct Left<T> {
    answer: Option<T>,
    waker: Option<Waker>,
    /// Nobody wants to know any more.
    abandoned: bool,
}

impl<T> Slip<T> {
    fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(Left { answer: None, waker: None, abandoned: false })))
    }

    /// Whoever asked has left. `Some`: the answer had come.
    pub(super) fn abandon(&self) -> Option<T> {
        let mut place = self.place();
        place.abandoned = true;
        place.answer.take()
    }

    fn is_abandoned(&self) -> bool {
        self.place().abandoned
    }

    /// The answer; where there is none yet, `waker` is woken when there is.
    pub(super) fn poll(&self, waker: &Waker) -> Poll<T> {
        let mut place = self.place();
        match place.answer.take() {
            Some(answer) => Poll::Ready(answer),
            None => {
                place.waker = Some(waker.clone());
                Poll::Pending
            }
        }
    }

    /// Leaves the answer. `Err`: whoever asked has left.
    fn leave(&self, answer: T) -> Result<(), T> {
        let waker = {
            let mut place = self.place();
            if place.abandoned {
                return Err(answer);
            }
            place.answer = Some(answer);
            place.waker.take()
        };
        waker.into_iter().for_each(wake);
        Ok(())
    }

    fn place(&self) -> MutexGuard<'_, Left<T>> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Porter {
    pub(super) fn load(&self) -> MutexGuard<'_, Load> {
        self.load.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// How many ends wait to be told.
    pub(super) fn undelivered(&self) -> u64 {
        self.load().outbox.len()
    }

    /// Of how many records an end is untold.
    pub(super) fn untold(&self) -> u64 {
        // Relaxed: whoever asks about a record that ended here has come after its end, and so after
        // the note of it, by way of the table.
        self.untold.load(Ordering::Relaxed)
    }

    /// Notes that; while nobody else has the load.
    pub(super) fn note_untold(&self, records: usize) {
        // Relaxed: as in `untold`.
        self.untold.store(records as u64, Ordering::Relaxed);
    }

    pub(super) fn unpark(&self) {
        self.bell.ring();
        let thread = self.thread.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(thread) = &*thread {
            thread.unpark();
        }
    }

    /// Ends the thread, which tells once more what it has.
    pub(super) fn stop(&self) {
        let thread = self.thread.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take();
        drop(thread);
    }
}

impl Fleet {
    /// Starts the porter of this process, unless it is there.
    pub(super) fn start_porter(self: &Arc<Self>) {
        let porter = self.porter();
        let mut thread = porter.thread.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if thread.is_none() {
            porter.load().beats = true;
            let fleet = Arc::clone(self);
            // Where the thread is refused, the next call tries again.
            *thread = OwnThread::start("tier", move |stopped| fleet.carry(stopped)).ok();
        }
    }

    /// What endangers the tier, as far as it was looked at.
    pub(in super::super) fn hazards(&self) -> Vec<Hazard> {
        self.porter().load().hazards.clone()
    }

    /// Ends the porter of this process.
    pub(in super::super) fn stop(&self) {
        self.porter().stop();
    }

    /// Whoever has it is the only one of this process who renews the lease of `slot`.
    pub(super) fn renewing(&self, slot: usize) -> MutexGuard<'_, ()> {
        let stripe = &self.porter().renewing[slot % STRIPES];
        stripe.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// The same for all of `slots` whose leases nobody is renewing just now; the second says which.
    fn renewing_free(&self, slots: &[usize]) -> (Vec<MutexGuard<'_, ()>>, [bool; STRIPES]) {
        let (mut guards, mut free) = (Vec::new(), [false; STRIPES]);
        for stripe in slots.iter().map(|slot| slot % STRIPES) {
            if free[stripe] {
                continue;
            }
            match self.porter().renewing[stripe].try_lock() {
                Ok(guard) => guards.push(guard),
                Err(TryLockError::Poisoned(poisoned)) => guards.push(poisoned.into_inner()),
                Err(TryLockError::WouldBlock) => continue,
            }
            free[stripe] = true;
        }
        (guards, free)
    }

    /// Keeps a lease that was granted.
    pub(super) fn hold(&self, slot: usize, lease: HeldLease) {
        let sliced = lease.until < lease.wanted_until;
        self.porter().load().held.add(slot, lease);
        if sliced {
            self.porter().unpark();
        }
    }

    /// The lease of `counter` has ended.
    pub(super) fn let_go(&self, slot: usize, counter: u64) {
        self.porter().load().held.remove(slot, counter);
    }

    /// The lease of `counter` lasts until then, here.
    pub(super) fn prolong(&self, slot: usize, counter: u64, until: Duration) {
        if let Some(held) = self.porter().load().held.get_mut(slot, counter) {
            held.until = until;
            held.wanted_until = held.wanted_until.max(until);
        }
    }

    /// What was granted with the lease of `counter`, if this process holds it.
    pub(super) fn held(&self, slot: usize, counter: u64) -> Option<Renewal> {
        self.porter().load().held.get_mut(slot, counter).map(|held| held.renewal)
    }

    /// The tier may have forgotten the leases of this process: they are told again.
    pub(super) fn restore(&self) {
        self.porter().load().restores = true;
        self.porter().unpark();
    }

    /// The tier answers again: what could not be told waits no longer, since its lease may end.
    pub(super) fn tell_at_once(&self) {
        let mut load = self.porter().load();
        load.returns = load.returns.wrapping_add(1);
        let mut any = load.outbox.try_at_once();
        drop(load);
        any |= self.porter().letters.try_at_once();
        if any {
            self.porter().unpark();
        }
    }

    /// Asks for an attempt without blocking.
    pub(super) fn claim_later(self: &Arc<Self>, claim: Claim) -> Arc<Slip<Result<Claimed, Gap>>> {
        let slip = Slip::new();
        self.give(Errand::Claim(claim, Arc::clone(&slip)));
        slip
    }

    /// Tells of an end without blocking.
    pub(super) fn end_later(self: &Arc<Self>, parcel: Parcel) -> Arc<Slip<Result<Ended, Gap>>> {
        let slip = Slip::new();
        self.give(Errand::End(Box::new(parcel), Arc::clone(&slip)));
        slip
    }

    /// Looks at a record without blocking.
    pub(super) fn read_later(
        self: &Arc<Self>,
        key: TierKey,
    ) -> Arc<Slip<Result<Option<Sighting>, Gap>>> {
        let slip = Slip::new();
        self.give(Errand::Read(key, Arc::clone(&slip)));
        slip
    }

    fn give(self: &Arc<Self>, errand: Errand) {
        self.porter().load().errands.push_back(errand);
        self.start_porter();
        self.porter().unpark();
    }

    /// Sees to it that this process hears of what others do; soon, where it may not block.
    pub(super) fn watch(self: &Arc<Self>, may_block: bool) {
        if self.is_watched() {
            return;
        }
        if may_block {
            return self.watch_now();
        }
        self.porter().load().watches = true;
        self.start_porter();
        self.porter().unpark();
    }

    /// Wakes `waker` at `at`, on the engine's clock.
    pub(super) fn wake_at(self: &Arc<Self>, at: Duration, waker: Waker) {
        self.porter().load().alarms.push((at, waker));
        self.start_porter();
        self.porter().unpark();
    }

    /// What the thread does.
    fn carry(&self, stopped: &AtomicBool) {
        let bell = &self.porter().bell;
        let (waker, born) = (bell.waker(), fork::generation());
        loop {
            // Relaxed: whoever unparks this thread has stored it before.
            if stopped.load(Ordering::Relaxed) || born != fork::generation() {
                // As long as it is taken: there may be more than is told at once.
                while self.deliver(self.now(), true) || self.deliver_letters(self.now(), true) {}
                return;
            }
            // Before it looks: a clock that jumps after the look wakes it.
            self.life.time().wake_on_jump(&waker);
            let now = self.now();
            if !self.round(now) {
                let next = self.porter().load().next(now);
                let next = [next, self.porter().letters.next()].into_iter().flatten().min();
                let rest = next.map(|at| at.saturating_sub(now));
                bell.rest(stopped, rest.unwrap_or(LONGEST_REST).min(LONGEST_REST));
            }
        }
    }

    /// Does what is due. False: nothing was.
    fn round(&self, now: Duration) -> bool {
        let due: Vec<Waker> = self.porter().load().take_alarms(now);
        let mut any = !due.is_empty();
        due.into_iter().for_each(wake);
        if std::mem::take(&mut self.porter().load().watches) {
            self.watch_now();
        }
        any |= self.renew_due(now);
        any |= self.deliver(now, false);
        any |= self.run_errands();
        any |= self.deliver_letters(now, false);
        self.beat(now);
        any
    }

    /// Renews the leases whose time it is. A lease that the tier refuses, or that cannot be renewed
    /// in time, ends here when it ends there: the table's own deadline is never later.
    fn renew_due(&self, now: Duration) -> bool {
        let slots: Vec<usize> = {
            let mut load = self.porter().load();
            let all = load.restores;
            let due = load.held.due(now, all, |slot, counter| self.is_open(slot, counter));
            due.into_iter().map(|(slot, _)| slot).collect()
        };
        let (one_at_a_time, free) = self.renewing_free(&slots);
        let (all, due, skips) = {
            let mut load = self.porter().load();
            let all = std::mem::take(&mut load.restores);
            let mut due = load.held.due(now, all, |slot, counter| self.is_open(slot, counter));
            let found = due.len();
            due.retain(|(slot, _)| free[slot % STRIPES]);
            // Those that somebody is renewing just now come with the next round.
            let skips = due.len() < found;
            load.restores = all && skips;
            // One that has ended, or was lost here, is not to be kept there.
            due.retain(|(slot, held)| {
                let lives = self.lives(*slot, held.counter());
                if !lives {
                    load.held.remove(*slot, held.counter());
                }
                lives
            });
            (all, due, skips)
        };
        if due.is_empty() {
            if skips {
                park(Some(BREATH));
            }
            return skips;
        }
        for part in due.chunks(BATCH) {
            let renewals: Vec<Renewal> = part.iter().map(|(_, held)| held.renewal).collect();
            let asked = self.now();
            let replies = self.renew_all(&renewals);
            for ((slot, held), reply) in part.iter().zip(replies) {
                match reply {
                    Ok(Renewed::Done) => {
                        let until = asked + held.renewal.lease;
                        let until = until.min(held.wanted_until.max(held.until));
                        self.prolong(*slot, held.counter(), until);
                        self.keep_local(*slot, held.counter(), until, held.renewal.lease);
                    }
                    Ok(Renewed::Fenced) => self.let_go(*slot, held.counter()),
                    // Tried again soon, as long as it lasts; of what was forgotten, too.
                    Err(_) => self.porter().load().restores |= all,
                }
            }
        }
        drop(one_at_a_time);
        // Not at once again for those that could not be renewed.
        let again = {
            let load = self.porter().load();
            let now = self.now();
            load.restores || load.held.next_due(now).is_some_and(|due| due <= now)
        };
        if again {
            park(Some(BREATH));
        }
        true
    }

    /// Asks what those want to know who may not block.
    fn run_errands(&self) -> bool {
        let errands: Vec<Errand> = {
            let mut load = self.porter().load();
            let count = load.errands.len().min(BATCH);
            load.running += count as u64;
            load.errands.drain(..count).collect()
        };
        let count = errands.len();
        if count == 0 {
            return false;
        }
        let (mut claims, mut claim_slips) = (Vec::new(), Vec::new());
        let (mut parcels, mut end_slips) = (Vec::new(), Vec::new());
        for errand in errands {
            match errand {
                // Whoever asked and left has taken back what he had here.
                Errand::Claim(_, slip) if slip.is_abandoned() => {}
                Errand::Claim(claim, slip) => {
                    claims.push(claim);
                    claim_slips.push(slip);
                }
                Errand::End(parcel, slip) => {
                    parcels.push(*parcel);
                    end_slips.push(slip);
                }
                Errand::Read(key, slip) => {
                    let _ = slip.leave(self.read(key, false));
                }
            }
        }
        // Ends first: what they end is perhaps what another one waits for.
        if !parcels.is_empty() {
            let replies = self.end_all(&parcels);
            // The end of whoever left is told all the same (see `Telling`).
            end_slips.into_iter().zip(replies).for_each(|(slip, reply)| _ = slip.leave(reply));
        }
        if !claims.is_empty() {
            let replies = self.claim_told(&mut claims, false);
            for ((claim, slip), reply) in claims.iter().zip(claim_slips).zip(replies) {
                if let Err(reply) = slip.leave(reply)
                    && is_perhaps_granted(&reply)
                {
                    self.drop_off(Parcel::never_ran(claim), true);
                }
            }
        }
        self.porter().load().running -= count as u64;
        true
    }

    /// Tells the tier now and then that this table is there, and looks after the store.
    fn beat(&self, now: Duration) {
        {
            let mut load = self.porter().load();
            if now < load.next_beat {
                return;
            }
            load.next_beat = now + BEAT;
            load.running += 1;
        }
        if let Ok(hazards) = self.ask(|tier, within| tier.beat(self.id, BEAT * 4, within)) {
            self.porter().load().hazards = hazards;
            self.look_for_loss();
        }
        self.look_for_orphans();
        self.porter().load().running -= 1;
    }
}

impl Fleet {
    /// Whoever takes attempts here takes in those of hosts that are there no more, too.
    pub(super) fn looks_for_orphans(self: &Arc<Self>, workers: &Arc<Scheduler>) {
        let mut load = self.porter().load();
        if load.workers.is_none() {
            load.workers = Some(Arc::clone(workers));
            drop(load);
            self.start_porter();
        }
    }

    pub(super) fn take_orphans(&self) -> Vec<Orphan> {
        std::mem::take(&mut self.porter().load().orphans)
    }

    fn look_for_orphans(&self) {
        let workers = self.porter().load().workers.clone();
        let Some(workers) = workers else { return };
        let found = self.ask(|tier, within| tier.orphans(ORPHANS, within)).unwrap_or_default();
        if !found.is_empty() {
            self.porter().load().orphans = found;
            workers.wake_one();
        }
    }
}

impl Load {
    /// Whether nothing is on its way.
    pub(super) fn is_idle(&self, now: Duration) -> bool {
        // Where the thread has not been started, nothing is.
        let beats = self.beats && self.next_beat <= now;
        self.outbox.len() == 0 && !beats && self.errands.is_empty() && self.running == 0
    }

    fn take_alarms(&mut self, now: Duration) -> Vec<Waker> {
        let (due, later): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.alarms).into_iter().partition(|(at, _)| *at <= now);
        self.alarms = later;
        due.into_iter().map(|(_, waker)| waker).collect()
    }

    /// When there is something to do next.
    fn next(&self, at: Duration) -> Option<Duration> {
        let alarms = self.alarms.iter().map(|(at, _)| *at).min();
        let now = (!self.errands.is_empty() || self.restores).then_some(Duration::ZERO);
        [self.outbox.next(), alarms, self.held.next_due(at), Some(self.next_beat), now]
            .into_iter()
            .flatten()
            .min()
    }
}

/// Wakes whoever waits for this thread, or for a record that has changed. A panic of his waker is
/// reported where it happened, and is no other's.
pub(super) fn wake(waker: Waker) {
    let _ = catch_unwind(AssertUnwindSafe(|| waker.wake()));
}

/// Whether the tier may have given an attempt to whoever asked.
pub(super) fn is_perhaps_granted(reply: &Result<Claimed, Gap>) -> bool {
    matches!(reply, Ok(Claimed::Granted(_)) | Err(Gap::Unknown))
}

/// How many questions go in one round trip.
pub(super) const BATCH: usize = 128;
/// How often the tier hears that this table is there.
const BEAT: Duration = Duration::from_secs(5);
/// How many leases may be renewed at once by who renews a lease of his own.
const STRIPES: usize = 32;
/// How many records without a host are taken in at once.
const ORPHANS: usize = 64;
const LONGEST_REST: Duration = Duration::from_secs(1);
/// Between two rounds of renewals that fail.
pub(super) const BREATH: Duration = Duration::from_millis(20);
/// Between two tries to tell what could not be told, at first.
pub(super) const FIRST_WAIT: Duration = Duration::from_millis(50);
pub(super) const MOST_DOUBLED: u32 = 6;
