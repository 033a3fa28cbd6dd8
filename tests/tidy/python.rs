//! Python files: sizes, waits, what tests say, and what checkers are told to overlook.

use crate::tree::Tree;
use crate::{Check, Report};

/// Longest file.
const FILE_LIMIT: usize = 600;
/// Longest function, from `def` to its last line.
const FUNCTION_LIMIT: usize = 70;
/// A native module is one, and so are its stubs.
const STUBS: &str = "/_core.pyi";
/// Allows a sleep, with its reason: work that has to last, or a thing that can wake nobody.
const SLEEP_MARK: &str = "# sleep: ";
/// What makes a checker overlook a line.
const OVERLOOK: &[&str] = &["# type: ignore", "# pyright: ignore", "# noqa"];

pub(crate) const CHECK: Check =
    Check { rules: &["python-size", "python-sleep", "python-goal", "python-overlook"], run };

fn run(tree: &Tree, report: &mut Report) {
    for (path, text) in tree.texts() {
        if !path.ends_with(".py") && !path.ends_with(".pyi") {
            continue;
        }
        let lines: Vec<&str> = text.lines().collect();
        if lines.len() > FILE_LIMIT && !path.ends_with(STUBS) {
            let message =
                format!("{} lines; split it by its nouns before {FILE_LIMIT}", lines.len());
            report.add(path, 0, "python-size", message);
        }
        for function in functions(&lines) {
            check_function(path, &lines, &function, report);
        }
        for at in 0..lines.len() {
            sleeps(path, &lines, at, report);
            overlooks(path, &lines, at, report);
        }
    }
}

/// A function: the line of its `def`, the first one of its body, and one past its last.
struct Function {
    first: usize,
    body: usize,
    past: usize,
}

fn check_function(path: &str, lines: &[&str], function: &Function, report: &mut Report) {
    let name = name_of(lines[function.first]).unwrap_or("");
    let length = function.past - function.first;
    if length > FUNCTION_LIMIT {
        let message = format!("`{name}` has {length} lines; at most {FUNCTION_LIMIT}");
        report.add(path, function.first + 1, "python-size", message);
    }
    let file = path.rsplit('/').next().unwrap_or(path);
    if name.starts_with("test_") && file.starts_with("test_") {
        let said = docstring(&lines[function.body..function.past]);
        if !said.contains("Goal:") || !said.contains("Method:") {
            let message = "the test's docstring gives no `Goal:` and `Method:`".to_owned();
            report.add(path, function.first + 1, "python-goal", message);
        }
    }
}

/// The name that a line defines, if it begins a function.
fn name_of(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let after = line.strip_prefix("async ").unwrap_or(line).strip_prefix("def ")?;
    after.split('(').next()
}

/// Every function, those inside others included.
fn functions(lines: &[&str]) -> Vec<Function> {
    let quoted = quoted(lines);
    let starts = (0..lines.len()).filter(|&at| !quoted[at] && name_of(lines[at]).is_some());
    starts.map(|first| extent(lines, &quoted, first)).collect()
}

fn extent(lines: &[&str], quoted: &[bool], first: usize) -> Function {
    let mut depth = 0_usize;
    let mut body = first;
    while body < lines.len() {
        let code = code(lines[body]);
        depth += code.matches(['(', '[']).count();
        depth = depth.saturating_sub(code.matches([')', ']']).count());
        body += 1;
        if depth == 0 {
            break;
        }
    }
    let own = indent(lines[first]);
    let mut past = body;
    for at in body..lines.len() {
        let empty = lines[at].trim().is_empty();
        if !empty && !quoted[at] && indent(lines[at]) <= own {
            break;
        }
        past = if empty { past } else { at + 1 };
    }
    Function { first, body, past }
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

/// A line without its comment; a `#` in a string is taken for one, which only hides code.
fn code(line: &str) -> &str {
    line.split('#').next().unwrap_or(line)
}

/// For each line whether it begins inside of a string of three quotes.
fn quoted(lines: &[&str]) -> Vec<bool> {
    let mut inside = false;
    lines
        .iter()
        .map(|line| {
            let began = inside;
            inside ^= line.matches("\"\"\"").count() % 2 == 1;
            began
        })
        .collect()
}

/// The string that a body begins with.
fn docstring(body: &[&str]) -> String {
    let said = body.join("\n");
    let Some(after) = said.trim_start().strip_prefix("\"\"\"") else { return String::new() };
    after.split("\"\"\"").next().unwrap_or("").to_owned()
}

/// A sleep synchronises nothing. Giving way to the other tasks of a loop is none.
fn sleeps(path: &str, lines: &[&str], at: usize, report: &mut Report) {
    let code = code(lines[at]);
    let part = |c: char| c.is_alphanumeric() || c == '_';
    let called = code.match_indices("sleep(").any(|(found, word)| {
        let given = code[found + word.len()..].starts_with("0)");
        !code[..found].ends_with(part) && !code[..found].ends_with("def ") && !given
    });
    let imported = code.contains("import sleep");
    if (called || imported) && !marked(lines, at, SLEEP_MARK) {
        let message = "wait for an event, a lease or a clock of the test's own; work that has to \
                       last, or what can wake nobody, says so: `# sleep: why`";
        report.add(path, at + 1, "python-sleep", message.to_owned());
    }
}

/// Whether a line has the mark, or the one above it is a comment with it.
fn marked(lines: &[&str], at: usize, mark: &str) -> bool {
    let above = at.checked_sub(1).map_or("", |above| lines[above].trim_start());
    lines[at].contains(mark) || (above.starts_with('#') && above.contains(mark))
}

/// What a checker is told to overlook has its code, and a reason behind it or above it.
fn overlooks(path: &str, lines: &[&str], at: usize, report: &mut Report) {
    for mark in OVERLOOK {
        let Some((_, after)) = lines[at].split_once(mark) else { continue };
        let (coded, reason) = match after.strip_prefix(['[', ':']) {
            Some(rest) => (true, rest.split_once("# ").is_some_and(|(_, why)| !why.is_empty())),
            None => (false, false),
        };
        let above = at.checked_sub(1).map_or("", |above| lines[above].trim_start());
        if !coded || !(reason || above.starts_with("# ")) {
            let message = format!("`{mark}` has the code of what it overlooks, and a reason");
            report.add(path, at + 1, "python-overlook", message);
        }
    }
}
