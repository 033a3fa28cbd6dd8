//! Every operation, refused or with its reply lost, and asked again.

use std::time::Duration;

use super::orphans;
use super::retries::{later, scheduled};
use super::rig::Trouble;
use super::stage::{
    Case, Held, LEASE, MINUTE, Stage, Stop, Verdict, WITHIN, cases, ensure, fail, failed, kind,
    left, retry, same, succeeded, unknown,
};
use crate::engine::Status;
use crate::outcome::Outcome;
use crate::tier::{Claim, Claimed, End, Ended, Renewed, Sighting, TierError, TierErrorKind};

pub(super) const CASES: &[Case] = cases![
    a_claim_is_asked_again,
    a_claim_that_is_not_granted_is_asked_again,
    a_renewal_is_asked_again,
    every_end_is_asked_again,
    a_settlement_is_asked_again,
    a_lost_session_is_asked_again,
    looks_are_asked_again,
    batches_are_asked_again,
    what_was_refused_has_changed_nothing,
];

const BOTH: [Trouble; 2] = [Trouble::Refuse, Trouble::LoseReply];

/// One attempt, whose token is the one that it was granted with.
fn a_claim_is_asked_again(stage: &Stage<'_>) -> Verdict {
    let [one, other] = stage.nodes()?;
    for trouble in BOTH {
        let key = stage.key();
        for attempt in [1, 2] {
            let claim = one.claim(key);
            let answer = again(stage, trouble, || one.tier.claim(&claim, WITHIN))?;
            let Claimed::Granted(grant) = answer else {
                return fail(format!("the claim was not granted: {answer:?}"));
            };
            same("attempt", grant.attempt, attempt)?;
            if attempt == 1 {
                same("status", grant.status, Status::Created)?;
            }
            let answer = other.ask(&other.claim(key))?;
            let runs = matches!(answer, Claimed::Running { attempt: of, .. } if of == attempt);
            ensure(runs, || format!("another's claim: {answer:?}"))?;
            let held = Held { claim, grant };
            same("the same", one.grant(claim)?.grant.fence, grant.fence)?;
            same("its end", one.end(&held, retry(Duration::ZERO))?, Ended::Done)?;
        }
    }
    Ok(())
}

/// Nor is it then.
fn a_claim_that_is_not_granted_is_asked_again(stage: &Stage<'_>) -> Verdict {
    let [one, other] = stage.nodes()?;
    for trouble in BOTH {
        let held = one
            .grant(Claim { on_lapse: crate::engine::OnLapse::Unknown, ..one.claim(stage.key()) })?;
        let ask = |claim: Claim| again(stage, trouble, || other.tier.claim(&claim, WITHIN));
        let key = held.claim.key;
        let answer = ask(Claim { watches: true, ..other.claim(key) })?;
        ensure(matches!(answer, Claimed::Running { .. }), || format!("{answer:?}"))?;
        let answer = ask(Claim { digest: 7, ..other.claim(key) })?;
        same("another payload", answer, Claimed::Mismatched { digest: held.claim.digest })?;
        let answer = ask(Claim { creates: false, ..other.claim(stage.key()) })?;
        same("a look", answer, Claimed::Vacant)?;
        stage.advance(LEASE);
        same("when it has lapsed", ask(other.claim(key))?, Claimed::Unresolved)?;
    }
    Ok(())
}

/// It lasts from the last time on.
fn a_renewal_is_asked_again(stage: &Stage<'_>) -> Verdict {
    let node = stage.node()?;
    for trouble in BOTH {
        let held = node.take(stage.key())?;
        stage.advance(LEASE - MINUTE);
        let renewal = held.renewal(LEASE);
        let answer = again(stage, trouble, || node.tier.renew(&renewal, WITHIN))?;
        same("the renewal", answer, Renewed::Done)?;
        match node.read(held.claim.key)? {
            Some(Sighting::Running { remaining, .. }) => {
                left(stage, remaining, LEASE, Duration::ZERO)?;
            }
            seen => same("the record", seen, None)?,
        }
    }
    Ok(())
}

