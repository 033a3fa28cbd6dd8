//! More time, for its holder alone.

use std::time::Duration;

use super::stage::{
    Case, LEASE, MINUTE, RETENTION, Stage, Verdict, cases, ensure, failed, left, retry, same,
    succeeded, unchanged, unknown,
};
use crate::engine::OnLapse;
use crate::outcome::Outcome;
use crate::tier::{Claim, Claimed, End, Ended, Holder, Renewal, Renewed, Sighting};

pub(super) const CASES: &[Case] = cases![
    a_renewal_lasts_from_now_on,
    only_its_holder_renews_a_lease,
    what_has_ended_is_not_renewed,
    what_is_not_there_is_not_renewed,
    a_renewal_leaves_the_policy_as_it_was,
];

/// For longer, or for shorter than before; and again, by whichever tier.
fn a_renewal_lasts_from_now_on(stage: &Stage<'_>) -> Verdict {
    let [one, other] = stage.nodes()?;
    let held = one.take(stage.key())?;
    stage.advance(LEASE - MINUTE);
    for lease in [LEASE * 3, LEASE * 2, LEASE * 2] {
        same("the renewal", other.renew(&held.renewal(lease))?, Renewed::Done)?;
        match other.ask(&other.claim(held.claim.key))? {
            Claimed::Running { attempt, remaining } => {
                same("attempt", attempt, 1)?;
                left(stage, remaining, lease, Duration::ZERO)?;
            }
            answer => same("the other's claim", Some(answer), None)?,
        }
    }
    stage.advance(LEASE * 2 - MINUTE);
    let answer = other.ask(&other.claim(held.claim.key))?;
    ensure(matches!(answer, Claimed::Running { .. }), || format!("it lapsed: {answer:?}"))?;
    stage.advance(MINUTE);
    same("attempt", other.take(held.claim.key)?.grant.attempt, 2)
}

/// No lease is longer or shorter for what others ask.
fn only_its_holder_renews_a_lease(stage: &Stage<'_>) -> Verdict {
    let [one, other] = stage.nodes()?;
    let held = one.grant(one.claim_as(stage.key(), 5))?;
    let its = held.claim.holder;
    let strangers = [
        Holder { table: other.table, counter: 5 },
        Holder { table: its.table, counter: 4 },
        Holder { table: its.table, counter: 6 },
    ];
    for holder in strangers {
        for lease in [LEASE * 50, Duration::from_millis(1)] {
            unchanged(&one, held.claim.key, || {
                let renewal = Renewal { holder, ..held.renewal(lease) };
                same("a stranger's renewal", other.renew(&renewal)?, Renewed::Fenced)
            })?;
        }
    }
    same("its holder's", one.renew(&held.renewal(LEASE))?, Renewed::Done)
}

/// In whichever way, also if it says that it restores.
fn what_has_ended_is_not_renewed(stage: &Stage<'_>) -> Verdict {
    let node = stage.node()?;
    let outcome = Outcome::new(200, b"");
    let ends = [succeeded(&outcome), failed(&outcome), retry(LEASE), unknown()];
    for end in ends {
        let held = node.take(stage.key())?;
        same("the end", node.end(&held, end)?, Ended::Done)?;
        for restores in [false, true] {
            unchanged(&node, held.claim.key, || {
                let renewal = Renewal { restores, ..held.renewal(LEASE * 9) };
                same("the renewal", node.renew(&renewal)?, Renewed::Fenced)
            })?;
        }
    }
    let held = node.take(stage.key())?;
    same("the end", node.end(&held, End::NeverRan)?, Ended::Done)?;
    same("the renewal", node.renew(&held.renewal(LEASE))?, Renewed::Fenced)?;
    same("the record", node.read(held.claim.key)?, None)
}

/// It restores nothing unless it says so.
fn what_is_not_there_is_not_renewed(stage: &Stage<'_>) -> Verdict {
    let node = stage.node()?;
    let mut held = node.take(stage.key())?;
    let was_there = held;
    held.claim.key = stage.key();
    same("the renewal", node.renew(&held.renewal(LEASE))?, Renewed::Fenced)?;
    same("the record", node.read(held.claim.key)?, None)?;
    stage.advance(LEASE + RETENTION);
    same("of what is forgotten", node.renew(&was_there.renewal(LEASE))?, Renewed::Fenced)?;
    same("the record", node.read(was_there.claim.key)?, None)
}

/// So it does the retention, which counts from the new end.
fn a_renewal_leaves_the_policy_as_it_was(stage: &Stage<'_>) -> Verdict {
    let [one, other] = stage.nodes()?;
    let held = one.grant(Claim { on_lapse: OnLapse::Unknown, ..one.claim(stage.key()) })?;
    let renewal = Renewal { on_lapse: OnLapse::Reclaim, ..held.renewal(LEASE) };
    stage.advance(LEASE - MINUTE);
    same("the renewal", one.renew(&renewal)?, Renewed::Done)?;
    stage.advance(LEASE + RETENTION - MINUTE);
    let seen = other.read(held.claim.key)?;
    ensure(matches!(seen, Some(Sighting::Running { .. })), || format!("too soon: {seen:?}"))?;
    same("its lapse", other.ask(&other.claim(held.claim.key))?, Claimed::Unresolved)
}
