//! Keeper: a thread that renews leases while their attempts run, whatever holds the GIL.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Wake, Waker};
use std::time::Duration;

use oncegate::{Clock, ErrorCode, LeaseToken};

use crate::forks::forks;

/// The kept leases of an engine in this process.
#[derive(Default)]
pub(crate) struct Keeper(Mutex<Option<Crew>>);

/// Those of one process: a forked child has a crew of its own.
struct Crew {
    born: u64,
    shared: Arc<Shared>,
}

struct Shared {
    clock: Arc<dyn Clock>,
    plan: Mutex<Plan>,
    changed: Condvar,
}

/// Wakes the thread when a clock jumps, for as long as there is one.
struct Jump(Weak<Shared>);

impl Wake for Jump {
    fn wake(self: Arc<Self>) {
        if let Some(shared) = self.0.upgrade() {
            // Under the lock: the thread has read the clock, and sleeps, or reads it later.
            drop(shared.plan());
            shared.changed.notify_one();
        }
    }
}

#[derive(Default)]
struct Plan {
    kept: HashMap<u64, Entry>,
    dues: BTreeSet<(Duration, u64)>,
    last: u64,
    has_thread: bool,
    /// Until when the thread sleeps at most, where it sleeps.
    wakes_at: Duration,
}

struct Entry {
    kept: Arc<Kept>,
    /// On the engine's clock.
    at: Duration,
}

/// One kept lease, as its holder and the thread see it.
pub(crate) struct Kept {
    id: u64,
    token: LeaseToken,
    lasts: Duration,
    /// When it lapses, on the engine's clock, unless it is renewed.
    granted_until: Duration,
    /// Until when it is renewed.
    until: Option<Duration>,
    lost: AtomicBool,
    /// When it lapses, on the engine's clock, in nanoseconds.
    deadline: AtomicU64,
}

impl Kept {
    /// Whether a renewal was refused.
    pub(crate) fn is_lost(&self) -> bool {
        // Acquire: pairs with the store in `renewed`.
        self.lost.load(Ordering::Acquire)
    }

    /// When it lapses; zero: it was not renewed yet.
    pub(crate) fn deadline(&self) -> Duration {
        // Acquire: pairs with the store in `renewed`.
        Duration::from_nanos(self.deadline.load(Ordering::Acquire))
    }

    /// When it lapses, renewed or not.
    fn lapses(&self) -> Duration {
        self.granted_until.max(self.deadline())
    }

    /// How long it is from one renewal to the next.
    fn period(&self) -> Duration {
        share(self.lasts)
    }

    /// Renews it. Whether it goes on.
    fn renew(&self, engine: &oncegate::Engine, now: Duration) -> bool {
        if self.until.is_some_and(|until| now >= until) {
            return false;
        }
        let renewed = engine.renew(&self.token, self.lasts);
        match &renewed {
            Ok(lasts) => {
                let nanos =
                    u64::try_from(now.saturating_add(*lasts).as_nanos()).unwrap_or(u64::MAX);
                // Release: pairs with the load in `deadline`.
                self.deadline.store(nanos, Ordering::Release);
            }
            // The tier gave no answer: the lease is there as long as it was granted for.
            Err(error) if is_outage(error) && now < self.lapses() => return true,
            // Release: pairs with the load in `is_lost`.
            Err(_) => self.lost.store(true, Ordering::Release),
        }
        renewed.is_ok()
    }
}

impl Keeper {
    /// Begins to renew a lease, which lapses at `deadline` on its clock, unless it is renewed.
    pub(crate) fn keep(
        &self,
        engine: &Arc<oncegate::Engine>,
        clock: &Arc<dyn Clock>,
        (token, deadline): (LeaseToken, Duration),
        lasts: Duration,
        at_most: Option<Duration>,
    ) -> std::io::Result<Arc<Kept>> {
        let shared = self.crew(clock);
        let mut plan = shared.plan();
        plan.last += 1;
        let now = clock.now();
        let kept = Arc::new(Kept {
            id: plan.last,
            token,
            lasts,
            granted_until: deadline,
            until: at_most.map(|most| now.saturating_add(most)),
            lost: AtomicBool::new(false),
            deadline: AtomicU64::new(0),
        });
        // What is left may be less than what it is renewed for.
        let at = now + kept.period().min(share(deadline.saturating_sub(now)));
        if !plan.has_thread {
            spawn(Arc::downgrade(&shared), Arc::downgrade(engine))?;
            plan.has_thread = true;
        } else if at < plan.wakes_at {
            // Else it looks in time by itself: to wake it costs more than all else here.
            shared.changed.notify_one();
        }
        plan.dues.insert((at, kept.id));
        plan.kept.insert(kept.id, Entry { kept: Arc::clone(&kept), at });
        Ok(kept)
    }

