//! The idempotency key, as it stands in a header.

use http::{HeaderMap, HeaderName};

/// The key of a request.
///
/// The draft asks for a String of RFC 8941, in double quotes; most clients send the bare value.
/// Both are accepted, and name the same key. A bare value is visible ASCII without quotes and
/// commas, since a proxy joins two headers by a comma.
pub(super) fn read(headers: &HeaderMap, name: &HeaderName) -> Result<Option<Vec<u8>>, Malformed> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(Malformed("more than one idempotency key"));
    }
    let key = match value.as_bytes().trim_ascii() {
        [] => return Err(Malformed("an empty idempotency key")),
        [b'"', quoted @ ..] => unquote(quoted)?,
        bare => {
            if !bare.iter().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b',')) {
                return Err(Malformed(
                    "an unquoted key takes visible ASCII without quotes, commas",
                ));
            }
            bare.to_vec()
        }
    };
    Ok(Some(key))
}

/// Why a header holds no key; never tells what it held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed(pub(super) &'static str);

/// The value of a String whose opening quote is gone. Parameters after it are ignored, as
/// RFC 8941 asks for where none are defined.
fn unquote(quoted: &[u8]) -> Result<Vec<u8>, Malformed> {
    let mut key = Vec::with_capacity(quoted.len());
    let mut bytes = quoted.iter();
    loop {
        match bytes.next() {
            Some(b'"') => break,
            Some(b'\\') => match bytes.next() {
                Some(&escaped @ (b'"' | b'\\')) => key.push(escaped),
                _ => return Err(Malformed("an escape that RFC 8941 does not know")),
            },
            Some(&byte @ b' '..=b'~') => key.push(byte),
            Some(_) => return Err(Malformed("a character that a quoted key may not hold")),
            None => return Err(Malformed("a quoted key without its closing quote")),
        }
    }
    match bytes.as_slice() {
        [] | [b';', ..] => Ok(key),
        _ => Err(Malformed("characters after the quoted key")),
    }
}
