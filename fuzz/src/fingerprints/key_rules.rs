//! Rules for keys, restated.

use arbitrary::Unstructured;
use oncegate::{Engine, ErrorCode, KeyCharset, KeyRules};

use super::parts::MARK;

/// Holds every rule against its restatement, for one key.
pub(super) fn check(key: &[u8], bytes: &mut Unstructured<'_>) {
    let [flags, min, max] = bytes.arbitrary::<[u8; 3]>().unwrap_or_default();
    let (min, max) =
        (LENGTHS[usize::from(min) % LENGTHS.len()], LENGTHS[usize::from(max) % LENGTHS.len()]);
    let charset = [
        None,
        Some(KeyCharset::Visible),
        Some(KeyCharset::AlphanumericDashUnderscore),
        Some(KeyCharset::Hex),
    ][usize::from(flags & 3)];
    let mut rules = KeyRules::any().min_len(min).max_len(max);
    if let Some(charset) = charset {
        rules = rules.charset(charset);
    }
    if flags & 4 != 0 {
        rules = rules.uuid();
    }
    let fits = (min.max(1)..=max.min(255)).contains(&key.len())
        && charset.is_none_or(|charset| key.iter().all(|byte| belongs(*byte, charset)))
        && (flags & 4 == 0 || is_uuid(key));
    assert_eq!(accepts(rules, key), fits, "{rules:?} for {key:?}");

    let strict = rules.refuse_predictable();
    let accepted = accepts(strict, key);
    assert!(fits || !accepted, "{strict:?} takes what {rules:?} refuses: {key:?}");
    assert!(!(accepted && is_plainly_predictable(key)), "{strict:?} takes {key:?}");
    for rules in [rules, strict] {
        // An engine refuses rules that no key can meet, and no others.
        let built = Engine::builder().capacity(16).key_rules(rules).build();
        if let Err(error) = built {
            assert_eq!((error.code(), error.field()), (ErrorCode::InvalidConfig, "key_rules"));
            let in_range = (1..=255).contains(&min) && max <= 255;
            assert!(!in_range || !accepts(rules, key), "{rules:?}: {error}, for {key:?}");
        }
    }
}

fn accepts(rules: KeyRules, key: &[u8]) -> bool {
    let Err(error) = rules.check(key) else { return true };
    assert_eq!((error.code(), error.field()), (ErrorCode::InvalidKey, "key"), "{error}");
    assert!(!error.to_string().contains(MARK), "{error}");
    false
}

fn belongs(byte: u8, charset: KeyCharset) -> bool {
    let word = matches!(byte, b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'-' | b'_');
    match charset {
        KeyCharset::Visible => (0x21..=0x7e).contains(&byte),
        KeyCharset::AlphanumericDashUnderscore => word,
        _ => byte.is_ascii_hexdigit(),
    }
}

/// Groups of 8, 4, 4, 4 and 12 digits, a version from 1 to 8, and the variant of RFC 9562.
fn is_uuid(key: &[u8]) -> bool {
    let groups: Vec<&[u8]> = key.split(|byte| *byte == b'-').collect();
    let lengths: Vec<usize> = groups.iter().map(|group| group.len()).collect();
    lengths == [8, 4, 4, 4, 12]
        && groups.concat().iter().all(u8::is_ascii_hexdigit)
        && matches!(groups[2][0], b'1'..=b'8')
        && matches!(groups[3][0].to_ascii_lowercase(), b'8' | b'9' | b'a' | b'b')
}

/// Digits alone, fewer than 5 different bytes, or too short for 64 bits of any bytes.
fn is_plainly_predictable(key: &[u8]) -> bool {
    let mut different = key.to_vec();
    different.sort_unstable();
    different.dedup();
    let digits = key.iter().all(u8::is_ascii_digit) && key.len() != 32;
    digits || different.len() < 5 || key.len() < 8
}

const LENGTHS: [usize; 9] = [1, 8, 16, 35, 36, 37, 255, 256, 0];
