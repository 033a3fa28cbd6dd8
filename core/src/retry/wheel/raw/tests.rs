//! The edges of levels, time that jumps, and work that is bounded.

use super::*;

/// Everything that is due at `now`, without a limit.
fn fire(wheel: &mut Wheel, now: u64) -> Vec<u32> {
    let mut left = usize::MAX;
    std::iter::from_fn(|| wheel.next(now, &mut left, |_| {})).map(|entry| entry.id).collect()
}

/// Ticks at and around the edge of each level, and of some of its buckets.
fn edges() -> Vec<u64> {
    let shifts = [SHIFTS[1], SHIFTS[2], SHIFTS[3], EPOCH_SHIFT, EPOCH_SHIFT + 3];
    let each = shifts.into_iter().flat_map(|shift| {
        let edge = 1_u64 << shift;
        [edge - 2, edge - 1, edge, edge + 1, 2 * edge - 1, 2 * edge, 3 * edge + 1]
    });
    let mut edges: Vec<u64> = each.chain([0, 1, 2]).collect();
    edges.sort_unstable();
    edges
}

/// Goal: no level is left one tick too early or too late. Method: timers at and around the edge
/// of each level, from cursors at and around the same edges; none fires one tick before it is due,
/// and each fires at its tick, also when time goes there by the stops that the wheel names.
#[test]
fn edges_of_levels_are_exact() {
    for start in edges() {
        for due in edges().into_iter().map(|edge| start + edge) {
            let mut wheel = Wheel::new(start);
            wheel.insert_raw(7, 9, due);
            if due > start {
                assert_eq!(fire(&mut wheel, due - 1), [0_u32; 0], "{due} from {start}");
            }
            assert_eq!(fire(&mut wheel, due), [7], "{due} from {start}");
            assert_eq!((wheel.entries(), wheel.chunks_in_use()), (0, 0));

            let mut wheel = Wheel::new(start);
            wheel.insert_raw(7, 9, due);
            let mut stops = 0;
            loop {
                let stop = wheel.next_due().expect("it is pending");
                assert!(stop <= due, "{stop} is later than {due}");
                if !fire(&mut wheel, stop).is_empty() {
                    assert_eq!(stop, due);
                    break;
                }
                stops += 1;
                assert!(stops <= LEVELS + 1, "{due} from {start}");
            }
        }
    }
}

/// Goal: a jump over several levels finds what lies between. Method: timers of every level, and
/// one jump beyond all of them; they come in order.
#[test]
fn a_jump_passes_every_level() {
    for start in [0, 1_000, (1 << SHIFTS[2]) - 1, (1 << EPOCH_SHIFT) - 5] {
        let mut wheel = Wheel::new(start);
        let dues: Vec<u64> = edges().into_iter().map(|edge| start + edge).collect();
        for (id, due) in dues.iter().enumerate().rev() {
            wheel.insert_raw(id as u32, 0, *due);
        }
        let fired = fire(&mut wheel, dues[dues.len() - 1]);
        assert!(fired.iter().copied().eq(0..dues.len() as u32), "{fired:?} from {start}");
    }
}

/// Goal: what an entry says comes back. Method: the largest id and tag, in each level.
#[test]
fn ids_and_tags_come_back() {
    for due in edges() {
        let mut wheel = Wheel::new(0);
        wheel.insert_raw(MAX_IDS - 1, 0xff, due);
        let entry = wheel.next(due, &mut 100, |_| {});
        assert_eq!(entry, Some(Entry { id: MAX_IDS - 1, tag: 0xff }));
    }
}

/// Goal: the end of time is a time. Method: the last tick there is, and a timer beyond the present
/// epoch that is due before it.
#[test]
fn the_last_tick_is_reached() {
    let mut wheel = Wheel::new(5);
    wheel.insert_raw(1, 0, u64::MAX);
    wheel.insert_raw(2, 0, u64::MAX - 1);
    assert_eq!(fire(&mut wheel, u64::MAX - 2), [0_u32; 0]);
    assert_eq!(fire(&mut wheel, u64::MAX), [2, 1]);
    wheel.insert_raw(3, 0, 8);
    assert_eq!(fire(&mut wheel, 0), [3]);
}

