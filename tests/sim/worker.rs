//! Workers: they ask for attempts that are due, and run them.

use std::time::Duration;

use oncegate::Attempt;

use crate::client;
use crate::kinds::Kind;
use crate::model::HandedOut;
use crate::node::Site;
use crate::plan::{NARROW, OPERATIONS};
use crate::told::{done, millis, short};
use crate::world::request_of;

/// Asks for an attempt, or for several, and starts them.
pub(crate) fn look(site: &mut Site<'_>) {
    let (many, keeps_guard, in_ms) = {
        let mut world = site.shared.world();
        let lease_ms = world.plan.lease_ms;
        let many = if world.random.chance(4) { world.random.within((2, 5)) } else { 1 };
        (many as usize, !world.random.chance(3), world.random.below(lease_ms / 4 + 1))
    };
    for attempt in next(site, many) {
        if let Some(id) = take(site, &attempt) {
            let lease = attempt.into_lease();
            client::start(site, id, lease, keeps_guard, in_ms);
        }
    }
}

/// At most `many` attempts that are due.
pub(crate) fn next<'e>(site: &Site<'e>, many: usize) -> Vec<Attempt<'e>> {
    {
        let mut world = site.shared.world();
        let now = world.now();
        let ids: Vec<u32> = world.model.records.keys().copied().collect();
        ids.into_iter().for_each(|id| world.model.may_be_late(id, now));
    }
    let found = if many == 1 {
        site.engine.next_attempt(Duration::ZERO).map(|next| next.into_iter().collect())
    } else {
        site.engine.next_attempts(many, Duration::ZERO)
    };
    let mut world = site.shared.world();
    let refused = done(&found);
    world.expect(found.is_ok(), || format!("next_attempt answered {refused}"));
    let attempts = found.unwrap_or_default();
    if attempts.is_empty() {
        world.kinds.add(Kind::NothingDue);
    }
    attempts
}

/// Judges an attempt that was handed out. The request, if it is one.
pub(crate) fn take(site: &mut Site<'_>, attempt: &Attempt<'_>) -> Option<u32> {
    let name = site.name();
    let mut world = site.shared.world();
    let now = world.now();
    let lease = attempt.lease();
    let given = HandedOut {
        attempt: lease.attempt(),
        token: lease.fencing_token().get(),
        lasts_ms: millis(lease.remaining()),
        context: attempt.context().to_vec(),
        operation: attempt.operation().to_owned(),
        home: Some((site.index, site.life)),
    };
    let HandedOut { attempt: number, token, lasts_ms, .. } = given;
    let known = request_of(&given.context);
    let Some(id) = known.filter(|id| world.model.records.contains_key(id)) else {
        world.blame(format!("a worker got an attempt of nobody: {given:?}"));
        return None;
    };
    let line = format!("got {id}: attempt {number} token {} for {lasts_ms} ms", short(token));
    world.tell(&format!("worker at {name}"), &line);
    let judged = world.model.handed_out(id, now, &given);
    let (late_ms, lapsed) = world.judge(id, judged)?;
    world.ledger.begin(id, number, token, now, now + lasts_ms);
    world.kinds.add(Kind::HandedOut);
    if late_ms > 0 {
        world.kinds.add(Kind::HandedOutLate);
    }
    if lapsed {
        world.kinds.add(Kind::HandedOutLapsed);
    }
    drop(world);
    look_at_limits(site, id, token);
    Some(id)
}

/// Counts what this process runs against its limits.
fn look_at_limits(site: &mut Site<'_>, id: u32, token: u64) {
    let mut world = site.shared.world();
    let now = world.now();
    world.model.note_handed_out((site.index, site.life), id, token);
    let running = world.model.handed_out_now((site.index, site.life), now);
    let narrow = running.iter().filter(|id| **id as usize % OPERATIONS.len() == NARROW).count();
    let (most, most_narrow) = (world.plan.max_in_flight, world.plan.narrow);
    world.expect(running.len() <= most && narrow <= most_narrow, || {
        format!("{running:?} run at once, {narrow} of them in the bulkhead of {most_narrow}")
    });
}
