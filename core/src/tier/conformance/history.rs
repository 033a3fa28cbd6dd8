//! Random calls of several nodes, each beside the model: what is answered, and what the record is
//! afterwards.
//!
//! Times are whole minutes, so a store whose own time passes differs from the model by less than
//! what any of them can be.

use std::collections::HashMap;
use std::time::Duration;

use super::model::Model;
use super::orphans;
use super::rig::Trouble;
use super::stage::{
    Case, Held, MINUTE, Node, Stage, Verdict, WITHIN, cases, ensure, kind, same, span_differs,
};
use super::troubles::again;
use crate::engine::OnLapse;
use crate::outcome::Outcome;
use crate::tier::{
    Claim, Claimed, End, Ended, Ending, Renewal, Renewed, Sighting, TierError, TierKey,
};

pub(super) const CASES: &[Case] = cases![
    random_calls_agree_with_the_model,
    random_calls_with_lost_replies_agree_with_the_model,
    random_calls_of_a_store_that_forgets_agree_with_the_model,
    random_calls_of_a_store_that_fails_over_agree_with_the_model,
];

/// Nothing goes wrong.
fn random_calls_agree_with_the_model(stage: &Stage<'_>) -> Verdict {
    histories(stage, Ills { disturbs: false, forgets: false, fails_over: false })
}

/// Each operation may be refused, or its reply lost; then it is asked again.
fn random_calls_with_lost_replies_agree_with_the_model(stage: &Stage<'_>) -> Verdict {
    histories(stage, Ills { disturbs: true, forgets: false, fails_over: false })
}

/// It is emptied now and then; what runs is made again.
fn random_calls_of_a_store_that_forgets_agree_with_the_model(stage: &Stage<'_>) -> Verdict {
    histories(stage, Ills { disturbs: true, forgets: true, fails_over: false })
}

/// It goes back to an older state, once a history; what was granted since is made again.
fn random_calls_of_a_store_that_fails_over_agree_with_the_model(stage: &Stage<'_>) -> Verdict {
    histories(stage, Ills { disturbs: false, forgets: false, fails_over: true })
}

fn histories(stage: &Stage<'_>, ills: Ills) -> Verdict {
    (0..HISTORIES).try_for_each(|_| History::new(stage, ills)?.run())
}

/// What may go wrong.
#[derive(Clone, Copy)]
struct Ills {
    disturbs: bool,
    forgets: bool,
    fails_over: bool,
}

struct History<'s> {
    stage: &'s Stage<'s>,
    model: Model,
    nodes: [Node; 3],
    keys: [TierKey; 3],
    /// The highest token of each key so far.
    tokens: HashMap<TierKey, u64>,
    /// What was asked before, for messages that come late.
    asked: Vec<(usize, Claim)>,
    /// What was granted, with the end of its lease as its holder knows it, and how it ended.
    granted: Vec<(Held, Duration, Option<u64>)>,
    ills: Ills,
    /// What the store goes back to.
    remembered: Option<Model>,
    steps: Vec<String>,
}

impl<'s> History<'s> {
    fn new(stage: &'s Stage<'s>, ills: Ills) -> Result<Self, super::stage::Stop> {
        Ok(Self {
            stage,
            model: Model::default(),
            nodes: stage.nodes()?,
            keys: [stage.key(), stage.key(), stage.key()],
            tokens: HashMap::new(),
            asked: Vec::new(),
            granted: Vec::new(),
            ills,
            remembered: None,
            steps: Vec::new(),
        })
    }

    fn run(&mut self) -> Verdict {
        for step in 0..STEPS {
            let key = self.keys[self.pick(3)];
            let ran = match step {
                REMEMBERED if self.ills.fails_over => self.remember(),
                FAILED_OVER if self.ills.fails_over => self.fail_over(),
                _ => self.step(key).and_then(|()| self.agrees(key)),
            };
            if let Err(super::stage::Stop::Failed(why)) = ran {
                let last = self.steps.len().saturating_sub(TOLD);
                let steps = self.steps[last..].join("\n    ");
                return super::stage::fail(format!("{why}; after\n    {steps}"));
            }
            ran?;
        }
        Ok(())
    }

