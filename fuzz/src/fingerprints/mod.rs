//! Fingerprints: a request has one, two requests never share one, and what is refused is refused
//! by the rule that says so.
//!
//! The bytes describe a request and a second one made from it: the same again, the same text cut
//! in other places, another kind of scope or payload, or something else. Every fingerprint is
//! held against a second implementation of the documented layout, and the two against each other.

mod body;
mod form;
mod key_rules;
mod multipart;
mod parts;

use std::sync::OnceLock;

use arbitrary::Unstructured;
use oncegate::{Engine, Error, ErrorCode, FingerprintMode, Request, Secret};

use crate::identity::Identity;
use body::Body;
use parts::Parts;

/// The secret of every engine here.
pub(crate) const SECRET: [u8; 32] = [0x5a; 32];

/// Takes one pair of requests, and rules for keys.
pub fn run(data: &[u8]) {
    let mut bytes = Unstructured::new(data);
    // What is missing at the end is read as zeros.
    let first = Parts::read(&mut bytes).unwrap_or_default();
    let second = first.varied(&mut bytes).unwrap_or_else(|_| first.clone());
    let (a, b) = (fingerprints(&first), fingerprints(&second));
    if let (Some(a), Some(b)) = (a, b) {
        let same = first.identity() == second.identity();
        let known = first.is_known() && second.is_known();
        for (a, b) in a.into_iter().zip(b).filter(|_| known || same) {
            assert_eq!(a == b, same, "{first:?}\n{second:?}");
        }
    }
    key_rules::check(&first.key, &mut bytes);
}

/// The fingerprints of a request in both modes; `None` where it is refused, as it should be.
fn fingerprints(parts: &Parts) -> Option<[[u8; 32]; 2]> {
    let refusal = parts.refusal();
    let request = match parts.request() {
        Ok(request) => request,
        Err(error) => {
            assert_eq!(Some((error.code(), error.field())), refusal, "{error} for {parts:?}");
            says_nothing(&error.to_string(), parts);
            return None;
        }
    };
    assert_eq!(refusal, None, "{parts:?}");
    says_nothing(&format!("{request:?}"), parts);
    let prepared = known().engines.each_ref().map(|engine| prepare(engine, &request, parts));
    let [keyed, fast] = prepared;
    assert_eq!(keyed.is_some(), fast.is_some(), "one mode refuses {parts:?}");
    let (keyed, fast) = (keyed?, fast?);
    let content = parts.body.content();
    if let Some(expected) = parts.expected(&known().identity, content.as_deref()) {
        assert_eq!(keyed, expected, "{parts:?}");
    }
    Some([keyed, fast])
}

fn prepare(engine: &Engine, request: &Request<'_>, parts: &Parts) -> Option<[u8; 32]> {
    let valid = parts.body.is_valid();
    match engine.prepare(request) {
        Ok(prepared) => {
            assert_ne!(valid, Some(false), "not refused: {parts:?}");
            let again = engine.prepare(request).expect("the same again").fingerprint();
            assert_eq!(prepared.fingerprint(), again, "{parts:?}");
            Some(again.to_bytes())
        }
        Err(error) => {
            assert_ne!(valid, Some(true), "{error} for {parts:?}");
            refuses_payload(&error, &parts.body);
            says_nothing(&error.to_string(), parts);
            None
        }
    }
}

fn refuses_payload(error: &Error, body: &Body) {
    assert_eq!(error.code(), ErrorCode::InvalidPayload, "{error} for {body:?}");
    assert!(error.is_invalid_input() && !error.is_retriable() && !error.is_fenced());
    let fields = ["payload", "payload.boundary", "payload.pointer"];
    assert!(fields.contains(&error.field()), "{error}");
}

/// No text shows content: a marked request leaves no trace of its mark.
fn says_nothing(text: &str, parts: &Parts) {
    assert!(!text.contains(parts::MARK), "{text} for {parts:?}");
}

pub(crate) fn engine(mode: FingerprintMode) -> Engine {
    let secret = Secret::from_bytes(&SECRET).expect("32 bytes");
    Engine::builder().capacity(16).fingerprint_mode(mode).secret(secret).build().expect("valid")
}

struct Known {
    engines: [Engine; 2],
    identity: Identity,
}

fn known() -> &'static Known {
    static KNOWN: OnceLock<Known> = OnceLock::new();
    KNOWN.get_or_init(|| Known {
        engines: [FingerprintMode::Keyed, FingerprintMode::FastTrusted].map(engine),
        identity: Identity::new(&SECRET),
    })
}
