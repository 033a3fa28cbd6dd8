//! Outcomes: their parts, their limits, and what they show.

use super::*;

fn long(bytes: usize) -> String {
    "x".repeat(bytes)
}

/// The metadata, and an end even where there were too much of it.
fn entries(outcome: &Outcome) -> Vec<(&str, &str)> {
    outcome.metadata().take(9).collect()
}

/// Goal: metadata is taken up to each limit, and refused above it with the limit's name. Method:
/// either side of every bound; the sum is reached by several entries.
#[test]
fn metadata_has_limits() {
    let with = |name: usize, value: usize| {
        Outcome::new(200, b"body").with_metadata(&long(name), &long(value))
    };
    for (name, value) in [(1, 0), (1, 1), (255, 0), (1, 8_192), (255, 8_192)] {
        let outcome = with(name, value).expect("within the limits");
        let (name, value) = (long(name), long(value));
        assert_eq!(entries(&outcome), [(&*name, &*value)]);
        assert_eq!((outcome.status(), outcome.body()), (200, &b"body"[..]));
    }
    for (name, value, field) in [
        (0, 1, "outcome.metadata.name"),
        (256, 1, "outcome.metadata.name"),
        (300, 1, "outcome.metadata.name"),
        (1, 8_193, "outcome.metadata.value"),
        (1, 9_000, "outcome.metadata.value"),
    ] {
        let error = with(name, value).expect_err("over a limit");
        assert_eq!((error.code(), error.field()), (ErrorCode::InvalidOutcome, field));
    }
    // Each entry takes three bytes more than its name and value.
    let almost = with(1, 8_188).expect("half of it");
    for (value, fits) in [(8_187, true), (8_188, true), (8_189, false), (8_192, false)] {
        let both = almost.clone().with_metadata("y", &long(value));
        let field = both.as_ref().map_err(Error::field);
        assert_eq!(field.map(|both| entries(both).len()).ok(), fits.then_some(2));
        assert_eq!(field.err(), (!fits).then_some("outcome.metadata"));
    }
}

/// Goal: entries come back in their order, before the body. Method: entries of several lengths;
/// the sizes that the outcome states.
#[test]
fn parts_come_back() {
    let added = [("b", "1"), ("a", ""), ("b", "two"), ("long-name", "x y")];
    let mut outcome = Outcome::new(503, [1, 2, 3]);
    assert_eq!((entries(&outcome).len(), outcome.data_len()), (0, 3));
    let mut bytes = 3 + 8;
    for (name, value) in added {
        outcome = outcome.with_metadata(name, value).expect("small");
        bytes += 3 + name.len() + value.len();
        assert_eq!(outcome.data_len(), bytes);
        assert_eq!(outcome.stored_bytes(), (16 + bytes).next_multiple_of(16));
    }
    assert_eq!(entries(&outcome), added);
    assert_eq!((outcome.status(), outcome.body()), (503, &[1, 2, 3][..]));
    assert!(!outcome.is_withheld());

    outcome.set_bare(504);
    assert_eq!(outcome, Outcome::new(504, []));
    let mut withheld = Outcome::withheld(202);
    assert_eq!((withheld.status(), withheld.is_withheld()), (202, true));
    withheld.set_bare(200);
    assert!(!withheld.is_withheld());
}

/// Goal: metadata that somebody else wrote never panics. Method: entries that say that they are
/// longer than they are, and names that are no text.
#[test]
fn broken_metadata_ends() {
    for (bytes, whole) in [
        (&b"\x01\x01\x00ab"[..], 1),
        (b"\x01\x01\x00ab\x01", 1),
        (b"\x01\x01\x00a", 0),
        (b"\x02\x00\x00a", 0),
        (b"\x01\x00", 0),
        (b"\x01\x00\x00\xff", 0),
        (b"\x00\x01\x00\xff", 0),
    ] {
        let mut outcome = Outcome::new(200, bytes);
        outcome.metadata_len = bytes.len() as u16;
        assert_eq!(entries(&outcome).len(), whole, "{bytes:?}");
        outcome.metadata_len += 1;
        assert_eq!((entries(&outcome).len(), outcome.body()), (0, &[][..]));
    }
}

/// Goal: debug text tells sizes and no content. Method: one outcome with everything.
#[test]
fn debug_text_tells_sizes() {
    let outcome = Outcome::new(201, b"secret").with_metadata("name", "value").expect("small");
    assert_eq!(format!("{outcome:?}"), "Outcome { status: 201, metadata: 1, body_bytes: 6 }");
}
