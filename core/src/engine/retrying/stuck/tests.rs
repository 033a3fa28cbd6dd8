//! Transitions that do not end are told, once, and those that end are not.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::{EngineEvent, StuckTransition};
use crate::clock::ManualClock;
use crate::engine::{Admission, Engine};
use crate::fingerprint::{Request, Scope};
use crate::table::control::{Fence, Step};

/// Goal: a record that stands in the middle of a transition is told, however it came to that, and
/// told once; what comes and goes is not. Method: by hand, a slot is claimed and left so, and an
/// attempt is decided and not ended; another slot is claimed and given back between two looks.
#[test]
fn what_does_not_end_is_told_once() {
    let clock = ManualClock::new();
    let told = Arc::new(Mutex::new(Vec::new()));
    let list = Arc::clone(&told);
    let engine = Engine::builder()
        .capacity(64)
        .clock(clock.clone())
        .on_event(move |event| list.lock().expect("no panic").push(event.clone()))
        .build()
        .expect("a valid configuration");
    let request = Request::new(Scope::single_tenant(), "op", "key").expect("valid");
    let Ok(Admission::Admitted(lease)) = engine.begin(&request) else { panic!("not admitted") };
    let decided = usize::try_from(lease.token().slot).expect("small");
    let seen = engine.table.slot(decided).control().load();
    assert!(engine.table.set_due(decided, seen, engine.now_ms() + 100_000));
    let free: Vec<usize> = (0..engine.table.slots()).filter(|slot| *slot != decided).collect();
    let claim = |slot: usize, fence: u64| {
        let control = engine.table.slot(slot).control();
        let fence = Fence::new(fence).expect("small");
        control.advance(control.load(), Step::Claim { fence, owner: 1 }).expect("vacant")
    };
    let (left, passing) = (free[0], free[1]);
    claim(left, 1_000);
    for look in 0..4_u64 {
        let claimed = claim(passing, 2_000 + 2 * look);
        engine.look_for_stuck(0..engine.table.slots(), engine.now_ms());
        engine.look_again(engine.now_ms());
        let control = engine.table.slot(passing).control();
        control.advance(claimed, Step::Vacate).expect("claimed");
        clock.advance(Duration::from_secs(5));
    }
    let told = told.lock().expect("no panic");
    let mut seen: Vec<_> = told
        .iter()
        .map(|event| match event {
            EngineEvent::StateMachineDeadlockDetected { slot, transition, process, stands } => {
                assert_eq!((event.name(), *process), ("state_machine_deadlock_detected", 1));
                assert!(*stands >= Duration::from_secs(10));
                (*slot, *transition)
            }
        })
        .collect();
    seen.sort_unstable_by_key(|(slot, _)| *slot == decided);
    assert_eq!(seen, [(left, StuckTransition::Claim), (decided, StuckTransition::End)]);
    assert_eq!(engine.stats().expect("not forked").retries.stuck, 2);
    let _ = lease.into_token();
}
