//! Forms: `application/x-www-form-urlencoded`, as pairs.

use std::borrow::Cow;

use super::{Absorb, Payload, refused};
use crate::Error;

/// Absorbs the pairs ordered by name, those with equal names in the order in which they came.
pub(super) fn absorb(body: &[u8], out: &mut impl Absorb) -> Result<(), Error> {
    let mut pairs = Vec::new();
    for pair in body.split(|&byte| byte == b'&').filter(|pair| !pair.is_empty()) {
        if pairs.len() == Payload::MAX_FORM_PAIRS {
            return Err(refused("a form of more pairs", "at most 10000 pairs"));
        }
        let equals = pair.iter().position(|&byte| byte == b'=');
        let (name, value) = match equals {
            Some(at) => (&pair[..at], &pair[at + 1..]),
            None => (pair, &pair[pair.len()..]),
        };
        pairs.push((decode(name)?, decode(value)?));
    }
    // The sort is stable: equal names stay in order.
    pairs.sort_by(|(a, _), (b, _)| a.cmp(b));
    out.absorb_count(pairs.len());
    for (name, value) in &pairs {
        out.absorb_part(name);
        out.absorb_part(value);
    }
    Ok(())
}

fn decode(text: &[u8]) -> Result<Cow<'_, [u8]>, Error> {
    if !text.iter().any(|byte| matches!(byte, b'%' | b'+')) {
        return Ok(Cow::Borrowed(text));
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, tail @ ..] = rest {
        rest = tail;
        decoded.push(match first {
            b'+' => b' ',
            b'%' => {
                let (Some(high), Some(low)) = (hex(tail.first()), hex(tail.get(1))) else {
                    let limit = "a percent sign is followed by two hex digits";
                    return Err(refused("a malformed percent escape", limit));
                };
                rest = &tail[2..];
                high << 4 | low
            }
            other => *other,
        });
    }
    Ok(Cow::Owned(decoded))
}

fn hex(digit: Option<&u8>) -> Option<u8> {
    // A hex digit is below 16, so that the cast keeps every bit.
    digit.and_then(|&digit| (digit as char).to_digit(16)).map(|value| value as u8)
}
