//! `docs/dependencies.md` says why each direct dependency is there, and lists no other.

use crate::tree::Tree;
use crate::{Check, Report};

const LIST: &str = "docs/dependencies.md";

pub(crate) const CHECK: Check = Check { rules: &["dependency"], run };

fn run(tree: &Tree, report: &mut Report) {
    let Some(list) = tree.text(LIST) else {
        if tree.text("Cargo.toml").is_some() {
            report.add(LIST, 0, "dependency", "does not exist".to_owned());
        }
        return;
    };
    let listed = rows(list);
    let mut used = Vec::new();
    for (path, text) in tree.texts().filter(|(path, _)| path.ends_with("Cargo.toml")) {
        let package = path.trim_end_matches("Cargo.toml").trim_end_matches('/');
        if package.is_empty() {
            continue; // The workspace only names versions; its packages use them.
        }
        for (line, name) in direct(text) {
            if !listed.iter().any(|row| row.name == name && row.packages.contains(&package)) {
                let message = format!("`{name}` of `{package}` has no line in {LIST}");
                report.add(path, line, "dependency", message);
            }
            used.push((package.to_owned(), name));
        }
    }
    for row in &listed {
        for package in &row.packages {
            if !used.iter().any(|(p, n)| p == package && *n == row.name) {
                let message = format!("`{package}` does not depend on `{}`", row.name);
                report.add(LIST, row.line, "dependency", message);
            }
        }
    }
}

/// A row of the list: a dependency and the packages that use it.
struct Row<'a> {
    line: usize,
    name: String,
    packages: Vec<&'a str>,
}

/// Rows look like ``| `name` | `package`, `package` | reason |``.
fn rows(list: &str) -> Vec<Row<'_>> {
    let mut rows = Vec::new();
    for (at, line) in list.lines().enumerate() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        if cells.len() < 4 || !cells[1].starts_with('`') {
            continue;
        }
        let name = cells[1].trim_matches('`').to_owned();
        let packages = cells[2].split('`').skip(1).step_by(2).collect();
        rows.push(Row { line: at + 1, name, packages });
    }
    rows
}

/// The dependencies that a manifest names, with their lines; crates of this workspace left out.
fn direct(manifest: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut inside = false;
    let mut depth = 0_usize;
    for (at, line) in manifest.lines().enumerate() {
        let line = line.split('#').next().unwrap_or("").trim();
        if depth == 0 && line.starts_with('[') {
            let section = line.trim_matches(['[', ']']);
            inside = section.ends_with("dependencies");
            if let Some((_, name)) = section.split_once("dependencies.") {
                found.push((at + 1, name.to_owned()));
            }
            continue;
        }
        if inside && depth == 0 && line.contains('=') {
            let name = line.split(['=', '.', ' ']).next().unwrap_or("").trim_matches('"');
            found.push((at + 1, name.to_owned()));
        }
        depth += line.matches(['{', '[']).count();
        depth = depth.saturating_sub(line.matches(['}', ']']).count());
    }
    found.retain(|(_, name)| !name.is_empty() && !name.starts_with("oncegate"));
    found
}
