//! What the command makes of broken, disguised and missing input, and how it says so.

use std::fs::OpenOptions;
use std::path::PathBuf;
use std::process::Stdio;

use serde_json::Value;

use crate::common::{number, oncegate, oncegate_telling, storm, webhooks};

/// A file of this test's own, removed when the test ends.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str, content: &[u8]) -> Self {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::write(&path, content).expect("cargo gives integration tests this folder");
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().expect("the folder and the names are text")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Goal: a broken line is named and skipped, the rest runs, and the exit status says so. Method:
/// broken lines 2 and 4 among good ones; nothing of their content may be printed.
#[test]
fn broken_lines_are_named_and_exit_with_3() {
    let text = b"{\"key\":\"a\"}\n{\"key\": secret-word}\n{\"key\":\"b\"}\n[\"secret-word\"]\n";
    let file = Scratch::new("broken-lines.ndjson", text);
    let (json, exit, stderr) = storm(&["--input", file.path()], b"");
    assert_eq!(exit, 3);
    assert!(stderr.contains("line 2") && stderr.contains("line 4"), "{stderr}");
    assert!(!stderr.contains("line 1") && !stderr.contains("line 3"), "{stderr}");
    assert!(!stderr.contains("secret-word"), "{stderr}");
    assert_eq!((number(&json, "distinct"), number(&json, "skipped_lines")), (2, 2));
    assert_eq!(number(&json, "accepted_effects"), 2);
}

/// Goal: JSON that is valid but beyond a limit is told from what is no JSON, and nothing of either
/// is printed. Method: deep nesting and numbers beyond a double, in the payload and beside it.
#[test]
fn limits_of_json_are_named() {
    let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
    let text = [
        format!("{{\"key\":\"a\",\"payload\":{deep}}}"),
        "{\"key\":\"b\",\"payload\":[1e400]}".to_owned(),
        format!("{{\"unread\":{deep}}}"),
        "{\"key\":\"c\",\"payload\":[1e400}".to_owned(),
        format!("{{\"key\":\"d\",\"payload\":1,\"unread\":{deep},\"huge\":1e400}}"),
    ];
    let (json, exit, stderr) = storm(&["--input", "-"], text.join("\n").as_bytes());
    assert_eq!((exit, number(&json, "distinct")), (3, 1), "{stderr}");
    let lines: Vec<_> = stderr.lines().collect();
    let parts = [
        ["line 1: ", "deeper nesting", "limit: at most 128"],
        ["line 2: ", "beyond the range of a double", "limit: a number within"],
        ["line 3: ", "deeper nesting", "limit: at most 128"],
        ["line 4: ", "not valid JSON", "column 28"],
    ];
    assert_eq!(lines.len(), parts.len(), "{stderr}");
    for (line, parts) in lines.iter().zip(parts) {
        assert!(parts.iter().all(|part| line.contains(part)), "{line}: {parts:?}");
        assert!(!line.contains("1e400") && !line.contains("[["), "{line}");
    }
}

/// Goal: nobody at the other end of standard error costs only what would be said there: the storm
/// runs and is reported, with the same exit status. Method: many broken lines, once with the
/// reader gone, once with no room; a failure that can be told nowhere is a status and no panic.
#[test]
fn a_lost_standard_error_is_no_failure() {
    let text = "{\"key\":\"a\"}\n".to_owned() + &"broken\n".repeat(20_000);
    let file = Scratch::new("many-broken-lines.ndjson", text.as_bytes());
    let args = ["storm", "--json", "--input", file.path()];
    let (reader, writer) = std::io::pipe().expect("a pipe costs two descriptors");
    drop(reader);
    let mut ends = vec![Stdio::from(writer)];
    ends.extend(OpenOptions::new().write(true).open("/dev/full").ok().map(Stdio::from));
    for stderr in ends {
        let output = oncegate_telling(&args, stderr);
        assert_eq!(output.status.code(), Some(3));
        let json: Value = serde_json::from_slice(&output.stdout).expect("a whole report");
        let fields = ["accepted_effects", "skipped_lines"].map(|field| number(&json, field));
        assert_eq!(fields, [1, 20_000]);
    }
    let (reader, writer) = std::io::pipe().expect("a pipe costs two descriptors");
    drop(reader);
    let args = ["storm", "--input", "/does/not/exist"];
    assert_eq!(oncegate_telling(&args, writer.into()).status.code(), Some(1));
}

/// Goal: gzip is told by its bytes, not by the name. Method: the real file as `.txt`, and plain
/// text as `.gz`.
#[test]
fn gzip_is_told_by_its_bytes() {
    let packed = std::fs::read(webhooks()).expect("the demo data is part of the package");
    let file = Scratch::new("webhooks.txt", &packed);
    let (json, exit, _) = storm(&["--input", file.path(), "--copies", "1"], b"");
    assert_eq!((exit, number(&json, "lines")), (0, 255));

    let file = Scratch::new("plain.ndjson.gz", b"{\"key\":1}\n");
    let (json, exit, _) = storm(&["--input", file.path()], b"");
    assert_eq!((exit, number(&json, "lines")), (0, 1));
}

/// Goal: what cannot be read is one line on standard error that names the file as it was given, and
/// status 1, never a panic. Method: a missing file, a folder, an empty input, a cut-off gzip file.
#[test]
fn unreadable_input_exits_with_1() {
    let packed = std::fs::read(webhooks()).expect("the demo data is part of the package");
    let cut = Scratch::new("cut.gz", &packed[..packed.len() / 2]);
    let folder = env!("CARGO_MANIFEST_DIR");
    for path in ["/does/not/exist", folder, "-", cut.path()] {
        let output = oncegate(&["storm", "--input", path], b"\n");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{path}: {stderr}");
        let name = if path == "-" { "standard input" } else { path };
        assert!(stderr.starts_with(&format!("oncegate: input: {name}: ")), "{path}: {stderr}");
        assert!(!stderr.contains("line 0"), "{path}: {stderr}");
        assert_eq!(stderr.lines().count(), 1, "{path}: {stderr}");
        assert!(output.stdout.is_empty(), "{path}");
    }
}

/// Goal: a storm has a size limit that is a clear refusal. Method: enough lines that a hundred
/// copies of each go past it.
#[test]
fn too_many_deliveries_are_refused() {
    let lines = "{\"key\":1}\n".repeat(40_001);
    let output = oncegate(&["storm", "--input", "-", "--copies", "100"], lines.as_bytes());
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("4000100 deliveries") && stderr.contains("limit"), "{stderr}");
}

/// Goal: wrong usage is status 2 and names the argument. Method: numbers out of range, also such
/// as begin like an option, no input, an unknown command.
#[test]
fn wrong_usage_exits_with_2() {
    for (args, part) in [
        (&["storm", "--input", "-", "--fail-rate", "2"][..], "--fail-rate"),
        (&["storm", "--input", "-", "--fail-rate", "-0.1"], "negative number; limit: 0 to 0.9"),
        (&["storm", "--input", "-", "--seed", "-1"], "'--seed <S>': found a negative number"),
        (&["bench", "--rounds", "8"], "limit: 1 to 7"),
        (&["storm"], "--input"),
        (&["thunder"], "thunder"),
    ] {
        let output = oncegate(args, b"");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(stderr.contains(part), "{stderr}");
    }
}