    fn pick(&self, sides: u64) -> usize {
        usize::try_from(self.stage.draw() % sides).unwrap_or_default()
    }

    fn minutes(&self, most: u64) -> Duration {
        MINUTE * u32::try_from(self.pick(most + 1)).unwrap_or_default()
    }

    fn step(&mut self, key: TierKey) -> Verdict {
        match self.pick(20) {
            0..=5 => self.fresh_claim(key),
            6 | 7 => self.late_claim(),
            8..=11 => self.end(),
            12 | 13 => self.renew(),
            14 => self.settle(key),
            15 => self.beat(),
            16 => self.orphans(),
            17 if self.ills.forgets && self.pick(6) == 0 => self.forget(),
            _ => {
                let by = self.minutes(4);
                self.steps.push(format!("advance {by:?}"));
                self.stage.advance(by);
                self.model.now += by;
                Ok(())
            }
        }
    }

    /// The record is the model's.
    fn agrees(&mut self, key: TierKey) -> Verdict {
        let found = self.nodes[0].read(key)?;
        let wanted = self.model.read(key);
        same("the record", kind(&found), kind(&wanted))?;
        ensure(!span_differs(&found, &wanted), || format!("{found:?}, wanted {wanted:?}"))
    }

    /// Asks, in spite of trouble, if there is to be some.
    fn ask<T>(&self, ask: impl Fn() -> Result<T, TierError>) -> Result<T, super::stage::Stop> {
        let trouble = match self.pick(4) {
            0 if self.ills.disturbs => Trouble::LoseReply,
            1 if self.ills.disturbs => Trouble::Refuse,
            _ => return super::stage::must(ask(), "an operation"),
        };
        again(self.stage, trouble, ask)
    }

    fn fresh_claim(&mut self, key: TierKey) -> Verdict {
        let at = self.pick(3);
        let node = &self.nodes[at];
        let policies = [OnLapse::Reclaim, OnLapse::Unknown, OnLapse::Failed, OnLapse::Reclaim];
        let claim = Claim {
            digest: if self.pick(8) == 0 { 7 } else { 8 },
            lease: MINUTE + self.minutes(4),
            retention: KEPT + self.minutes(20),
            on_lapse: policies[self.pick(4)],
            creates: self.pick(5) > 0,
            takes_scheduled: self.pick(2) == 0,
            watches: self.pick(2) == 0,
            above: if self.pick(9) == 0 { self.highest() + 5 } else { 0 },
            ..node.claim(key)
        };
        self.claim(at, claim)
    }

    fn highest(&self) -> u64 {
        self.tokens.values().copied().max().unwrap_or_default()
    }

    /// A claim that was asked before comes once more.
    fn late_claim(&mut self) -> Verdict {
        if self.asked.is_empty() {
            return Ok(());
        }
        let (at, claim) = self.asked[self.pick(self.asked.len() as u64)];
        let session = self.nodes[at].claim_as(claim.key, claim.holder.counter).session;
        self.claim(at, Claim { session, ..claim })
    }

    fn claim(&mut self, at: usize, claim: Claim) -> Verdict {
        self.steps.push(format!("node {at}: {claim:?}"));
        self.asked.push((at, claim));
        let tier = &self.nodes[at].tier;
        let found = self.ask(|| tier.claim(&claim, WITHIN))?;
        let expected = self.model.claim(&claim);
        self.steps.push(format!("  {found:?}"));
        let (Claimed::Granted(found), Claimed::Granted(wanted)) = (&found, &expected.claimed)
        else {
            return alike(&found, &expected.claimed);
        };
        same("attempt", found.attempt, wanted.attempt)?;
        ensure(expected.statuses.contains(&found.status), || {
            format!("{:?}, wanted one of {:?}", found.status, expected.statuses)
        })?;
        if wanted.fence > 0 {
            same("the token again", found.fence, wanted.fence)?;
        } else {
            let last = self.tokens.insert(claim.key, found.fence).unwrap_or_default();
            ensure(found.fence > last.max(claim.above), || {
                format!("the token {} came after {last}", found.fence)
            })?;
            self.model.granted(claim.key, found.fence);
        }
        self.granted.retain(|(held, _, _)| {
            held.claim.holder != claim.holder || held.claim.key != claim.key
        });
        self.granted.push((Held { claim, grant: *found }, self.model.now + claim.lease, None));
        Ok(())
    }

