//! Numbers: the form of RFC 8785, and the exact decimal where that form rounds.

use super::super::refused;
use crate::Error;
use crate::sync::planted::Bug;

/// Appends the canonical form of a literal. Returns the exact decimal if the form rounds it.
///
/// # Errors
/// `InvalidPayload` when the number is beyond the range of a double.
pub(super) fn write(literal: &str, text: &mut Vec<u8>) -> Result<Option<String>, Error> {
    // Up to 15 digits without fraction or exponent are the canonical form already.
    let digits = literal.strip_prefix('-').unwrap_or(literal);
    if digits.len() <= 15 && literal != "-0" && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        text.extend_from_slice(literal.as_bytes());
        return Ok(None);
    }
    let exact = Decimal::of(literal)?;
    let nearest: f64 = literal.parse().map_err(|_| refused("a malformed number", RANGE))?;
    let canonical = text_of(nearest)?;
    text.extend_from_slice(canonical.as_bytes());
    let rounds = Decimal::of(&canonical)? != exact && !Bug::NumbersRounded.is_planted();
    Ok(rounds.then(|| exact.to_text()))
}

/// A double as ECMAScript writes it: the fewest digits that mean this very double.
///
/// The standard library also finds the fewest digits, but among equally near ones it may take
/// others than ECMAScript does, and its choice is not promised from release to release.
pub(super) fn text_of(number: f64) -> Result<String, Error> {
    serde_json_canonicalizer::to_string(&number)
        .map_err(|_| refused("a number beyond the range of a double", RANGE))
}

/// The value of a literal without any rounding: digits × 10^exponent, no zeros at either end.
#[derive(PartialEq, Eq)]
struct Decimal {
    negative: bool,
    digits: String,
    exponent: i64,
}

impl Decimal {
    fn of(literal: &str) -> Result<Self, Error> {
        let (mantissa, exponent) = literal.split_once(['e', 'E']).unwrap_or((literal, "0"));
        let (negative, mantissa) = match mantissa.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, mantissa),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all = format!("{whole}{fraction}");
        let trimmed = all.trim_end_matches('0');
        let digits = trimmed.trim_start_matches('0').to_owned();
        // Zero is zero under every exponent, so that this comes before the exponent is read.
        if digits.is_empty() {
            return Ok(Self { negative: false, digits, exponent: 0 });
        }
        // An i32 has room for every exponent that can matter, and the sum below for an i32.
        let exponent = exponent.parse::<i32>();
        let exponent = exponent.map_err(|_| refused("an exponent beyond 32 bits", RANGE))?;
        let shift = (all.len() - trimmed.len()) as i64 - fraction.len() as i64;
        Ok(Self { negative, digits, exponent: i64::from(exponent) + shift })
    }

    fn to_text(&self) -> String {
        let sign = if self.negative { "-" } else { "" };
        format!("{sign}{}e{}", self.digits, self.exponent)
    }
}

const RANGE: &str = "a number within the range of a double";
