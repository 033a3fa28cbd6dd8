//! The rules behind [`KeyRules::refuse_predictable`](crate::KeyRules::refuse_predictable), which
//! documents them. Each is chosen so that a random key passes: see the tests for the odds.

use super::key::{refused, uuid_version};
use crate::Error;

/// Refuses a key by the first rule that applies.
pub(super) fn check(key: &[u8]) -> Result<(), Error> {
    if let Some(verdict) = check_uuids(key) {
        return verdict;
    }
    // Bytes that are no text have no words.
    let text = std::str::from_utf8(key).ok();
    check_number(key)?;
    if let Some(text) = text {
        check_words(text)?;
    }
    check_variety(key, MIN_DIFFERENT_BYTES)?;
    check_bits(key, text)
}

/// Whether `length` characters of so large an alphabet can hold the bits that a key needs.
pub(super) fn holds_enough(length: usize, alphabet: u32) -> bool {
    bits(length, alphabet) >= MIN_BITS
}

/// The verdict on a key that is a UUID or has one in it; `None` when there is none. One random
/// UUID is enough: what stands beside it takes nothing away.
fn check_uuids(key: &[u8]) -> Option<Result<(), Error>> {
    if let Some(uuid) = without_hyphens(key) {
        return Some(check_uuid(&uuid));
    }
    let mut refusal = None;
    for (at, window) in key.windows(UUID_BYTES).enumerate() {
        let joined = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
        let before = at.checked_sub(1).and_then(|before| key.get(before));
        if joined(before) || joined(key.get(at + UUID_BYTES)) || uuid_version(window).is_none() {
            continue;
        }
        match check_uuid(window) {
            Ok(()) => return Some(Ok(())),
            Err(error) => refusal = refusal.or(Some(Err(error))),
        }
    }
    refusal
}

/// A UUID of 32 digits. Bare digits are taken for one only if it would be random: every tenth key
/// of random digits has the digits of another version in the right places.
fn without_hyphens(key: &[u8]) -> Option<[u8; UUID_BYTES]> {
    let (inner, is_bare) = match key {
        [b'{', inner @ .., b'}'] | [b'(', inner @ .., b')'] => (inner, false),
        _ => match key.split_at_checked(URN.len()) {
            Some((prefix, rest)) if prefix.eq_ignore_ascii_case(URN) => (rest, false),
            _ => (key, true),
        },
    };
    if inner.len() != 32 {
        return None;
    }
    let mut uuid = [b'-'; UUID_BYTES];
    let places = uuid.iter_mut().enumerate().filter(|(at, _)| !matches!(at, 8 | 13 | 18 | 23));
    places.zip(inner).for_each(|((_, place), digit)| *place = *digit);
    let version = uuid_version(&uuid)?;
    (!is_bare || matches!(version, 4 | 7)).then_some(uuid)
}

/// Version 4 has 122 random bits and version 7 has 74, unless a counter was put into their coat.
fn check_uuid(uuid: &[u8]) -> Result<(), Error> {
    let mut digits = [0; 32];
    let hex = uuid.iter().filter(|&&byte| byte != b'-');
    digits.iter_mut().zip(hex).for_each(|(digit, byte)| *digit = byte.to_ascii_lowercase());
    let from = match uuid_version(uuid) {
        Some(4) => 0,
        Some(7) => 12,
        version => {
            let version = version.unwrap_or_default();
            let found = format!("a UUID of version {version}, which is not random");
            return Err(refused(found, "a UUID of version 4 or 7"));
        }
    };
    // Digit 12 is the version, and digit 16 has the two bits of the variant.
    let random = (from..32).filter(|at| !matches!(at, 12 | 16));
    let mut counts = [0_usize; 256];
    random.clone().for_each(|at| counts[usize::from(digits[at])] += 1);
    if counts.iter().any(|count| count * 5 >= random.clone().count() * 3) {
        return Err(refused("a UUID that is filled up with one digit", RANDOM));
    }
    check_variety(&digits, MIN_DIFFERENT_DIGITS)
}

fn check_number(key: &[u8]) -> Result<(), Error> {
    if key.iter().all(u8::is_ascii_digit) {
        let since_1970 = matches!(key.len(), 10 | 13 | 16 | 19) && matches!(key[0], b'1' | b'2');
        let found = if since_1970 { "a time stamp" } else { "a counter" };
        return Err(refused(found, RANDOM));
    }
    let in_date = |byte: &u8| byte.is_ascii_digit() || b"TtZz -:.,/+_".contains(byte);
    if key.iter().all(in_date) && key.iter().any(u8::is_ascii_digit) {
        return Err(refused("a date or time", RANDOM));
    }
    Ok(())
}

fn check_words(text: &str) -> Result<(), Error> {
    let sections = || text.split(|c: char| !c.is_alphanumeric()).filter(|s| !s.is_empty());
    if !sections().all(is_plain) {
        return Ok(());
    }
    // Random characters of all kinds fall into short sections, which look plain by chance.
    let is_usual = |c: char| c.is_alphanumeric() || "-_.:/, ".contains(c);
    let beyond_first = sections().map(|section| section.chars().count() - 1).sum::<usize>();
    if text.chars().all(is_usual) || beyond_first * 2 >= text.chars().count() {
        return Err(refused("words and numbers", RANDOM));
    }
    Ok(())
}

