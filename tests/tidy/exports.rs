//! The C ABI: every function that the library exports goes in by the one door.

use crate::scan::{Source, close, line_at};
use crate::tree::Tree;
use crate::{Check, Report};

/// Where exports may stand.
const BOUNDARY: &str = "ffi/src/";
/// What stands above each.
const MARK: &str = "#[unsafe(no_mangle)]";
/// Functions that return a constant: there is nothing in them to check, and nothing can panic.
const CONSTANTS: &[&str] = &["oncegate_version", "oncegate_abi_version"];

pub(crate) const CHECK: Check = Check { rules: &["export-entry"], run };

fn run(tree: &Tree, report: &mut Report) {
    for (path, source) in tree.rust() {
        let ships = path.contains("/src/") && !path.starts_with("tests/");
        if !path.starts_with(BOUNDARY) && ships {
            let marked = source.shipped().filter(|(_, code)| code.contains("no_mangle"));
            for (line, _) in marked {
                let message = format!("exports stand in `{BOUNDARY}` alone");
                report.add(path, line, "export-entry", message);
            }
        } else if path.starts_with(BOUNDARY) {
            exports(path, source, report);
        }
    }
}

/// Whether `code` is the first line of an export, for which `entry!` says what is unsafe.
pub(crate) fn is_export(path: &str, code: &str) -> bool {
    path.starts_with(BOUNDARY) && code.contains(" extern ") && code.contains(" fn oncegate_")
}

fn exports(path: &str, source: &Source, report: &mut Report) {
    let code = source.joined();
    for (at, _) in code.match_indices(MARK) {
        if let Err(message) = export(&code[at + MARK.len()..]) {
            report.add(path, line_at(&code, at), "export-entry", message);
        }
    }
    for (line, code) in source.all() {
        let marked = line > 1 && source.code[line - 2].trim() == MARK;
        if is_export(path, code) && !marked {
            let message = format!("an export has `{MARK}` above it");
            report.add(path, line, "export-entry", message);
        }
    }
}

/// What is wrong with the export whose attribute ends where `code` begins.
fn export(code: &str) -> Result<(), String> {
    let lost = || "no function follows".to_owned();
    let at = code.find("fn ").ok_or_else(lost)? + "fn ".len();
    let open = code[at..].find('(').ok_or_else(lost)? + at;
    let name = code[at..open].trim();
    let past = close(code, open).ok_or_else(lost)?;
    let brace = code[past..].find('{').ok_or_else(lost)? + past;
    let end = close(code, brace).ok_or_else(lost)?;
    let body = code[brace + 1..end - 1].trim();
    if !name.starts_with("oncegate_") {
        return Err(format!("`{name}` does not begin with `oncegate_`"));
    }
    if CONSTANTS.contains(&name) {
        let constant = !body.is_empty() && !body.contains([';', '{', '*']);
        return if constant {
            Ok(())
        } else {
            Err(format!("`{name}` does more than name a constant"))
        };
    }
    let last = code[open + 1..past - 1].trim().trim_end_matches(',').rsplit(',').next();
    if last.map(str::trim) != Some("error: *mut ErrorInfo") {
        return Err(format!("the last parameter of `{name}` is not `error: *mut ErrorInfo`"));
    }
    let whole = body.starts_with("entry!(")
        && close(body, "entry!".len()).is_some_and(|past| body[past..].trim().is_empty());
    if whole { Ok(()) } else { Err(format!("the body of `{name}` is not one `entry!`")) }
}
