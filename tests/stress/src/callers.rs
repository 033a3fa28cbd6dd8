//! A caller: draws one call after the other, and books what came of it.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use oncegate::{BeginOptions, ErrorCode, OnConflict, OnLapse, Outcome, Quota, Resolution, Scope};

use crate::crowd::{Crowd, KEYS, Seeded};
use crate::site::{Dice, End, Site, WINDOW, secret};

/// One thread's dice, and the waker of its futures.
pub(crate) struct Caller {
    crowd: Arc<Crowd>,
    dice: Seeded,
    waker: Waker,
    woken: Arc<Woken>,
}

#[derive(Default)]
struct Woken(AtomicU64);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }
}

impl Caller {
    pub(crate) fn new(crowd: Arc<Crowd>, seed: u64) -> Self {
        let woken = Arc::new(Woken::default());
        Self { crowd, dice: Seeded(seed), waker: Waker::from(Arc::clone(&woken)), woken }
    }

    pub(crate) fn calls(mut self, steps: u64) {
        let crowd = Arc::clone(&self.crowd);
        for _ in 0..steps {
            let site = &crowd.sites[self.dice.roll(crowd.sites.len() as u64) as usize];
            // A few keys are hot.
            let keys = self.dice.any(&[2, 8, KEYS]).min(site.keys());
            let key = self.dice.roll(keys as u64) as usize;
            self.call(site, key);
            crowd.steps.fetch_add(1, Ordering::AcqRel);
        }
        crowd.one_is_done();
    }

    fn call(&mut self, site: &Site, key: usize) {
        match self.dice.roll(32) {
            0..=2 => {
                let options = self.options().on_conflict(OnConflict::Wait(2 * WINDOW));
                site.run(key, &options, self.dice.any(&End::ALL));
            }
            3..=5 => self.joins(site, key),
            6..=8 => self.begins_batch(site),
            9 | 10 => self.rotates(site),
            11..=13 => self.tends(site, key),
            _ => {
                site.run(key, &self.options(), self.dice.any(&End::ALL));
            }
        }
    }

    fn options(&mut self) -> BeginOptions {
        let lapse = self.dice.any(&[OnLapse::Reclaim, OnLapse::Unknown, OnLapse::Failed]);
        BeginOptions::new().on_lapse(lapse)
    }

    /// Joins as a future, which is polled whenever it was woken, and given up after some looks.
    fn joins(&mut self, site: &Site, key: usize) {
        let (end, looks) = (self.dice.any(&End::ALL), self.dice.any(&[1, 8, 512]));
        let before = site.ledger.before(key);
        let (request, options) = (site.request(key), self.options());
        let mut join = pin!(site.engine.join(&request, &options));
        let mut seen = u64::MAX;
        for _ in 0..looks {
            let woken = self.woken.0.load(Ordering::Acquire);
            if woken == seen {
                std::thread::yield_now();
                continue;
            }
            seen = woken;
            if let Poll::Ready(answer) = join.as_mut().poll(&mut Context::from_waker(&self.waker)) {
                if let Some((lease, held)) = site.met(key, before, answer) {
                    site.end(key, lease, held, end);
                }
                return;
            }
        }
    }

    /// Begins a few requests at once, replaying into one buffer.
    fn begins_batch(&mut self, site: &Site) {
        let keys: [usize; 4] = std::array::from_fn(|_| self.dice.roll(site.keys() as u64) as usize);
        let prepare = |key| site.engine.prepare(&site.request(key)).expect("not forked");
        let batch = keys.map(prepare);
        let before = keys.map(|key| site.ledger.before(key));
        let end = self.dice.any(&End::ALL);
        let mut buffer = Outcome::default();
        site.engine.begin_batch(&batch, &self.options(), &mut buffer, |at, answer| {
            if let Some((lease, held)) = site.met(keys[at], before[at], answer) {
                site.end(keys[at], lease, held, end);
            }
        });
    }

    /// Rotates the secret, or retires the old one when its records should be over.
    fn rotates(&mut self, site: &Site) {
        let turned = match self.dice.roll(2) {
            0 => site.engine.rotate_secret(secret(1 + self.dice.roll(200) as u8)),
            // Where there are many records, some are never over.
            _ if site.keys() == KEYS => site.engine.finish_rotation(),
            _ => {
                site.clock.advance(WINDOW);
                (0..site.keys()).for_each(|key| site.runs_again(key));
                site.clock.advance(WINDOW);
                site.engine.finish_rotation()
            }
        };
        let expected = [ErrorCode::RotationPending, ErrorCode::NotFound, ErrorCode::Exhausted];
        match turned {
            // Relaxed: a count.
            Ok(()) => drop(self.crowd.rotations.fetch_add(1, Ordering::Relaxed)),
            Err(error) => assert!(expected.contains(&error.code()), "{error}"),
        }
    }

    /// What operators do: sweeps, resolutions, quotas and statistics.
    fn tends(&mut self, site: &Site, key: usize) {
        let scope = Scope::single_tenant();
        match self.dice.roll(5) {
            0 => drop(site.engine.sweep(8).expect("not forked")),
            1 => site.runs_again(key),
            2 => site.resolve(key, Resolution::Succeeded(Outcome::new(200, b""))),
            3 => {
                let live = self.dice.any(&[30, 60, 1000]);
                let quota = Quota::unlimited().max_live(live);
                site.engine.set_quota(scope, quota).expect("room for one scope");
                let _ = site.engine.quota(scope).expect("not forked");
            }
            _ => {
                let stats = site.engine.stats().expect("not forked");
                assert!(stats.fill <= 2.0, "more records than slots: {stats:?}");
            }
        }
    }
}
