//! Real input: newline-delimited JSON, gzip or plain, from a file or from standard input.
//!
//! A line that cannot be read as a request is skipped and remembered with its number, so that a
//! storm runs on everything else. Every size that the file controls has a limit.

mod json;
mod line;

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;

pub(crate) use self::line::DERIVATION;
pub use self::line::{Line, LineError};

/// The longest line that is read, in bytes.
pub const MAX_LINE_BYTES: usize = 1 << 20;
/// The most bytes that are read, after decompression: a small gzip file can hold very many.
pub const MAX_INPUT_BYTES: u64 = 256 << 20;
/// The most lines that are read.
pub const MAX_LINES: u64 = 1_000_000;

/// What a file held.
#[derive(Debug, Default)]
pub struct Input {
    /// The requests, in the order of the file.
    pub lines: Vec<Line>,
    /// The lines that were skipped, in the order of the file.
    pub skipped: Vec<Skipped>,
}

/// A line that was skipped, and why.
#[derive(Debug)]
pub struct Skipped {
    /// The line's number in the file; the first line is 1.
    pub number: u64,
    /// Why it is no request. Names fields and kinds, never their values.
    pub reason: LineError,
}

/// An input that could not be read at all, named as it was given: a path is no content.
#[derive(Debug, thiserror::Error)]
#[error("input: {}: {reason}", Name(path))]
pub(crate) struct InputError {
    path: PathBuf,
    reason: Unreadable,
}

/// Why an input could not be read at all.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// The file could not be opened.
    #[error("cannot be opened: {0}")]
    Open(#[source] io::Error),
    /// Reading or decompressing failed before the first line.
    #[error("cannot be read: {0}")]
    Start(#[source] io::Error),
    /// Reading or decompressing stopped part way.
    #[error("cannot be read after line {after_line}: {source}")]
    Read {
        /// The last line that was read whole.
        after_line: u64,
        /// What the system or the decompressor said.
        source: io::Error,
    },
    /// The input is larger than a storm takes.
    #[error("more than {MAX_INPUT_BYTES} bytes after decompression; limit: that many")]
    TooLarge,
    /// The input has more lines than a storm takes.
    #[error("more than {MAX_LINES} lines; limit: that many")]
    TooManyLines,
    /// No line of the input is a request.
    #[error("no request in it ({skipped} lines skipped)")]
    Empty {
        /// How many lines were skipped as broken.
        skipped: usize,
    },
}

impl Unreadable {
    fn after(line: u64, source: io::Error) -> Self {
        match line {
            0 => Self::Start(source),
            after_line => Self::Read { after_line, source },
        }
    }
}

/// Shows a path as it was given, and `-` as what it stands for.
struct Name<'a>(&'a Path);

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == Path::new(STDIN) {
            return f.write_str("standard input");
        }
        write!(f, "{}", self.0.display())
    }
}

/// Reads a file, or standard input when the path is `-`.
///
/// # Errors
/// [`InputError`] when the input cannot be opened or read, or exceeds a limit of this module.
pub(crate) fn load(path: &Path) -> Result<Input, InputError> {
    let input = if path == Path::new(STDIN) {
        read(io::stdin().lock())
    } else {
        File::open(path).map_err(Unreadable::Open).and_then(read)
    };
    input.map_err(|reason| InputError { path: path.to_owned(), reason })
}

/// As [`load`], by way of a copy that others can read again: at `copy`, which must not be there.
///
/// # Errors
/// As of [`load`].
pub(crate) fn load_through(path: &Path, copy: &Path) -> Result<Input, InputError> {
    let copied = || {
        let mut to = File::create_new(copy).map_err(Unreadable::Start)?;
        let mut take = |from: &mut dyn Read| {
            // One byte more than can be read again shows that it is too much.
            let mut from = from.take(MAX_INPUT_BYTES + 1);
            io::copy(&mut from, &mut to).map_err(Unreadable::Start)
        };
        if path == Path::new(STDIN) {
            take(&mut io::stdin().lock())?;
        } else {
            take(&mut File::open(path).map_err(Unreadable::Open)?)?;
        }
        File::open(copy).map_err(Unreadable::Open).and_then(read)
    };
    copied().map_err(|reason| InputError { path: path.to_owned(), reason })
}

