//! The parser that finds where frames end.

use std::fmt;
use std::mem;

/// What a frame may have; one that has more is malformed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a line: a simple reply, a number, a length, a request without RESP.
    pub line: usize,
    /// Bytes of a frame, all of it.
    pub frame: usize,
    /// How deep arrays and maps lie in each other.
    pub depth: usize,
}

impl Default for Limits {
    /// 64 KiB a line, as Redis has it; 64 MiB a frame; 32 levels.
    fn default() -> Self {
        Self { line: 64 * 1024, frame: 64 * 1024 * 1024, depth: 32 }
    }
}

/// Why bytes are no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// No type of RESP begins with this byte: TLS, or another protocol.
    Type(u8),
    /// A length that is no number, negative but for the null of RESP2, or too large.
    Length,
    /// A line, a frame or its depth is over the limit.
    TooLarge,
    /// No end of a line where one must be.
    LineEnd,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Type(byte) => write!(f, "no type of RESP begins with byte {byte}"),
            Self::Length => f.write_str("a length is no number"),
            Self::TooLarge => f.write_str("a frame is over the limit"),
            Self::LineEnd => f.write_str("a line has no end where it must"),
        }
    }
}

/// Cuts one direction of a connection into frames.
///
/// ```
/// use oncegate_rig::resp::Framing;
///
/// let mut replies = Framing::replies();
/// assert!(replies.push(b"+OK\r\n$5\r\nhel")?.eq(&[b"+OK\r\n".to_vec()]));
/// assert!(replies.push(b"lo\r\n")?.eq(&[b"$5\r\nhello\r\n".to_vec()]));
/// # Ok::<(), oncegate_rig::resp::Malformed>(())
/// ```
#[derive(Clone, Debug)]
pub struct Framing {
    limits: Limits,
    /// Whether a frame may be a plain line of words, as one types it into a terminal.
    inline: bool,
    /// The frame so far.
    frame: Vec<u8>,
    /// Where its open line begins.
    line: usize,
    /// Elements that are still to come, of each array that is open.
    open: Vec<u64>,
    /// Bytes of a string that are still to come, its line end included.
    string: usize,
    broken: Option<Malformed>,
}

impl Framing {
    /// Cuts what a client sends.
    #[must_use]
    pub fn requests() -> Self {
        Self::new(true, Limits::default())
    }

    /// Cuts what a server sends.
    #[must_use]
    pub fn replies() -> Self {
        Self::new(false, Limits::default())
    }

    /// The same with other limits.
    #[must_use]
    pub const fn within(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    const fn new(inline: bool, limits: Limits) -> Self {
        Self {
            limits,
            inline,
            frame: Vec::new(),
            line: 0,
            open: Vec::new(),
            string: 0,
            broken: None,
        }
    }

    /// Takes more bytes, and gives the frames that end in them.
    ///
    /// # Errors
    ///
    /// The bytes are malformed, or were before. What came before them in the same piece is lost,
    /// apart from what [`rest`](Self::rest) gives.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Vec<Vec<u8>>, Malformed> {
        let mut frames = Vec::new();
        self.each(bytes, |frame| frames.push(frame)).map(|()| frames)
    }

    /// As [`push`](Self::push), but hands over each frame as it ends.
    ///
    /// # Errors
    ///
    /// The bytes are malformed, or were before. The frames before that were handed over.
    pub fn each(&mut self, bytes: &[u8], mut take: impl FnMut(Vec<u8>)) -> Result<(), Malformed> {
        let mut left = bytes;
        while self.broken.is_none() && !left.is_empty() {
            match self.step(&mut left) {
                Ok(false) => {}
                Ok(true) => {
                    self.line = 0;
                    take(mem::take(&mut self.frame));
                }
                Err(malformed) => self.broken = Some(malformed),
            }
        }
        match self.broken {
            None => Ok(()),
            Some(malformed) => {
                // Kept, so that a proxy can pass them on.
                self.frame.extend_from_slice(left);
                Err(malformed)
            }
        }
    }

    /// Takes away what has come of a frame that has not ended.
    pub fn rest(&mut self) -> Vec<u8> {
        mem::take(&mut self.frame)
    }

