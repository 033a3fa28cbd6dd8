//! The reader: a document as a tree, numbers as they were written.
//!
//! Why not a general parser: a canonical form needs what those drop. It must see duplicate member
//! names and the digits of every number, and must not change its mind when another crate in the
//! build switches a feature of the parser on. Input is checked before anything is allocated for
//! it: depth, number of values, length of a number.

use std::borrow::Cow;

use super::super::{Payload, refused};
use super::name::compare_names;
use crate::Error;
use crate::sync::planted::Bug;

/// A value; strings and numbers borrow from the document where they can.
#[derive(Debug)]
pub(super) enum Value<'t> {
    Null,
    Bool(bool),
    /// The literal, of correct syntax.
    Number(&'t str),
    String(Cow<'t, str>),
    Array(Vec<Value<'t>>),
    /// Sorted by [`compare_names`], no name twice.
    Object(Vec<Member<'t>>),
    /// Excluded by a pointer. It keeps its place, so that other positions stay what they were.
    Removed,
}

pub(super) type Member<'t> = (Cow<'t, str>, Value<'t>);

impl Value<'_> {
    pub(super) fn is_removed(&self) -> bool {
        matches!(self, Value::Removed)
    }
}

/// Reads one document (RFC 8259, within RFC 7493).
pub(super) fn read(document: &[u8]) -> Result<Value<'_>, Error> {
    let text = std::str::from_utf8(document).map_err(|error| {
        refused(format!("text that is not UTF-8 at byte {}", error.valid_up_to()), LIMIT)
    })?;
    let mut reader = Reader { text, at: 0, values: 0 };
    let value = reader.value(0)?;
    reader.skip_space();
    match reader.peek() {
        None => Ok(value),
        Some(_) => Err(reader.refuse("more text after the document")),
    }
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
    values: usize,
}

impl<'t> Reader<'t> {
    /// `depth` counts the containers around the value; it bounds the recursion.
    fn value(&mut self, depth: usize) -> Result<Value<'t>, Error> {
        self.values += 1;
        if self.values > Payload::MAX_JSON_VALUES {
            return Err(refused("a document of more values", "at most 1000000 JSON values"));
        }
        self.skip_space();
        match self.peek() {
            Some(b'{' | b'[') if depth == Payload::MAX_JSON_DEPTH => {
                let found = format!("deeper nesting at byte {}", self.at);
                Err(refused(found, "at most 128 JSON arrays and objects inside each other"))
            }
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(b'"') => self.string().map(Value::String),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b'n') => self.word("null", Value::Null),
            Some(b't') => self.word("true", Value::Bool(true)),
            Some(b'f') => self.word("false", Value::Bool(false)),
            Some(_) => Err(self.refuse("no JSON value")),
            None => Err(self.refuse("the end of the text")),
        }
    }

    fn array(&mut self, depth: usize) -> Result<Value<'t>, Error> {
        self.at += 1;
        let mut items = Vec::new();
        if self.ends_with(b']') {
            return Ok(Value::Array(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            if self.ends_with(b']') {
                return Ok(Value::Array(items));
            }
            self.expect(b',', "no comma between elements")?;
        }
    }

    fn object(&mut self, depth: usize) -> Result<Value<'t>, Error> {
        let start = self.at;
        self.at += 1;
        let mut members = Vec::new();
        if self.ends_with(b'}') {
            return Ok(Value::Object(members));
        }
        loop {
            self.skip_space();
            if self.peek() != Some(b'"') {
                return Err(self.refuse("no member name"));
            }
            let name = self.string()?;
            self.skip_space();
            self.expect(b':', "no colon after a member name")?;
            members.push((name, self.value(depth + 1)?));
            if self.ends_with(b'}') {
                break;
            }
            self.expect(b',', "no comma between members")?;
        }
        members.sort_unstable_by(|(a, _), (b, _)| compare_names(a, b));
        let repeats = members.windows(2).any(|pair| pair[0].0 == pair[1].0);
        if repeats && !Bug::MembersMayRepeat.is_planted() {
            self.at = start;
            return Err(self.refuse("a duplicate member name in the object"));
        }
        Ok(Value::Object(members))
    }

    /// A string, from its opening quote. Borrowed unless it has escapes.
    fn string(&mut self) -> Result<Cow<'t, str>, Error> {
        self.at += 1;
        let mut start = self.at;
        let mut unescaped = String::new();
        loop {
            match self.peek() {
                Some(b'"') => {
                    let rest = &self.text[start..self.at];
                    self.at += 1;
                    if unescaped.is_empty() {
                        return Ok(Cow::Borrowed(rest));
                    }
                    unescaped.push_str(rest);
                    return Ok(Cow::Owned(unescaped));
                }
                Some(b'\\') => {
                    unescaped.push_str(&self.text[start..self.at]);
                    self.at += 1;
                    unescaped.push(self.escape()?);
                    start = self.at;
                }
                Some(0..0x20) => return Err(self.refuse("a control character in a string")),
                Some(_) => self.at += 1,
                None => return Err(self.refuse("a string without an end")),
            }
        }
    }

    /// The character that an escape stands for, from the byte after the backslash.
    fn escape(&mut self) -> Result<char, Error> {
        let short = match self.peek() {
            Some(byte @ (b'"' | b'\\' | b'/')) => byte as char,
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode_escape(),
            _ => return Err(self.refuse("an unknown escape")),
        };
        self.at += 1;
        Ok(short)
    }

    fn unicode_escape(&mut self) -> Result<char, Error> {
        let unit = self.code_unit()?;
        if !(0xd800..0xdc00).contains(&unit) {
            return char::from_u32(unit).ok_or_else(|| self.refuse("a lone surrogate"));
        }
        if self.peek() != Some(b'\\') || self.text.as_bytes().get(self.at + 1) != Some(&b'u') {
            return Err(self.refuse("a lone surrogate"));
        }
        self.at += 1;
        let low = self.code_unit()?;
        if !(0xdc00..0xe000).contains(&low) {
            return Err(self.refuse("a lone surrogate"));
        }
        let scalar = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
        char::from_u32(scalar).ok_or_else(|| self.refuse("a lone surrogate"))
    }

    /// Four hex digits, from the `u` before them.
    fn code_unit(&mut self) -> Result<u32, Error> {
        self.at += 1;
        let digits = self.text.as_bytes().get(self.at..self.at + 4).unwrap_or_default();
        if digits.len() != 4 {
            return Err(self.refuse("an escape without four hex digits"));
        }
        let mut unit = 0;
        for &digit in digits {
            let Some(value) = (digit as char).to_digit(16) else {
                return Err(self.refuse("an escape without four hex digits"));
            };
            unit = unit << 4 | value;
        }
        self.at += 4;
        Ok(unit)
    }

    fn number(&mut self) -> Result<Value<'t>, Error> {
        let start = self.at;
        self.skip(b'-');
        let leading_zero = self.peek() == Some(b'0');
        let digits = self.skip_digits();
        if digits == 0 || (leading_zero && digits > 1) {
            return Err(self.refuse("a malformed number"));
        }
        if self.skip(b'.') && self.skip_digits() == 0 {
            return Err(self.refuse("a malformed number"));
        }
        if self.skip(b'e') || self.skip(b'E') {
            if !self.skip(b'-') {
                self.skip(b'+');
            }
            if self.skip_digits() == 0 {
                return Err(self.refuse("a malformed number"));
            }
        }
        let literal = &self.text[start..self.at];
        if literal.len() > MAX_NUMBER_BYTES {
            let found = format!("a number of {} bytes", literal.len());
            return Err(refused(found, "at most 1024 bytes in a number"));
        }
        Ok(Value::Number(literal))
    }

    fn word(&mut self, word: &str, value: Value<'t>) -> Result<Value<'t>, Error> {
        if !self.text[self.at..].starts_with(word) {
            return Err(self.refuse("no JSON value"));
        }
        self.at += word.len();
        Ok(value)
    }

    /// Whether a container ends here; if so, its last byte is consumed.
    fn ends_with(&mut self, last: u8) -> bool {
        self.skip_space();
        self.skip(last)
    }

    fn expect(&mut self, byte: u8, otherwise: &str) -> Result<(), Error> {
        if self.skip(byte) { Ok(()) } else { Err(self.refuse(otherwise)) }
    }

    fn skip(&mut self, byte: u8) -> bool {
        let there = self.peek() == Some(byte);
        self.at += usize::from(there);
        there
    }

    fn skip_digits(&mut self) -> usize {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        self.at - start
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn refuse(&self, found: &str) -> Error {
        refused(format!("{found} at byte {}", self.at), LIMIT)
    }
}

const LIMIT: &str = "JSON as in RFC 8259 and RFC 7493";
const MAX_NUMBER_BYTES: usize = 1024;
