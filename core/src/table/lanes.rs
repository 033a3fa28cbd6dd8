//! Lanes: many small numbers in a few words, compared at once.
//!
//! The words are copies of atomics, loaded one by one: a vector load of shared memory that others
//! write would be a data race.
#![allow(unsafe_code)]

/// A bit for each byte of `words` that equals `byte`, the first byte's lowest.
#[inline(always)]
pub(super) fn equal_bytes<const N: usize>(words: [u64; N], byte: u8) -> u32 {
    #[cfg(target_arch = "x86_64")]
    return equal_bytes_vector(words, byte);
    #[cfg(not(target_arch = "x86_64"))]
    equal_bytes_portable(words, byte)
}

/// Sixteen bytes at a time, with what every x86-64 has.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn equal_bytes_vector<const N: usize>(words: [u64; N], byte: u8) -> u32 {
    use std::arch::x86_64::{_mm_cmpeq_epi8, _mm_movemask_epi8, _mm_set_epi64x, _mm_set1_epi8};
    let mut equal = 0;
    for (i, pair) in words.chunks(2).enumerate() {
        // In a model a set has a single word of tags.
        let high = pair.get(1).map_or(0, |word| *word);
        // SAFETY: SSE2 is part of x86-64; these compute with copies, and touch no memory.
        let bits = unsafe {
            let lanes = _mm_set_epi64x(high as i64, pair[0] as i64);
            _mm_movemask_epi8(_mm_cmpeq_epi8(lanes, _mm_set1_epi8(byte as i8)))
        };
        equal |= (bits as u32) << (16 * i);
    }
    // No bit for a word that is not there.
    equal & (u64::MAX >> (64 - 8 * N)) as u32
}

#[cfg(any(test, not(target_arch = "x86_64")))]
#[inline]
fn equal_bytes_portable<const N: usize>(words: [u64; N], byte: u8) -> u32 {
    const BYTES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x80 * BYTES;
    let wanted = u64::from(byte) * BYTES;
    let mut equal = 0;
    for (i, word) in words.into_iter().enumerate() {
        let lanes = word ^ wanted;
        // The top bit of each byte that is zero, and nothing else: no carry crosses a lane.
        let zero = !(((lanes & !HIGH) + !HIGH) | lanes | !HIGH);
        // One bit a byte, gathered in the top byte of the product.
        let bits = (zero >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56;
        equal |= (bits as u32) << (8 * i);
    }
    equal
}

/// A bit for each nibble of `words` that equals `nibble`, the first nibble's lowest.
#[inline]
pub(super) fn equal_nibbles<const N: usize>(words: [u64; N], nibble: u8) -> u32 {
    const HIGH: u64 = 0x8 * NIBBLES;
    let wanted = u64::from(nibble) * NIBBLES;
    let mut equal = 0;
    for (i, word) in words.into_iter().enumerate() {
        let lanes = word ^ wanted;
        // As for bytes.
        let zero = !(((lanes & !HIGH) + !HIGH) | lanes | !HIGH);
        // One bit a nibble, moved together in four steps.
        let mut bits = zero >> 3;
        bits = (bits | bits >> 3) & 0x0303_0303_0303_0303;
        bits = (bits | bits >> 6) & 0x000f_000f_000f_000f;
        bits = (bits | bits >> 12) & 0x0000_00ff_0000_00ff;
        bits = (bits | bits >> 24) & 0xffff;
        equal |= (bits as u32) << (16 * i);
    }
    equal
}

/// The lowest bit of each nibble whose bit of `bits` is set: sixteen of them.
#[inline]
pub(super) fn spread(bits: u32) -> u64 {
    let mut bits = u64::from(bits & 0xffff);
    bits = (bits | bits << 24) & 0x0000_00ff_0000_00ff;
    bits = (bits | bits << 12) & 0x000f_000f_000f_000f;
    bits = (bits | bits << 6) & 0x0303_0303_0303_0303;
    (bits | bits << 3) & NIBBLES
}

/// One in each nibble.
pub(super) const NIBBLES: u64 = 0x1111_1111_1111_1111;

#[cfg(all(test, not(oncegate_loom)))]
mod tests {
    use super::*;

    /// Goal: bytes are compared exactly. Method: values around the borders of a lane, in every
    /// lane, against a plain comparison.
    #[test]
    fn bytes_are_compared_exactly() {
        let values = [0_u8, 1, 2, 0x7f, 0x80, 0x81, 0xfe, 0xff];
        for wanted in values {
            for (a, b) in values.into_iter().flat_map(|a| values.map(|b| (a, b))) {
                let bytes: [u8; 16] = std::array::from_fn(|i| match i % 3 {
                    0 => a,
                    1 => b,
                    _ => a.wrapping_add(i as u8),
                });
                let (words, _) = bytes.as_chunks::<8>();
                let words = [u64::from_le_bytes(words[0]), u64::from_le_bytes(words[1])];
                let plain = (0..16).filter(|i| bytes[*i] == wanted).fold(0, |m, i| m | 1 << i);
                assert_eq!(equal_bytes(words, wanted), plain, "{wanted:x} in {bytes:x?}");
                assert_eq!(equal_bytes_portable(words, wanted), plain, "{wanted:x} in {bytes:x?}");
                assert_eq!(equal_bytes([words[0]], wanted), plain & 0xff, "{bytes:x?}");
            }
        }
    }

    /// Goal: what is spread gathers again. Method: every value.
    #[test]
    fn bits_are_spread_and_gathered() {
        for bits in 0..=0xffff_u32 {
            assert_eq!(equal_nibbles([spread(bits)], 1), bits, "{bits:x}");
        }
    }

    /// Goal: nibbles are compared exactly. Method: every pair of neighbours, in every lane.
    #[test]
    fn nibbles_are_compared_exactly() {
        for wanted in 0..16_u8 {
            for (a, b) in (0..16_u64).flat_map(|a| (0..16_u64).map(move |b| (a, b))) {
                let nibbles: [u64; 16] =
                    std::array::from_fn(|i| [a, b, (a + i as u64) & 0xf][i % 3]);
                let word = nibbles.iter().rev().fold(0, |word, nibble| word << 4 | nibble);
                let equals = |i: &usize| nibbles[*i] == u64::from(wanted);
                let plain = (0..16).filter(equals).fold(0_u32, |m, i| m | 1 << i);
                let equal = equal_nibbles([word, !word], wanted);
                assert_eq!(equal & 0xffff, plain, "{wanted:x} in {word:x}");
                let inverse = equal_nibbles([word], wanted ^ 0xf);
                assert_eq!(equal >> 16, inverse, "{wanted:x} in the second word");
            }
        }
    }
}