    /// It has ended.
    pub(crate) fn forget(&self, clock: &Arc<dyn Clock>, kept: &Kept) {
        let shared = self.crew(clock);
        let mut plan = shared.plan();
        if let Some(entry) = plan.kept.remove(&kept.id) {
            plan.dues.remove(&(entry.at, kept.id));
        }
    }

    /// That of this process. Its lock is held by threads that have the GIL alone, so that no fork
    /// comes in between.
    fn crew(&self, clock: &Arc<dyn Clock>) -> Arc<Shared> {
        let mut crew = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &*crew {
            Some(crew) if crew.born == forks() => Arc::clone(&crew.shared),
            _ => {
                let (plan, changed) = (Mutex::default(), Condvar::new());
                let shared = Arc::new(Shared { clock: Arc::clone(clock), plan, changed });
                // The parent's stays as it is: its thread may have been changing it.
                std::mem::forget(crew.replace(Crew { born: forks(), shared: Arc::clone(&shared) }));
                shared
            }
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        let crew = self.0.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        match crew {
            // The thread finds nobody left, and ends.
            Some(crew) if crew.born == forks() => crew.shared.changed.notify_one(),
            other => std::mem::forget(other),
        }
    }
}

impl Shared {
    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn spawn(shared: Weak<Shared>, engine: Weak<oncegate::Engine>) -> std::io::Result<()> {
    let jump = Waker::from(Arc::new(Jump(shared.clone())));
    let run = move || while look(&shared, &engine, &jump) {};
    std::thread::Builder::new().name("oncegate-keeper".to_owned()).spawn(run).map(drop)
}

/// Renews what is due, and waits for what is due next. Whether the thread goes on.
fn look(shared: &Weak<Shared>, engine: &Weak<oncegate::Engine>, jump: &Waker) -> bool {
    let Some(shared) = shared.upgrade() else { return false };
    let mut plan = shared.plan();
    shared.clock.wake_on_jump(jump);
    let now = shared.clock.now();
    match plan.dues.first().copied() {
        Some((at, id)) if at <= now => {
            plan.dues.pop_first();
            let Some(kept) = plan.kept.get(&id).map(|entry| Arc::clone(&entry.kept)) else {
                return true;
            };
            drop(plan);
            let goes_on = engine.upgrade().is_some_and(|engine| kept.renew(&engine, now));
            let mut plan = shared.plan();
            if !goes_on {
                plan.kept.remove(&id);
            } else if let Some(entry) = plan.kept.get_mut(&id) {
                entry.at = now + kept.period();
                let due = (entry.at, id);
                plan.dues.insert(due);
            }
            true
        }
        first => {
            let left = first.map_or(LINGERS, |(at, _)| at - now).min(LINGERS);
            plan.wakes_at = now.saturating_add(left);
            let waited = shared.changed.wait_timeout(plan, left);
            let (mut plan, timed) = waited.unwrap_or_else(PoisonError::into_inner);
            let is_idle = timed.timed_out() && plan.kept.is_empty();
            // The next lease that is kept gets a new thread.
            plan.has_thread = !is_idle;
            !is_idle
        }
    }
}

fn is_outage(error: &oncegate::Error) -> bool {
    error.code() == ErrorCode::TierUnavailable
}

/// How often a lease is renewed while it lasts: one may come late.
fn share(lasts: Duration) -> Duration {
    (lasts / RENEWALS).max(Duration::from_millis(1))
}

const RENEWALS: u32 = 3;
/// How long a thread waits that has nothing to do. Also how often it looks whether its engine is
/// there still.
const LINGERS: Duration = Duration::from_secs(5);
