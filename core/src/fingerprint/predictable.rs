//! The rules behind [`KeyRules::refuse_predictable`](crate::KeyRules::refuse_predictable), which
//! documents them. Each is chosen so that a random key passes: see the tests for the odds.

use super::key::{refused, uuid_version};
use crate::Error;

/// Refuses a key by the first rule that applies.
pub(super) fn check(key: &[u8]) -> Result<(), Error> {
    match uuid_version(key) {
        // 122 and 74 random bits; only the variety of the digits is looked at.
        Some(4 | 7) => {
            let mut digits = [0; 32];
            let hex = key.iter().filter(|&&byte| byte != b'-');
            digits.iter_mut().zip(hex).for_each(|(digit, byte)| *digit = *byte);
            check_variety(&digits)
        }
        Some(version) => Err(refused(
            format!("a UUID of version {version}, which is not random"),
            "a UUID of version 4 or 7",
        )),
        None => {
            check_number(key)?;
            check_words(key)?;
            check_variety(key)?;
            check_bits(key)
        }
    }
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

fn check_words(key: &[u8]) -> Result<(), Error> {
    let is_separator = |byte: &u8| b"-_.:/ ".contains(byte);
    if key.split(is_separator).all(is_word_or_number) {
        return Err(refused("words and numbers", RANDOM));
    }
    Ok(())
}

fn is_word_or_number(section: &[u8]) -> bool {
    if section.iter().all(u8::is_ascii_digit) {
        return true;
    }
    let tail = &section[1..];
    let letters = section.iter().all(u8::is_ascii_alphabetic);
    let one_case = section.iter().all(u8::is_ascii_uppercase);
    letters && section.len() < WORD_LETTERS && (one_case || tail.iter().all(u8::is_ascii_lowercase))
}

fn check_variety(key: &[u8]) -> Result<(), Error> {
    let mut seen = [false; 256];
    let mut different = 0;
    for &byte in key {
        different += usize::from(!std::mem::replace(&mut seen[usize::from(byte)], true));
    }
    if different < MIN_DIFFERENT_BYTES {
        return Err(refused(format!("{different} different bytes"), "at least 5 different bytes"));
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
    Ok(())
}

fn check_bits(key: &[u8]) -> Result<(), Error> {
    let bits = key.len() as f64 * f64::from(alphabet(key)).log2();
    if bits < MIN_BITS {
        return Err(refused(format!("at most {bits:.0} bits"), "at least 64 random bits"));
    }
    Ok(())
}

/// How many characters the key was drawn from, by the classes that occur in it.
fn alphabet(key: &[u8]) -> u32 {
    let any = |class: fn(&u8) -> bool| key.iter().any(class);
    let lower_hex = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let upper_hex = |byte: &u8| matches!(byte, b'0'..=b'9' | b'A'..=b'F');
    if key.iter().any(|byte| !matches!(byte, b' '..=b'~')) {
        return 256;
    }
    if key.iter().all(lower_hex) || key.iter().all(upper_hex) {
        return 16;
    }
    let classes = [
        (any(u8::is_ascii_digit), 10),
        (any(u8::is_ascii_lowercase), 26),
        (any(u8::is_ascii_uppercase), 26),
        (any(|byte| byte.is_ascii_punctuation() || *byte == b' '), 33),
    ];
    classes.iter().filter(|(occurs, _)| *occurs).map(|(_, size)| size).sum()
}

const RANDOM: &str = "a random key, such as a UUID of version 4";
const WORD_LETTERS: usize = 16;
const MIN_DIFFERENT_BYTES: usize = 5;
const MIN_BITS: f64 = 64.0;
