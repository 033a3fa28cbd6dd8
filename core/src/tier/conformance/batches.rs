//! Many at once: answered in their order, each for itself.

use super::stage::{
    Case, Held, LEASE, Node, Stage, Stop, Verdict, WITHIN, cases, ensure, failed, must, retry,
    same, succeeded, unknown,
};
use crate::engine::Status;
use crate::outcome::Outcome;
use crate::tier::{Claim, Claimed, End, Ended, Ending, Renewal, Renewed, TierError};

pub(super) const CASES: &[Case] = cases![
    claims_are_answered_in_their_order,
    renewals_are_answered_in_their_order,
    ends_are_answered_in_their_order,
    a_batch_of_nothing_has_no_answers,
    a_batch_may_be_large,
    the_same_claim_twice_in_a_batch_is_granted_once,
];

/// Every answer there is, beside each other.
fn claims_are_answered_in_their_order(stage: &Stage<'_>) -> Verdict {
    let [one, other] = stage.nodes()?;
    let (running, waiting) = (other.take(stage.key())?, other.take(stage.key())?);
    same("a retry", other.end(&waiting, retry(LEASE))?, Ended::Done)?;
    let (done, lost) = (other.take(stage.key())?, other.take(stage.key())?);
    same("an end", other.end(&done, failed(&Outcome::new(500, b"")))?, Ended::Done)?;
    same("an end", other.end(&lost, unknown())?, Ended::Done)?;
    let own = one.grant(one.claim_as(stage.key(), 5))?;
    let claims = [
        one.claim(stage.key()),
        one.claim(running.claim.key),
        one.claim(stage.key()),
        one.claim(waiting.claim.key),
        one.claim(done.claim.key),
        one.claim(lost.claim.key),
        Claim { digest: 7, ..one.claim(running.claim.key) },
        Claim { creates: false, ..one.claim(stage.key()) },
        one.claim_as(own.claim.key, 4),
        own.claim,
        Claim { session: !own.claim.session, ..one.claim(stage.key()) },
        one.claim(stage.key()),
    ];
    let answers = one.tier.claim_all(&claims, WITHIN);
    let found: Vec<String> = answers.into_iter().map(brief).collect();
    let wanted = [
        "granted 1",
        "running",
        "granted 1",
        "waiting",
        "finished",
        "unresolved",
        "mismatched",
        "vacant",
        "stale",
        "granted 1",
        "SessionOver",
        "granted 1",
    ];
    same("answers", found, wanted.map(str::to_owned).to_vec())
}

fn brief(answer: Result<Claimed, TierError>) -> String {
    match answer {
        Ok(Claimed::Granted(grant)) => format!("granted {}", grant.attempt),
        Ok(Claimed::Running { .. }) => "running".to_owned(),
        Ok(Claimed::Waiting { .. }) => "waiting".to_owned(),
        Ok(Claimed::Finished(_)) => "finished".to_owned(),
        Ok(Claimed::Mismatched { .. }) => "mismatched".to_owned(),
        Ok(Claimed::Unresolved) => "unresolved".to_owned(),
        Ok(Claimed::Vacant) => "vacant".to_owned(),
        Ok(Claimed::Stale) => "stale".to_owned(),
        Err(error) => format!("{:?}", error.kind()),
    }
}

/// One that is fenced lets the others alone.
fn renewals_are_answered_in_their_order(stage: &Stage<'_>) -> Verdict {
    let [one, other] = stage.nodes()?;
    let held = some(stage, &one, 5)?;
    same("an end", one.end(&held[1], retry(LEASE))?, Ended::Done)?;
    let mut stranger = held[3].renewal(LEASE * 9);
    stranger.holder.table = other.table;
    let renewals = [
        held[0].renewal(LEASE * 2),
        held[1].renewal(LEASE * 2),
        held[2].renewal(LEASE * 3),
        stranger,
        held[4].renewal(LEASE * 2),
    ];
    let answers = one.tier.renew_all(&renewals, WITHIN);
    let answers = answers.into_iter().collect::<Result<Vec<_>, _>>();
    let (done, fenced) = (Renewed::Done, Renewed::Fenced);
    same("answers", must(answers, "renew_all")?, vec![done, fenced, done, fenced, done])?;
    stage.advance(LEASE);
    let lasts = held.iter().map(|held| {
        let answer = other.ask(&other.claim(held.claim.key))?;
        Ok(matches!(answer, Claimed::Running { attempt: 1, .. }))
    });
    same("which last", lasts.collect::<Result<Vec<_>, _>>()?, vec![true, false, true, false, true])
}

