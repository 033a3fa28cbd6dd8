//! Runs the real binary and reads what it prints.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;

/// The webhook payloads that the demo runs on.
pub(crate) fn webhooks() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data/github-webhooks.ndjson.gz")
}

/// Runs `oncegate` with these arguments and this standard input.
pub(crate) fn oncegate(args: &[&str], stdin: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_oncegate"))
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary was built with this test");
    // A command that does not read its input may be gone already: that is not this test's matter.
    let _ = child.stdin.take().expect("piped").write_all(stdin);
    child.wait_with_output().expect("the child can be waited for once")
}

/// Runs `oncegate` with these arguments, no input, and this standard error.
pub(crate) fn oncegate_telling(args: &[&str], stderr: Stdio) -> Output {
    Command::new(env!("CARGO_BIN_EXE_oncegate"))
        .args(args)
        .stdin(Stdio::null())
        .stderr(stderr)
        .output()
        .expect("the binary was built with this test")
}

/// Runs `oncegate storm` on these lines; gives its JSON object, exit status and standard error.
pub(crate) fn storm(args: &[&str], stdin: &[u8]) -> (Value, i32, String) {
    let output = oncegate(&[&["storm", "--json"], args].concat(), stdin);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    let stdout = String::from_utf8(output.stdout).expect("JSON is text");
    let json = serde_json::from_str(&stdout)
        .unwrap_or_else(|error| panic!("{error}: stdout {stdout:?}, stderr {stderr:?}"));
    (json, output.status.code().expect("no signal"), stderr)
}

/// A number of the object, or a failure that shows the object.
pub(crate) fn number(json: &Value, field: &str) -> u64 {
    json[field].as_u64().unwrap_or_else(|| panic!("{field} is no number in {json}"))
}

/// A folder in memory with a table in it, gone with the test.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        // Relaxed: numbers only have to differ.
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let base = Path::new("/dev/shm");
        let base = if base.is_dir() { base.to_owned() } else { std::env::temp_dir() };
        let path = base.join(format!("oncegate-cli-test-{}-{number}", std::process::id()));
        std::fs::create_dir(&path).expect("a folder for this test");
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn table(&self) -> String {
        self.0.join("table").to_str().expect("its names are text").to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
