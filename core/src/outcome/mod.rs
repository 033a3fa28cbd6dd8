//! Outcomes: what a finished attempt left, and what its duplicates get.

mod block;
#[cfg(all(target_os = "linux", not(any(oncegate_loom, oncegate_shuttle))))]
mod image;
mod inline;
mod policy;
#[cfg(all(feature = "redis", not(any(oncegate_loom, oncegate_shuttle))))]
mod portable;
mod reference;
mod room;
mod store;
mod words;

pub use policy::{OutcomePolicy, Verdict};

pub(crate) use block::{Header, WindowCode};
#[cfg(all(target_os = "linux", not(any(oncegate_loom, oncegate_shuttle))))]
pub(crate) use image::{ChunkImage, JOURNAL_HEADER_WORDS, JournalImage};
pub(crate) use reference::{Bare, Inline, MAX_CHUNK_WORDS, MAX_CHUNKS, lapsed};
pub(crate) use room::set_aside;
pub(crate) use store::{LiveBlock, OutcomeStore, References, Room, Written};

use std::fmt;

use crate::error::{Error, ErrorCode};
use crate::sync::planted::Bug;

/// What a finished attempt left: a status code, a small map of metadata, and bytes.
///
/// An empty outcome is an outcome. Metadata and body lie in one buffer: a replay allocates once.
///
/// ```
/// use oncegate::Outcome;
///
/// let outcome = Outcome::new(201, b"{\"id\":7}")
///     .with_metadata("content-type", "application/json")?;
/// assert_eq!(outcome.status(), 201);
/// assert_eq!(outcome.body(), b"{\"id\":7}");
/// assert_eq!(outcome.metadata().next(), Some(("content-type", "application/json")));
/// # Ok::<(), oncegate::Error>(())
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    status: u16,
    /// How many bytes at the start are metadata.
    metadata_len: u16,
    /// Whether duplicates never get it.
    withheld: bool,
    bytes: Vec<u8>,
}

impl Outcome {
    /// An outcome without metadata. Copies `body`.
    ///
    /// ```
    /// # use oncegate::Outcome;
    /// assert!(Outcome::new(204, b"").body().is_empty());
    /// ```
    #[must_use]
    pub fn new(status: u16, body: impl AsRef<[u8]>) -> Self {
        Self { status, metadata_len: 0, withheld: false, bytes: body.as_ref().to_vec() }
    }

    /// An outcome that is not stored: the attempt ends, the request never runs again inside its
    /// dedup window, and its duplicates get `OutcomeGone`. For results that are streamed, or that
    /// may not be kept.
    ///
    /// ```
    /// use oncegate::{Admission, Engine, Outcome, Request, Scope};
    ///
    /// let engine = Engine::builder().capacity(1_000).build()?;
    /// let request = Request::new(Scope::single_tenant(), "op", "key-1")?;
    /// if let Admission::Admitted(lease) = engine.begin(&request)? {
    ///     lease.complete(&Outcome::withheld(200))?;
    /// }
    /// assert!(matches!(engine.begin(&request)?, Admission::OutcomeGone));
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    #[must_use]
    pub fn withheld(status: u16) -> Self {
        Self { status, withheld: true, ..Self::default() }
    }