/// Done, once.
fn every_end_is_asked_again(stage: &Stage<'_>) -> Verdict {
    let [one, other] = stage.nodes()?;
    let outcome = Outcome::new(200, b"done");
    let context = b"how to run it".as_slice();
    let ends = [
        succeeded(&outcome),
        failed(&outcome),
        retry(LEASE),
        later(LEASE, context),
        unknown(),
        End::NeverRan,
    ];
    for trouble in BOTH {
        for end in ends {
            for attempts in [1, 2] {
                let twin = run(&one, stage, attempts)?;
                same("undisturbed", one.end(&twin, end)?, Ended::Done)?;
                let held = run(&one, stage, attempts)?;
                let ending = held.ending(end);
                let answer = again(stage, trouble, || one.tier.end(&ending, WITHIN))?;
                same("the end", answer, Ended::Done)?;
                let (mut wanted, found) = (one.read(twin.claim.key)?, one.read(held.claim.key)?);
                if let Some(Sighting::Unresolved { holder } | Sighting::Waiting { holder, .. }) =
                    &mut wanted
                {
                    *holder = held.claim.holder;
                }
                same("the record", kind(&found), kind(&wanted))?;
                let answer = other.ask(&other.claim(held.claim.key))?;
                let runs = matches!(answer, Claimed::Running { .. });
                ensure(!runs, || format!("it still runs: {answer:?}"))?;
            }
        }
    }
    Ok(())
}

fn run(node: &super::stage::Node, stage: &Stage<'_>, attempts: u32) -> Result<Held, Stop> {
    let held = node.take(stage.key())?;
    if attempts == 1 {
        return Ok(held);
    }
    same("a retry", node.end(&held, retry(Duration::ZERO))?, Ended::Done)?;
    node.take(held.claim.key)
}

/// Whatever the second answer is, it is settled once, and as asked.
fn a_settlement_is_asked_again(stage: &Stage<'_>) -> Verdict {
    let [one, other] = stage.nodes()?;
    for trouble in BOTH {
        let held = one.take(stage.key())?;
        same("the end", one.end(&held, unknown())?, Ended::Done)?;
        let (key, end) = (held.claim.key, retry(Duration::ZERO));
        again(stage, trouble, || other.tier.settle(key, &end, WITHIN))?;
        same("attempt", one.take(key)?.grant.attempt, 2)?;
    }
    Ok(())
}

/// What was not told is told the next time.
fn a_lost_session_is_asked_again(stage: &Stage<'_>) -> Verdict {
    let node = stage.node()?;
    for trouble in BOTH {
        stage.trouble(Trouble::Empty)?;
        stage.advance(Duration::from_millis(1));
        let session = again(stage, trouble, || node.tier.session(WITHIN))?;
        same("lost", session.lost, true)?;
        same("the next one", node.join()?, false)?;
        node.take(stage.key())?;
    }
    Ok(())
}

/// They say what there is.
fn looks_are_asked_again(stage: &Stage<'_>) -> Verdict {
    let [gone, node] = stage.nodes()?;
    let Claim { key, holder, .. } = scheduled(stage, &gone, b"how to run it")?.claim;
    stage.advance(LEASE);
    let waiting = Sighting::Waiting { holder, next_attempt: 2, due_in: Duration::ZERO };
    for trouble in BOTH {
        let seen = again(stage, trouble, || node.tier.read(key, WITHIN))?;
        same("what is read", seen, Some(waiting.clone()))?;
        again(stage, trouble, || node.tier.orphans(10, WITHIN))?;
        let orphans = orphans::found(&node, 10)?;
        same("orphans", orphans.iter().map(|orphan| orphan.key).collect(), vec![key])?;
        again(stage, trouble, || node.tier.beat(gone.table, MINUTE * 5, WITHIN))?;
        same("while it beats", orphans::found(&node, 10)?.len(), 0)?;
        stage.advance(MINUTE * 5);
    }
    Ok(())
}