/// Reads NDJSON, decompressing it first when it opens with the magic bytes of gzip.
///
/// # Errors
/// [`Unreadable`] when reading or decompressing fails, a limit of this module is exceeded, or no
/// line is a request.
pub fn read(source: impl Read) -> Result<Input, Unreadable> {
    let mut source = BufReader::with_capacity(1 << 16, source);
    let head = head(&mut source).map_err(Unreadable::Start)?;
    let is_gzip = head == GZIP_MAGIC;
    let whole = Cursor::new(head).chain(source);
    if is_gzip {
        let unpacked = BufReader::with_capacity(1 << 16, MultiGzDecoder::new(whole));
        read_lines(unpacked, MAX_INPUT_BYTES)
    } else {
        read_lines(whole, MAX_INPUT_BYTES)
    }
}

/// The first two bytes, fewer at the end of the input. A pipe may give them one at a time.
fn head(source: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut head = Vec::with_capacity(GZIP_MAGIC.len());
    source.take(GZIP_MAGIC.len() as u64).read_to_end(&mut head)?;
    Ok(head)
}

fn read_lines(source: impl BufRead, max_bytes: u64) -> Result<Input, Unreadable> {
    let mut source = source.take(max_bytes + 1);
    let mut input = Input::default();
    let mut line = Vec::new();
    for number in 1.. {
        let end = next_line(&mut source, &mut line)
            .map_err(|source| Unreadable::after(number - 1, source))?;
        if source.limit() == 0 {
            return Err(Unreadable::TooLarge);
        }
        let parsed = match end {
            LineEnd::Input => break,
            _ if number > MAX_LINES => return Err(Unreadable::TooManyLines),
            LineEnd::TooLong => Err(LineError::TooLong),
            LineEnd::Whole if line.trim_ascii().is_empty() => continue,
            LineEnd::Whole => Line::parse(number, &line),
        };
        match parsed {
            Ok(line) => input.lines.push(line),
            Err(reason) => input.skipped.push(Skipped { number, reason }),
        }
    }
    if input.lines.is_empty() {
        return Err(Unreadable::Empty { skipped: input.skipped.len() });
    }
    Ok(input)
}

/// How a call of [`next_line`] ended.
enum LineEnd {
    /// The buffer holds a line without its line feed.
    Whole,
    /// The line went past [`MAX_LINE_BYTES`] and was dropped.
    TooLong,
    /// Nothing was left.
    Input,
}

/// Reads up to the next line feed, holding no more than [`MAX_LINE_BYTES`] of it.
fn next_line(source: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<LineEnd> {
    line.clear();
    let (mut read, mut too_long) = (0, false);
    loop {
        let chunk = source.fill_buf()?;
        if chunk.is_empty() && read == 0 {
            return Ok(LineEnd::Input);
        }
        let feed = chunk.iter().position(|&byte| byte == b'\n');
        let part = &chunk[..feed.unwrap_or(chunk.len())];
        too_long |= line.len() + part.len() > MAX_LINE_BYTES;
        if !too_long {
            line.extend_from_slice(part);
        }
        let ended = feed.is_some() || chunk.is_empty();
        let used = feed.map_or(chunk.len(), |at| at + 1);
        source.consume(used);
        read += used;
        if ended {
            return Ok(if too_long { LineEnd::TooLong } else { LineEnd::Whole });
        }
    }
}

const STDIN: &str = "-";
const GZIP_MAGIC: [u8; 2] = [0x1F, 0x8B];

#[cfg(test)]
mod tests;
