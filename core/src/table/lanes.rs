//! Lanes: 32 small numbers, a byte each, compared at once.
//!
//! The words are copies of atomics, loaded one by one: a vector load of shared memory that others
//! write would be a data race.
#![allow(unsafe_code)]

#[cfg(not(target_arch = "x86_64"))]
pub(super) use portable::Lanes;
#[cfg(target_arch = "x86_64")]
pub(super) use sse2::Lanes;

/// How many lanes there are.
pub(super) const LANES: usize = 32;

/// With what every x86-64 has.
#[cfg(target_arch = "x86_64")]
mod sse2 {
    use std::arch::x86_64::{
        __m128i, _mm_and_si128, _mm_andnot_si128, _mm_cmpeq_epi8, _mm_cmpgt_epi8,
        _mm_cvtsi128_si64, _mm_extract_epi16, _mm_max_epu8, _mm_movemask_epi8, _mm_set_epi64x,
        _mm_set1_epi8, _mm_srli_epi16, _mm_srli_si128, _mm_sub_epi8, _mm_unpackhi_epi64,
        _mm_unpacklo_epi8,
    };

    /// 32 bytes. Only what comes from nibbles is compared for less and more.
    #[derive(Clone, Copy)]
    pub(in super::super) struct Lanes {
        low: __m128i,
        high: __m128i,
    }

    // SAFETY, for every block here: SSE2 is part of x86-64, and these instructions compute with
    // copies and touch no memory.
    impl Lanes {
        /// A lane for each byte, the first word's lowest byte first.
        #[inline(always)]
        pub(in super::super) fn of_bytes([a, b, c, d]: [u64; 4]) -> Self {
            // SAFETY: see above.
            unsafe {
                Self {
                    low: _mm_set_epi64x(b as i64, a as i64),
                    high: _mm_set_epi64x(d as i64, c as i64),
                }
            }
        }

        /// The reverse of [`of_bytes`](Self::of_bytes). What is kept is kept like this: in memory
        /// the compiler takes vectors to pieces.
        #[inline(always)]
        pub(in super::super) fn to_bytes(self) -> [u64; 4] {
            // SAFETY: see above.
            let words = |lanes| unsafe {
                let high = _mm_unpackhi_epi64(lanes, lanes);
                (_mm_cvtsi128_si64(lanes) as u64, _mm_cvtsi128_si64(high) as u64)
            };
            let ((a, b), (c, d)) = (words(self.low), words(self.high));
            [a, b, c, d]
        }

        /// A lane for each nibble.
        #[inline(always)]
        pub(in super::super) fn of_nibbles([low, high]: [u64; 2]) -> Self {
            let nibbles = |word: u64| {
                // SAFETY: see above.
                unsafe {
                    let word = _mm_set_epi64x(0, word as i64);
                    let low = _mm_set1_epi8(0xf);
                    let high = _mm_and_si128(_mm_srli_epi16::<4>(word), low);
                    _mm_unpacklo_epi8(_mm_and_si128(word, low), high)
                }
            };
            Self { low: nibbles(low), high: nibbles(high) }
        }

        /// How far each lane is behind `number`, modulo 16; nothing where that is over `most`.
        #[inline(always)]
        pub(in super::super) fn behind(self, number: u8, most: u8) -> Self {
            self.map(|lanes| {
                // SAFETY: see above.
                unsafe {
                    let behind = _mm_sub_epi8(_mm_set1_epi8(number as i8), lanes);
                    let behind = _mm_and_si128(behind, _mm_set1_epi8(0xf));
                    _mm_andnot_si128(_mm_cmpgt_epi8(behind, _mm_set1_epi8(most as i8)), behind)
                }
            })
        }

        /// One more in each lane, and zero where `others` are zero.
        #[inline(always)]
        pub(in super::super) fn counted_where(self, others: Self) -> Self {
            let counted = |lanes, others| {
                // SAFETY: see above.
                unsafe {
                    let zero = _mm_cmpeq_epi8(others, _mm_set1_epi8(0));
                    _mm_andnot_si128(zero, _mm_sub_epi8(lanes, _mm_set1_epi8(-1)))
                }
            };
            Self { low: counted(self.low, others.low), high: counted(self.high, others.high) }
        }

        /// The lanes that are less than `number`, and zero for the others.
        #[inline(always)]
        pub(in super::super) fn below(self, number: u8) -> Self {
            self.map(|lanes| {
                // SAFETY: see above.
                unsafe { _mm_and_si128(_mm_cmpgt_epi8(_mm_set1_epi8(number as i8), lanes), lanes) }
            })
        }

        /// The largest.
        #[inline(always)]
        pub(in super::super) fn largest(self) -> u8 {
            // SAFETY: see above.
            unsafe {
                let mut most = _mm_max_epu8(self.low, self.high);
                most = _mm_max_epu8(most, _mm_srli_si128::<8>(most));
                most = _mm_max_epu8(most, _mm_srli_si128::<4>(most));
                most = _mm_max_epu8(most, _mm_srli_si128::<2>(most));
                most = _mm_max_epu8(most, _mm_srli_si128::<1>(most));
                _mm_extract_epi16::<0>(most) as u8
            }
        }

        /// A bit for each lane that equals `number`, the first lane's lowest.
        #[inline(always)]
        pub(in super::super) fn equal(self, number: u8) -> u32 {
            let equal = |lanes| {
                // SAFETY: see above.
                unsafe {
                    _mm_movemask_epi8(_mm_cmpeq_epi8(lanes, _mm_set1_epi8(number as i8))) as u32
                }
            };
            equal(self.low) | equal(self.high) << 16
        }

