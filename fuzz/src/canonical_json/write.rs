//! A second writer: RFC 8785, what it rounds, and the content that the engine digests.

use super::tree::{Tree, read, tokens};
use crate::identity::{count, part};

/// What the engine digests of a document: the kind of payload and its canonical content.
#[derive(Debug)]
pub(crate) struct Content {
    pub(crate) bytes: Vec<u8>,
    /// The whole document, where no pointer selects.
    pub(super) whole: Option<Written>,
}

/// A value in canonical form.
#[derive(Debug, Default)]
pub(super) struct Written {
    pub(super) text: Vec<u8>,
    /// Numbers that were rounded: where, and the exact decimal.
    pub(super) rounded: Vec<(usize, String)>,
    /// The same value, for another implementation.
    value: serde_json::Value,
}

/// `None`: the engine has to refuse the document or a pointer.
pub(crate) fn content(document: &[u8], excluded: &[&str], included: &[&str]) -> Option<Content> {
    let pointers = oncegate::Payload::MAX_POINTERS;
    if excluded.len() > pointers || included.len() > pointers {
        return None;
    }
    let without: Vec<_> = excluded.iter().map(|pointer| tokens(pointer)).collect::<Option<_>>()?;
    let mut selected = included.to_vec();
    selected.sort_unstable();
    selected.dedup();
    let only: Vec<_> = selected.iter().map(|pointer| tokens(pointer)).collect::<Option<_>>()?;
    let mut tree = read(document)?;
    for tokens in &without {
        if tokens.is_empty() {
            return None;
        }
        if let Some(value) = tree.at(tokens) {
            *value = Tree::Gone;
        }
    }
    if selected.is_empty() {
        let written = write(&tree)?;
        let mut bytes = vec![2];
        append(&mut bytes, &written);
        return Some(Content { bytes, whole: Some(written) });
    }
    let mut bytes = vec![3];
    count(&mut bytes, selected.len());
    for (pointer, tokens) in selected.iter().zip(&only) {
        part(&mut bytes, pointer.as_bytes());
        match tree.at(tokens).filter(|value| !value.is_gone()) {
            Some(value) => {
                bytes.push(1);
                append(&mut bytes, &write(value)?);
            }
            None => bytes.push(0),
        }
    }
    Some(Content { bytes, whole: None })
}

/// The document is what `serde_jcs` writes of it too.
pub(super) fn agrees_with_jcs(written: &Written) {
    let jcs = serde_jcs::to_vec(&written.value).expect("finite numbers, names of text");
    let show = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert_eq!(show(&written.text), show(&jcs), "serde_jcs, on the right, disagrees");
}

fn append(bytes: &mut Vec<u8>, written: &Written) {
    part(bytes, &written.text);
    count(bytes, written.rounded.len());
    for (offset, exact) in &written.rounded {
        count(bytes, *offset);
        part(bytes, exact.as_bytes());
    }
}

/// `None`: a number is beyond the range of a double.
fn write(tree: &Tree) -> Option<Written> {
    let mut written = Written::default();
    written.value = value(tree, &mut written)?;
    Some(written)
}

