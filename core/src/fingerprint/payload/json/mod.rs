//! JSON: the canonical form of RFC 8785, and what it would lose.
//!
//! The bytes of RFC 8785 are absorbed as one part. RFC 8785 writes each number as the nearest
//! double. Where the document said something else, the exact decimal is absorbed after the
//! document, with its place:
//!
//! ```text
//! part(canonical document) count of rounded numbers
//!     each: offset of the number in the canonical document, part(exact decimal)
//! ```
//!
//! So two documents agree if and only if their canonical forms agree and no number differs
//! beyond the precision of a double. Documents whose numbers all survive the rounding, which is
//! what I-JSON asks of a sender, are covered by their RFC 8785 bytes alone.

mod name;
mod number;
mod read;
#[cfg(test)]
mod tests;

use super::pointer::{Pointer, array_index};
use super::{Absorb, pointer_refused};
use crate::Error;
use name::compare_names;
use read::{Member, Value};

/// Absorbs a document, or what the pointers leave of it.
pub(super) fn absorb(
    document: &[u8],
    excluded: &[&str],
    included: &[&str],
    out: &mut impl Absorb,
) -> Result<(), Error> {
    let excluded = Pointer::read_all(excluded)?;
    let mut included = Pointer::read_all(included)?;
    let mut root = read::read(document)?;
    for pointer in &excluded {
        if pointer.tokens().is_empty() {
            let limit = "leave something to compare; Payload::none() compares nothing";
            return Err(pointer_refused("an exclusion of the whole document", limit));
        }
        if let Some(value) = find_mut(&mut root, pointer) {
            *value = Value::Removed;
        }
    }
    if included.is_empty() {
        return absorb_value(&root, document.len(), out);
    }
    included.sort_by_key(Pointer::text);
    included.dedup_by_key(|pointer| pointer.text());
    out.absorb_count(included.len());
    for pointer in &included {
        out.absorb_part(pointer.text().as_bytes());
        match find(&root, pointer) {
            Some(value) => {
                out.absorb(&[1]);
                absorb_value(value, 0, out)?;
            }
            None => out.absorb(&[0]),
        }
    }
    Ok(())
}

/// `room` is about how long the canonical form will be; it saves growing the buffer.
fn absorb_value(value: &Value<'_>, room: usize, out: &mut impl Absorb) -> Result<(), Error> {
    let mut writer = Writer { text: Vec::with_capacity(room), rounded: Vec::new() };
    writer.value(value)?;
    out.absorb_part(&writer.text);
    out.absorb_count(writer.rounded.len());
    for (offset, exact) in &writer.rounded {
        out.absorb_count(*offset);
        out.absorb_part(exact.as_bytes());
    }
    Ok(())
}

/// Writes the canonical form, and remembers what it loses.
#[derive(Default)]
struct Writer {
    text: Vec<u8>,
    /// Numbers that the canonical form rounds: where it stands, and the exact decimal.
    rounded: Vec<(usize, String)>,
}

impl Writer {
    /// Recursion is as deep as the document, which the reader limits.
    fn value(&mut self, value: &Value<'_>) -> Result<(), Error> {
        match value {
            Value::Null => self.text.extend_from_slice(b"null"),
            Value::Bool(true) => self.text.extend_from_slice(b"true"),
            Value::Bool(false) => self.text.extend_from_slice(b"false"),
            Value::Number(literal) => {
                let offset = self.text.len();
                if let Some(exact) = number::write(literal, &mut self.text)? {
                    self.rounded.push((offset, exact));
                }
            }
            Value::String(text) => self.string(text),
            Value::Array(items) => {
                self.text.push(b'[');
                let present = items.iter().filter(|item| !item.is_removed());
                for (position, item) in present.enumerate() {
                    self.comma(position);
                    self.value(item)?;
                }
                self.text.push(b']');
            }
            Value::Object(members) => {
                self.text.push(b'{');
                let present = members.iter().filter(|(_, value)| !value.is_removed());
                for (position, (name, value)) in present.enumerate() {
                    self.comma(position);
                    self.string(name);
                    self.text.push(b':');
                    self.value(value)?;
                }
                self.text.push(b'}');
            }
            // Only members and elements are ever removed, and their containers pass over them.
            Value::Removed => {}
        }
        Ok(())
    }

    fn comma(&mut self, position: usize) {
        if position > 0 {
            self.text.push(b',');
        }
    }

    /// Escapes what RFC 8785, section 3.2.2.2, names, and nothing else.
    fn string(&mut self, text: &str) {
        self.text.push(b'"');
        let mut plain_from = 0;
        for (at, byte) in text.bytes().enumerate() {
            let short = match byte {
                b'"' | b'\\' => byte,
                0x08 => b'b',
                b'\t' => b't',
                b'\n' => b'n',
                0x0c => b'f',
                b'\r' => b'r',
                0..0x20 => 0,
                _ => continue,
            };
            self.text.extend_from_slice(&text.as_bytes()[plain_from..at]);
            plain_from = at + 1;
            if short == 0 {
                let digits = b"0123456789abcdef";
                let low = digits[usize::from(byte & 0xf)];
                self.text.extend_from_slice(&[b'\\', b'u', b'0', b'0', b'0' + (byte >> 4), low]);
            } else {
                self.text.extend_from_slice(&[b'\\', short]);
            }
        }
        self.text.extend_from_slice(&text.as_bytes()[plain_from..]);
        self.text.push(b'"');
    }
}

fn find<'v, 't>(root: &'v Value<'t>, pointer: &Pointer<'_>) -> Option<&'v Value<'t>> {
    let found = pointer.tokens().iter().try_fold(root, |value, token| match value {
        Value::Array(items) => items.get(array_index(token)?),
        Value::Object(members) => Some(&members[member_index(members, token)?].1),
        _ => None,
    });
    found.filter(|value| !value.is_removed())
}

fn find_mut<'v, 't>(root: &'v mut Value<'t>, pointer: &Pointer<'_>) -> Option<&'v mut Value<'t>> {
    pointer.tokens().iter().try_fold(root, |value, token| match value {
        Value::Array(items) => items.get_mut(array_index(token)?),
        Value::Object(members) => {
            let index = member_index(members, token)?;
            Some(&mut members[index].1)
        }
        _ => None,
    })
}

/// The reader has sorted the members.
fn member_index(members: &[Member<'_>], name: &str) -> Option<usize> {
    members.binary_search_by(|(other, _)| compare_names(other, name)).ok()
}
