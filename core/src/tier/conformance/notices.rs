//! Who hears of a change.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::rig::Trouble;
use super::stage::{
    Case, Held, LEASE, Node, Stage, Stop, Verdict, cases, fail, failed, finished, retry, same,
    succeeded, unknown,
};
use crate::outcome::Outcome;
use crate::sync::plain::Mutex;
use crate::tier::{Claim, Claimed, End, Ended, TierKey, Watcher};

pub(super) const CASES: &[Case] = cases![
    who_was_told_that_it_runs_hears_how_it_ends,
    who_was_told_that_it_waits_hears_how_it_ends,
    who_waits_hears_of_a_lapse,
    everybody_who_asked_hears,
    a_notice_that_is_lost_changes_nothing,
];

/// However it ends.
fn who_was_told_that_it_runs_hears_how_it_ends(stage: &Stage<'_>) -> Verdict {
    let one = stage.node()?;
    let (other, heard) = listening(stage)?;
    let outcome = Outcome::new(200, b"done");
    let ends = [succeeded(&outcome), failed(&outcome), retry(LEASE), unknown(), End::NeverRan];
    for end in ends {
        for attempts in [1, 2] {
            let mut held = one.take(stage.key())?;
            if attempts == 2 {
                same("a retry", one.end(&held, retry(Duration::ZERO))?, Ended::Done)?;
                held = one.take(held.claim.key)?;
            }
            is_told(&other, &held)?;
            same("the end", one.end(&held, end)?, Ended::Done)?;
            hears(&heard, held.claim.key)?;
        }
    }
    Ok(())
}

/// Whoever takes it.
fn who_was_told_that_it_waits_hears_how_it_ends(stage: &Stage<'_>) -> Verdict {
    let one = stage.node()?;
    let (other, heard) = listening(stage)?;
    let held = one.take(stage.key())?;
    same("a retry", one.end(&held, retry(LEASE))?, Ended::Done)?;
    let key = held.claim.key;
    match other.ask(&Claim { watches: true, ..other.claim(key) })? {
        Claimed::Waiting { .. } => {}
        answer => same("the claim", Some(answer), None)?,
    }
    let held = one.take(key)?;
    same("the end", one.end(&held, succeeded(&Outcome::new(200, b"")))?, Ended::Done)?;
    hears(&heard, key)
}

/// When another one meets it.
fn who_waits_hears_of_a_lapse(stage: &Stage<'_>) -> Verdict {
    let [one, third] = stage.nodes()?;
    let (other, heard) = listening(stage)?;
    let policy = crate::engine::OnLapse::Unknown;
    let held = one.grant(Claim { on_lapse: policy, ..one.claim(stage.key()) })?;
    is_told(&other, &held)?;
    stage.advance(LEASE);
    same("the lapse", third.ask(&third.claim(held.claim.key))?, Claimed::Unresolved)?;
    hears(&heard, held.claim.key)
}

/// Each by its own watcher, of each key that it asked for.
fn everybody_who_asked_hears(stage: &Stage<'_>) -> Verdict {
    let one = stage.node()?;
    let mut waiting = Vec::new();
    for _ in 0..3 {
        waiting.push(listening(stage)?);
    }
    let held = [one.take(stage.key())?, one.take(stage.key())?];
    for held in &held {
        for (node, _) in &waiting {
            is_told(node, held)?;
        }
    }
    for held in &held {
        same("the end", one.end(held, succeeded(&Outcome::new(200, b"")))?, Ended::Done)?;
        for (_, heard) in &waiting {
            hears(heard, held.claim.key)?;
        }
    }
    Ok(())
}

/// Whoever looks by itself finds what there is.
fn a_notice_that_is_lost_changes_nothing(stage: &Stage<'_>) -> Verdict {
    let one = stage.node()?;
    let (other, _heard) = listening(stage)?;
    let held = one.take(stage.key())?;
    is_told(&other, &held)?;
    stage.trouble(Trouble::LoseNotices)?;
    let outcome = Outcome::new(200, b"done");
    same("the end", one.end(&held, succeeded(&outcome))?, Ended::Done)?;
    let found = finished(other.ask(&Claim { watches: true, ..other.claim(held.claim.key) })?)?;
    same("outcome", found.outcome, Some(outcome))
}

/// A node whose notices come out at the other end.
fn listening(stage: &Stage<'_>) -> Result<(Node, Receiver<Notice>), Stop> {
    let node = stage.node()?;
    let (sender, receiver) = channel();
    let watcher = Arc::new(Tell(Mutex::new(sender)));
    if node.tier.watch(node.table, watcher).is_err() {
        return Err(Stop::Cannot("a tier that gives notices".to_owned()));
    }
    Ok((node, receiver))
}

/// `node` is told that it runs, and wants to hear more.
fn is_told(node: &Node, held: &Held) -> Verdict {
    match node.ask(&Claim { watches: true, ..node.claim(held.claim.key) })? {
        Claimed::Running { .. } => Ok(()),
        answer => same("the claim", Some(answer), None),
    }
}

/// The change of `key`, or that it may have been missed. Other notices may come before it.
fn hears(heard: &Receiver<Notice>, key: TierKey) -> Verdict {
    loop {
        match heard.recv_timeout(PATIENCE) {
            Ok(Notice::Changed(changed)) if changed == key => return Ok(()),
            Ok(Notice::Missed) => return Ok(()),
            Ok(Notice::Changed(_)) => {}
            Err(_) => return fail("nobody was told of the change"),
        }
    }
}

enum Notice {
    Changed(TierKey),
    Missed,
}

/// Passes on what it hears.
struct Tell(Mutex<Sender<Notice>>);

impl Tell {
    fn tell(&self, notice: Notice) {
        // Nobody listens any more once the case is over.
        let _ = self.0.lock().unwrap_or_else(PoisonError::into_inner).send(notice);
    }
}

impl Watcher for Tell {
    fn changed(&self, key: TierKey) {
        self.tell(Notice::Changed(key));
    }

    fn may_have_missed(&self) {
        self.tell(Notice::Missed);
    }
}

/// How long a notice may take, of a store that is elsewhere.
const PATIENCE: Duration = Duration::from_secs(10);
