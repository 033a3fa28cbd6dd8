//! Member names: their order.

use std::cmp::Ordering;

/// Orders member names by their UTF-16 code units, as RFC 8785, section 3.2.3, asks for.
///
/// UTF-8 sorts by code point. The two orders part only where U+E000 to U+FFFF (first bytes EE
/// and EF) meet the code points above them (F0 to F4), which UTF-16 writes as surrogates, D800 to
/// DFFF. Ranking EE and EF last makes byte order that of UTF-16.
pub(super) fn compare_names(a: &str, b: &str) -> Ordering {
    let rank = |byte: u8| if matches!(byte, 0xee | 0xef) { byte + 0x10 } else { byte };
    compare_ranked(a.as_bytes(), b.as_bytes(), rank)
}

/// Compares by the rank of each byte. What the two share in front is passed over in blocks: the
/// names of a document often begin alike, and a block costs hardly more than a byte.
fn compare_ranked(a: &[u8], b: &[u8], rank: impl Fn(u8) -> u8) -> Ordering {
    let blocks = a.chunks_exact(BLOCK).zip(b.chunks_exact(BLOCK));
    let shared = blocks.take_while(|(a, b)| a == b).count() * BLOCK;
    a[shared..].iter().map(|byte| rank(*byte)).cmp(b[shared..].iter().map(|byte| rank(*byte)))
}

/// How much of two names is compared at once.
const BLOCK: usize = 32;

#[cfg(test)]
mod tests;
