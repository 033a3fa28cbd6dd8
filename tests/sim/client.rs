//! Clients: they begin requests, again and again, rightly and wrongly, and give up.

use std::time::Duration;

use oncegate::{Admission, BeginOptions, ErrorCode, Lease, OnConflict, OnLapse, Status};

use crate::attempt::{self, small_outcome};
use crate::job::Job;
use crate::kinds::Kind;
use crate::model::Ask;
use crate::node::{Holding, Site};
use crate::record::State;
use crate::told::Told;
use crate::world::{World, with_request};

/// A client comes with one of the requests that all share.
pub(crate) fn serve(site: &mut Site<'_>, client: u32) {
    let mut world = site.shared.world();
    let requests = u64::from(world.plan.requests);
    let mut id = world.random.below(requests) as u32;
    if world.model.record(id).has_finished() && world.random.chance(2) {
        // What is done is asked for less often.
        id = world.random.below(requests) as u32;
    }
    if world.random.chance(25) {
        world.kinds.add(Kind::GivenUp);
        return world.tell(&format!("client {client}"), &format!("gives request {id} up"));
    }
    let ask = draw_ask(&mut world, id, (site.index, site.life));
    let keeps_guard = !world.random.chance(3);
    let most = world.plan.lease_ms / 4 + 1;
    let in_ms = world.random.below(most);
    drop(world);
    let Some(lease) = begin(site, &format!("client {client}"), id, &ask) else { return };
    start(site, id, lease, keeps_guard, in_ms);
}

/// Somebody asks for something new that is done at once: it takes room, and nothing else.
pub(crate) fn make_noise(site: &mut Site<'_>) {
    let (floods, many) = {
        let mut world = site.shared.world();
        (world.plan.floods, world.random.within((1, 8)))
    };
    (0..if floods { many } else { 1 }).for_each(|_| ask_for_new(site));
}

fn ask_for_new(site: &mut Site<'_>) {
    let mut world = site.shared.world();
    // Numbers of no client's requests.
    let id = 1_000_000 + world.model.records.len() as u32;
    let ask = Ask { payload: 0, ..plain(&world, (site.index, site.life)) };
    let outcome = small_outcome(&mut world.random);
    drop(world);
    if let Some(lease) = begin(site, "noise", id, &ask) {
        let job = job_of(site, id, &lease);
        attempt::complete(site, 0, &job, Holding::Guard(lease), outcome);
    }
}

/// A client comes back for whatever is not done, and does it.
pub(crate) fn resend(site: &mut Site<'_>) {
    let ids: Vec<u32> = site.shared.world().model.records.keys().copied().collect();
    for id in ids {
        let mut world = site.shared.world();
        let record = world.model.record(id);
        if record.has_finished() || record.states == [State::Absent] {
            continue;
        }
        let payload = world.model.record(id).payload;
        let ask = Ask { payload, ..plain(&world, (site.index, site.life)) };
        let outcome = small_outcome(&mut world.random);
        drop(world);
        if let Some(lease) = begin(site, "client", id, &ask) {
            let job = job_of(site, id, &lease);
            attempt::write(site, &job);
            attempt::complete(site, 0, &job, Holding::Guard(lease), outcome);
        }
    }
}

/// Request `id` has ended by now: its duplicates hear how.
pub(crate) fn ask_after(site: &mut Site<'_>, id: u32) {
    let ask = {
        let mut world = site.shared.world();
        let payload = world.model.record(id).payload;
        Ask { payload, ..plain(&world, (site.index, site.life)) }
    };
    let lease = begin(site, "client", id, &ask);
    let mut world = site.shared.world();
    let is_new = lease.as_ref().is_some_and(|lease| lease.attempt() == 1);
    let record = world.model.record(id);
    // One that is gone may find no room for another.
    let is_gone = record.states == [State::Absent];
    let ended = is_new || is_gone || record.has_finished();
    world.expect(ended, || format!("request {id} has not ended"));
    let outcome = small_outcome(&mut world.random);
    drop(world);
    if let Some(lease) = lease {
        let job = job_of(site, id, &lease);
        attempt::complete(site, 0, &job, Holding::Guard(lease), outcome);
    }
}

/// Every request has ended, or is forgotten.
pub(crate) fn ask_all(site: &mut Site<'_>) {
    let ids: Vec<u32> = site.shared.world().model.records.keys().copied().collect();
    for id in ids {
        let is_gone = {
            let world = site.shared.world();
            world.model.possible(id, world.now()).contains(&State::Absent)
        };
        if !is_gone {
            ask_after(site, id);
        }
    }
}

