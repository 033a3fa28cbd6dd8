//! Headers: their values, what a key may hold, and that no log shows it.

use proptest::prelude::*;

use super::*;
use crate::retry::tests::seeded;
use crate::{Admission, Engine, Request, Scope};

fn token() -> FencingToken {
    let engine = Engine::builder().capacity(16).build().unwrap();
    let request = Request::new(Scope::single_tenant(), "op", "key-1").unwrap();
    match engine.begin(&request).unwrap() {
        Admission::Admitted(lease) => lease.fencing_token(),
        other => panic!("{other:?}"),
    }
}

/// Goal: the next service reads what was sent. Method: every header of a first and a third attempt,
/// with a key that has to be quoted.
#[test]
fn values_are_as_documented() {
    let token = token();
    let third = AttemptHeaders::new(r#"a "b" \c"#, 3, token).unwrap();
    let digits = token.get().to_string();
    let expected = [
        ("idempotency-key", r#""a \"b\" \\c""#),
        ("idempotency-attempt", "3"),
        ("fencing-token", digits.as_str()),
    ];
    assert_eq!(third.iter().collect::<Vec<_>>(), expected);
    assert_eq!(third.grpc_previous_attempts(), Some(("grpc-previous-rpc-attempts", "2")));
    for first in [0, 1] {
        let headers = AttemptHeaders::new("k", first, token).unwrap();
        assert_eq!(headers.grpc_previous_attempts(), None, "the first one sends none");
    }
}

/// Goal: a key that no header can hold is refused, and not told. Method: both sides of the limits,
/// and characters beside the printable ones.
#[test]
fn keys_have_limits() {
    let token = token();
    let of = |key: &[u8]| AttemptHeaders::new(key, 1, token);
    assert!(of(&[b'"'; 255]).is_ok() && of(b" ~").is_ok());
    let bad: [&[u8]; 7] =
        [b"", &[b'x'; 256], b"x\r\ny", b"x\x7f", b"x\0", "xü".as_bytes(), b"x\xff"];
    for key in bad {
        let error = of(key).unwrap_err();
        assert_eq!((error.code(), error.field()), (ErrorCode::InvalidKey, "key"));
        assert!(!error.to_string().contains('x'), "{error}");
    }
}

/// Goal: no log shows a key. Method: a card number as key.
#[test]
fn debug_hides_the_key() {
    let headers = AttemptHeaders::new("4111111111111111", 2, token()).unwrap();
    let text = format!("{headers:?}");
    assert!(!text.contains("4111") && text.contains("attempt 2"), "{text}");
}

proptest! {
    #![proptest_config(seeded(2_000))]

    /// Goal: quoting loses nothing, and no key can end its header. Method: arbitrary printable keys
    /// are read back by a reader of RFC 8941's grammar; others are refused.
    #[test]
    fn quoted_keys_are_read_back(key in proptest::collection::vec(any::<u8>(), 0..300)) {
        let printable = key.iter().all(|byte| (b' '..=b'~').contains(byte));
        match quoted(&key) {
            Ok(text) => {
                prop_assert!(printable && (1..=255).contains(&key.len()));
                let inner = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
                let mut bytes = inner.expect("quotes").bytes();
                let mut read = Vec::new();
                while let Some(byte) = bytes.next() {
                    prop_assert_ne!(byte, b'"', "a quote ends the String");
                    read.push(if byte == b'\\' { bytes.next().expect("escaped") } else { byte });
                }
                prop_assert_eq!(read, key);
            }
            Err(_) => prop_assert!(!printable || key.is_empty() || key.len() > 255),
        }
    }

    /// Goal: the same where most keys are good. Method: printable characters only.
    #[test]
    fn printable_keys_are_quoted(key in "[ -~]{1,255}") {
        prop_assert!(quoted(key.as_bytes()).is_ok());
    }
}
