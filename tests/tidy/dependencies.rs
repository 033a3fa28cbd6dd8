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
    for (path, text) in tree.texts() {
        let Some((package, manifest)) = path.rsplit_once('/') else {
            continue; // The workspace only names versions; its packages use them.
        };
        // Requirements may stand in a folder of the package.
        let (package, required) = match package.strip_suffix("/requirements") {
            Some(package) => (package, manifest.ends_with(".txt")),
            None => (package, manifest == "requirements.txt"),
        };
        let direct = match manifest {
            "Cargo.toml" => crates(text),
            "go.mod" => modules(text),
            "pom.xml" => artifacts(text),
            "pyproject.toml" => distributions(text),
            _ if required => requirements(text),
            _ => continue,
        };
        for (line, name) in direct {
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
fn crates(manifest: &str) -> Vec<(usize, String)> {
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

/// The modules that a `go.mod` requires and that its own packages import.
fn modules(manifest: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut inside = false;
    for (at, line) in manifest.lines().enumerate() {
        let line = line.trim();
        let required = line.strip_prefix("require ").or(inside.then_some(line));
        inside = (inside || line == "require (") && line != ")";
        let name = required.and_then(|rest| rest.split(' ').next()).unwrap_or("");
        if name.contains('/') && !line.ends_with("// indirect") && !name.contains("oncegate") {
            found.push((at + 1, name.to_owned()));
        }
    }
    found
}

/// The artifacts that a `pom.xml` depends on, as `group:artifact`. What only names their versions
/// (`dependencyManagement`) and what keeps some of theirs out (`exclusions`) is left out.
fn artifacts(manifest: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let (mut managed, mut excluded) = (false, false);
    let mut group = None;
    for (at, line) in manifest.lines().enumerate() {
        let line = line.trim();
        match line {
            "<dependencyManagement>" => managed = true,
            "</dependencyManagement>" => managed = false,
            "<exclusions>" => excluded = true,
            "</exclusions>" => excluded = false,
            "<dependency>" if !managed => group = Some(""),
            "</dependency>" => group = None,
            _ => {}
        }
        let Some(of) = &mut group else { continue };
        if excluded {
            continue;
        }
        *of = element(line, "groupId").unwrap_or(of);
        if let Some(artifact) = element(line, "artifactId")
            && *of != "dev.oncegate"
        {
            found.push((at + 1, format!("{of}:{artifact}")));
        }
    }
    found
}

/// What a `pyproject.toml` needs: to be built, always, and as an extra.
fn distributions(manifest: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let (mut section, mut inside) = ("", false);
    for (at, line) in manifest.lines().enumerate() {
        let line = line.split('#').next().unwrap_or("").trim();
        if line.starts_with('[') {
            (section, inside) = (line, false);
            continue;
        }
        let (key, value) = match line.split_once('=') {
            Some((key, value)) if !inside => (key.trim(), value),
            _ => ("", line),
        };
        inside |= match section {
            "[build-system]" => key == "requires",
            "[project]" => key == "dependencies",
            "[project.optional-dependencies]" => !key.is_empty(),
            _ => false,
        };
        if inside {
            let quoted = value.split('"').skip(1).step_by(2);
            found.extend(quoted.map(|each| (at + 1, distribution(each))));
            // The bracket of an extra is inside of the quotes.
            inside = !value.trim_end_matches(',').ends_with(']');
        }
    }
    found
}

/// What a file of requirements names, without what it includes.
fn requirements(text: &str) -> Vec<(usize, String)> {
    let lines = text.lines().enumerate().map(|(at, line)| (at + 1, line.trim()));
    let named = lines.filter(|(_, line)| line.starts_with(|c: char| c.is_alphanumeric()));
    named.map(|(at, line)| (at, distribution(line))).collect()
}

/// The name of a requirement, without extras, versions and conditions, as indexes compare it.
fn distribution(requirement: &str) -> String {
    let part = |c: char| c.is_alphanumeric() || "._-".contains(c);
    let end = requirement.find(|c| !part(c)).unwrap_or(requirement.len());
    requirement[..end].to_lowercase().replace(['_', '.'], "-")
}

/// What stands between the tags `<name>` and `</name>`, if that is the whole line.
fn element<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let open = line.strip_prefix('<')?.strip_prefix(name)?.strip_prefix('>')?;
    open.strip_suffix('>')?.strip_suffix(name)?.strip_suffix("</")
}