    /// An attempt ends, or tries to: late ones, and those that have ended, too.
    fn end(&mut self) -> Verdict {
        let Some(at) = self.some_grant() else { return Ok(()) };
        let (held, until, ended) = self.granted[at];
        // Mostly as before, if it has ended.
        let way = match ended {
            Some(way) if self.pick(4) > 0 => way,
            _ => self.stage.draw() % 6,
        };
        let outcome = Outcome::new(200, held.grant.fence.to_le_bytes());
        let end = self.some_end(way, &outcome);
        let restores = self.model.now < until && ended != Some(NEVER_RAN);
        let ending = Ending { restores, ..held.ending(end) };
        self.steps.push(format!("{ending:?}"));
        let tier = &self.nodes[self.pick(3)].tier;
        let found = self.ask(|| tier.end(&ending, WITHIN))?;
        let Some(wanted) = self.model.end(&ending) else { return Ok(()) };
        if ended.is_some() && wanted == Ended::Fenced && self.model.read(held.claim.key).is_none() {
            // What it left is forgotten: whether it had ended so is not known any more.
            return Ok(());
        }
        same("the end", found, wanted)?;
        if wanted == Ended::Done && ended.is_none() {
            self.granted[at].2 = Some(way);
        }
        Ok(())
    }

    fn some_end<'o>(&self, way: u64, outcome: &'o Outcome) -> End<'o> {
        let (due_in, retention) = (self.minutes(6), KEPT + self.minutes(9));
        match way {
            0 => End::Succeeded { outcome, window: KEPT },
            1 => End::Failed { outcome, window: KEPT },
            2 => End::Retry { due_in, retention, scheduled: None },
            3 => End::Unknown { retention },
            NEVER_RAN => End::NeverRan,
            _ => End::Retry { due_in, retention, scheduled: Some(b"how to run it") },
        }
    }

    fn renew(&mut self) -> Verdict {
        let Some(at) = self.some_grant() else { return Ok(()) };
        let (held, until, ended) = self.granted[at];
        let restores = self.model.now < until && ended.is_none();
        let renewal = Renewal { restores, ..held.renewal(MINUTE + self.minutes(4)) };
        self.steps.push(format!("{renewal:?}"));
        let tier = &self.nodes[self.pick(3)].tier;
        let found = self.ask(|| tier.renew(&renewal, WITHIN))?;
        let wanted = self.model.renew(&renewal);
        same("the renewal", found, wanted)?;
        if wanted == Renewed::Done {
            self.granted[at].1 = self.model.now + renewal.lease;
        }
        Ok(())
    }

    /// Mostly a late one.
    fn some_grant(&self) -> Option<usize> {
        let last = self.granted.len().checked_sub(1)?;
        let back = self.pick(2) * self.pick(6);
        Some(last.saturating_sub(back))
    }

    fn settle(&mut self, key: TierKey) -> Verdict {
        let outcome = Outcome::new(200, b"settled");
        let end = self.some_end([0, 1, 2, 5][self.pick(4)], &outcome);
        self.steps.push(format!("settle {key:?}: {end:?}"));
        let tier = &self.nodes[self.pick(3)].tier;
        let found = self.ask(|| tier.settle(key, &end, WITHIN))?;
        let wanted = self.model.settle(key, &end);
        // Asked twice, it is settled already.
        let twice = self.ills.disturbs && wanted == Ended::Done && found == Ended::Fenced;
        if twice { Ok(()) } else { same("settled", found, wanted) }
    }

    fn beat(&mut self) -> Verdict {
        let at = self.pick(3);
        let lasts = MINUTE + self.minutes(9);
        self.steps.push(format!("node {at}: beat {lasts:?}"));
        let node = &self.nodes[at];
        self.ask(|| node.tier.beat(node.table, lasts, WITHIN))?;
        self.model.beat(node.table, lasts);
        Ok(())
    }

    fn orphans(&mut self) -> Verdict {
        self.steps.push("orphans".to_owned());
        let mut found = orphans::found(&self.nodes[0], 100)?;
        // Stores that are slow to forget may have some of an earlier case.
        found.retain(|orphan| self.keys.contains(&orphan.key));
        found.sort_by_key(|orphan| orphan.key);
        let mut wanted = self.model.orphans();
        for orphan in &mut wanted {
            orphan.context = self.stage.kept(&orphan.context);
        }
        same("orphans", found, wanted)
    }

    fn remember(&mut self) -> Verdict {
        self.steps.push("remember".to_owned());
        self.stage.trouble(Trouble::Remember)?;
        self.remembered = Some(self.model.clone());
        Ok(())
    }

    /// The store goes back to what it had then, and everybody joins what it is now.
    fn fail_over(&mut self) -> Verdict {
        self.steps.push("fail over".to_owned());
        self.stage.trouble(Trouble::GoBack)?;
        self.stage.advance(MINUTE);
        self.model.now += MINUTE;
        if let Some(then) = self.remembered.take() {
            self.model.go_back(then);
        }
        for node in &self.nodes {
            same("lost", node.join()?, true)?;
        }
        self.keys.into_iter().try_for_each(|key| self.agrees(key))
    }

    /// The store forgets everything, and everybody joins what it is then.
    fn forget(&mut self) -> Verdict {
        self.steps.push("forget".to_owned());
        self.stage.trouble(Trouble::Empty)?;
        self.stage.advance(MINUTE);
        self.model.forget();
        self.model.now += MINUTE;
        for node in &self.nodes {
            same("lost", node.join()?, true)?;
        }
        Ok(())
    }
}