        #[inline(always)]
        fn map(self, of: impl Fn(__m128i) -> __m128i) -> Self {
            Self { low: of(self.low), high: of(self.high) }
        }
    }
}

/// Lane by lane: elsewhere, and to compare with.
#[cfg(any(all(test, not(any(oncegate_loom, oncegate_shuttle))), not(target_arch = "x86_64")))]
mod portable {
    use super::LANES;

    /// 32 bytes. Only what comes from nibbles is compared for less and more.
    #[derive(Clone, Copy)]
    pub(in super::super) struct Lanes([u8; LANES]);

    impl Lanes {
        #[inline]
        pub(in super::super) fn of_bytes(words: [u64; 4]) -> Self {
            Self(std::array::from_fn(|i| (words[i / 8] >> (i % 8 * 8)) as u8))
        }

        #[inline]
        pub(in super::super) fn to_bytes(self) -> [u64; 4] {
            let (words, _) = self.0.as_chunks::<8>();
            std::array::from_fn(|i| u64::from_le_bytes(words[i]))
        }

        #[inline]
        pub(in super::super) fn of_nibbles(words: [u64; 2]) -> Self {
            Self(std::array::from_fn(|i| (words[i / 16] >> (i % 16 * 4)) as u8 & 0xf))
        }

        #[inline]
        pub(in super::super) fn behind(self, number: u8, most: u8) -> Self {
            let behind = |lane: u8| number.wrapping_sub(lane) & 0xf;
            Self(self.0.map(|lane| if behind(lane) > most { 0 } else { behind(lane) }))
        }

        #[inline]
        pub(in super::super) fn counted_where(self, others: Self) -> Self {
            let counted = |i: usize| if others.0[i] == 0 { 0 } else { self.0[i] + 1 };
            Self(std::array::from_fn(counted))
        }

        #[inline]
        pub(in super::super) fn below(self, number: u8) -> Self {
            Self(self.0.map(|lane| if lane < number { lane } else { 0 }))
        }

        #[inline]
        pub(in super::super) fn largest(self) -> u8 {
            self.0.into_iter().fold(0, u8::max)
        }

        #[inline]
        pub(in super::super) fn equal(self, number: u8) -> u32 {
            self.0.iter().rev().fold(0, |bits, lane| bits << 1 | u32::from(*lane == number))
        }
    }
}

#[cfg(all(test, not(any(oncegate_loom, oncegate_shuttle))))]
mod tests {
    use super::{LANES, Lanes, portable};

    /// Numbers that are spread, and the same in every run.
    fn words(seed: u64) -> [u64; 4] {
        std::array::from_fn(|i| {
            let mixed = (seed * 4 + i as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            (mixed ^ mixed >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9)
        })
    }

    /// Goal: bytes of every value are compared exactly, whoever their neighbours are. Method: the
    /// values around the borders of a lane, in every lane, against a plain comparison.
    #[test]
    fn bytes_are_compared_exactly() {
        let values = [0_u8, 1, 2, 0x7f, 0x80, 0x81, 0xfe, 0xff];
        for (a, b) in values.into_iter().flat_map(|a| values.map(|b| (a, b))) {
            let bytes: [u8; LANES] = std::array::from_fn(|i| match i % 3 {
                0 => a,
                1 => b,
                _ => a.wrapping_add(i as u8),
            });
            let (words, _) = bytes.as_chunks::<8>();
            let words = std::array::from_fn(|i| u64::from_le_bytes(words[i]));
            for wanted in values {
                let plain = (0..LANES).filter(|i| bytes[*i] == wanted).fold(0, |m, i| m | 1 << i);
                assert_eq!(Lanes::of_bytes(words).equal(wanted), plain, "{wanted:x} in {bytes:x?}");
                assert_eq!(portable::Lanes::of_bytes(words).equal(wanted), plain);
            }
        }
    }

    /// Goal: both ways of computing agree. Method: every operation of the ages on spread words,
    /// for every clock.
    #[test]
    fn both_ways_agree() {
        for seed in 0..64 {
            let [a, b, c, d] = words(seed);
            for clock in 0..16_u8 {
                assert_eq!(Lanes::of_bytes([a, b, c, d]).to_bytes(), [a, b, c, d]);
                assert_eq!(portable::Lanes::of_bytes([a, b, c, d]).to_bytes(), [a, b, c, d]);
                let used = [a, b & c, c & d & a, d];
                let lanes = Lanes::of_nibbles([a, b]).behind(clock, 12);
                let plain = portable::Lanes::of_nibbles([a, b]).behind(clock, 12);
                let counted = lanes.counted_where(Lanes::of_bytes(used));
                let plain_counted = plain.counted_where(portable::Lanes::of_bytes(used));
                for level in 0..16 {
                    assert_eq!(lanes.equal(level), plain.equal(level), "{seed} {clock} {level}");
                    assert_eq!(counted.equal(level), plain_counted.equal(level), "{seed} {level}");
                    let (below, plain_below) = (counted.below(level), plain_counted.below(level));
                    assert_eq!(below.largest(), plain_below.largest(), "{seed} {clock} {level}");
                }
            }
        }
    }

    /// Goal: a nibble's lane is its own. Method: one that differs, in every place.
    #[test]
    fn nibbles_have_their_lanes() {
        for way in 0..LANES {
            let mut words = [0; 2];
            words[way / 16] = 7 << (way % 16 * 4);
            assert_eq!(Lanes::of_nibbles(words).equal(7), 1 << way);
            assert_eq!(Lanes::of_nibbles(words).largest(), 7);
        }
    }
}