fn value(tree: &Tree, to: &mut Written) -> Option<serde_json::Value> {
    Some(match tree {
        Tree::Word(word) => {
            to.text.extend_from_slice(word.as_bytes());
            serde_json::from_str(word).expect("a word of JSON")
        }
        Tree::Number(literal) => {
            let number: f64 = literal.parse().expect("checked by serde_json");
            let (exact, canonical) = (decimal(literal)?, ecmascript(number)?);
            if decimal(&canonical)? != exact {
                to.rounded.push((to.text.len(), exact));
            }
            to.text.extend_from_slice(canonical.as_bytes());
            number.into()
        }
        Tree::Text(text) => {
            string(text, to);
            text.as_str().into()
        }
        Tree::List(items) => {
            let mut values = Vec::new();
            to.text.push(b'[');
            for item in items.iter().filter(|item| !item.is_gone()) {
                if !values.is_empty() {
                    to.text.push(b',');
                }
                values.push(value(item, to)?);
            }
            to.text.push(b']');
            values.into()
        }
        Tree::Object(members) => {
            let mut sorted: Vec<_> = members.iter().filter(|member| !member.1.is_gone()).collect();
            sorted.sort_by_key(|(name, _)| name.encode_utf16().collect::<Vec<_>>());
            let mut values = serde_json::Map::new();
            to.text.push(b'{');
            for (name, member) in sorted {
                if !values.is_empty() {
                    to.text.push(b',');
                }
                string(name, to);
                to.text.push(b':');
                let member = value(member, to)?;
                values.insert(name.clone(), member);
            }
            to.text.push(b'}');
            values.into()
        }
        Tree::Gone => unreachable!("its container passes over it"),
    })
}

/// serde_json escapes what RFC 8785, section 3.2.2.2, names, and nothing else.
fn string(text: &str, to: &mut Written) {
    serde_json::to_writer(&mut to.text, text).expect("a Vec takes every write");
}

/// ECMA-262, `Number::toString`, on the digits of the standard library.
pub(super) fn ecmascript(number: f64) -> Option<String> {
    if !number.is_finite() {
        return None;
    }
    if number == 0.0 {
        return Some("0".to_owned());
    }
    let sign = if number < 0.0 { "-" } else { "" };
    let shortest = format!("{:e}", number.abs());
    let fraction = shortest.find('e').expect("written with an exponent").saturating_sub(2);
    // Of two texts that are equally short and equally near ECMA-262 takes the even one, and the
    // standard library may not; with a given number of digits it does.
    let even = format!("{:.fraction$e}", number.abs());
    let text = if even.parse() == Ok(number.abs()) { even } else { shortest };
    let (mantissa, exponent) = text.split_once('e').expect("written with an exponent");
    let digits = mantissa.replace('.', "");
    let k = digits.len() as i32;
    let n = exponent.parse::<i32>().expect("an exponent") + 1;
    let zeros = |many: i32| "0".repeat(many as usize);
    let text = if k <= n && n <= 21 {
        format!("{digits}{}", zeros(n - k))
    } else if 0 < n && n <= 21 {
        let (whole, fraction) = digits.split_at(n as usize);
        format!("{whole}.{fraction}")
    } else if -6 < n && n <= 0 {
        format!("0.{}{digits}", zeros(-n))
    } else {
        let (first, rest) = digits.split_at(1);
        let point = if rest.is_empty() { "" } else { "." };
        format!("{first}{point}{rest}e{:+}", n - 1)
    };
    Some(format!("{sign}{text}"))
}

/// The value of a literal as text: its digits without zeros at either end, and a power of ten.
/// `None` when the exponent of a number other than zero has more than 32 bits.
fn decimal(literal: &str) -> Option<String> {
    let lower = literal.to_ascii_lowercase();
    let mut parts = lower.trim_start_matches('-').split('e');
    let mantissa = parts.next().expect("split gives one part");
    let mut point = mantissa.find('.').unwrap_or(mantissa.len()) as i64;
    let mut digits: Vec<char> = mantissa.chars().filter(char::is_ascii_digit).collect();
    while digits.last() == Some(&'0') {
        digits.pop();
    }
    let leading = digits.iter().take_while(|digit| **digit == '0').count();
    digits.drain(..leading);
    if digits.is_empty() {
        return Some("e0".to_owned());
    }
    point -= leading as i64;
    let exponent: i32 = parts.next().map_or(Ok(0), str::parse).ok()?;
    let sign = if literal.starts_with('-') { "-" } else { "" };
    let power = i64::from(exponent) + point - digits.len() as i64;
    Some(format!("{sign}{}e{power}", digits.into_iter().collect::<String>()))
}