/// Whether people or programs without randomness write such a section: `order`, `1042`,
/// `order1042`, `20261123T100000Z`, `0x00001042`.
fn is_plain(section: &str) -> bool {
    if section.bytes().all(|byte| byte.is_ascii_digit() || b"TtZz".contains(&byte)) {
        return true;
    }
    if !section.split(char::is_numeric).filter(|run| !run.is_empty()).all(is_word) {
        return false;
    }
    let letters = section.chars().filter(|c| !c.is_numeric()).count();
    let digits = section.chars().count() - letters;
    let after = section.chars().skip(1);
    let borders = section.chars().zip(after).filter(|(a, b)| a.is_numeric() != b.is_numeric());
    match borders.count() {
        0 => true,
        // Random hex digits fall into a few runs too often.
        _ if hex_alphabet(section.as_bytes()).is_some() => false,
        1 if section.starts_with(char::is_numeric) => letters == 1 || letters <= 12 && digits >= 8,
        1 => letters <= 12,
        2 => letters <= 8 && digits >= 8,
        _ => false,
    }
}

/// Letters of one case, or with a capital in front.
fn is_word(run: &str) -> bool {
    let mut tail = run.chars().skip(1);
    run.chars().count() < WORD_LETTERS
        && (run.chars().all(char::is_uppercase) || !tail.any(char::is_uppercase))
}

fn check_variety(key: &[u8], at_least: usize) -> Result<(), Error> {
    let mut seen = [false; 256];
    let mut different = 0;
    for &byte in key {
        different += usize::from(!std::mem::replace(&mut seen[usize::from(byte)], true));
    }
    if different < at_least {
        let found = format!("{different} different bytes");
        return Err(refused(found, format!("at least {at_least} different bytes")));
    }
    let repeats = |period: usize| key[period..].iter().zip(key).all(|(a, b)| a == b);
    if (1..=key.len() / 2).any(repeats) {
        return Err(refused("one block repeated", RANDOM));
    }
    for step in [0, 1, u8::MAX] {
        let follows = |pair: &&[u8]| pair[1].wrapping_sub(pair[0]) == step;
        if key.windows(2).filter(follows).count() * 4 >= (key.len() - 1) * 3 {
            return Err(refused("a sequence of neighbours", RANDOM));
        }
    }
    if key.windows(MAX_EQUAL).any(|run| run.iter().all(|byte| *byte == run[0])) {
        return Err(refused(format!("{MAX_EQUAL} equal bytes in a row"), RANDOM));
    }
    Ok(())
}

fn check_bits(key: &[u8], text: Option<&str>) -> Result<(), Error> {
    let (length, alphabet) = match text {
        Some(text) => (text.chars().count(), alphabet(text)),
        None => (key.len(), ANY_BYTES),
    };
    if holds_enough(length, alphabet) {
        return Ok(());
    }
    let found = format!("at most {:.0} bits", bits(length, alphabet));
    Err(refused(found, "at least 64 random bits"))
}

fn bits(length: usize, alphabet: u32) -> f64 {
    length as f64 * f64::from(alphabet).log2()
}

/// How many characters the key was drawn from, by the classes that occur in it. A letter beyond
/// ASCII counts as one of ASCII: alphabets are small, and a word is as easy to guess in each.
fn alphabet(text: &str) -> u32 {
    if let Some(size) = hex_alphabet(text.as_bytes()) {
        return size;
    }
    let any = |class: fn(char) -> bool| text.chars().any(class);
    let classes = [
        (any(char::is_numeric), 10),
        (any(|c| c.is_alphabetic() && !c.is_uppercase()), 26),
        (any(char::is_uppercase), 26),
        (any(|c| !c.is_alphanumeric()), 33),
    ];
    classes.iter().filter(|(occurs, _)| *occurs).map(|(_, size)| size).sum()
}

/// The size of the alphabet when all are hex digits.
fn hex_alphabet(key: &[u8]) -> Option<u32> {
    if !key.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let lower = key.iter().any(u8::is_ascii_lowercase);
    let upper = key.iter().any(u8::is_ascii_uppercase);
    Some(if lower && upper { HEX_OF_BOTH_CASES } else { 16 })
}

/// How many characters a key counts as drawn from when it is no text, when all classes occur in
/// it, and when it is hex digits of both cases.
pub(super) const ANY_BYTES: u32 = 256;
pub(super) const PRINTABLE: u32 = 95;
pub(super) const HEX_OF_BOTH_CASES: u32 = 22;
const RANDOM: &str = "a random key, such as a UUID of version 4";
const URN: &[u8] = b"urn:uuid:";
const UUID_BYTES: usize = 36;
const WORD_LETTERS: usize = 16;
const MIN_DIFFERENT_BYTES: usize = 5;
const MIN_DIFFERENT_DIGITS: usize = 7;
const MAX_EQUAL: usize = 8;
const MIN_BITS: f64 = 64.0;