/// The answer is the one that was wanted, to the minute.
fn alike(found: &Claimed, wanted: &Claimed) -> Verdict {
    let pair = (found, wanted);
    let (kept, near) = match pair {
        (
            Claimed::Running { attempt, remaining },
            Claimed::Running { attempt: of, remaining: left },
        ) => (attempt == of, remaining.abs_diff(*left) < MINUTE),
        (
            Claimed::Waiting { next_attempt, due_in },
            Claimed::Waiting { next_attempt: of, due_in: left },
        ) => (next_attempt == of, due_in.abs_diff(*left) < MINUTE),
        (Claimed::Finished(found), Claimed::Finished(wanted)) => {
            let (found, wanted) =
                (Sighting::Finished(found.clone()), Sighting::Finished(wanted.clone()));
            let (found, wanted) = (Some(found), Some(wanted));
            (kind(&found) == kind(&wanted), !span_differs(&found, &wanted))
        }
        _ => (found == wanted, true),
    };
    ensure(kept && near, || format!("{found:?}, wanted {wanted:?}"))
}

const HISTORIES: usize = 12;
const STEPS: usize = 300;
/// After how many steps the store goes back to what, where it does.
const REMEMBERED: usize = 200;
const FAILED_OVER: usize = 212;
/// How many of the last steps are told of a history that went wrong.
const TOLD: usize = 12;
/// The way of [`End::NeverRan`].
const NEVER_RAN: u64 = 4;
/// How long anything is kept at least, which is longer than any lease: what is gone while a lease
/// has not lapsed was forgotten.
const KEPT: Duration = Duration::from_secs(10 * 60);
