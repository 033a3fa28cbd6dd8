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
    assert_eq!(line.payload, br#"{"a":2,"b":1}"#);
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
    assert_eq!(lines[2].payload, br#"{"anything":null}"#);
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
    assert!(matches!(error, InputError::Read { .. }), "{error}");
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
    assert!(matches!(read_lines(endless, 1_000), Err(InputError::TooLarge)));
    assert_eq!(read_lines(&b"{\"key\":1}"[..], 9).unwrap().lines.len(), 1);
}

/// Goal: an input without a request is an error. Method: nothing, blanks, and broken lines only.
#[test]
fn refuses_an_input_without_requests() {
    for (text, skipped) in [("", 0), (" \n\n", 0), ("x\ny", 2)] {
        match read(text.as_bytes()) {
            Err(InputError::Empty { skipped: n }) => assert_eq!(n, skipped),
            other => panic!("{other:?}"),
        }
    }
}
