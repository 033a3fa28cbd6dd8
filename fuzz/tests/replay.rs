//! The corpus, and what the fuzzer once found, as ordinary tests.

use std::collections::BTreeSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use oncegate_fuzz::{TARGETS, Target};

/// Goal: every input that ever mattered keeps its promise. Method: call each target with each
/// file of its corpus and of its regressions; name those that fail.
#[test]
fn every_file_keeps_its_promise() {
    let mut failures = Vec::new();
    for target in TARGETS {
        let files = [files("corpus", target), files("regressions", target)].concat();
        let bytes: usize = files.iter().map(|path| read(path).len()).sum();
        println!("{}: {} files, {bytes} bytes", target.name, files.len());
        for path in files {
            let data = read(&path);
            if catch_unwind(AssertUnwindSafe(|| (target.run)(&data))).is_err() {
                failures.push(path);
            }
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

/// Goal: no target is left without seeds, and none is forgotten. Method: compare the list of
/// targets with the programs in the manifest and with the folders of the corpus.
#[test]
fn every_target_has_a_program_and_a_corpus() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).expect("the manifest");
    let names: BTreeSet<_> = TARGETS.iter().map(|target| target.name.to_owned()).collect();
    let quoted = |line: &str| line.strip_prefix("name = \"")?.strip_suffix('"').map(str::to_owned);
    let programs =
        manifest.split("[[bin]]").skip(1).filter_map(|entry| entry.lines().find_map(quoted));
    assert_eq!(programs.collect::<BTreeSet<_>>(), names);
    for kind in ["corpus", "regressions"] {
        let folders = fs::read_dir(root().join(kind)).expect("a folder for each target");
        let folders = folders.map(|entry| entry.expect("readable").file_name());
        let folders = folders.map(|name| name.into_string().expect("text"));
        assert_eq!(folders.collect::<BTreeSet<_>>(), names, "{kind}");
        assert!(TARGETS.iter().all(|target| !files(kind, target).is_empty()), "{kind}");
    }
}

/// Goal: the corpus stays small enough to be replayed by every test run and read by people.
/// Method: add up what lies there, and look at the names.
#[test]
fn the_corpus_is_small() {
    let all = TARGETS
        .iter()
        .flat_map(|target| [files("corpus", target), files("regressions", target)].concat());
    let mut total = 0;
    for path in all {
        total += read(&path).len();
        let name = path.file_name().and_then(|name| name.to_str()).expect("text");
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c);
        assert!(name.chars().all(plain), "{name}");
    }
    assert!(total < MOST_BYTES, "{total} bytes; at most {MOST_BYTES}");
}

fn files(kind: &str, target: &Target) -> Vec<PathBuf> {
    let folder = root().join(kind).join(target.name);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
    let mut files: Vec<_> = entries.map(|entry| entry.expect("readable").path()).collect();
    files.sort();
    files
}

fn read(path: &Path) -> Vec<u8> {
    fs::read(path).expect("a file of the corpus is readable")
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

const MOST_BYTES: usize = 300 << 10;
