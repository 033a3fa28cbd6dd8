//! What the loader takes, what it skips, and where it stops.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text).expect("a Vec takes every write");
    encoder.finish().expect("a Vec takes every write")
}

/// Gives its bytes one at a time, as a slow pipe may.
struct Trickle<'a>(&'a [u8]);

impl Read for Trickle<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.0.len().min(buffer.len()).min(1);
        buffer[..n].copy_from_slice(&self.0[..n]);
        self.0 = &self.0[n..];
        Ok(n)
    }
}

/// Goal: fields win over derivation. Method: one line with all four, strings and a number.
#[test]
fn takes_the_four_fields_where_present() {
    let text = br#"{"scope":"acme","operation":"charge","key":7,"payload":{"b":1,"a":2}}"#;
    let line = &read(&text[..]).unwrap().lines[0];
    assert_eq!((line.scope.as_str(), line.operation.as_str()), ("acme", "charge"));
    assert_eq!(line.key, "7");
    assert_eq!(line.payload, r#"{"b":1,"a":2}"#);
}

/// Goal: what is absent is derived from the content, stably. Method: a webhook line, its twin with
/// other spacing and order, and one with other content.
#[test]
fn derives_what_is_absent_from_the_content() {
    let text = concat!(
        r#"{"event":"push","payload":{"repository":{"owner":{"login":"octo"}}}}"#,
        "\n",
        r#"{ "payload":{"repository":{"owner":{"login":"octo"}}}, "event":"push" }"#,
        "\r\n\n",
        r#"{"anything":null}"#,
    );
    let lines = read(text.as_bytes()).unwrap().lines;
    assert_eq!((lines[0].scope.as_str(), lines[0].operation.as_str()), ("octo", "push"));
    assert_eq!(lines[0].key, lines[1].key);
    assert!(lines[0].key.starts_with("line-") && lines[0].key.len() == 37);
    assert_eq!((lines[2].scope.as_str(), lines[2].operation.as_str()), ("input", "deliver"));
    assert_eq!(lines[2].number, 4);
    assert_ne!(lines[2].key, lines[0].key);
    assert_eq!(lines[2].payload, r#"{"anything":null}"#);
}

/// Goal: each kind of broken line is skipped with its number and reason. Method: one of each
/// between two good lines.
#[test]
fn skips_broken_lines_by_number() {
    let long = "x".repeat(300);
    let too_long_key = format!("{{\"key\":\"{long}\"}}");
    let good = "{\"key\":\"a\"}";
    let lines = [good, "{\"key\":", "[1]", "{\"key\":[]}", "{\"key\":\"\"}", &too_long_key, good];
    let text = lines.join("\n");
    let input = read(text.as_bytes()).unwrap();
    assert_eq!(input.lines.iter().map(|l| l.number).collect::<Vec<_>>(), [1, 7]);
    let reasons: Vec<_> = input.skipped.iter().map(|s| (s.number, s.reason.to_string())).collect();
    assert_eq!(reasons.iter().map(|r| r.0).collect::<Vec<_>>(), [2, 3, 4, 5, 6]);
    for (reason, part) in reasons.iter().zip(["JSON", "an array", "key", "key", "300 bytes"]) {
        assert!(reason.1.contains(part), "{reason:?}");
        assert!(!reason.1.contains(&long), "a reason never quotes the value");
    }
}

/// Goal: what the fields hold is taken as it is written. Method: numbers that rounding or another
/// spelling would change, and a payload with white space and a large number.
#[test]
fn takes_numbers_and_payloads_as_they_are_written() {
    let text = br#"{"scope":1.50,"operation":1e400,"key":123456789012345678901234567890,
        "payload": {"b": 9007199254740993,  "a":1} }"#;
    let text = String::from_utf8_lossy(text).replace('\n', " ");
    let line = &read(text.as_bytes()).unwrap().lines[0];
    assert_eq!((line.scope.as_str(), line.operation.as_str()), ("1.50", "1e400"));
    assert_eq!(line.key, "123456789012345678901234567890");
    assert_eq!(line.payload, r#"{"b": 9007199254740993,  "a":1}"#);
}

/// Goal: lines without a key share one when their content is equal, and only then. Method: other
/// spellings of one content; a number that a double rounds to the same.
#[test]
fn derived_keys_follow_the_content() {
    let text = concat!(
        r#"{"amount":9007199254740993,"list":[1,2]}"#,
        "\n",
        r#"{ "list" : [1.0, 20e-1], "\u0061mount" : 9007199254740993 }"#,
        "\n",
        r#"{"amount":9007199254740992,"list":[1,2]}"#,
        "\n",
        r#"{"amount":9007199254740993,"list":[2,1]}"#,
    );
    let keys: Vec<_> = read(text.as_bytes()).unwrap().lines.into_iter().map(|l| l.key).collect();
    assert_eq!(keys[0], keys[1]);
    assert!(keys[2] != keys[0] && keys[3] != keys[0] && keys[2] != keys[3], "{keys:?}");
}

/// Goal: a line that two readers would read differently is broken. Method: a field twice, another
/// member twice, a member of the payload twice, of the line without a key, and half a surrogate.
#[test]
fn skips_lines_that_can_be_read_in_two_ways() {
    let cases = [
        (r#"{"key":"a","key":"a"}"#, "key: found twice"),
        (r#"{"key":"a","secret-word":1,"secret-\u0077ord":1}"#, "a member: found twice"),
        (r#"{"key":"a","payload":{"secret-word":1,"secret-word":1}}"#, "duplicate member name"),
        (r#"{"payload":1,"other":{"secret-word":1,"secret-word":1}}"#, "no key"),
        (r#"{"key":"secret-word\ud800"}"#, "key: found a lone surrogate"),
        (r#"{"key":"a","secret-word\ud800":1}"#, "name of a member: found a lone surrogate"),
        (r#"{"payload":1,"other":"secret-word\ud800"}"#, "no key"),
    ];
    for (text, part) in cases {
        let input = read(format!("{text}\n{{\"key\":\"good\"}}").as_bytes()).unwrap();
        assert_eq!((input.lines.len(), input.skipped.len()), (1, 1), "{text}");
        let reason = input.skipped[0].reason.to_string();
        assert!(reason.contains(part), "{text}: {reason}");
        assert!(!reason.contains("secret"), "a reason never quotes content: {reason}");
    }
}

/// Goal: depth costs no stack before the engine limits it. Method: a hundred thousand brackets, as
/// the payload, in a field, and around everything.
#[test]
fn deep_lines_are_skipped() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let lines = [
        format!("{{\"key\":\"a\",\"payload\":{deep}}}"),
        format!("{{\"key\":{deep}}}"),
        deep.clone(),
        "{\"key\":\"good\"}".to_owned(),
    ];
    let input = read(lines.join("\n").as_bytes()).unwrap();
    assert_eq!((input.lines.len(), input.skipped.len()), (1, 3));
    assert!(input.skipped[0].reason.to_string().contains("limit: at most 128"));
}

/// Goal: bytes that are no UTF-8 are a broken line, not a failure. Method: two such bytes.
#[test]
fn skips_lines_that_are_not_text() {
    let input = read(&b"{\"key\":\"\xFF\xFE\"}\n{\"key\":\"b\"}"[..]).unwrap();
    assert_eq!((input.lines.len(), input.skipped[0].number), (1, 1));
}

/// Goal: gzip is known by its first bytes. Method: compressed text, two members, one byte a read.
#[test]
fn reads_gzip_by_magic_bytes() {
    let mut bytes = gzip(b"{\"key\":\"a\"}\n");
    bytes.extend(gzip(b"{\"key\":\"b\"}\n"));
    let input = read(Trickle(&bytes)).unwrap();
    assert_eq!(input.lines.iter().map(|l| l.key.as_str()).collect::<Vec<_>>(), ["a", "b"]);
}

/// Goal: a cut-off gzip file is an error that says how far it came. Method: drop its tail.
#[test]
fn reports_a_truncated_gzip_file() {
    let bytes = gzip(b"{\"key\":\"a\"}\n");
    let error = read(&bytes[..bytes.len() - 10]).unwrap_err();
    assert!(matches!(error, Unreadable::Start(_)), "{error}");
}

/// Goal: no input can take the memory. Method: a line over the limit is skipped whole; a small
/// input that goes on past the total is refused.
#[test]
fn limits_lines_and_total_size() {
    let mut text = vec![b' '; MAX_LINE_BYTES + 1];
    text.extend(b"\n{\"key\":\"a\"}");
    let input = read(&text[..]).unwrap();
    assert!(matches!(input.skipped[0].reason, LineError::TooLong));
    assert_eq!((input.lines.len(), input.lines[0].number), (1, 2));

    let endless = BufReader::new(io::repeat(b' '));
    assert!(matches!(read_lines(endless, 1_000), Err(Unreadable::TooLarge)));
    assert_eq!(read_lines(&b"{\"key\":1}"[..], 9).unwrap().lines.len(), 1);
}

/// Goal: an input without a request is an error. Method: nothing, blanks, and broken lines only.
#[test]
fn refuses_an_input_without_requests() {
    for (text, skipped) in [("", 0), (" \n\n", 0), ("x\ny", 2)] {
        match read(text.as_bytes()) {
            Err(Unreadable::Empty { skipped: n }) => assert_eq!(n, skipped),
            other => panic!("{other:?}"),
        }
    }
}
