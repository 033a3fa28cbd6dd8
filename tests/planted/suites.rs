//! Test binaries: built once under each cfg, and run one test at a time.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use oncegate::{Clock, PreciseClock};

use crate::catalogue::{Kind, Row};

/// The test binaries, by kind and suite.
pub(crate) struct Suites {
    binaries: BTreeMap<(bool, String), PathBuf>,
}

/// How one test ended.
#[derive(Clone, Debug)]
pub(crate) struct Ended {
    pub(crate) how: How,
    pub(crate) took: Duration,
    /// What it said.
    pub(crate) output: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    Passed,
    Failed,
    /// It was still running when its time was over.
    Hung,
    /// No test of this name ran, or the process died of something else.
    Otherwise,
}

impl Suites {
    /// Builds what `rows` need.
    pub(crate) fn build(root: &Path, rows: &[Row]) -> Result<Self, String> {
        let mut binaries = BTreeMap::new();
        for kind in [Kind::Ordinary, Kind::Twin] {
            let mut names: Vec<&str> =
                rows.iter().filter(|row| row.kind() == kind).map(Row::suite).collect();
            names.sort_unstable();
            names.dedup();
            if names.is_empty() {
                continue;
            }
            let built = build(root, kind, &names)?;
            for name in names {
                let path = built.get(name).ok_or_else(|| format!("no suite `{name}`"))?;
                binaries.insert((kind == Kind::Twin, name.to_owned()), path.clone());
            }
        }
        Ok(Self { binaries })
    }

    /// Runs the test of `row`, with its bug in the process if `planted`.
    pub(crate) fn run(&self, row: &Row, planted: bool) -> Ended {
        let binary = &self.binaries[&(row.kind() == Kind::Twin, row.suite().to_owned())];
        let mut command = Command::new(binary);
        command.args([&row.test(), "--exact", "--test-threads=1", "--nocapture"]);
        command.env_remove(PLANTED).env("RUST_BACKTRACE", "0");
        // A failing property prints its first input: making it small takes longer than finding it.
        command.env("PROPTEST_MAX_SHRINK_ITERS", "0").env("PROPTEST_RNG_SEED", SEED);
        if planted && row.kind() == Kind::Ordinary {
            command.env(PLANTED, &row.bug);
        }
        run(command)
    }
}

impl Row {
    /// The test binary: the name of a suite, or of the engine's crate for its unit tests.
    pub(crate) fn suite(&self) -> &str {
        let folder = self.caught_by.strip_prefix("tests/");
        folder.and_then(|rest| rest.split('/').next()).unwrap_or("oncegate")
    }

    /// The test as its harness calls it: `module::test_name`.
    pub(crate) fn test(&self) -> String {
        let (path, name) = self.caught_by.split_once("::").unwrap_or((&self.caught_by, ""));
        let is_unit = path.starts_with("core/");
        // The folder of a suite, or of the sources, is the root of its modules.
        let inside = path.splitn(3, '/').nth(2).unwrap_or(path);
        let inside = inside.trim_end_matches(".rs");
        let mut modules: Vec<&str> =
            inside.split('/').filter(|part| !matches!(*part, "mod" | "main" | "lib")).collect();
        if is_unit && !modules.contains(&"tests") {
            modules.push("tests");
        }
        modules.push(name);
        modules.join("::")
    }
}

fn run(mut command: Command) -> Ended {
    let started = PreciseClock.now();
    let (mut reader, writer) = std::io::pipe().expect("a pipe");
    command.stdin(Stdio::null()).stdout(writer.try_clone().expect("a pipe")).stderr(writer);
    let mut child = command.spawn().expect("a test binary starts");
    // Its copies of the writing end go with it: the reader sees the end when the child ends.
    drop(command);
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        // A broken pipe leaves what was read so far.
        let _ = reader.read_to_end(&mut bytes);
        let _ = tell.send(String::from_utf8_lossy(&bytes).into_owned());
    });
    let heard = told.recv_timeout(LIMIT);
    if heard.is_err() {
        child.kill().expect("a child that runs");
    }
    let status = child.wait().expect("a child ends");
    let took = PreciseClock.now() - started;
    let Ok(output) = heard else {
        return Ended { how: How::Hung, took, output: String::new() };
    };
    let how = match status.code() {
        Some(0) if output.contains("test result: ok. 1 passed; 0 failed") => How::Passed,
        Some(101) if output.contains("test result: FAILED. 0 passed; 1 failed") => How::Failed,
        _ => How::Otherwise,
    };
    Ended { how, took, output }
}

/// Builds the suites of `names` for `kind`, and gives every test binary that there is by name.
fn build(root: &Path, kind: Kind, names: &[&str]) -> Result<BTreeMap<String, PathBuf>, String> {
    let (cfg, folder) = match kind {
        Kind::Ordinary => ("--cfg oncegate_planted", "planted"),
        Kind::Twin => ("--cfg oncegate_loom", "loom"),
    };
    eprintln!("== building {} under `{cfg}`", names.join(", "));
    let target = std::env::var("CARGO_TARGET_DIR").unwrap_or_else(|_| "target".to_owned());
    let mut command = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned()));
    command.current_dir(root).env("RUSTFLAGS", cfg);
    command.env("CARGO_TARGET_DIR", Path::new(&target).join(folder));
    command.args(["test", "--no-run", "--quiet", "--message-format=json-render-diagnostics"]);
    if std::env::var("LOCKED").is_ok_and(|locked| !locked.is_empty()) {
        command.arg("--locked");
    }
    if kind == Kind::Twin {
        command.args(["--profile", "loom"]);
    }
    command.args(["-p", "oncegate-tests"]);
    for name in names {
        match *name {
            "oncegate" => command.args(["-p", "oncegate", "--lib"]),
            suite => command.args(["--test", suite]),
        };
    }
    let built = command.stderr(Stdio::inherit()).output().map_err(|why| why.to_string())?;
    if !built.status.success() {
        return Err(format!("the build under `{cfg}` failed"));
    }
    let text = String::from_utf8_lossy(&built.stdout);
    Ok(text.lines().filter_map(executable).map(|path| (name_of(&path), path)).collect())
}

/// The test binary that a line of Cargo's messages names: none of the programs that tests run.
fn executable(message: &str) -> Option<PathBuf> {
    if !message.contains("\"test\":true},") {
        return None;
    }
    let after = message.split_once("\"executable\":\"")?.1;
    Some(PathBuf::from(after.split_once('"')?.0))
}

/// `public` of `.../deps/public-0123456789abcdef`.
fn name_of(binary: &Path) -> String {
    let stem = binary.file_stem().unwrap_or_default().to_string_lossy();
    stem.rsplit_once('-').map_or(stem.as_ref(), |(name, _)| name).to_owned()
}

/// The variable that names the bug of a process.
const PLANTED: &str = "ONCEGATE_PLANTED";
/// Properties run from one seed: what is caught once is caught every time.
const SEED: &str = "7";
/// How long one test may take.
const LIMIT: Duration = Duration::from_secs(120);
