//! Peers: programs that take part, each at the end of two pipes.

use std::hash::{BuildHasher as _, RandomState};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// What a program has got so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) created: u64,
    pub(crate) expired: u64,
    pub(crate) retried: u64,
    pub(crate) replayed: u64,
}

/// A program that takes part. It is killed when this value goes.
pub(crate) struct Peer {
    name: String,
    child: Child,
    to: Option<ChildStdin>,
    from: BufReader<ChildStdout>,
}

/// Five programs that take part, by name, each with the words that start it. The environment gives
/// some in `ONCEGATE_HOST_C`, `_GO`, `_JAVA` and `_PYTHON`, with tabs between the words; the others
/// are in Rust.
pub(crate) fn programs() -> Vec<(String, Vec<String>)> {
    let given = |language: &str| {
        let words = std::env::var(format!("ONCEGATE_HOST_{language}")).ok()?;
        Some((language.to_lowercase(), words.split('\t').map(str::to_owned).collect()))
    };
    let mut all: Vec<(String, Vec<String>)> =
        ["C", "GO", "JAVA", "PYTHON"].into_iter().filter_map(given).collect();
    for number in all.len()..PROGRAMS {
        let name =
            if number == PROGRAMS - 1 { "rust".to_owned() } else { format!("rust {number}") };
        all.push((name, vec![env!("CARGO_BIN_EXE_oncegate-peer").to_owned()]));
    }
    all
}

/// What the orders of the programs are drawn from.
pub(crate) fn seed() -> u64 {
    let given = std::env::var("ONCEGATE_HOST_SEED").ok().filter(|seed| !seed.is_empty());
    given.map_or_else(
        || RandomState::new().hash_one("host") >> 12,
        |seed| seed.parse().expect("ONCEGATE_HOST_SEED is a number"),
    )
}

impl Peer {
    pub(crate) fn start(
        name: &str,
        command: &[String],
        table: &Path,
        ledger: &Path,
        seed: u64,
        keys: u64,
    ) -> Self {
        let (program, words) = command.split_first().expect("a program");
        let mut child = Command::new(program)
            .args(words)
            .args([table, ledger])
            // Every language has a whole number of this size, signed or not.
            .args([name.to_owned(), (seed >> 1).to_string(), keys.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{name}: {program}: {error}"));
        let to = child.stdin.take();
        let from = BufReader::new(child.stdout.take().expect("piped"));
        Self { name: name.to_owned(), child, to, from }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn tell(&mut self, line: &str) {
        let to = self.to.as_mut().expect("not ended");
        let told = writeln!(to, "{line}").and_then(|()| to.flush());
        told.unwrap_or_else(|error| panic!("{} does not read `{line}`: {error}", self.name));
    }

    fn answer(&mut self) -> String {
        let mut line = String::new();
        self.from.read_line(&mut line).expect("it writes");
        line.trim_end().to_owned()
    }

    pub(crate) fn expect(&mut self, line: &str) {
        let answer = self.answer();
        assert_eq!(answer, line, "{}", self.name);
    }

    /// The answer to `try`.
    pub(crate) fn tried(&mut self) -> Counts {
        let answer = self.answer();
        let (counts, rest) = self.counts(&answer, "tried");
        assert!(rest.is_empty(), "{}: {answer}", self.name);
        counts
    }

    /// The answer to `hold`: and which requests it holds.
    pub(crate) fn held(&mut self) -> (Counts, Vec<u64>) {
        let answer = self.answer();
        self.counts(&answer, "holds")
    }

    fn counts(&self, answer: &str, word: &str) -> (Counts, Vec<u64>) {
        let mut words = answer.split(' ');
        assert_eq!(words.next(), Some(word), "{}: {answer}", self.name);
        let number = |word: &str| {
            word.parse().unwrap_or_else(|_| panic!("{}: a number in {answer}", self.name))
        };
        let mut numbers = words.map(number);
        let mut next = || numbers.next().unwrap_or_else(|| panic!("{}: {answer}", self.name));
        let counts = Counts { created: next(), expired: next(), retried: next(), replayed: next() };
        (counts, numbers.collect())
    }

    /// A digest of all outcomes that it got.
    pub(crate) fn digest(&mut self) -> String {
        self.tell("digest");
        let answer = self.answer();
        let digest = answer.strip_prefix("digest ").map(str::to_owned);
        digest.unwrap_or_else(|| panic!("{}: {answer}", self.name))
    }

    /// Kills it, whatever it is doing, and waits until it is gone.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("it runs");
        let status = self.child.wait().expect("a child");
        assert_eq!(status.signal(), Some(9), "{}: {status}", self.name);
    }

    /// Waits until it has ended by itself.
    pub(crate) fn ended(mut self) {
        drop(self.to.take());
        let status = self.child.wait().expect("a child");
        assert!(status.success(), "{}: {status}", self.name);
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const PROGRAMS: usize = 5;
