//! Sizes: lines, functions, files, blobs.

use crate::scan::{Source, close, line_at, words};
use crate::tree::Tree;
use crate::{Check, Report};

/// Longest line, in characters.
const LINE_LIMIT: usize = 100;
/// Longest function, from `fn` to its closing brace: one screen.
const FUNCTION_LIMIT: usize = 70;
/// Longest file; 150 to 350 lines are the aim.
const FILE_LIMIT: usize = 600;
/// Largest file that is no source.
const BLOB_LIMIT: usize = 200 * 1024;
/// Files that may be larger, with their reason beside them.
const BLOBS_ALLOWED: &[&str] = &[
    // The webhooks that `make demo` delivers.
    "bindings/cli/data/github-webhooks.ndjson.gz",
];

pub(crate) const CHECK: Check =
    Check { rules: &["line-length", "function-size", "file-size", "blob"], run };

fn run(tree: &Tree, report: &mut Report) {
    for (path, file) in &tree.files {
        if file.bytes > BLOB_LIMIT && !BLOBS_ALLOWED.contains(&path.as_str()) {
            let message = format!("{} bytes; at most {BLOB_LIMIT}", file.bytes);
            report.add(path, 0, "blob", message);
        }
    }
    for (path, text) in tree.texts() {
        line_lengths(path, text, report);
    }
    for (path, source) in tree.rust() {
        let lines = source.code.len();
        if lines > FILE_LIMIT {
            let message = format!("{lines} lines; split it by its nouns before {FILE_LIMIT}");
            report.add(path, 0, "file-size", message);
        }
        functions(path, source, report);
    }
}

/// Rows of Markdown tables, descriptions in manifests and lines that hold an address cannot be
/// broken; licences and data are given.
fn line_lengths(path: &str, text: &str, report: &mut Report) {
    let ours = [
        ".rs",
        ".toml",
        ".md",
        ".sh",
        ".yml",
        ".py",
        ".pyi",
        ".awk",
        ".c",
        ".h",
        ".cpp",
        ".hpp",
        ".cmake",
        ".in",
        "CMakeLists.txt",
        "Makefile",
        ".ci/run",
    ];
    if !ours.iter().any(|end| path.ends_with(end)) || path.contains("/data/") {
        return;
    }
    for (at, line) in text.lines().enumerate() {
        let length = line.chars().count();
        let prose = line.trim_start().trim_start_matches("//!").trim_start_matches("///");
        let table = prose.trim_start().starts_with("| ") && prose.ends_with('|');
        let whole = table || line.starts_with("description = ") || line.contains("://");
        if length > LINE_LIMIT && !whole {
            let message = format!("{length} characters; at most {LINE_LIMIT}");
            report.add(path, at + 1, "line-length", message);
        }
    }
}

fn functions(path: &str, source: &Source, report: &mut Report) {
    let code = source.joined();
    for at in words(&code, "fn") {
        let Some((name, open)) = signature(&code, at) else { continue };
        let Some(past) = close(&code, open) else { continue };
        let first = line_at(&code, at);
        let lines = line_at(&code, past - 1) - first + 1;
        if lines > FUNCTION_LIMIT {
            let message = format!("`{name}` has {lines} lines; at most {FUNCTION_LIMIT}");
            report.add(path, first, "function-size", message);
        }
    }
}

/// The name of the function at `at`, and where its body opens; nothing for function types and
/// for declarations without a body.
fn signature(code: &str, at: usize) -> Option<(&str, usize)> {
    let after = code[at + 2..].trim_start();
    let length = after.find(|c: char| !c.is_alphanumeric() && c != '_')?;
    let name = after.get(..length).filter(|name| !name.is_empty())?;
    let mut depth = 0_usize;
    for (offset, byte) in code.bytes().enumerate().skip(at) {
        match byte {
            b'(' | b'[' => depth += 1,
            b')' | b']' => depth = depth.checked_sub(1)?,
            b';' if depth == 0 => return None,
            b'{' if depth == 0 => return Some((name, offset)),
            _ => {}
        }
    }
    None
}