/// Each of them for itself.
fn batches_are_asked_again(stage: &Stage<'_>) -> Verdict {
    let [one, other] = stage.nodes()?;
    let outcome = Outcome::new(200, b"");
    for trouble in BOTH {
        let claims = [one.claim(stage.key()), one.claim(stage.key()), one.claim(stage.key())];
        let mut held = Vec::new();
        let answers = again(stage, trouble, || all(one.tier.claim_all(&claims, WITHIN)))?;
        for (claim, answer) in claims.into_iter().zip(answers) {
            let Claimed::Granted(grant) = answer else {
                return fail(format!("the claim was not granted: {answer:?}"));
            };
            same("attempt", grant.attempt, 1)?;
            held.push(Held { claim, grant });
        }
        let renewals: Vec<_> = held.iter().map(|held| held.renewal(LEASE)).collect();
        let answers = again(stage, trouble, || all(one.tier.renew_all(&renewals, WITHIN)))?;
        same("renewals", answers, vec![Renewed::Done; 3])?;
        let endings: Vec<_> = held.iter().map(|held| held.ending(succeeded(&outcome))).collect();
        let answers = again(stage, trouble, || all(one.tier.end_all(&endings, WITHIN)))?;
        same("ends", answers, vec![Ended::Done; 3])?;
        for held in &held {
            super::stage::finished(other.ask(&other.claim(held.claim.key))?)?;
        }
    }
    Ok(())
}

/// The answers, or the first error.
fn all<T>(answers: Vec<Result<T, TierError>>) -> Result<Vec<T>, TierError> {
    answers.into_iter().collect()
}

/// "Not carried out" is to be relied on.
fn what_was_refused_has_changed_nothing(stage: &Stage<'_>) -> Verdict {
    let node = stage.node()?;
    let outcome = Outcome::new(200, b"");
    let held = node.take(stage.key())?;
    let before = node.read(held.claim.key)?;
    for trouble in BOTH {
        let attempts: [&dyn Fn() -> Result<(), TierError>; 3] = [
            &|| node.tier.end(&held.ending(succeeded(&outcome)), WITHIN).map(drop),
            &|| node.tier.renew(&held.renewal(LEASE * 9), WITHIN).map(drop),
            &|| node.tier.claim(&node.claim(held.claim.key), WITHIN).map(drop),
        ];
        for attempt in attempts {
            stage.trouble(trouble)?;
            match attempt() {
                Err(error) if error.kind() == TierErrorKind::Unavailable => {
                    same("the record", kind(&node.read(held.claim.key)?), kind(&before))?;
                }
                // It may have been carried out, or the tier has asked again: nothing to be seen.
                Err(error) if error.kind() == TierErrorKind::Unknown => return Ok(()),
                Err(error) => return fail(format!("the answer to a trouble: {error}")),
                Ok(()) => return Ok(()),
            }
        }
    }
    Ok(())
}

/// Asks in spite of `trouble` until there is an answer. A tier may have done so by itself.
pub(super) fn again<T>(
    stage: &Stage<'_>,
    trouble: Trouble,
    ask: impl Fn() -> Result<T, TierError>,
) -> Result<T, Stop> {
    stage.trouble(trouble)?;
    let mut last = None;
    for _ in 0..TRIES {
        match ask() {
            Ok(answer) => return Ok(answer),
            Err(error) => {
                let lied = trouble == Trouble::LoseReply
                    && last.is_none()
                    && error.kind() != TierErrorKind::Unknown;
                let kinds = [TierErrorKind::Unknown, TierErrorKind::Unavailable];
                ensure(!lied && kinds.contains(&error.kind()), || {
                    format!("{trouble} was answered by {error}")
                })?;
                last = Some(error);
            }
        }
    }
    fail(format!("no answer after {trouble}: {last:?}"))
}

/// How often it is asked, after a trouble that is over.
const TRIES: usize = 8;
