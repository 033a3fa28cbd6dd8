//! How fingerprints are spread over sets.

use super::*;

/// Goal: a probe's two sets differ and are in range, for any number of sets. Method: many
/// fingerprints of a fixed generator, small and odd numbers of sets.
#[test]
fn two_sets_of_the_table() {
    let mut state = 1_u64;
    let mut next = || {
        // SplitMix64 (Steele, Lea and Flood, 2014).
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    };
    for sets in [2, 3, 5, 1_000, 4_097] {
        let mut used = vec![0_u32; sets];
        for _ in 0..sets * 40 {
            let probe = Probe::new([next(), next(), next(), next()], sets);
            assert!(probe.home() < sets && probe.alternate() < sets && probe.way() < WAYS);
            assert_ne!(probe.home(), probe.alternate());
            assert_ne!(probe.tag, 0);
            used[probe.home()] += 1;
        }
        assert!(used.iter().all(|count| *count > 5), "{sets} sets, one hardly used");
    }
}

/// Goal: a fingerprint of all zeroes or ones is a fingerprint like any other. Method: corners.
#[test]
fn corners_are_in_range() {
    for word in [0, !0, 1, 1 << 63] {
        let probe = Probe::new([word; 4], 7);
        assert!(probe.home() < 7 && probe.alternate() < 7 && probe.home() != probe.alternate());
        assert_ne!(probe.tag, 0);
    }
}
