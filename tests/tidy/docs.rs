//! The documents and the tree agree: links resolve, paths exist, the README's map is complete.

use crate::modules::join;
use crate::promises::GUARANTEES;
use crate::tree::Tree;
use crate::{Check, Report};

const README: &str = "README.md";
/// The heading under which the README maps the tree.
const MAP_HEADING: &str = "## Map of the tree";

pub(crate) const CHECK: Check = Check { rules: &["link", "mentioned-path", "tree-map"], run };

fn run(tree: &Tree, report: &mut Report) {
    for (path, text) in tree.texts().filter(|(path, _)| path.ends_with(".md")) {
        let mut fenced = false;
        for (at, line) in text.lines().enumerate() {
            if line.trim_start().starts_with("```") {
                fenced = !fenced;
            } else if !fenced {
                links(tree, path, at + 1, line, report);
                mentioned_paths(tree, path, at + 1, line, report);
            }
        }
    }
    if let Some(readme) = tree.text(README) {
        map(tree, readme, report);
    }
}

/// `[text](target)`: the target exists, and so does the heading after `#`.
fn links(tree: &Tree, path: &str, line: usize, text: &str, report: &mut Report) {
    for rest in text.split("](").skip(1) {
        let Some(target) = rest.split(')').next() else { continue };
        if target.contains("://") || target.starts_with("mailto:") {
            continue;
        }
        let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        let full = if file.is_empty() { path.to_owned() } else { join(folder, file) };
        if !tree.exists(&full) {
            report.add(path, line, "link", format!("`{target}` leads nowhere"));
        } else if !anchor.is_empty() && !has_heading(tree.text(&full).unwrap_or(""), anchor) {
            report.add(path, line, "link", format!("`{full}` has no heading `{anchor}`"));
        }
    }
}

/// Whether a heading of `text` has the anchor that hosts derive from it.
fn has_heading(text: &str, anchor: &str) -> bool {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    headings.map(|line| slug(line.trim_start_matches('#').trim())).any(|slug| slug == anchor)
}

fn slug(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect()
}

/// A path in backticks that begins with a folder of the tree exists. `path::name` names an item
/// of a file; its file is checked here, except where `promises` checks both.
fn mentioned_paths(tree: &Tree, path: &str, line: usize, text: &str, report: &mut Report) {
    let folders = tree.top_folders();
    for quoted in text.split('`').skip(1).step_by(2) {
        if path == GUARANTEES && quoted.contains("::") {
            continue;
        }
        let mentioned = quoted.split("::").next().unwrap_or(quoted);
        let Some((first, _)) = mentioned.split_once('/') else { continue };
        let hidden = first.starts_with('.') && first.len() > 1 && first != "..";
        let plain = mentioned.chars().all(|c| c.is_alphanumeric() || "/._-".contains(c));
        if plain && (hidden || folders.contains(&first)) && !tree.exists(mentioned) {
            report.add(path, line, "mentioned-path", format!("`{mentioned}` does not exist"));
        }
    }
}

/// The map lists every folder of the top level, and nothing that does not exist. A line's indent
/// of two spaces puts it below the folder above it.
fn map(tree: &Tree, readme: &str, report: &mut Report) {
    let Some((before, after)) = readme.split_once(MAP_HEADING) else {
        report.add(README, 0, "tree-map", format!("has no section `{MAP_HEADING}`"));
        return;
    };
    let first_line = before.lines().count() + 1;
    let mut folder = String::new();
    let mut listed = Vec::new();
    let mut fences = 0;
    for (at, line) in after.lines().enumerate() {
        if line.starts_with("```") {
            fences += 1;
        }
        if fences != 1 || line.starts_with("```") {
            continue;
        }
        let Some(name) = line.split_whitespace().next() else { continue };
        let path = if line.starts_with("  ") { join(&folder, name) } else { name.to_owned() };
        if !line.starts_with("  ") {
            folder = name.to_owned();
        }
        if !tree.exists(&path) {
            report.add(README, first_line + at, "tree-map", format!("`{path}` does not exist"));
        }
        listed.push(path.trim_end_matches('/').to_owned());
    }
    for folder in tree.top_folders() {
        if !listed.iter().any(|path| path == folder) {
            report.add(README, first_line, "tree-map", format!("does not list `{folder}/`"));
        }
    }
}