    /// Takes some of `bytes`, and says whether the frame ends there.
    fn step(&mut self, bytes: &mut &[u8]) -> Result<bool, Malformed> {
        if self.string > 0 {
            return self.more_of_string(bytes);
        }
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let used = end.map_or(bytes.len(), |at| at + 1);
        let length = self.frame.len() - self.line + used;
        if length > self.limits.line || self.frame.len() + used > self.limits.frame {
            return Err(Malformed::TooLarge);
        }
        let first = self.frame.get(self.line).copied().unwrap_or(bytes[0]);
        self.begins(first)?;
        self.take(bytes, used);
        if end.is_some() { self.line_ended() } else { Ok(false) }
    }

    /// Moves bytes into the frame.
    fn take(&mut self, bytes: &mut &[u8], count: usize) {
        let (taken, left) = bytes.split_at(count);
        self.frame.extend_from_slice(taken);
        *bytes = left;
    }

    /// Whether a line may begin with `first`.
    fn begins(&self, first: u8) -> Result<(), Malformed> {
        let nested = !self.open.is_empty();
        let known = b"+-:$*_#,(=!%~>|".contains(&first);
        let word = self.inline && !nested && (first.is_ascii_graphic() || first == b'\r');
        if known || word { Ok(()) } else { Err(Malformed::Type(first)) }
    }

    fn more_of_string(&mut self, bytes: &mut &[u8]) -> Result<bool, Malformed> {
        let used = self.string.min(bytes.len());
        self.take(bytes, used);
        self.string -= used;
        if self.string > 0 {
            return Ok(false);
        }
        if !self.frame.ends_with(b"\r\n") {
            return Err(Malformed::LineEnd);
        }
        Ok(self.value_ended())
    }

    /// A line is whole: whether the frame is, too.
    fn line_ended(&mut self) -> Result<bool, Malformed> {
        let line = &self.frame[self.line..];
        let kind = line[0];
        let is_word = self.inline && self.open.is_empty() && kind != b'*';
        let Some(line) = line.strip_suffix(b"\r\n") else {
            // Redis takes a bare line end after words, and nowhere else.
            return if is_word { Ok(true) } else { Err(Malformed::LineEnd) };
        };
        if is_word {
            return Ok(true);
        }
        match kind {
            b'$' | b'=' | b'!' => match length(&line[1..])? {
                None => Ok(self.value_ended()),
                Some(bytes) => self.string_begins(bytes),
            },
            b'*' | b'~' | b'>' | b'%' | b'|' => {
                let pairs = matches!(kind, b'%' | b'|');
                match length(&line[1..])? {
                    None => Ok(self.value_ended()),
                    Some(count) => self.array_begins(kind, if pairs { 2 * count } else { count }),
                }
            }
            _ => Ok(self.value_ended()),
        }
    }

    fn string_begins(&mut self, bytes: u64) -> Result<bool, Malformed> {
        let room = (self.limits.frame - self.frame.len()) as u64;
        if bytes + 2 > room {
            return Err(Malformed::TooLarge);
        }
        self.string = bytes as usize + 2;
        Ok(false)
    }

    fn array_begins(&mut self, kind: u8, count: u64) -> Result<bool, Malformed> {
        // An attribute is no value: what it describes still comes.
        let after = u64::from(kind == b'|');
        if count + after == 0 {
            return Ok(self.value_ended());
        }
        if self.open.len() == self.limits.depth {
            return Err(Malformed::TooLarge);
        }
        self.line = self.frame.len();
        self.open.push(count + after);
        Ok(false)
    }

    /// A value has ended, and perhaps arrays with it: whether the frame has.
    fn value_ended(&mut self) -> bool {
        self.line = self.frame.len();
        while let Some(left) = self.open.last_mut() {
            *left -= 1;
            if *left > 0 {
                return false;
            }
            self.open.pop();
        }
        true
    }
}

/// A length; `None`: the null of RESP2.
fn length(digits: &[u8]) -> Result<Option<u64>, Malformed> {
    if digits == b"-1" {
        return Ok(None);
    }
    // Two of them, and more, have room in a number.
    if digits.is_empty() || digits.len() > 18 || !digits.iter().all(u8::is_ascii_digit) {
        return Err(Malformed::Length);
    }
    let number = digits.iter().fold(0, |sum: u64, digit| 10 * sum + u64::from(digit - b'0'));
    Ok(Some(number))
}
