//! One effect per request, whatever the interleaving; defects are counted, never hidden.

use super::*;
use crate::rng::SplitMix64;

const REQUEST: u32 = 0;
const PAYLOAD: u64 = 99;

/// Goal: the plain case. Method: open, commit, and look.
#[test]
fn accepts_one_effect() {
    let ledger = Ledger::new(1);
    assert_eq!(ledger.open(REQUEST, 1), Opening::Open);
    let Commit::Accepted(receipt) = ledger.commit(REQUEST, 1, PAYLOAD) else { panic!("refused") };
    assert_eq!(ledger.entries()[0].effects, [Effect { receipt, payload: PAYLOAD }]);
}

/// Goal: a holder that slept past its lease writes nothing once its successor started. Method:
/// open 1, open 2, commit 1, commit 2.
#[test]
fn fences_off_the_late_write() {
    let ledger = Ledger::new(1);
    assert_eq!(ledger.open(REQUEST, 1), Opening::Open);
    assert_eq!(ledger.open(REQUEST, 2), Opening::Open);
    assert_eq!(ledger.commit(REQUEST, 1, PAYLOAD), Commit::Fenced);
    assert!(matches!(ledger.commit(REQUEST, 2, PAYLOAD), Commit::Accepted(_)));
    assert_eq!(ledger.entries()[0].fenced, 1);
}

/// Goal: a late write that comes before the successor starts is the one effect. Method: open 1,
/// commit 1, open 2: the successor is told, and adopts the receipt.
#[test]
fn tells_the_successor_of_an_effect() {
    let ledger = Ledger::new(1);
    assert_eq!(ledger.open(REQUEST, 1), Opening::Open);
    let Commit::Accepted(receipt) = ledger.commit(REQUEST, 1, PAYLOAD) else { panic!("refused") };
    assert_eq!(ledger.open(REQUEST, 2), Opening::Committed(receipt));
    assert_eq!(ledger.entries()[0].opened, 1);
}

/// Goal: an attempt that was admitted but overtaken before it started does not start. Method:
/// open 2, then 1.
#[test]
fn refuses_a_late_start() {
    let ledger = Ledger::new(1);
    assert_eq!(ledger.open(REQUEST, 2), Opening::Open);
    assert_eq!(ledger.open(REQUEST, 1), Opening::Fenced);
    let entry = &ledger.entries()[0];
    assert_eq!((entry.fenced_starts, entry.fenced), (1, 0), "nothing was to be written");
}

/// Goal: a broken engine or client is seen. Method: use one token twice; write beside an effect;
/// write without opening.
#[test]
fn counts_defects() {
    let ledger = Ledger::new(2);
    assert_eq!(ledger.open(REQUEST, 1), Opening::Open);
    assert_eq!(ledger.open(REQUEST, 1), Opening::Open);
    assert!(matches!(ledger.commit(REQUEST, 1, PAYLOAD), Commit::Accepted(_)));
    assert_eq!(ledger.commit(REQUEST, 1, PAYLOAD), Commit::Duplicate);
    let entry = &ledger.entries()[0];
    assert_eq!((entry.reused_tokens, entry.refused_as_duplicate), (1, 1));
    assert_eq!(entry.effects.len(), 1);
    assert_eq!(ledger.commit(1, 5, PAYLOAD), Commit::Fenced);
}

/// Goal: without coordination nothing is refused, so that duplicates show. Method: write twice.
#[test]
fn unfenced_effects_pile_up() {
    let ledger = Ledger::new(1);
    for _ in 0..2 {
        ledger.open_unfenced(REQUEST);
        ledger.commit_unfenced(REQUEST, PAYLOAD);
    }
    let entry = &ledger.entries()[0];
    assert_eq!((entry.opened, entry.effects.len()), (2, 2));
    assert_ne!(entry.effects[0].receipt, entry.effects[1].receipt);
}

/// Goal: at most one effect under every order that an engine allows. Method: five attempts
/// with rising tokens, each admitted after the one before it and then asleep or awake at will;
/// every interleaving of their steps. Attempts obey what they are told.
#[test]
fn one_effect_under_every_interleaving() {
    let mut explored = 0;
    let mut schedule = vec![Vec::new()];
    while let Some(steps) = schedule.pop() {
        let (pending, effects) = replay(&steps);
        assert!(effects <= 1, "{effects} effects under {steps:?}");
        if pending.is_empty() {
            assert_eq!(effects, 1, "the last attempt always finds or leaves one: {steps:?}");
            explored += 1;
        }
        schedule.extend(pending.into_iter().map(|next| [&steps[..], &[next]].concat()));
    }
    assert!(explored > 1_000, "only {explored} schedules");
}

/// Runs a schedule: each entry lets that attempt take its next step (open, then commit). Gives
/// the attempts that still have a step, and the effects so far.
fn replay(steps: &[usize]) -> (Vec<usize>, usize) {
    const ATTEMPTS: usize = 5;
    const DONE: u8 = 2;
    let ledger = Ledger::new(1);
    let mut at = [0_u8; ATTEMPTS];
    for &attempt in steps {
        let token = attempt as u64 + 1;
        at[attempt] = match at[attempt] {
            0 if ledger.open(REQUEST, token) == Opening::Open => 1,
            0 => DONE,
            _ => {
                let commit = ledger.commit(REQUEST, token, PAYLOAD);
                assert_ne!(commit, Commit::Duplicate, "the token alone decides: {steps:?}");
                DONE
            }
        };
    }
    let pending = (0..ATTEMPTS).filter(|&attempt| at[attempt] != DONE).collect();
    (pending, ledger.entries()[0].effects.len())
}

/// Goal: the mutex makes the rules hold between threads. Method: 8 threads with tokens of their
/// own in a seeded order, 200 rounds, one request a round.
#[test]
fn one_effect_between_threads() {
    const ROUNDS: u32 = 200;
    let ledger = Ledger::new(ROUNDS as usize);
    std::thread::scope(|scope| {
        for thread in 0..8_u64 {
            let ledger = &ledger;
            scope.spawn(move || {
                let mut rng = SplitMix64::at(17, [thread, 0]);
                for request in 0..ROUNDS {
                    let token = rng.below(1 << 32) * 8 + thread + 1;
                    if ledger.open(request, token) == Opening::Open {
                        let _ = ledger.commit(request, token, PAYLOAD);
                    }
                }
            });
        }
    });
    for (request, entry) in ledger.entries().iter().enumerate() {
        assert_eq!(entry.effects.len(), 1, "request {request}, seed 17");
        assert_eq!((entry.refused_as_duplicate, entry.reused_tokens), (0, 0));
    }
}
