//! What the command makes of broken, disguised and missing input, and how it says so.

use std::path::PathBuf;

use crate::common::{number, oncegate, storm, webhooks};

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

/// Goal: what cannot be read is one line on standard error and status 1, never a panic. Method: a
/// missing file, a folder, an empty input, a cut-off gzip file.
#[test]
fn unreadable_input_exits_with_1() {
    let packed = std::fs::read(webhooks()).expect("the demo data is part of the package");
    let cut = Scratch::new("cut.gz", &packed[..packed.len() / 2]);
    let folder = env!("CARGO_MANIFEST_DIR");
    for path in ["/does/not/exist", folder, "-", cut.path()] {
        let output = oncegate(&["storm", "--input", path], b"\n");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{path}: {stderr}");
        assert!(stderr.starts_with("oncegate: input: "), "{path}: {stderr}");
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

/// Goal: wrong usage is status 2 and names the argument. Method: a rate out of range, no input, an
/// unknown command.
#[test]
fn wrong_usage_exits_with_2() {
    for (args, part) in [
        (&["storm", "--input", "-", "--fail-rate", "2"][..], "--fail-rate"),
        (&["storm"], "--input"),
        (&["thunder"], "thunder"),
    ] {
        let output = oncegate(args, b"");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(stderr.contains(part), "{stderr}");
    }
}
