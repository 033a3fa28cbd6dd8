//! What is stored is read again, by who may, and says nothing to others.

use proptest::prelude::*;

use super::{COMPRESSED, Codec, MOST_UNPACKED, PLAIN, SEALED};
use crate::outcome::Outcome;
use crate::tier::TierKey;

const KEY: TierKey = TierKey::from_bytes([3; TierKey::BYTES]);
const LIMIT: usize = 64 << 10;

fn outcome() -> Outcome {
    let body = b"the quick brown canary ".repeat(20);
    Outcome::new(201, body).with_metadata("content-type", "text/plain").expect("it is short")
}

fn sealed(key: u8, retiring: Option<u8>) -> Codec {
    Codec::new(LIMIT, None, Some(&[key; 32]), retiring.map(|key| [key; 32]).as_ref())
}

proptest! {
    /// Goal: any outcome comes back byte for byte, however it is stored. Method: random bodies and
    /// metadata; plain, compressed, sealed, both.
    #[test]
    fn outcomes_come_back(
        status in any::<u16>(),
        body in proptest::collection::vec(any::<u8>(), 0..2_000),
        value in "[a-z]{0,40}",
        compress in any::<bool>(),
        seal in any::<bool>(),
    ) {
        let outcome = Outcome::new(status, &body).with_metadata("name", &value).expect("short");
        let key = seal.then_some([9; 32]);
        let codec = Codec::new(LIMIT, compress.then_some(0), key.as_ref(), None);
        let stored = codec.outcome(KEY, &outcome).expect("it fits");
        prop_assert_eq!(codec.read_outcome(KEY, &stored), Some(outcome));
    }

    /// Goal: bytes that nothing of ours wrote are no outcome, and no panic. Method: random bytes,
    /// and random changes of real ones.
    #[test]
    fn odd_bytes_are_nothing(
        odd in proptest::collection::vec(any::<u8>(), 0..200),
        at in any::<prop::sample::Index>(),
        by in 1..=u8::MAX,
    ) {
        let plain = Codec::new(LIMIT, Some(0), None, None);
        plain.read_outcome(KEY, &odd);
        let codec = sealed(1, None);
        prop_assert_eq!(codec.read_context(KEY, &odd), None);
        let mut stored = codec.outcome(KEY, &outcome()).expect("it fits");
        let at = at.index(stored.len());
        stored[at] ^= by;
        // The first byte may say now that nothing is sealed; then it is not ours either.
        if at != 0 {
            prop_assert_eq!(codec.read_outcome(KEY, &stored), None);
        }
    }
}

/// Goal: what is sealed opens with the key that sealed it, while it is in use or retiring, for the
/// record and the purpose that it was sealed for, and not otherwise; and it never looks the same
/// twice. Method: each of these.
#[test]
fn sealed_values_open_for_their_own() {
    let stored = sealed(1, None).outcome(KEY, &outcome()).expect("it fits");
    assert_eq!(stored[0] & SEALED, SEALED);
    assert_eq!(sealed(1, None).read_outcome(KEY, &stored), Some(outcome()));
    assert_eq!(sealed(2, Some(1)).read_outcome(KEY, &stored), Some(outcome()));
    assert_eq!(sealed(2, None).read_outcome(KEY, &stored), None);
    assert_eq!(Codec::new(LIMIT, None, None, None).read_outcome(KEY, &stored), None);
    let other = TierKey::from_bytes([4; TierKey::BYTES]);
    assert_eq!(sealed(1, None).read_outcome(other, &stored), None);
    assert_eq!(sealed(1, None).read_context(KEY, &stored), None);
    assert_ne!(sealed(1, None).outcome(KEY, &outcome()), Some(stored.clone()));
    assert!(!stored.windows(6).any(|part| part == b"canary"));
}

/// Goal: a context leaves the process sealed or not at all. Method: with and without a key.
#[test]
fn contexts_are_sealed_or_not_stored() {
    let plain = Codec::new(LIMIT, None, None, None);
    assert_eq!(plain.context(KEY, b"canary"), None);
    assert_eq!(plain.read_context(KEY, &[PLAIN, 1, 2]), None);
    let codec = sealed(1, None);
    let stored = codec.context(KEY, b"canary").expect("it fits");
    assert!(!stored.windows(6).any(|part| part == b"canary"));
    assert_eq!(codec.read_context(KEY, &stored).as_deref(), Some(b"canary".as_slice()));
    assert_eq!(codec.context(KEY, b""), None);
}

/// Goal: only what gains is compressed, and only from its size on. Method: text, and random bytes.
#[test]
fn compression_starts_at_its_size_and_only_where_it_helps() {
    let mark = |codec: &Codec, outcome: &Outcome| codec.outcome(KEY, outcome).expect("it fits")[0];
    let size = outcome().put_len();
    assert_eq!(mark(&Codec::new(LIMIT, Some(size), None, None), &outcome()), COMPRESSED);
    assert_eq!(mark(&Codec::new(LIMIT, Some(size + 1), None, None), &outcome()), PLAIN);
    let mut random = [0; 500];
    getrandom::fill(&mut random).expect("randomness");
    let random = Outcome::new(200, random);
    assert_eq!(mark(&Codec::new(LIMIT, Some(0), None, None), &random), PLAIN);
}

/// Goal: the limit is of what is stored; what is withheld is not. Method: one byte around it.
#[test]
fn the_limit_is_of_what_is_stored() {
    let size = 1 + outcome().put_len();
    assert!(Codec::new(size, None, None, None).outcome(KEY, &outcome()).is_some());
    assert!(Codec::new(size - 1, None, None, None).outcome(KEY, &outcome()).is_none());
    assert!(Codec::new(size / 2, Some(0), None, None).outcome(KEY, &outcome()).is_some());
    assert!(Codec::new(LIMIT, None, None, None).outcome(KEY, &Outcome::withheld(200)).is_none());
}

/// Goal: a length that lies costs no memory. Method: a small block that says it is very large.
#[test]
fn a_length_that_lies_is_not_believed() {
    let codec = Codec::new(LIMIT, None, None, None);
    for len in [MOST_UNPACKED as u32, u32::MAX, 1_000_000] {
        let mut stored = vec![COMPRESSED];
        stored.extend_from_slice(&len.to_le_bytes());
        stored.extend_from_slice(&[0; 16]);
        assert_eq!(codec.read_outcome(KEY, &stored), None);
    }
}