/// Each in its own way.
fn ends_are_answered_in_their_order(stage: &Stage<'_>) -> Verdict {
    let [one, other] = stage.nodes()?;
    let held = some(stage, &one, 6)?;
    let outcome = Outcome::new(200, b"done");
    let mut stranger = held[1].ending(succeeded(&outcome));
    stranger.holder.table = other.table;
    let endings: [Ending<'_>; 7] = [
        held[0].ending(succeeded(&outcome)),
        stranger,
        held[2].ending(retry(LEASE)),
        held[3].ending(End::NeverRan),
        held[4].ending(unknown()),
        held[0].ending(failed(&outcome)),
        held[5].ending(failed(&outcome)),
    ];
    let answers = one.tier.end_all(&endings, WITHIN);
    let answers = answers.into_iter().collect::<Result<Vec<_>, _>>();
    let mut wanted = vec![Ended::Done; 7];
    (wanted[1], wanted[5]) = (Ended::Fenced, Ended::Fenced);
    same("answers", must(answers, "end_all")?, wanted)?;
    let states = held.iter().map(|held| Ok(brief(Ok(other.ask(&other.claim(held.claim.key))?))));
    let wanted = ["finished", "running", "waiting", "granted 1", "unresolved", "finished"];
    let states = states.collect::<Result<Vec<_>, Stop>>()?;
    same("what they are", states, wanted.map(str::to_owned).to_vec())
}

/// And asks the store for nothing that it could fail at.
fn a_batch_of_nothing_has_no_answers(stage: &Stage<'_>) -> Verdict {
    let node = stage.node()?;
    same("claims", node.tier.claim_all(&[], WITHIN).len(), 0)?;
    same("renewals", node.tier.renew_all(&[], WITHIN).len(), 0)?;
    same("ends", node.tier.end_all(&[], WITHIN).len(), 0)
}

/// As many as a fail-over replays at once.
fn a_batch_may_be_large(stage: &Stage<'_>) -> Verdict {
    let node = stage.node()?;
    let claims: Vec<Claim> = (0..700).map(|_| node.claim(stage.key())).collect();
    let answers = must(
        node.tier.claim_all(&claims, WITHIN).into_iter().collect::<Result<Vec<_>, _>>(),
        "claim_all",
    )?;
    let mut held = Vec::new();
    for (claim, answer) in claims.iter().zip(&answers) {
        match *answer {
            Claimed::Granted(grant) => held.push(Held { claim: *claim, grant }),
            ref other => same("the claim", Some(other), None)?,
        }
    }
    same("answers", held.len(), claims.len())?;
    let renewals: Vec<Renewal> = held.iter().map(|held| held.renewal(LEASE)).collect();
    let renewed = node.tier.renew_all(&renewals, WITHIN);
    let done = renewed.iter().filter(|answer| **answer == Ok(Renewed::Done)).count();
    same("renewed", done, held.len())?;
    let outcome = Outcome::new(200, [7; 100]);
    let endings: Vec<Ending<'_>> =
        held.iter().map(|held| held.ending(succeeded(&outcome))).collect();
    let ended = node.tier.end_all(&endings, WITHIN);
    same("ended", ended.iter().filter(|answer| **answer == Ok(Ended::Done)).count(), held.len())
}

/// Operations of a batch on one key have an order.
fn the_same_claim_twice_in_a_batch_is_granted_once(stage: &Stage<'_>) -> Verdict {
    let node = stage.node()?;
    let first = node.claim(stage.key());
    let second = node.claim(first.key);
    let answers = node.tier.claim_all(&[first, first, second, first], WITHIN);
    let answers = must(answers.into_iter().collect::<Result<Vec<_>, _>>(), "claim_all")?;
    let [Claimed::Granted(one), Claimed::Granted(again), Claimed::Granted(next), Claimed::Stale] =
        answers[..]
    else {
        return same("answers", Some(answers), None);
    };
    same("created", one.status, Status::Created)?;
    same("the same", (one.fence, one.attempt), (again.fence, again.attempt))?;
    ensure(next.fence > one.fence && next.attempt == 2, || format!("{next:?} after {one:?}"))
}

fn some(stage: &Stage<'_>, node: &Node, count: usize) -> Result<Vec<Held>, Stop> {
    (0..count).map(|_| node.take(stage.key())).collect()
}
