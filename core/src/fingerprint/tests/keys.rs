//! Key rules: what each refuses, and what it says.

use super::*;
use crate::Error;

fn refusal(rules: KeyRules, key: &str) -> String {
    let error: Error = rules.check(key.as_bytes()).expect_err(key);
    assert_eq!((error.code(), error.field()), (ErrorCode::InvalidKey, "key"), "{key}");
    error.to_string()
}

/// Goal: lengths are 1 to 255 whatever the rules say. Method: both sides of each limit.
#[test]
fn lengths() {
    let any = KeyRules::default();
    assert!(any.check(&[0]).is_ok() && any.check(&[0xff; 255]).is_ok());
    let beyond = any.min_len(0).max_len(1000);
    assert!(any.check(&[]).is_err() && any.check(&[0; 256]).is_err());
    assert!(beyond.check(&[]).is_err() && beyond.check(&[0; 256]).is_err());
    let some = any.min_len(3).max_len(5);
    assert!(refusal(some, "ab").contains("found 2 bytes; limit: 3 to 5 bytes"));
    assert!(refusal(some, "abcdef").contains("6 bytes"));
    assert!(some.check(b"abc").is_ok() && some.check(b"abcde").is_ok());
}

/// Goal: UUID means RFC 9562. Method: versions 1 to 8 pass; other shapes, variants and versions
/// do not.
#[test]
fn uuids() {
    let rules = KeyRules::any().uuid();
    for version in 1..=8 {
        let key = format!("8e03978e-40d5-{version}3dd-bc93-6894a57f9324");
        assert!(rules.check(key.as_bytes()).is_ok(), "{key}");
        assert!(rules.check(key.to_uppercase().as_bytes()).is_ok(), "{key}");
    }
    for key in [
        "8e03978e-40d5-03dd-bc93-6894a57f9324",
        "8e03978e-40d5-93dd-bc93-6894a57f9324",
        "8e03978e-40d5-a3dd-bc93-6894a57f9324",
        "8e03978e-40d5-43dd-7c93-6894a57f9324",
        "8e03978e-40d5-43dd-cc93-6894a57f9324",
        "8e03978e_40d5-43dd-bc93-6894a57f9324",
        "8e03978g-40d5-43dd-bc93-6894a57f9324",
        "8e03978e40d543ddbc936894a57f9324",
        "{8e03978e-40d5-43dd-bc93-6894a57f932}",
        "00000000-0000-0000-0000-000000000000",
        "ffffffff-ffff-ffff-ffff-ffffffffffff",
    ] {
        assert!(refusal(rules, key).contains("UUID"), "{key}");
    }
}

/// Goal: each charset holds its line, and says where it runs. Method: the characters at its edges.
#[test]
fn charsets() {
    let cases = [
        (KeyCharset::Visible, "!~", " \u{7f}é\n", "visible ASCII"),
        (KeyCharset::AlphanumericDashUnderscore, "azAZ09-_", ".+/ :é", "letters, digits, '-'"),
        (KeyCharset::Hex, "09afAF", "gG-x", "hexadecimal digits"),
    ];
    for (charset, inside, outside, said) in cases {
        let rules = KeyRules::any().charset(charset);
        assert!(rules.check(inside.as_bytes()).is_ok(), "{charset:?}");
        for character in outside.chars() {
            let text = refusal(rules, &character.to_string());
            assert!(text.contains("character") && text.contains(said), "{charset:?}: {text}");
        }
    }
}

/// Goal: each rule against predictable keys fires and says which it is. Method: one or more keys
/// for each, with the class that the refusal has to name.
#[test]
fn predictable_keys_are_refused_by_rule() {
    let cases: [(&str, &[&str]); 9] = [
        ("a counter", &["1", "1042", "000000000000000000000000000000001042"]),
        ("a time stamp", &["1764028800", "1764028800123", "1764028800123456789"]),
        ("a date or time", &["2026-11-23", "2026-11-23T10:00:00.123Z", "20261123T100000+01:00"]),
        ("words and numbers", &["a", "checkout", "Invoice", "order-1042", "USER_7:charge/0009"]),
        ("words and numbers", &["correct-horse-battery-staple", "order 2026-11-23 no 17"]),
        ("UUID of version 1,", &["c232ab00-9414-11ec-b3c8-9f6bdeced846"]),
        ("UUID of version 6", &["1ec9414c-232a-6b00-b3c8-9f6bdeced846"]),
        ("UUID of version 5", &["2ed6657d-e927-568b-95e1-2665a8aea6a2"]),
        ("at most", &["x7Kq2", "a1b2c3d4", "8e03978e40d543d"]),
    ];
    let rules = KeyRules::any().refuse_predictable();
    for (class, keys) in cases {
        for key in keys {
            let text = refusal(rules, key);
            assert!(text.contains(class), "{key}: {text}");
        }
    }
    for (class, key) in [
        ("4 different bytes", "aab1aab1ab11aaababb1x"),
        ("1 different bytes", "********************"),
        ("one block repeated", "x7Kq2x7Kq2x7Kq2x7Kq2x7"),
        ("a sequence of neighbours", "abcdefghijklmnop0123456789"),
        ("a sequence of neighbours", "9876543210zyxwvutsrqponmlk"),
        ("a sequence of neighbours", "x1yyyyyyyyyyyyyyyyyyyyyy23"),
        ("8 equal bytes in a row", "x7Kqb0fR2vzzzzzzzz9mWd"),
        ("filled up with one digit", "00000000-0000-4000-8000-000000000001"),
        ("6 different bytes", "11112222-3333-4444-8111-555522223333"),
    ] {
        let text = refusal(rules, key);
        assert!(text.contains(class), "{key}: {text}");
    }
}

/// Goal: rules that no key can meet are found when the engine is built, and no others. Method:
/// each conflict, and one length only.
#[test]
fn impossible_rules_are_a_configuration_error() {
    let any = KeyRules::any();
    assert!(any.validate().is_ok() && any.uuid().refuse_predictable().validate().is_ok());
    assert!(any.min_len(9).max_len(9).validate().is_ok());
    for rules in [
        any.min_len(0),
        any.max_len(256),
        any.min_len(9).max_len(8),
        any.uuid().max_len(35),
        any.uuid().min_len(37),
        any.uuid().charset(KeyCharset::Hex),
    ] {
        let error = rules.validate().unwrap_err();
        assert_eq!((error.code(), error.field()), (ErrorCode::InvalidConfig, "key_rules"));
    }
}

/// Goal: rules that leave no room for 64 bits are found when the engine is built; it opened, and
/// refused every key. Method: for each charset the shortest key that passes, and one byte less.
#[test]
fn unpredictable_keys_need_room() {
    let any = KeyRules::any().refuse_predictable();
    for (rules, shortest) in [
        (any, &b"\xff\x91\x02\xc3\x3d\x80\x7f\x16"[..]),
        (any.charset(KeyCharset::Visible), b"a7#Kq%2Zx!"),
        (any.charset(KeyCharset::AlphanumericDashUnderscore), b"a7_Kq-2ZxR"),
        (any.charset(KeyCharset::Hex), b"a7Fc09E2bD814Ef"),
    ] {
        let fits = rules.max_len(shortest.len());
        assert_eq!((fits.validate(), fits.check(shortest)), (Ok(()), Ok(())), "{rules:?}");
        let error = rules.max_len(shortest.len() - 1).validate().unwrap_err();
        assert_eq!((error.code(), error.field()), (ErrorCode::InvalidConfig, "key_rules"));
    }
}
