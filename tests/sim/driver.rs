//! Drivers: whoever looks after what is due, in each process; and what they find when the faults
//! are over.

use oncegate::{Engine, LetterFilter};

use crate::attempt::{self, small_outcome};
use crate::client::job_of;
use crate::kinds::Kind;
use crate::node::{Holding, Site};
use crate::worker;

/// Looks after what is due, a part of it or all.
pub(crate) fn drive(site: &mut Site<'_>) {
    let (limit, draw) = {
        let mut world = site.shared.world();
        (*world.random.pick(&[1, 3, 1_000]), world.random.below(10))
    };
    let line = match draw {
        0 => {
            let swept = site.engine.sweep(limit * 8).expect("not forked");
            site.shared.count(Kind::Swept);
            format!("sweep: {} cleared, {} lapsed", swept.cleared, swept.lapsed)
        }
        1 => {
            let done = site.engine.reconcile(limit).expect("not forked");
            format!("reconcile: {} of {}", done.resolved, done.asked)
        }
        2 => {
            site.shared.count(Kind::BuriedDead);
            format!("bury the dead: {}", site.engine.bury_dead().expect("not forked"))
        }
        _ => {
            let driven = site.engine.advance(limit).expect("not forked");
            site.shared.count(Kind::Driven);
            format!("advance: {} looked at, {} ready", driven.looked_at, driven.ready)
        }
    };
    site.tell(&line);
}

/// Does all that is due, without faults.
pub(crate) fn settle(site: &mut Site<'_>) {
    let held: Vec<u32> = site.held.keys().copied().collect();
    held.into_iter().for_each(|job| attempt::go_on(site, job));
    let mut rounds = 0;
    while site.engine.advance(100).expect("not forked").more {
        rounds += 1;
        if rounds > MOST_ROUNDS {
            return site.shared.world().blame("advance comes to no end".to_owned());
        }
    }
    loop {
        let attempts = worker::next(site, 3);
        if attempts.is_empty() {
            break;
        }
        for attempt in attempts {
            let Some(id) = worker::take(site, &attempt) else { return };
            let lease = attempt.into_lease();
            let job = job_of(site, id, &lease);
            let outcome = small_outcome(&mut site.shared.world().random);
            attempt::write(site, &job);
            attempt::complete(site, 0, &job, Holding::Guard(lease), outcome);
        }
    }
}

/// Looks whether anything is left that should not be, now that all is done and every window over.
pub(crate) fn inspect(site: &mut Site<'_>) {
    let swept = site.engine.sweep(usize::MAX).expect("not forked");
    let stats = site.engine.stats().expect("not forked");
    let letters = letters(site.engine);
    let retries = &stats.retries;
    let line =
        format!("all done: {letters} letters, {} cleared, live {:?}", swept.cleared, stats.live);
    let mut world = site.shared.world();
    world.tell(&site.name(), &line);
    let may = world.model.allow_evictions(stats.evicted_early);
    world.expect(may, || format!("{} evictions under `Reject`", stats.evicted_early));
    let left = [retries.in_flight, retries.ready, retries.stuck, stats.waiters];
    world.expect(left == [0; 4], || format!("left in flight, ready, stuck, waiting: {left:?}"));
    let counted = (retries.retrying, retries.dead_letters, stats.live.total());
    world.expect(counted == (letters, letters, letters), || {
        format!("{letters} letters, and {counted:?} entries, letters and records")
    });
}

fn letters(engine: &Engine) -> u64 {
    let page = engine.dead_letters(&LetterFilter::all(), None, usize::MAX).expect("not forked");
    page.letters.len() as u64
}

/// More than there can be in a table of this size.
const MOST_ROUNDS: u32 = 1_000;
