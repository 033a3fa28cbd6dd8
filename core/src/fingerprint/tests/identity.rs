//! Fingerprints: golden vectors, and that different requests never share one.

use hmac::{Hmac, KeyInit, Mac};
use proptest::prelude::*;
use sha2::Sha256;

use super::*;

const KEY: &str = "8e03978e-40d5-43dd-bc93-6894a57f9324";

fn hex(fingerprint: Fingerprint) -> String {
    fingerprint.to_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn fingerprint(hasher: &KeyedHasher, scope: &str, operation: &str, key: &[u8]) -> Fingerprint {
    let request = Request::new(Scope::new(scope).unwrap(), operation, key).unwrap();
    hasher.fingerprint(&request).unwrap()
}

/// Goal: fingerprints outlive a release, since files and tiers hold them. Method: vectors for a
/// fixed secret, computed by a second implementation of the layout in another language.
#[test]
fn golden_keyed_fingerprints() {
    let hasher = keyed();
    let of = |scope| {
        let request = Request::new(scope, "POST /charges", KEY).unwrap();
        hex(hasher.fingerprint(&request).unwrap())
    };
    assert_eq!(
        of(Scope::new("acme").unwrap()),
        "d5ef3e81e0ae53b888f0f18dd052e757011b48920bf441b94a43bb5dd1222ea6"
    );
    assert_eq!(
        of(Scope::single_tenant()),
        "c9f361d4a1e52004ec0a1aa5f4941640afa3c4aafb7b5fafc16db5283e8a14d1"
    );
    assert_eq!(
        of(Scope::unauthenticated()),
        "ffb14438620f57e003451bf77c0f6c2198d82fd2c7ee96d0ce72035e2fc397dc"
    );
    let longest = fingerprint(&hasher, &"s".repeat(255), &"o".repeat(1024), &[b'k'; 255]);
    assert_eq!(hex(longest), "8b2744700d0cc0ec0a6ef564c0d37ffb4e16dad5b47bd790891469746daaaa58");
    let scope = Scope::new("acme").unwrap();
    let body = Payload::json(br#"{"b": "x", "a": [1, 2.50]}"#);
    let request = Request::by_payload(scope, "PUT /users/7", body).unwrap();
    assert_eq!(
        hex(hasher.fingerprint(&request).unwrap()),
        "e5540f21b898dcbad5eb2a4ca0df5742d013eade5a68f921957c0739c8949531"
    );
    assert_eq!(hasher.key_check(), 0xbacd_d063_6c62_a02b);
}

/// Goal: the same for the fast mode. Method: vectors recorded from this implementation.
#[test]
fn golden_fast_fingerprints() {
    let hasher = fast();
    assert_eq!(
        hex(fingerprint(&hasher, "acme", "POST /charges", KEY.as_bytes())),
        "7c7f6ba430ce70c4c4fb8e2b661814539be6f82eb2a9ede4db39025706720864"
    );
    let longest = fingerprint(&hasher, &"s".repeat(255), &"o".repeat(1024), &[b'k'; 255]);
    assert_eq!(hex(longest), "aa404aeab736285bc86172837d3a2824f61ac6be5aa5e3d082d3b4d67a4a0673");
    assert_eq!(hasher.key_check(), keyed().key_check());
    assert_eq!(hasher.scope_hash(Scope::new("acme").unwrap()), 0x1ea8_08a9_a933_a81d);
}

/// Goal: kinds of scope never meet. Method: a named scope that spells the kind, in both modes.
#[test]
fn kinds_of_scope_are_separate() {
    let scopes = [
        Scope::single_tenant(),
        Scope::unauthenticated(),
        Scope::new("single_tenant").unwrap(),
        Scope::new(&[2]).unwrap(),
        Scope::new(&[3]).unwrap(),
    ];
    for hasher in [keyed(), fast()] {
        let of = |scope: &Scope<'_>| {
            hasher.fingerprint(&Request::new(*scope, "op", "key").unwrap()).unwrap()
        };
        for (i, a) in scopes.iter().enumerate() {
            assert_eq!(a.is_unauthenticated(), i == 1);
            for b in &scopes[..i] {
                assert_ne!(of(a), of(b), "{a:?} {b:?}");
                assert_ne!(hasher.scope_hash(*a), hasher.scope_hash(*b), "{a:?} {b:?}");
            }
        }
    }
}

/// Goal: a client cannot name the record of a request without a key. Method: the full digest of
/// the payload, given as a key, makes another fingerprint.
#[test]
fn a_key_from_the_payload_is_no_clients_key() {
    let hasher = keyed();
    let scope = Scope::single_tenant();
    let by_payload = Request::by_payload(scope, "PUT /x", Payload::raw(b"hello")).unwrap();
    assert_eq!((by_payload.key(), by_payload.is_by_payload()), (None, true));

    let derive = |key: &[u8], message: &[u8]| -> [u8; 32] {
        let mac = Hmac::<Sha256>::new_from_slice(key).unwrap().chain_update(message);
        mac.finalize().into_bytes().into()
    };
    let secret: Vec<u8> = (1..=32).collect();
    let digest = derive(&derive(&secret, b"oncegate payload 2\0\0"), b"\x01hello");
    let given = Request::new(scope, "PUT /x", &digest).unwrap();
    assert!(!given.is_by_payload());
    let of = |request| hasher.fingerprint(request).unwrap();
    assert_ne!(of(&by_payload), of(&given));

    let identity = derive(&secret, b"oncegate identity\0\0");
    let message = [&[0x12, 0, 6, 0][..], b"PUT /x", &[32], &digest].concat();
    assert_eq!(of(&by_payload).to_bytes(), derive(&identity, &message));
}

/// Goal: a request without a key is its payload. Method: equal payloads share a fingerprint,
/// others do not, and one that cannot be read is refused.
#[test]
fn requests_without_a_key_are_told_apart_by_payload() {
    for hasher in [keyed(), fast()] {
        let of = |body: &[u8]| {
            let payload = Payload::json(body);
            let request = Request::by_payload(Scope::single_tenant(), "PUT /x", payload)?;
            hasher.fingerprint(&request)
        };
        assert_eq!(of(br#"{"a":1,"b":2}"#).unwrap(), of(br#"{"b": 2, "a": 1.0}"#).unwrap());
        assert_ne!(of(br#"{"a":1}"#).unwrap(), of(br#"{"a":2}"#).unwrap());
        assert_eq!(of(b"{").unwrap_err().code(), ErrorCode::InvalidPayload);
    }
}

/// Goal: mode and secret both matter. Method: change one at a time.
#[test]
fn modes_and_secrets_are_separate() {
    let other = Secret::from_bytes(&[9; 32]).unwrap();
    let other = KeyedHasher::new(&other, FingerprintMode::Keyed);
    let of = |hasher: &KeyedHasher| fingerprint(hasher, "acme", "op", b"key");
    assert_ne!(of(&keyed()), of(&fast()));
    assert_ne!(of(&keyed()), of(&other));
    assert_ne!(keyed().key_check(), other.key_check());
    let [low_a, low_b, high_a, high_b] = of(&fast()).words();
    assert_ne!((low_a, low_b), (high_a, high_b));
    let scope = Scope::new("acme").unwrap();
    assert_ne!(keyed().scope_hash(scope), other.scope_hash(scope));
}

/// Goal: sizes at the limits work, beyond them a typed refusal. Method: both sides of each limit.
#[test]
fn limits_are_typed() {
    let scope = Scope::single_tenant();
    let (long, longer) = ("x".repeat(1024), "x".repeat(1025));
    assert!(Request::new(scope, &long, &long[..255]).is_ok());
    for (operation, key, code, field) in [
        ("", "k", ErrorCode::InvalidOperation, "operation"),
        (&longer[..], "k", ErrorCode::InvalidOperation, "operation"),
        ("op", "", ErrorCode::InvalidKey, "key"),
        ("op", &longer[..256], ErrorCode::InvalidKey, "key"),
    ] {
        let error = Request::new(scope, operation, key).unwrap_err();
        assert_eq!((error.code(), error.field()), (code, field));
    }
    let error = Request::by_payload(scope, &longer, Payload::none()).unwrap_err();
    assert_eq!(error.code(), ErrorCode::InvalidOperation);
    assert!(Scope::new(&longer[..255]).is_ok());
    for name in ["", &longer[..256]] {
        let error = Scope::new(name).unwrap_err();
        assert_eq!((error.code(), error.field()), (ErrorCode::InvalidScope, "scope"));
    }
}

/// Goal: every scope has a place in the quota table, never zero, and its own. Method: scopes of
/// every length that is allowed.
#[test]
fn scopes_of_every_length_hash() {
    for hasher in [keyed(), fast()] {
        let name = "s".repeat(Scope::MAX_BYTES);
        let mut hashes: Vec<u64> = (1..=Scope::MAX_BYTES)
            .map(|length| hasher.scope_hash(Scope::new(&name[..length]).unwrap()))
            .collect();
        assert!(!hashes.contains(&0));
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!(hashes.len(), Scope::MAX_BYTES);
    }
}

proptest! {
    #![proptest_config(seeded(512))]

    /// Goal: lengths come before parts. Method: one text cut into scope, operation and key at
    /// two pairs of places gives one fingerprint only if the cuts agree.
    #[test]
    fn cuts_of_one_text_never_meet(
        text in "[ab]{3,300}",
        cuts in any::<[prop::sample::Index; 4]>(),
        trusted in any::<bool>(),
    ) {
        let hasher = if trusted { fast() } else { keyed() };
        let parts = |a: &prop::sample::Index, b: &prop::sample::Index| {
            let first = 1 + a.index((text.len() - 2).min(255));
            let second = first + 1 + b.index(text.len() - first - 1);
            (first, second.max(text.len().saturating_sub(255)).max(first + 1))
        };
        let of = |(first, second): (usize, usize)| {
            let (scope, operation, key) = (&text[..first], &text[first..second], &text[second..]);
            fingerprint(&hasher, scope, operation, key.as_bytes())
        };
        let (a, b) = (parts(&cuts[0], &cuts[1]), parts(&cuts[2], &cuts[3]));
        prop_assert_eq!(of(a) == of(b), a == b);
    }

    /// Goal: the short and the long buffer hold the same layout. Method: compare with the layout
    /// written out and hashed in one go.
    #[test]
    fn every_size_follows_the_layout(
        scope in "[a-z]{1,255}",
        operation in "[a-z]{1,300}",
        key in prop::collection::vec(any::<u8>(), 1..=255),
    ) {
        let derive = |key: &[u8], message: &[u8]| -> [u8; 32] {
            let mac = Hmac::<Sha256>::new_from_slice(key).unwrap().chain_update(message);
            mac.finalize().into_bytes().into()
        };
        let secret: Vec<u8> = (1..=32).collect();
        let mut message = vec![1, scope.len() as u8];
        message.extend_from_slice(scope.as_bytes());
        message.extend_from_slice(&(operation.len() as u16).to_le_bytes());
        message.extend_from_slice(operation.as_bytes());
        message.push(key.len() as u8);
        message.extend_from_slice(&key);
        let expected = derive(&derive(&secret, b"oncegate identity\0\0"), &message);
        prop_assert_eq!(fingerprint(&keyed(), &scope, &operation, &key).to_bytes(), expected);
    }
}