/// Goal: what is filed late fires next, and a step back in time changes nothing. Method: due
/// ticks before the cursor.
#[test]
fn late_entries_fire_next() {
    let mut wheel = Wheel::new(0);
    assert_eq!(fire(&mut wheel, 5_000), [0_u32; 0]);
    wheel.insert_raw(1, 0, 10);
    assert_eq!(wheel.next_due(), Some(5_000));
    assert_eq!(fire(&mut wheel, 4_000), [1]);
    assert_eq!(wheel.cursor(), 5_000);
}

/// Goal: the work of an advance is bounded, whatever comes due at once. Method: a million timers
/// of one tick, at each level, and advances of 10,000: the entries that were touched are counted.
#[test]
fn a_mass_expiry_comes_in_portions() {
    const TIMERS: u32 = 1_000_000;
    const LIMIT: usize = 10_000;
    for due in [500, 70_000, 3 << SHIFTS[2], 3 << SHIFTS[3], 3 << EPOCH_SHIFT] {
        let mut wheel = Wheel::new(0);
        (0..TIMERS).for_each(|id| wheel.insert_raw(id, 0, due));
        let (mut fired, mut calls) = (0, 0);
        while fired < TIMERS {
            let (before, mut left) = (wheel.touched, LIMIT);
            while wheel.next(due, &mut left, |_| {}).is_some() {
                fired += 1;
            }
            calls += 1;
            assert!(wheel.touched - before <= LIMIT, "{} at once", wheel.touched - before);
            assert!(calls <= TIMERS as usize / LIMIT * (LEVELS + 1), "it does not end");
            assert_eq!(wheel.has_due(due), fired < TIMERS);
        }
        assert!(wheel.touched <= TIMERS as usize * (LEVELS + 1));
    }
}

/// Goal: a limit of none does nothing and says so. Method: one timer that is due.
#[test]
fn a_limit_of_none_touches_nothing() {
    for due in edges() {
        let mut wheel = Wheel::new(0);
        wheel.insert_raw(1, 0, due);
        assert_eq!(wheel.next(due, &mut 0, |_| {}), None);
        assert!(wheel.has_due(due) && wheel.touched == 0);
        assert_eq!(fire(&mut wheel, due), [1]);
    }
}

/// Goal: a sweep looks at every entry once, and drops what it is told. Method: entries of every
/// level; odd ids go, in small steps, and the others still fire in order.
#[test]
fn a_sweep_passes_every_bucket() {
    let mut wheel = Wheel::new(0);
    let dues = edges();
    for (id, due) in dues.iter().enumerate() {
        (0..4).for_each(|copy| wheel.insert_raw(id as u32 * 4 + copy, 0, *due));
    }
    let all = wheel.entries();
    let mut seen = Vec::new();
    let fate = |id: u32| if id.is_multiple_of(2) { Fate::Stays } else { Fate::Goes };
    while !wheel.sweep(3, |entry| {
        seen.push(entry.id);
        fate(entry.id)
    }) {}
    seen.sort_unstable();
    assert!(seen.iter().copied().eq(0..all as u32), "{seen:?}");
    assert_eq!(wheel.entries(), all / 2);
    let mut fired = fire(&mut wheel, u64::MAX);
    fired.sort_unstable();
    assert!(fired.iter().copied().eq((0..all as u32).step_by(2)), "{fired:?}");
    assert_eq!(wheel.chunks_in_use(), 0);
}

/// Goal: entries are shown before they come. Method: two ticks close together; what the second
/// one has is shown while the first one is handed out.
#[test]
fn what_comes_next_is_shown() {
    let mut wheel = Wheel::new(0);
    (0..10).for_each(|id| wheel.insert_raw(id, 0, u64::from(id / 5) + 1));
    let mut shown = Vec::new();
    let first = wheel.next(2, &mut 100, |entry| shown.push(entry.id));
    assert_eq!(first.map(|entry| entry.id), Some(0));
    assert_eq!(shown, [5, 6, 7, 8, 9]);
}
