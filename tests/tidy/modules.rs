//! Dead files, and tests that do not say what they are for.

use crate::scan::{Source, module_folder, words};
use crate::tree::Tree;
use crate::{Check, Report};

pub(crate) const CHECK: Check = Check { rules: &["dead-file", "test-goal"], run };

fn run(tree: &Tree, report: &mut Report) {
    let declared = declared_files(tree);
    for (path, source) in tree.rust() {
        if !is_root(path) && !declared.iter().any(|name| name == path) {
            let message = "no module, manifest or convention names this file".to_owned();
            report.add(path, 0, "dead-file", message);
        }
        goals(path, source, report);
    }
}

/// Files that Cargo finds by their place.
fn is_root(path: &str) -> bool {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    let last = folder.rsplit('/').next().unwrap_or("");
    let by_name = matches!(name, "lib.rs" | "main.rs" | "build.rs");
    // The folders of the workspace itself hold packages whose manifests list their files.
    let of_package = folder.contains('/') && matches!(last, "tests" | "examples" | "benches");
    by_name || last == "bin" || (of_package && !folder.contains("/src/"))
}

/// Paths that `mod` items, `#[path]` attributes and manifests name.
fn declared_files(tree: &Tree) -> Vec<String> {
    let mut named = Vec::new();
    for (path, source) in tree.rust() {
        let folder = module_folder(path);
        for code in &source.code {
            for at in words(code, "mod") {
                let rest = code[at + 3..].trim();
                let Some(name) = rest.split(';').next().filter(|_| rest.contains(';')) else {
                    continue;
                };
                named.push(format!("{folder}{name}.rs"));
                named.push(format!("{folder}{name}/mod.rs"));
            }
        }
    }
    for (path, text) in tree.texts() {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        let marker = if name == "Cargo.toml" { "path = \"" } else { "#[path = \"" };
        if name == "Cargo.toml" || path.ends_with(".rs") {
            let after = text.split(marker).skip(1);
            let targets = after.filter_map(|rest| rest.split('"').next());
            named.extend(targets.map(|target| join(folder, target)));
        }
    }
    named
}

/// `target` as seen from `folder`, with `..` resolved.
pub(crate) fn join(folder: &str, target: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// Each test opens with a comment that gives its goal and its method.
fn goals(path: &str, source: &Source, report: &mut Report) {
    for (line, code) in source.all() {
        let attribute = code.trim();
        let test = attribute == "#[test]"
            || attribute.starts_with("#[")
                && ["::test]", "::test("].iter().any(|t| code.contains(t));
        if !test {
            continue;
        }
        let said = source.comments_above(line);
        if !said.contains("Goal:") || !said.contains("Method:") {
            let message = "the test's comment gives no `Goal:` and `Method:`".to_owned();
            report.add(path, line, "test-goal", message);
        }
    }
}
