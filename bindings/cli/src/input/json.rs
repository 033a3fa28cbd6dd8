//! JSON as it is written: members, kinds and texts of a document that nothing has rounded.
//!
//! A general tree would lose what the engine compares: it keeps the last of two members with one
//! name, and takes every number for the nearest double.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// The kind of a JSON value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Null,
    Bool,
    Number,
    String,
    Array,
    Object,
}

impl Kind {
    /// The kind of this value, told by its first byte.
    pub(super) fn of(value: &RawValue) -> Self {
        match value.get().as_bytes() {
            [b'{', ..] => Self::Object,
            [b'[', ..] => Self::Array,
            [b'"', ..] => Self::String,
            [b't' | b'f', ..] => Self::Bool,
            [b'n', ..] => Self::Null,
            _ => Self::Number,
        }
    }

    /// The kind in words.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool => "a boolean",
            Self::Number => "a number",
            Self::String => "a string",
            Self::Array => "an array",
            Self::Object => "an object",
        }
    }
}

/// The members of an object, sorted by name, each value as it is written.
#[derive(Debug)]
pub(super) struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'a> Members<'a> {
    /// Reads an object. `None` for another kind, and where a name is no Unicode text: JSON can
    /// write half of a surrogate pair.
    pub(super) fn of(object: &'a RawValue) -> Option<Self> {
        let mut members = serde_json::from_str::<Self>(object.get()).ok()?;
        members.0.sort_by(|a, b| a.0.cmp(&b.0));
        Some(members)
    }

    /// The value under this name.
    pub(super) fn get(&self, name: &str) -> Option<&'a RawValue> {
        let at = self.0.binary_search_by(|member| member.0.as_str().cmp(name)).ok()?;
        Some(self.0[at].1)
    }

    /// A name that two members have.
    pub(super) fn duplicate(&self) -> Option<&str> {
        let twice = self.0.windows(2).find(|pair| pair[0].0 == pair[1].0)?;
        Some(&twice[0].0)
    }
}

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

/// Reads a document, and looks no deeper than its syntax.
pub(super) fn read(text: &[u8]) -> serde_json::Result<&RawValue> {
    serde_json::from_slice(text)
}

/// The text of a string. `None` for another kind, and for a string that is no Unicode text.
pub(super) fn text(value: &RawValue) -> Option<String> {
    serde_json::from_str(value.get()).ok()
}

/// The bytes that a document shares with every other spelling of its content, and with nothing
/// else: its canonical form (RFC 8785), with each number as the text of its exact value, for that
/// form rounds numbers to doubles.
///
/// `None` where the engine refuses the document too; ask it first, since it limits the depth.
/// Costs a pass over the text for each level of nesting.
pub(super) fn canonical(document: &RawValue) -> Option<Vec<u8>> {
    serde_json_canonicalizer::to_vec(&exact(document)?).ok()
}

/// The document with each number as a string; a letter in front tells it from other strings.
fn exact(value: &RawValue) -> Option<Value> {
    Some(match Kind::of(value) {
        Kind::Null | Kind::Bool => serde_json::from_str(value.get()).ok()?,
        Kind::Number => Value::String(format!("n{}", decimal(value.get())?)),
        Kind::String => Value::String(format!("s{}", text(value)?)),
        Kind::Array => {
            let items: Vec<&RawValue> = serde_json::from_str(value.get()).ok()?;
            Value::Array(items.into_iter().map(exact).collect::<Option<_>>()?)
        }
        Kind::Object => {
            let members = Members::of(value)?.0.into_iter();
            let exact = members.map(|(name, value)| Some((name, exact(value)?)));
            Value::Object(exact.collect::<Option<Map<_, _>>>()?)
        }
    })
}

/// One text for all spellings of a number: its digits without zeros at either end, and a power of
/// ten. `None` when the exponent has more than 32 bits.
fn decimal(literal: &str) -> Option<String> {
    let (mantissa, exponent) = literal.split_once(['e', 'E']).unwrap_or((literal, "0"));
    let exponent = i64::from(exponent.parse::<i32>().ok()?);
    let (sign, mantissa) = mantissa.strip_prefix('-').map_or(("", mantissa), |rest| ("-", rest));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = format!("{whole}{fraction}");
    let kept = all.trim_end_matches('0');
    let digits = kept.trim_start_matches('0');
    if digits.is_empty() {
        return Some("0".to_owned());
    }
    let dropped = (all.len() - kept.len()) as i64;
    Some(format!("{sign}{digits}e{}", exponent + dropped - fraction.len() as i64))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical_of(text: &str) -> Option<Vec<u8>> {
        canonical(read(text.as_bytes()).unwrap())
    }

    /// Goal: other spellings of one content agree. Method: white space, order, escapes, and every
    /// way to write a number.
    #[test]
    fn spellings_of_one_content_agree() {
        for (a, b) in [
            (r#"{"a":[1,"é",null],"b":true}"#, r#" { "b" : true, "a" : [ 1.0, "\u00e9", null ] }"#),
            ("[100, -0, 0.5, -12]", "[1e2, 0.0e9, 5E-1, -1.20e+1]"),
            ("123456789012345678901234567890", "12345678901234567890123456789.0e1"),
        ] {
            assert!(canonical_of(a).is_some(), "{a}");
            assert_eq!(canonical_of(a), canonical_of(b), "{a} and {b}");
        }
    }

    /// Goal: different contents differ, also where a double cannot tell them apart. Method: pairs
    /// of near numbers, and of values of two kinds that look alike.
    #[test]
    fn different_contents_differ() {
        for (a, b) in [
            ("9007199254740993", "9007199254740992"),
            ("123456789012345678901234567890", "123456789012345678901234567891"),
            (
                r#"{"a":9007199254740993,"b":9007199254740992}"#,
                r#"{"a":9007199254740992,"b":9007199254740993}"#,
            ),
            ("0.1", "0.1000000000000000000001"),
            ("1", "-1"),
            ("1e1", r#""1e1""#),
            (r#""n1e0""#, "1"),
            ("null", r#""null""#),
            ("[[1],2]", "[[1,2]]"),
        ] {
            assert!(canonical_of(a).is_some() && canonical_of(b).is_some(), "{a}, {b}");
            assert_ne!(canonical_of(a), canonical_of(b), "{a} and {b}");
        }
    }

    /// Goal: what has no text or no range is refused without a panic. Method: half surrogates and
    /// a huge exponent.
    #[test]
    fn what_has_no_canonical_form_is_refused() {
        for text in [r#"["\ud800"]"#, r#"{"\udc00":1}"#, "1e99999999999"] {
            assert_eq!(canonical_of(text), None, "{text}");
        }
    }

    /// Goal: members are found, and a name that is there twice is seen. Method: escapes in names.
    #[test]
    fn members_keep_their_text() {
        let object = read(br#"{"b":1.50,"a":{"x":1e2}}"#).unwrap();
        let members = Members::of(object).unwrap();
        assert_eq!(members.get("b").map(RawValue::get), Some("1.50"));
        assert_eq!(members.get("a").map(RawValue::get), Some(r#"{"x":1e2}"#));
        assert!(members.get("c").is_none() && members.duplicate().is_none());
        let twice = read(br#"{"key":1,"\u006bey":1}"#).unwrap();
        assert_eq!(Members::of(twice).unwrap().duplicate(), Some("key"));
        assert!(Members::of(read(b"[1]").unwrap()).is_none());
    }
}