/// Whoever got `lease` runs it from now on.
pub(crate) fn start<'e>(
    site: &mut Site<'e>,
    id: u32,
    lease: Lease<'e>,
    keeps_guard: bool,
    in_ms: u64,
) {
    let job = job_of(site, id, &lease);
    let number = site.jobs.borrow_mut().begin(job, in_ms);
    let holding =
        if keeps_guard { Holding::Guard(lease) } else { Holding::Token(lease.into_token()) };
    site.held.insert(number, holding);
}

pub(crate) fn job_of(site: &Site<'_>, id: u32, lease: &Lease<'_>) -> Job {
    let (attempt, token) = (lease.attempt(), lease.fencing_token().get());
    Job { id, attempt, token, node: site.index, late: false, actions: 0 }
}

/// A question with the engine's own options.
fn plain(world: &World, home: (usize, u64)) -> Ask {
    Ask {
        payload: 0,
        lease_ms: world.plan.lease_ms,
        window_ms: world.plan.window_ms,
        lapse: world.plan.on_lapse,
        runs_due: false,
        home: Some(home),
    }
}

fn draw_ask(world: &mut World, id: u32, home: (usize, u64)) -> Ask {
    let mut ask = plain(world, home);
    let known = world.model.record(id).payload;
    ask.payload = if world.random.chance(12) { 1 - known } else { known };
    if world.random.chance(4) {
        ask.lease_ms = world.random.within((1, 20_000));
    }
    if world.random.chance(6) {
        ask.window_ms = world.plan.window_ms / 2;
    }
    if world.random.chance(5) {
        ask.lapse = *world.random.pick(&[OnLapse::Reclaim, OnLapse::Unknown, OnLapse::Failed]);
    }
    ask.runs_due = world.random.chance(6);
    ask
}

/// Asks, and judges the answer.
fn begin<'e>(site: &mut Site<'e>, who: &str, id: u32, ask: &Ask) -> Option<Lease<'e>> {
    let mut options = BeginOptions::new()
        .lease_duration(Duration::from_millis(ask.lease_ms))
        .dedup_window(Duration::from_millis(ask.window_ms))
        .on_conflict(OnConflict::Conflict)
        .on_lapse(ask.lapse);
    if ask.runs_due {
        options = options.run_due();
        let mut world = site.shared.world();
        let now = world.now();
        world.model.may_be_late(id, now);
    }
    let answer = with_request(id, ask.payload, |request| site.engine.begin_with(request, &options));
    let told = Told::of(&answer);
    let name = site.name();
    let mut world = site.shared.world();
    let wrong = if ask.payload == 0 { "" } else { " with another payload" };
    world.tell(&format!("{who} at {name}"), &format!("begin {id}{wrong} -> {told}"));
    let now = world.now();
    if let Told::Refused(ErrorCode::WrongSecret, _) = told {
        world.kinds.add(Kind::WrongSecret);
        let unlearned = world.unlearned.contains(&site.index);
        world.expect(unlearned, || format!("{name} was told of every secret"));
        return None;
    }
    let scheduled = world.model.record(id).scheduled;
    let evicted = world.model.evicted;
    let was = world.model.begun(id, now, ask, &told);
    if world.judge(id, was).is_some() {
        count(&mut world, scheduled, &told);
    }
    if world.model.evicted > evicted {
        world.kinds.add(Kind::Evicted);
    }
    let Ok(Admission::Admitted(lease)) = answer else { return None };
    if let Told::Admitted { attempt, token, lasts_ms, .. } = told {
        world.ledger.begin(id, attempt, token, now, now + lasts_ms);
    }
    Some(lease)
}

/// `scheduled`: the engine looked after the record.
fn count(world: &mut World, scheduled: bool, told: &Told) {
    let kind = match (told, scheduled) {
        (Told::Admitted { status: Status::Retried, .. }, true) => Kind::RanDue,
        (Told::Admitted { status: Status::Retried, .. }, _) => Kind::RetriedByCaller,
        (Told::Admitted { attempt, .. }, _) if *attempt > 1 => Kind::Taken,
        (Told::Admitted { status: Status::Expired, .. }, _) => Kind::RanAfterWindow,
        (Told::Admitted { .. }, _) => Kind::Created,
        (Told::Replayed(_), _) => Kind::Replayed,
        (Told::InProgress { .. }, _) => Kind::InProgress,
        (Told::Scheduled { .. }, _) => Kind::Scheduled,
        (Told::Mismatched, _) => Kind::Mismatched,
        (Told::Unresolved, _) => Kind::Unresolved,
        (Told::Gone, _) => Kind::Gone,
        (Told::Refused(ErrorCode::QuotaExceeded, _), _) => Kind::Quota,
        (Told::Refused(ErrorCode::Full, _), _) => Kind::Full,
        (Told::Refused(code, field), _) => {
            return world.blame(format!("begin was refused: {code:?}, {field}"));
        }
    };
    world.kinds.add(kind);
}
