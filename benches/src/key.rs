//! Keys: numbers made into what stores look up, the same for every store.

use std::borrow::Borrow;
use std::hash::{BuildHasherDefault, Hash, Hasher};

/// What a peer is looked up by, and what it then owns.
pub trait PeerKey: Copy + Send + Sync + 'static {
    /// The key inside the peer.
    type Owned: Hash
        + Eq
        + Clone
        + Send
        + Sync
        + Borrow<Self::Ref>
        + for<'a> From<&'a Self::Ref>
        + 'static;
    /// The key of a look-up.
    type Ref: ?Sized + Hash + Eq + ToOwned<Owned = Self::Owned>;
    /// Whether an owned key allocates: then a peer looks before it inserts.
    const ALLOCATES: bool;

    /// The key of this number.
    fn of(number: u64) -> Self;
    /// For look-ups.
    fn borrowed(&self) -> &Self::Ref;
    /// For insertions.
    fn owned(&self) -> Self::Owned;
}

/// A fingerprint that was made before: 128 evenly spread bits, of which the first 64 are the hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hashed(pub [u64; 2]);

impl Hash for Hashed {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0[0]);
    }
}

impl From<&Hashed> for Hashed {
    fn from(key: &Hashed) -> Self {
        *key
    }
}

impl PeerKey for Hashed {
    type Owned = Self;
    type Ref = Self;
    const ALLOCATES: bool = false;

    #[inline]
    fn of(number: u64) -> Self {
        Self([mix(number), mix(number ^ OTHER_HALF)])
    }

    #[inline]
    fn borrowed(&self) -> &Self {
        self
    }

    #[inline]
    fn owned(&self) -> Self {
        *self
    }
}

/// A key as clients send them: 36 characters, as many as a UUID has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Text([u8; 36]);

impl PeerKey for Text {
    type Owned = Vec<u8>;
    type Ref = [u8];
    const ALLOCATES: bool = true;

    #[inline]
    fn of(number: u64) -> Self {
        let mut text = *b"req_0000000000000000_0000000000000000";
        hex(mix(number), &mut text[4..20]);
        hex(mix(number ^ OTHER_HALF), &mut text[21..37]);
        let mut key = [0; 36];
        key.copy_from_slice(&text[1..]);
        Self(key)
    }

    #[inline]
    fn borrowed(&self) -> &[u8] {
        &self.0
    }

    #[inline]
    fn owned(&self) -> Vec<u8> {
        self.0.to_vec()
    }
}

/// Takes the hash that the key is, instead of making one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Identity(u64);

impl Hasher for Identity {
    #[inline]
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("a fingerprint hashes as one word");
    }

    #[inline]
    fn write_u64(&mut self, word: u64) {
        self.0 = word;
    }
}

/// Builds [`Identity`].
pub type BuildIdentity = BuildHasherDefault<Identity>;

/// A bijection that spreads bits evenly (the end of SplitMix64).
#[inline]
pub const fn mix(number: u64) -> u64 {
    let mut word = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

/// Sixteen hexadecimal digits, eight at a time.
#[inline]
fn hex(word: u64, into: &mut [u8]) {
    for (half, digits) in [word >> 32, word & 0xffff_ffff].into_iter().zip(into.chunks_mut(8)) {
        // One nibble in each byte.
        let mut spread = (half | (half << 16)) & 0x0000_ffff_0000_ffff;
        spread = (spread | (spread << 8)) & 0x00ff_00ff_00ff_00ff;
        spread = (spread | (spread << 4)) & 0x0f0f_0f0f_0f0f_0f0f;
        // Above nine, the letters stand 39 places after the digits.
        let letters = ((spread + 0x0606_0606_0606_0606) >> 4) & 0x0101_0101_0101_0101;
        let ascii = spread + 0x3030_3030_3030_3030 + letters * 39;
        digits.copy_from_slice(&ascii.to_be_bytes());
    }
}

const OTHER_HALF: u64 = 0x5851_f42d_4c95_7f2d;

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: text keys are the numbers' own. Method: spelled by hand and by the formatter.
    #[test]
    fn text_keys_are_hexadecimal() {
        for number in [0, 1, 77, u64::MAX] {
            let key = Text::of(number);
            let [a, b] = Hashed::of(number).0;
            let expected = format!("eq_{a:016x}_{b:016x}");
            assert_eq!(key.borrowed(), expected.as_bytes(), "{number}");
        }
    }
}