    /// Adds an entry of metadata, such as a header that is to be replayed.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::InvalidOutcome`]: the name is empty or longer than 255 bytes, the value is
    /// longer than 8,192 bytes, or all entries together take more than 16,384 bytes.
    ///
    /// ```
    /// # use oncegate::Outcome;
    /// assert!(Outcome::new(200, b"").with_metadata("", "x").is_err());
    /// ```
    pub fn with_metadata(mut self, name: &str, value: &str) -> Result<Self, Error> {
        let refuse = |field, found: usize, limit: &'static str| {
            Err(Error::new(ErrorCode::InvalidOutcome, field, format!("{found} bytes"), limit))
        };
        let longest = MAX_NAME + usize::from(Bug::MetadataLimitOffByOne.is_planted());
        if name.is_empty() || name.len() > longest {
            return refuse("outcome.metadata.name", name.len(), "1 to 255 bytes");
        }
        if value.len() > MAX_VALUE {
            return refuse("outcome.metadata.value", value.len(), "8192 bytes");
        }
        let added = ENTRY_HEAD + name.len() + value.len();
        let total = usize::from(self.metadata_len) + added;
        if total > MAX_METADATA {
            return refuse("outcome.metadata", total, "16384 bytes");
        }
        let mut entry = Vec::with_capacity(added);
        // Both lengths were checked against limits that fit.
        entry.push(name.len() as u8);
        entry.extend_from_slice(&(value.len() as u16).to_le_bytes());
        entry.extend_from_slice(name.as_bytes());
        entry.extend_from_slice(value.as_bytes());
        let at = usize::from(self.metadata_len);
        self.bytes.splice(at..at, entry);
        self.metadata_len = total as u16;
        Ok(self)
    }

    /// The status code: an HTTP status, an exit code, whatever the caller counts as one.
    ///
    /// ```
    /// # use oncegate::Outcome;
    /// assert_eq!(Outcome::new(503, b"").status(), 503);
    /// ```
    #[must_use]
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The bytes.
    ///
    /// ```
    /// # use oncegate::Outcome;
    /// assert_eq!(Outcome::new(200, b"ok").body(), b"ok");
    /// ```
    #[must_use]
    pub fn body(&self) -> &[u8] {
        self.bytes.get(usize::from(self.metadata_len)..).unwrap_or_default()
    }

    /// The entries of metadata, in the order in which they were added.
    ///
    /// ```
    /// # use oncegate::Outcome;
    /// let outcome = Outcome::new(200, b"").with_metadata("a", "1")?.with_metadata("b", "2")?;
    /// assert_eq!(outcome.metadata().collect::<Vec<_>>(), [("a", "1"), ("b", "2")]);
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn metadata(&self) -> impl Iterator<Item = (&str, &str)> {
        let mut rest = self.bytes.get(..usize::from(self.metadata_len)).unwrap_or_default();
        std::iter::from_fn(move || {
            let (entry, after) = split_entry(rest)?;
            rest = after;
            Some(entry)
        })
    }

    /// How many bytes of the outcome budget this outcome takes, headers included.
    ///
    /// ```
    /// # use oncegate::Outcome;
    /// assert_eq!(Outcome::new(200, [0; 64]).stored_bytes(), 80);
    /// ```
    #[must_use]
    pub fn stored_bytes(&self) -> usize {
        block::words_for(self.data_len()) * size_of::<u64>()
    }

    /// Makes this an outcome of `status` without bytes; the buffer stays.
    pub(crate) fn set_bare(&mut self, status: u16) {
        self.bytes.clear();
        (self.status, self.metadata_len, self.withheld) = (status, 0, false);
    }

    /// Whether duplicates never get it: it was made by [`withheld`](Self::withheld).
    ///
    /// ```
    /// # use oncegate::Outcome;
    /// assert!(Outcome::withheld(200).is_withheld() && !Outcome::new(200, b"").is_withheld());
    /// ```
    #[must_use]
    pub fn is_withheld(&self) -> bool {
        self.withheld
    }

    /// Length of what follows the header in a block.
    pub(crate) fn data_len(&self) -> usize {
        let prefix = if self.metadata_len == 0 { 0 } else { words::METADATA_PREFIX };
        self.bytes.len() + prefix
    }
}

impl fmt::Debug for Outcome {
    /// Sizes only: an outcome may hold what no log may.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outcome")
            .field("status", &self.status)
            .field("metadata", &self.metadata().count())
            .field("body_bytes", &self.body().len())
            .finish()
    }
}

/// The first entry of encoded metadata, and what follows it. Tolerates any bytes.
fn split_entry(bytes: &[u8]) -> Option<((&str, &str), &[u8])> {
    let (&name_len, rest) = bytes.split_first()?;
    let (value_len, rest) = rest.split_first_chunk::<2>()?;
    let (name, rest) = rest.split_at_checked(usize::from(name_len))?;
    let (value, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes(*value_len)))?;
    Some(((str::from_utf8(name).ok()?, str::from_utf8(value).ok()?), rest))
}

const MAX_NAME: usize = 255;
const MAX_VALUE: usize = 8_192;
const MAX_METADATA: usize = 16_384;
/// Length of the name, and of the value.
const ENTRY_HEAD: usize = 3;

#[cfg(all(test, not(oncegate_loom)))]
mod tests;
