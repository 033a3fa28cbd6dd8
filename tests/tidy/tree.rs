//! The tree under check: every file, its text, and for Rust files code apart from comments.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::scan::{self, Source};

/// What holds no sources: version control, a file in a second work tree, and what builds leave.
const SKIPPED: &[&str] = &[
    ".git",
    ".hypothesis",
    ".mypy_cache",
    ".pytest_cache",
    ".ruff_cache",
    ".venv",
    "__pycache__",
    "dist",
    "node_modules",
    "target",
];

/// One file of the tree.
pub(crate) struct File {
    pub(crate) bytes: usize,
    /// The text, unless the file is not UTF-8.
    pub(crate) text: Option<String>,
    /// Code and comments, for Rust files.
    pub(crate) rust: Option<Source>,
}

/// Every file by its path from the root, with `/` between folders.
pub(crate) struct Tree {
    pub(crate) files: BTreeMap<String, File>,
}

impl Tree {
    /// Reads the tree below `root`.
    pub(crate) fn read(root: &Path) -> Self {
        let mut found = BTreeMap::new();
        collect(root, "", &mut found);
        Self::finish(found)
    }

    /// A tree made of the given paths and texts, for the cases.
    pub(crate) fn of(files: &[(&str, &str)]) -> Self {
        let bytes = |text: &str| text.as_bytes().to_vec();
        Self::finish(files.iter().map(|(path, text)| ((*path).to_owned(), bytes(text))).collect())
    }

    fn finish(found: BTreeMap<String, Vec<u8>>) -> Self {
        let mut files = BTreeMap::new();
        for (path, bytes) in found {
            let size = bytes.len();
            let text = String::from_utf8(bytes).ok();
            let rust = text.as_deref().filter(|_| path.ends_with(".rs")).map(scan::scan);
            files.insert(path, File { bytes: size, text, rust });
        }
        let mut tree = Self { files };
        tree.mark_test_files();
        tree
    }

    /// Rust files in the order of their paths.
    pub(crate) fn rust(&self) -> impl Iterator<Item = (&str, &Source)> {
        self.files.iter().filter_map(|(path, file)| Some((path.as_str(), file.rust.as_ref()?)))
    }

    /// Files of text in the order of their paths.
    pub(crate) fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files.iter().filter_map(|(path, file)| Some((path.as_str(), file.text.as_deref()?)))
    }

    /// The text of one file.
    pub(crate) fn text(&self, path: &str) -> Option<&str> {
        self.files.get(path)?.text.as_deref()
    }

    /// Whether `path` is a file, or a folder with files in it.
    pub(crate) fn exists(&self, path: &str) -> bool {
        let path = path.trim_end_matches('/');
        let folder = format!("{path}/");
        path.is_empty()
            || self.files.contains_key(path)
            || self
                .files
                .range(folder.clone()..)
                .next()
                .is_some_and(|(p, _)| p.starts_with(&folder))
    }

    /// Folders of the top level that hold sources, hidden ones left out.
    pub(crate) fn top_folders(&self) -> Vec<&str> {
        let mut folders: Vec<&str> = self
            .files
            .keys()
            .filter_map(|path| Some(path.split_once('/')?.0))
            .filter(|folder| !folder.starts_with('.'))
            .collect();
        folders.dedup();
        folders
    }

    /// What was read, in a few words.
    pub(crate) fn summary(&self) -> String {
        let lines: usize = self.rust().map(|(_, source)| source.code.len()).sum();
        let rust = self.rust().count();
        format!("{} files, {rust} of them Rust with {lines} lines", self.files.len())
    }

    /// Marks files that hold only tests: by their name, by their folder, or because the module
    /// that names them does so under `cfg(test)`.
    fn mark_test_files(&mut self) {
        let mut declared = Vec::new();
        for (path, source) in self.rust() {
            let folder = scan::module_folder(path);
            declared.extend(source.test_modules.iter().map(|name| format!("{folder}{name}")));
        }
        for (path, file) in &mut self.files {
            let Some(source) = &mut file.rust else { continue };
            let stem = path.trim_end_matches(".rs");
            let by_name = stem.split('/').any(|part| part == "tests") || stem.ends_with("_tests");
            let by_declaration = declared
                .iter()
                .any(|module| stem == module || stem.starts_with(&format!("{module}/")));
            if by_name || by_declaration {
                source.test.fill(true);
            }
        }
    }
}

fn collect(root: &Path, prefix: &str, found: &mut BTreeMap<String, Vec<u8>>) {
    let entries = fs::read_dir(root.join(prefix)).expect("a folder of the tree is readable");
    for entry in entries {
        let entry = entry.expect("a folder entry is readable");
        let name = entry.file_name().into_string().expect("names in the tree are UTF-8");
        let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}/{name}") };
        let kind = entry.file_type().expect("a folder entry has a type");
        if SKIPPED.contains(&name.as_str()) || name.ends_with(".so") {
            continue;
        }
        if kind.is_dir() {
            collect(root, &path, found);
        } else if kind.is_file() {
            let bytes = fs::read(entry.path()).expect("a file of the tree is readable");
            found.insert(path, bytes);
        }
    }
}
