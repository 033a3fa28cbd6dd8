//! Payload digests: golden vectors of every version, and what makes two payloads differ.

use super::*;

const MULTIPART: &[u8] = b"--b\r\n\
    Content-Type: text/plain; charset=UTF-8\r\n\
    Content-Disposition: form-data; name=\"f\"; filename=\"a.txt\"\r\n\
    \r\n\
    data\r\n\
    \r\n--b--\r\n";

fn version(number: u8) -> DigestVersion {
    DigestVersion::from_number(number).unwrap()
}

/// Goal: stored digests outlive a release, in every version. Method: vectors for a fixed secret,
/// computed by a second implementation of the layout in another language.
#[test]
fn golden_digests_of_both_versions() {
    let json = br#"{"b": "x", "a": [1, 2.50]}"#;
    let vectors = [
        (Payload::none(), 0x2bdf_a947_444d_51c6, 0x72b6_c499_a2e4_7408),
        (Payload::raw(b"hello"), 0x0c30_4c2f_8234_76cf, 0x174e_a241_f9d6_741c),
        (Payload::json(json), 0xc720_c10e_e10b_85cf, 0x4d7d_cffe_9eb2_d69b),
        (Payload::json(b"[1, 9007199254740993]"), 0xfc8d_f6cd_2be6_e92b, 0x2bce_e52d_b1c8_0cc2),
        (
            Payload::json(json).including(&["/z", "/a/1", "/z"]),
            0x273d_aaa9_b10f_4dc5,
            0x7ffd_0410_c799_bbdd,
        ),
        (Payload::form(b"b=2&a=1+2&&b=%31"), 0x0996_a4aa_ce93_5f36, 0x01fa_b5eb_a6e9_649e),
        (Payload::multipart(MULTIPART, "b"), 0xea88_0d69_d8ea_9307, 0x2650_f754_6195_3868),
    ];
    let hasher = keyed();
    for (payload, first, second) in vectors {
        let digests = [1, 2].map(|number| hasher.payload_digest(&payload, version(number)));
        assert_eq!(digests.map(Result::unwrap), [first, second], "{payload:?}");
    }
}

/// Goal: the same for the fast mode. Method: vectors recorded from this implementation.
#[test]
fn golden_fast_digests() {
    let hasher = fast();
    let long = [7; 1000];
    let vectors = [
        (Payload::none(), [0xbc52_1384_94ea_4f54, 0x3515_f630_395d_6e85]),
        (Payload::raw(b"hello"), [0x30ef_3ca0_efd6_ce9a, 0x6749_1ec5_e92a_73e0]),
        (Payload::raw(&long), [0x79e9_5911_3f7e_39ff, 0xf4c6_25e9_499d_7847]),
        (Payload::form(b"b=2&a=1"), [0x8b87_cf0b_45df_6092, 0x2ae2_d944_2e33_12d6]),
    ];
    for (payload, expected) in vectors {
        let digests = [1, 2].map(|number| hasher.payload_digest(&payload, version(number)));
        assert_eq!(digests.map(Result::unwrap), expected, "{payload:?}");
    }
}

/// Goal: a record of a newer build is not misread. Method: versions 3 to 15 are refused, typed.
#[test]
fn unknown_versions_are_refused() {
    for number in 3..=15 {
        let error = keyed().payload_digest(&Payload::none(), version(number)).unwrap_err();
        assert_eq!((error.code(), error.field()), (ErrorCode::InvalidPayload, "digest_version"));
    }
    assert!(version(1).is_supported() && version(2).is_supported());
    assert!(!version(3).is_supported());
    assert_eq!((DigestVersion::from_number(0), DigestVersion::from_number(16)), (None, None));
}

/// Goal: version 2 keeps kinds apart, which is why it exists. Method: contents that version 1
/// takes for one: nothing and no bytes; and a raw body with the bytes of a canonical form.
#[test]
fn only_version_2_separates_kinds() {
    let hasher = keyed();
    let digest = |payload, number| hasher.payload_digest(&payload, version(number)).unwrap();
    let no_pairs = [0; 8];
    let pairs =
        [(Payload::none(), Payload::raw(b"")), (Payload::raw(&no_pairs), Payload::form(b""))];
    for (a, b) in pairs {
        assert_eq!(digest(a, 1), digest(b, 1), "{a:?} {b:?}");
        assert_ne!(digest(a, 2), digest(b, 2), "{a:?} {b:?}");
    }
}

/// Goal: the digest is that of the stored secret and mode. Method: change one at a time.
#[test]
fn digests_depend_on_secret_mode_and_version() {
    let other = Secret::from_bytes(&[9; 32]).unwrap();
    let other = KeyedHasher::new(&other, FingerprintMode::Keyed);
    for payload in [Payload::none(), Payload::raw(b"hello")] {
        let mut digests: Vec<u64> = [&keyed(), &fast(), &other]
            .into_iter()
            .flat_map(|hasher| [1, 2].map(|n| hasher.payload_digest(&payload, version(n)).unwrap()))
            .collect();
        digests.sort_unstable();
        digests.dedup();
        assert_eq!(digests.len(), 6, "{payload:?}");
    }
}

/// Goal: large payloads are bounded before any work. Method: the limit, and one byte more.
#[test]
fn payloads_have_a_size_limit() {
    let bytes = vec![0; Payload::MAX_BYTES + 1];
    assert!(Payload::raw(&bytes[1..]).check().is_ok());
    for payload in [Payload::raw(&bytes), Payload::json(&bytes), Payload::form(&bytes)] {
        let error = keyed().payload_digest(&payload, DigestVersion::CURRENT).unwrap_err();
        assert_eq!((error.code(), error.field()), (ErrorCode::InvalidPayload, "payload"));
    }
}

/// Goal: what `check` accepts can be digested, and nothing else. Method: one payload of each
/// kind that is fine and one that is not.
#[test]
fn check_agrees_with_the_digest() {
    let payloads = [
        Payload::raw(b"\xff"),
        Payload::json(b"[1]"),
        Payload::json(b"[1"),
        Payload::json(b"1e999"),
        Payload::form(b"a=%"),
        Payload::multipart(MULTIPART, "b"),
        Payload::multipart(MULTIPART, "c"),
        Payload::none().excluding(&["/a"]),
        Payload::raw(b"{}").including(&["/a"]),
    ];
    let hasher = keyed();
    let mut refused = 0;
    for payload in payloads {
        let digest = hasher.payload_digest(&payload, DigestVersion::CURRENT);
        assert_eq!(payload.check().err(), digest.err(), "{payload:?}");
        refused += usize::from(payload.check().is_err());
    }
    assert_eq!(refused, 6);
}
