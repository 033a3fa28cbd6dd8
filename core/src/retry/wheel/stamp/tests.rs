//! Stamps: every use of an id is told from every other.

use std::collections::HashSet;

use proptest::prelude::*;

use super::*;
use crate::retry::wheel::tests::seeded;

/// Goal: no handle comes twice, a stale one cancels nothing, and every id comes back when all
/// eight are over. Method: random uses of one word, each fired, or cancelled and dropped later,
/// beside a list of what is pending.
#[test]
fn uses_are_told_apart() {
    let steps = prop::collection::vec((0_u8..3, any::<u8>()), 1..1_000);
    proptest!(seeded(64), |(steps in steps)| {
        let mut stamps = Stamps::default();
        let mut free: Vec<TimerHandle> = (0..8).map(|id| stamps.handle(id)).collect();
        let (mut pending, mut cancelled, mut seen) = (Vec::new(), Vec::new(), HashSet::new());
        for (kind, at) in steps {
            match kind {
                0 if !free.is_empty() => {
                    let handle = free.swap_remove(at as usize % free.len());
                    prop_assert!(seen.insert(handle), "{:?} comes twice", handle);
                    prop_assert!(stamps.is_pending(handle.id(), handle.generation()));
                    pending.push(handle);
                }
                1 if !pending.is_empty() => {
                    let handle: TimerHandle = pending.swap_remove(at as usize % pending.len());
                    stamps = stamps.cancelled(handle).expect("it is pending");
                    prop_assert_eq!(stamps.cancelled(handle), None);
                    cancelled.push(handle);
                }
                1 | 2 if !cancelled.is_empty() => {
                    let handle: TimerHandle = cancelled.swap_remove(at as usize % cancelled.len());
                    prop_assert_eq!(stamps.fired(handle.id(), handle.generation()), None);
                    let before = stamps;
                    stamps = before.dropped(handle.id());
                    free.extend(stamps.freed(before, handle.id()));
                }
                _ if !pending.is_empty() => {
                    let handle: TimerHandle = pending.swap_remove(at as usize % pending.len());
                    let before = stamps;
                    stamps = stamps.fired(handle.id(), handle.generation()).expect("pending");
                    free.extend(stamps.freed(before, handle.id()));
                }
                _ => {}
            }
            for handle in &seen {
                let is_pending = pending.contains(handle);
                prop_assert_eq!(stamps.cancelled(*handle).is_some(), is_pending);
            }
        }
        while let Some(handle) = pending.pop().or_else(|| cancelled.pop()) {
            let before = stamps;
            let fired = stamps.fired(handle.id(), handle.generation());
            stamps = fired.unwrap_or_else(|| stamps.dropped(handle.id()));
            free.extend(stamps.freed(before, handle.id()));
        }
        let rest = (0..8).filter(|id| stamps.generation(*id) == SPENT).count();
        prop_assert_eq!(free.len() + rest, 8);
    });
}

/// Goal: a timer that lasts holds up its neighbours at most, and they come back after it. Method:
/// one pending use, all others used up; then it ends.
#[test]
fn a_word_starts_again_when_all_are_spent() {
    let mut stamps = Stamps::default();
    let last = stamps.handle(0);
    for id in 1..8 {
        for _ in 0..=LAST_USED {
            let before = stamps;
            let handle = stamps.handle(id);
            stamps = stamps.fired(id, handle.generation()).expect("pending");
            let spent = handle.generation() == LAST_USED;
            assert_eq!(stamps.freed(before, id).count(), usize::from(!spent));
        }
    }
    let mut handle = last;
    loop {
        assert_eq!(handle.epoch(), 0);
        let before = stamps;
        stamps = stamps.cancelled(handle).expect("pending").dropped(0);
        let freed: Vec<TimerHandle> = stamps.freed(before, 0).collect();
        if freed.len() == 8 {
            assert!(freed.iter().all(|handle| (handle.epoch(), handle.generation()) == (1, 0)));
            break;
        }
        assert_eq!(freed.len(), 1);
        handle = freed[0];
    }
    assert_eq!(stamps.cancelled(last), None);
}
