//! Downstream keys: golden values, and that different calls never share one.

use proptest::prelude::*;

use super::*;
use crate::retry::tests::seeded;

fn request(byte: u8) -> Fingerprint {
    Fingerprint::from_bytes(std::array::from_fn(|at| byte.wrapping_add(at as u8)))
}

/// Goal: keys outlive a release, since services keep them. Method: values of a second
/// implementation of the layout, in Python.
#[test]
fn golden_keys() {
    let of = |service, step| match step {
        None => DownstreamKey::new(request(1), service).unwrap(),
        Some(step) => DownstreamKey::of_step(request(1), service, step).unwrap(),
    };
    assert_eq!(of("payments", None).as_str(), "sjnJ8sZXpISNCbpK1C4IfeDsoZZcuOXE-yUMTDnNNC0");
    assert_eq!(
        of("payments", Some("charge")).as_str(),
        "jYLOBMMTc7tAzIQWRNg_SyrVR3EmSaPvlUK7M7CIrVc"
    );
    assert_eq!(
        of("käse", Some(&"s".repeat(255))).as_str(),
        "Sq24l0kue5k2YbCgn78ZbeMZOhR3YxMic-L_UptNBIo"
    );
}

/// Goal: a name that does not fit its length field is refused by name, and not told. Method: both
/// sides of the limits.
#[test]
fn names_have_limits() {
    let long = "x".repeat(256);
    let wrong = [
        (DownstreamKey::new(request(1), ""), "service"),
        (DownstreamKey::new(request(1), &long), "service"),
        (DownstreamKey::of_step(request(1), "payments", ""), "step"),
        (DownstreamKey::of_step(request(1), "payments", &long), "step"),
    ];
    for (result, field) in wrong {
        let error = result.unwrap_err();
        assert_eq!((error.code(), error.field()), (ErrorCode::InvalidOption, field));
        assert!(!error.to_string().contains('x'), "{error}");
    }
    assert!(DownstreamKey::of_step(request(1), &long[1..], &long[1..]).is_ok());
}

/// Goal: neither the request nor the key shows in a log. Method: the debug text is eight characters
/// of the key, and the key has nothing of the fingerprint in it.
#[test]
fn debug_shows_the_beginning() {
    let key = DownstreamKey::new(request(1), "payments").unwrap();
    assert_eq!(format!("{key:?}"), format!("DownstreamKey({}..)", &key.as_str()[..8]));
    assert_ne!(key.as_ref() as &[u8], &base64url(&request(1).to_bytes()));
    assert_eq!((key.as_ref() as &str, key.as_ref() as &[u8]), (key.as_str(), &key.0[..]));
}

/// Goal: the characters are base64url. Method: the test vectors of RFC 4648, filled up with zeros,
/// and all values of a character.
#[test]
fn characters_are_base64url() {
    let of = |text: &[u8]| {
        let mut bytes = [0; 32];
        bytes[..text.len()].copy_from_slice(text);
        String::from_utf8(base64url(&bytes).to_vec()).unwrap()
    };
    assert!(of(b"foobar").starts_with("Zm9vYmFyAAAA"));
    assert!(of(&[0xfb, 0xff, 0xbf]).starts_with("-_-_"));
    assert_eq!(of(&[0; 32]), "A".repeat(43));
    assert_eq!(of(&[0xff; 32]), format!("{}8", "_".repeat(42)));
}

proptest! {
    #![proptest_config(seeded(1_000))]

    /// Goal: another request, service or step has another key, however the names are cut. Method:
    /// two arbitrary calls over a small alphabet: their keys are equal if and only if they are.
    #[test]
    fn keys_differ_as_calls_do(
        a in (0..3_u8, "[ab\u{0}\u{1}]{1,4}", proptest::option::of("[ab\u{0}\u{1}]{1,4}")),
        b in (0..3_u8, "[ab\u{0}\u{1}]{1,4}", proptest::option::of("[ab\u{0}\u{1}]{1,4}")),
    ) {
        let of = |(byte, service, step): &(u8, String, Option<String>)| match step {
            None => DownstreamKey::new(request(*byte), service).unwrap(),
            Some(step) => DownstreamKey::of_step(request(*byte), service, step).unwrap(),
        };
        prop_assert_eq!(of(&a) == of(&b), a == b);
        prop_assert_eq!(of(&a), of(&a));
    }
}
