//! A region's file, read word by word: never mapped, never written, never believed.

use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::{Finding, Insertions, Inspection, faults, health, survey};
use crate::clock::TimeSource;
use crate::engine::scope_hasher;
use crate::error::Error;
use crate::fingerprint::Scope;
use crate::reach::FileAccess;
use crate::region::file::{self, io_error};
use crate::region::{Geometry, Identity, LINE_WORDS, header, life, lock, shared};
use crate::table::image::LineImage;

/// A file that may be a region.
#[derive(Debug)]
pub(super) struct Image {
    pub(super) file: File,
    pub(super) path: PathBuf,
    pub(super) access: FileAccess,
}

/// A file whose header is that of a region of its size.
pub(super) struct Pages<'i> {
    file: &'i File,
    pub(super) identity: Identity,
    pub(super) header: [u64; header::WORDS],
}

impl Image {
    pub(super) fn open(path: &Path, access: FileAccess) -> Result<Self, Error> {
        let file = file::open(path, &access, false)?.ok_or_else(no_file)?;
        Ok(Self { file, path: file::led_to(path, &access), access })
    }

    pub(super) fn pages(&self) -> Result<Pages<'_>, Error> {
        let identity = shared::read_identity(&self.file)?;
        let header = read_words(&self.file, 0)?;
        Ok(Pages { file: &self.file, identity, header })
    }

    pub(super) fn inspect(&self) -> Result<Inspection, Error> {
        survey::inspect(&self.pages()?)
    }

    pub(super) fn check(&self) -> Result<Vec<Finding>, Error> {
        health::check(self)
    }

    pub(super) fn insertions(&self) -> Result<Insertions, Error> {
        let mut versions = Vec::new();
        self.pages()?.each_line(|_, line| versions.push(line.version()))?;
        Ok(Insertions { versions })
    }

    pub(super) fn scope_hash(&self, scope: Scope<'_>) -> Result<u64, Error> {
        let salt = self.pages()?.header[header::SALT];
        Ok(scope_hasher(salt)?.scope_hash(scope))
    }
}

impl Pages<'_> {
    pub(super) fn geometry(&self) -> &Geometry {
        &self.identity.geometry
    }

    /// `N` words at word `at`.
    pub(super) fn words<const N: usize>(&self, at: usize) -> Result<[u64; N], Error> {
        read_words(self.file, at)
    }

    /// `count` words at word `at`.
    pub(super) fn run(&self, at: usize, count: usize) -> Result<Vec<u64>, Error> {
        let mut bytes = vec![0; count * WORD];
        self.file.read_exact_at(&mut bytes, (at * WORD) as u64).map_err(cut_short)?;
        Ok(bytes.as_chunks().0.iter().map(|word| u64::from_ne_bytes(*word)).collect())
    }

    /// Shows the first `N` words of each of `count` rows of `stride` words, piece by piece.
    pub(super) fn each<const N: usize>(
        &self,
        start: usize,
        stride: usize,
        count: usize,
        mut see: impl FnMut(usize, &[u64; N]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let rows = (PIECE_WORDS / stride.max(1)).clamp(1, count.max(1));
        let mut bytes = vec![0; rows * stride * WORD];
        for first in (0..count).step_by(rows) {
            let rows = rows.min(count - first);
            let piece = &mut bytes[..rows * stride * WORD];
            let at = (start + first * stride) * WORD;
            self.file.read_exact_at(piece, at as u64).map_err(cut_short)?;
            for (row, bytes) in piece.chunks_exact(stride * WORD).enumerate() {
                see(first + row, &to_words(bytes))?;
            }
        }
        Ok(())
    }

    pub(super) fn each_line(&self, mut see: impl FnMut(usize, LineImage)) -> Result<(), Error> {
        let (lines, _) = self.geometry().lines_and_slots();
        self.each::<LINE_WORDS>(lines.start, LINE_WORDS, self.geometry().sets(), |set, words| {
            see(set, LineImage::new(*words));
            Ok(())
        })
    }

    pub(super) fn line(&self, set: usize) -> Result<LineImage, Error> {
        let (lines, _) = self.geometry().lines_and_slots();
        self.words(lines.start + set * LINE_WORDS).map(LineImage::new)
    }

    /// Whether a process holds the lock of entry `index`. What cannot be told counts as alive.
    pub(super) fn is_alive(&self, index: u8) -> bool {
        index != 0 && lock::is_locked(self.file.as_fd(), index.into()).unwrap_or(true)
    }

    /// Whether the region was used since this machine was started.
    pub(super) fn is_of_this_boot(&self) -> bool {
        self.header[header::BOOT..][..2] == life::boot_id()
    }

    /// The region's time, by the precise clock: the coarse one, which most engines use, may be some
    /// milliseconds behind.
    pub(super) fn now_ms(&self) -> u64 {
        let last = self.header[header::LAST_MS];
        if !self.is_of_this_boot() {
            return last;
        }
        let shift = life::clock_shift_ms().wrapping_neg();
        let clock = TimeSource::Precise.now_ms().saturating_add_signed(shift);
        let since = clock.saturating_sub(self.header[header::ORIGIN_MS]);
        since.saturating_add(self.header[header::FIRST_MS]).max(last)
    }

    pub(super) fn fault_of(&self, slot: usize) -> Result<Option<faults::Fault>, Error> {
        faults::confirm(self, slot)
    }
}

/// The first words of a file, as far as it has them; zeroes beyond.
pub(super) fn first_words(file: &File) -> [u64; header::EPOCH] {
    let mut bytes = [0; header::EPOCH * WORD];
    // What cannot be read is no beginning of a table.
    let _ = file.read_at(&mut bytes, 0);
    to_words(&bytes)
}

/// Whether a file that begins with `words` was meant to be a table: a key file begins with the
/// engine's name, too.
pub(super) fn begins_as_a_table(words: &[u64; header::EPOCH]) -> bool {
    header::is_ours(words) && words[header::FORMAT] != u64::from_ne_bytes(*b" secrets")
}

pub(super) fn no_file() -> Error {
    file::refused("reach", Errno::NOENT)
}

fn read_words<const N: usize>(file: &File, at: usize) -> Result<[u64; N], Error> {
    let mut bytes = vec![0; N * WORD];
    file.read_exact_at(&mut bytes, (at * WORD) as u64).map_err(cut_short)?;
    Ok(to_words(&bytes))
}

fn to_words<const N: usize>(bytes: &[u8]) -> [u64; N] {
    let mut words = [0; N];
    for (word, bytes) in words.iter_mut().zip(bytes.as_chunks().0) {
        *word = u64::from_ne_bytes(*bytes);
    }
    words
}

/// The file was as long as its header says when it was opened.
fn cut_short(error: std::io::Error) -> Error {
    if error.kind() == std::io::ErrorKind::UnexpectedEof {
        return header::invalid("a file that became shorter", "a region that this version made");
    }
    io_error("reach", &error)
}

const WORD: usize = size_of::<u64>();
/// Half a megabyte is read at a time.
const PIECE_WORDS: usize = 64 << 10;
