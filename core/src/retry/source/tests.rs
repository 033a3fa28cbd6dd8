//! The generator: its published numbers, many threads, and sources that have nothing in common.

use proptest::prelude::*;

use super::*;
use crate::retry::tests::{DRAWS, SEED, correlation, seeded};

/// Goal: it is the generator that it says. Method: the first numbers of `splitmix64.c` for the seed
/// 1234567, as others publish them.
#[test]
fn golden_numbers() {
    let source = JitterSource::seeded(1_234_567);
    let drawn: Vec<u64> = (0..5).map(|_| source.draw()).collect();
    let published = [
        6_457_827_717_110_365_317,
        3_203_168_211_198_807_973,
        9_817_491_932_198_370_423,
        4_593_380_528_125_082_431,
        16_408_922_859_458_223_821,
    ];
    assert_eq!(drawn, published);
}

/// Goal: a simulation runs alike each time. Method: two sources of one seed, and one of another.
#[test]
fn seeds_decide_everything() {
    let of = |seed| {
        let source = JitterSource::seeded(seed);
        (0..1_000).map(|_| source.within(0, 1 << 40)).collect::<Vec<u64>>()
    };
    assert_eq!(of(SEED), of(SEED));
    assert_ne!(of(SEED), of(SEED + 1));
}

/// Goal: any thread may draw, and none gets the number of another. Method: what four threads draw
/// from one source is together what one draws from the same seed.
#[test]
fn threads_share_one_sequence() {
    let (threads, each) = (4, 10_000);
    let shared = JitterSource::seeded(SEED);
    let mut drawn: Vec<u64> = std::thread::scope(|scope| {
        let draw = || (0..each).map(|_| shared.draw()).collect::<Vec<u64>>();
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(draw)).collect();
        running.into_iter().flat_map(|thread| thread.join().expect("no panic")).collect()
    });
    let alone = JitterSource::seeded(SEED);
    let mut expected: Vec<u64> = (0..threads * each).map(|_| alone.draw()).collect();
    drawn.sort_unstable();
    expected.sort_unstable();
    assert_eq!(drawn, expected);
}

/// Goal: two processes do not retry in step. Method: 100,000 draws of two sources of the system are
/// all different, and their correlation is within five standard deviations of none, which chance
/// alone exceeds twice in three million runs; and so is that of one source with itself, one draw
/// later.
#[test]
fn two_instances_are_uncorrelated() {
    let draws = || -> Vec<u64> {
        let source = JitterSource::new().expect("the system has randomness");
        (0..DRAWS).map(|_| source.draw()).collect()
    };
    let (a, b) = (draws(), draws());
    let mut all = [&a[..], &b[..]].concat();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 2 * DRAWS, "both drew the same number");
    let floats = |of: &[u64]| of.iter().map(|&n| n as f64).collect::<Vec<f64>>();
    let (a, b) = (floats(&a), floats(&b));
    let bound = 5.0 / (DRAWS as f64).sqrt();
    for (other, shifted) in [(&a[..], &b[..]), (&a[1..], &a[..DRAWS - 1])] {
        let found = correlation(other, shifted);
        assert!(found.abs() < bound, "{found} is not below {bound}; unseeded: {:?}", &a[..2]);
    }
}

/// Goal: what tells forked children apart is enough where there is no randomness. Method: the seeds
/// of siblings and of generations differ in about half of their bits.
#[test]
fn children_are_told_apart_without_randomness() {
    for n in 0..1_000_u32 {
        let seed = seed_of(n, u64::from(n));
        for other in [seed_of(n + 1, u64::from(n)), seed_of(n, u64::from(n) + 1)] {
            let differ = (seed ^ other).count_ones();
            assert!((10..=54).contains(&differ), "{n}: {differ} bits");
        }
    }
}

/// Goal: both ends of a range are drawn, and as often as the rest. Method: 60,000 throws of a die;
/// each side is within five standard deviations of its share.
#[test]
fn ends_of_a_range_are_drawn() {
    let source = JitterSource::seeded(SEED);
    let mut thrown = [0_u32; 6];
    (0..60_000).for_each(|_| thrown[source.within(1, 6) as usize - 1] += 1);
    let within = |count: &u32| count.abs_diff(10_000) < 457;
    assert!(thrown.iter().all(within), "{thrown:?}; seed {SEED:#x}");
}

/// Goal: no log shows what the next delays will be. Method: the texts of both kinds.
#[test]
fn debug_hides_the_seed() {
    let system = JitterSource::new().expect("the system has randomness");
    assert_eq!(format!("{system:?}"), "JitterSource(system)");
    assert_eq!(format!("{:?}", JitterSource::seeded(SEED)), "JitterSource(seeded)");
}

proptest! {
    #![proptest_config(seeded(2_000))]

    /// Goal: a number lies where it was asked for. Method: arbitrary bounds, in either order, and
    /// the widest of all.
    #[test]
    fn numbers_are_within_their_bounds(seed: u64, a: u64, b: u64, near in 0..3_u64) {
        let source = JitterSource::seeded(seed);
        for (least, most) in [(a.min(b), a.max(b)), (a, a.saturating_add(near)), (0, u64::MAX)] {
            let drawn = source.within(least, most);
            prop_assert!((least..=most).contains(&drawn), "{least} {most}: {drawn}");
        }
        prop_assert_eq!(source.within(a.max(b), a.min(b)), a.max(b));
        let unit = source.unit();
        prop_assert!((0.0..1.0).contains(&unit));
    }
}
