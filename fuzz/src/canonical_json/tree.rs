//! A second reader: serde_json's, one level at a time, and what RFC 7493 adds to it.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// A document. Members are in the order in which they came.
#[derive(Debug)]
pub(super) enum Tree {
    Word(&'static str),
    /// As it was written.
    Number(String),
    Text(String),
    List(Vec<Tree>),
    Object(Vec<(String, Tree)>),
    /// Excluded.
    Gone,
}

/// Reads a document. `None`: it is no JSON, or RFC 7493 leaves its meaning open, or it is beyond
/// the engine's limits of depth and of the length of numbers.
pub(super) fn read(document: &[u8]) -> Option<Tree> {
    level(serde_json::from_slice::<&RawValue>(document).ok()?, 0)
}

fn level(value: &RawValue, depth: usize) -> Option<Tree> {
    let text = value.get();
    let first = text.as_bytes().first()?;
    if matches!(first, b'[' | b'{') && depth == DEPTH {
        return None;
    }
    Some(match first {
        b'[' => {
            let items: Vec<&RawValue> = serde_json::from_str(text).ok()?;
            let items = items.into_iter().map(|item| level(item, depth + 1));
            Tree::List(items.collect::<Option<_>>()?)
        }
        b'{' => {
            let members = serde_json::from_str::<Members<'_>>(text).ok()?.0;
            let mut names: Vec<&String> = members.iter().map(|(name, _)| name).collect();
            names.sort();
            names.dedup();
            if names.len() < members.len() {
                return None;
            }
            let members =
                members.into_iter().map(|(name, value)| Some((name, level(value, depth + 1)?)));
            Tree::Object(members.collect::<Option<_>>()?)
        }
        b'"' => Tree::Text(serde_json::from_str(text).ok()?),
        b'n' => Tree::Word("null"),
        b't' => Tree::Word("true"),
        b'f' => Tree::Word("false"),
        _ if text.len() > NUMBER_BYTES => return None,
        _ => Tree::Number(text.to_owned()),
    })
}

/// Whether no two members of an object share a name; nested ones may. `None`: no object.
pub(crate) fn names_differ(object: &[u8]) -> Option<bool> {
    let members = serde_json::from_slice::<Members<'_>>(object).ok()?.0;
    let names: std::collections::BTreeSet<_> = members.iter().map(|(name, _)| name).collect();
    Some(names.len() == members.len())
}

/// All members of an object, also those that share a name.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Reader)
    }
}

impl Tree {
    /// The value at the tokens of a pointer (RFC 6901).
    pub(super) fn at(&mut self, tokens: &[String]) -> Option<&mut Self> {
        let Some((token, rest)) = tokens.split_first() else { return Some(self) };
        match self {
            Self::List(items) => {
                // Digits without a leading zero; `-` is after the last one, where nothing is.
                let is_index = token == "0" || token.starts_with(|c| ('1'..='9').contains(&c));
                let index = token.chars().all(|c| c.is_ascii_digit()).then(|| token.parse().ok());
                items.get_mut(index.flatten().filter(|_: &usize| is_index)?)?.at(rest)
            }
            Self::Object(members) => members.iter_mut().find(|(name, _)| name == token)?.1.at(rest),
            _ => None,
        }
    }

    pub(super) fn is_gone(&self) -> bool {
        matches!(self, Self::Gone)
    }
}

/// The reference tokens of a pointer; `None` where it is malformed or too long.
pub(super) fn tokens(pointer: &str) -> Option<Vec<String>> {
    if pointer.len() > POINTER_BYTES {
        return None;
    }
    if pointer.is_empty() {
        return Some(Vec::new());
    }
    let is_escape = |after: &str| after.starts_with(['0', '1']);
    let path = pointer.strip_prefix('/').filter(|path| path.split('~').skip(1).all(is_escape))?;
    // In this order: `~01` is `~1`.
    let unescape = |token: &str| token.replace("~1", "/").replace("~0", "~");
    Some(path.split('/').map(unescape).collect())
}

const DEPTH: usize = oncegate::Payload::MAX_JSON_DEPTH;
const NUMBER_BYTES: usize = 1_024;
const POINTER_BYTES: usize = 1_024;
