//! The trace: one line for each event, in the order of virtual time.

use std::collections::VecDeque;

/// What happened in one run.
pub(crate) struct Trace {
    digest: u64,
    lines: u64,
    last: VecDeque<String>,
    /// Every line, where the caller wants them.
    all: Option<String>,
    prints: bool,
}

/// What becomes of the lines of a trace beside its digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lines {
    /// The last are kept, for a failure.
    Last,
    /// All are kept.
    Kept,
    /// All are printed.
    Printed,
}

impl Trace {
    pub(crate) fn new(lines: Lines) -> Self {
        let all = (lines == Lines::Kept).then(String::new);
        let prints = lines == Lines::Printed;
        Self { digest: FNV_OFFSET, lines: 0, last: VecDeque::new(), all, prints }
    }

    pub(crate) fn add(&mut self, line: String) {
        let hashed = |digest: u64, byte: u8| (digest ^ u64::from(byte)).wrapping_mul(FNV_PRIME);
        self.digest = line.bytes().chain([b'\n']).fold(self.digest, hashed);
        self.lines += 1;
        if self.prints {
            println!("{line}");
        }
        if let Some(all) = &mut self.all {
            all.push_str(&line);
            all.push('\n');
        }
        if self.last.len() == LAST {
            self.last.pop_front();
        }
        self.last.push_back(line);
    }

    /// FNV-1a over all lines (Fowler, Noll and Vo; draft-eastlake-fnv).
    pub(crate) fn digest(&self) -> u64 {
        self.digest
    }

    pub(crate) fn len(&self) -> u64 {
        self.lines
    }

    /// All lines, if they were kept.
    pub(crate) fn text(&self) -> &str {
        self.all.as_deref().unwrap_or_default()
    }

    /// The last lines, for whoever looks for what went wrong.
    pub(crate) fn tail(&self) -> String {
        let lines: Vec<&str> = self.last.iter().map(String::as_str).collect();
        lines.join("\n")
    }
}

const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0100_0000_01b3;
/// How many lines a failure shows.
const LAST: usize = 60;
