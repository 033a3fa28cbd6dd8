//! Canonical JSON: the engine's digest of a document is the one that a second implementation has.
//!
//! An input is a document, after any number of lines `exclude POINTER` and `include POINTER`.
//!
//! What is independent: documents are read by serde_json, one level at a time; names are ordered
//! by their UTF-16 code units, spelled out; numbers are laid out by ECMA-262 from the digits of
//! the standard library, where the engine goes through ryu-js; the layout of the digest is written
//! out in `identity`. What is left whole is also held against `serde_jcs`, a third implementation.
//! What is shared is the standard library's reading of a decimal into a double.

#[cfg(test)]
mod tests;
mod tree;
mod write;

use std::sync::OnceLock;

use oncegate::{Engine, ErrorCode, Payload, Request, Scope};

use crate::identity::Identity;
pub(crate) use tree::names_differ;
pub(crate) use write::content;

/// Takes one document.
pub fn run(data: &[u8]) {
    let input = Input::read(data);
    let payload =
        Payload::json(input.document).excluding(&input.excluded).including(&input.included);
    let expected = content(input.document, &input.excluded, &input.included);
    let checked = payload.check();
    assert_eq!(checked.is_ok(), expected.is_some(), "{checked:?} for {:?}", expected.as_ref());
    if let Err(error) = &checked {
        assert_eq!(error.code(), ErrorCode::InvalidPayload, "{error}");
        assert!(matches!(error.field(), "payload" | "payload.pointer"), "{error}");
    }
    let found = fingerprint(payload);
    assert_eq!(found.is_some(), checked.is_ok(), "the check and the digest disagree");
    let Some(expected) = expected else { return };
    let bytes = known().identity.of_payload((2, &[]), OPERATION, &expected.bytes);
    assert_eq!(found, Some(bytes), "expected {:?}", String::from_utf8_lossy(&expected.bytes));
    if let Some(whole) = expected.whole {
        write::agrees_with_jcs(&whole);
        if whole.rounded.is_empty() && input.excluded.is_empty() {
            // What is canonical stays as it is.
            assert_eq!(fingerprint(Payload::json(&whole.text)), found, "its canonical form");
        }
    }
}

fn fingerprint(payload: Payload<'_>) -> Option<[u8; 32]> {
    let request = Request::by_payload(Scope::single_tenant(), OPERATION, payload).expect("short");
    known().engine.prepare(&request).ok().map(|prepared| prepared.fingerprint().to_bytes())
}

/// The document and the pointers into it.
#[derive(Debug)]
struct Input<'d> {
    document: &'d [u8],
    excluded: Vec<&'d str>,
    included: Vec<&'d str>,
}

impl<'d> Input<'d> {
    fn read(data: &'d [u8]) -> Self {
        let mut input = Self { document: data, excluded: Vec::new(), included: Vec::new() };
        while let Some(end) = input.document.iter().position(|byte| *byte == b'\n') {
            let (line, rest) = (&input.document[..end], &input.document[end + 1..]);
            let Ok(line) = std::str::from_utf8(line) else { break };
            if let Some(pointer) = line.strip_prefix("exclude ") {
                input.excluded.push(pointer);
            } else if let Some(pointer) = line.strip_prefix("include ") {
                input.included.push(pointer);
            } else {
                break;
            }
            input.document = rest;
        }
        input
    }
}

/// An engine and what is known of its secret; made once.
struct Known {
    engine: Engine,
    identity: Identity,
}

fn known() -> &'static Known {
    static KNOWN: OnceLock<Known> = OnceLock::new();
    KNOWN.get_or_init(|| Known {
        engine: crate::fingerprints::engine(oncegate::FingerprintMode::Keyed),
        identity: Identity::new(&crate::fingerprints::SECRET),
    })
}

const OPERATION: &str = "PUT /documents/7";
