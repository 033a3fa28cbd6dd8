//! JSON pointers (RFC 6901): which values of a document count.

use std::borrow::Cow;

use super::{Payload, pointer_refused};
use crate::Error;

/// A checked pointer: its reference tokens, unescaped. No token means the whole document.
pub(super) struct Pointer<'a> {
    text: &'a str,
    tokens: Vec<Cow<'a, str>>,
}

impl<'a> Pointer<'a> {
    /// Reads a list of pointers.
    ///
    /// # Errors
    /// `InvalidPayload` (field `payload.pointer`) when there are too many, one is too long, does
    /// not start with `/`, or has a `~` that is not followed by `0` or `1`.
    pub(super) fn read_all(list: &[&'a str]) -> Result<Vec<Self>, Error> {
        if list.len() > Payload::MAX_POINTERS {
            return Err(pointer_refused(format!("{} pointers", list.len()), "at most 64"));
        }
        list.iter().map(|text| Self::read(text)).collect()
    }

    pub(super) fn text(&self) -> &'a str {
        self.text
    }

    pub(super) fn tokens(&self) -> &[Cow<'a, str>] {
        &self.tokens
    }

    fn read(text: &'a str) -> Result<Self, Error> {
        if text.len() > MAX_POINTER_BYTES {
            return Err(pointer_refused(format!("{} bytes", text.len()), "at most 1024 bytes"));
        }
        if text.is_empty() {
            return Ok(Self { text, tokens: Vec::new() });
        }
        let Some(path) = text.strip_prefix('/') else {
            return Err(pointer_refused("a pointer without a leading slash", SYNTAX));
        };
        let tokens = path.split('/').map(unescape).collect::<Result<_, _>>()?;
        Ok(Self { text, tokens })
    }
}

/// The position that a token means in an array. `-` and numbers with leading zeros mean none.
pub(super) fn array_index(token: &str) -> Option<usize> {
    let canonical = token == "0" || !token.starts_with('0');
    let digits = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_digit());
    if canonical && digits { token.parse().ok() } else { None }
}

fn unescape(token: &str) -> Result<Cow<'_, str>, Error> {
    if !token.contains('~') {
        return Ok(Cow::Borrowed(token));
    }
    let mut sections = token.split('~');
    let mut plain = String::with_capacity(token.len());
    plain.push_str(sections.next().unwrap_or_default());
    for section in sections {
        let (replacement, rest) = match section.as_bytes().first() {
            Some(b'0') => ('~', &section[1..]),
            Some(b'1') => ('/', &section[1..]),
            _ => return Err(pointer_refused("a tilde that escapes nothing", SYNTAX)),
        };
        plain.push(replacement);
        plain.push_str(rest);
    }
    Ok(Cow::Owned(plain))
}

const MAX_POINTER_BYTES: usize = 1024;
const SYNTAX: &str = "a JSON pointer as in RFC 6901";
