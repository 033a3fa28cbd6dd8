//! The header: what a region is, for whoever opens it after the one who made it.
//!
//! ```text
//! line 0     magic, format, and the sizes that everything else follows from
//! line 1, 2  the options that all who share the region have in common, and a checksum
//! line 3     what every call may read: epoch, fence floor, keys, time, the longest window
//! line 4, 5  a check of each secret in force, by its short id: never a secret
//! line 6     the life of the region: boot, wall time, deaths
//! line 7..   cursors, each on a line of its own
//! line 10    how many records are retried, and how often that changed; the table's id
//! ```
//!
//! Lines 0 to 2 never change. They are believed only when they are consistent with each other and
//! with the size of the file.

use super::geometry::{Geometry, MAX_PROCESSES, WAYS};
use crate::error::{Error, ErrorCode};
use crate::sync::planted::Bug;

pub(crate) const MAGIC: usize = 0;
pub(crate) const FORMAT: usize = 1;
const SETS: usize = 2;
const INLINE_WORDS: usize = 3;
const SCOPES: usize = 4;
const CHUNKS: usize = 5;
const CHUNK_WORDS: usize = 6;
const PROCESSES: usize = 7;
const OPTIONS: usize = 8;
const RETRIES: usize = 22;
const CHECKSUM: usize = 23;
/// What every fencing counter of this region is added to, to make a token.
pub(crate) const EPOCH: usize = 24;
/// The highest epoch: with any counter on top it is below 2^63.
pub(crate) const MAX_EPOCH: u64 = 1 << 62;
/// No new fencing counter is at or below this; raised when a rotation moves keys to new homes.
pub(crate) const FENCE_FLOOR: usize = 25;
/// Generation and key ids of the secrets in force.
pub(crate) const KEYS: usize = 26;
/// Milliseconds of the clock at which the region's time was [`FIRST_MS`].
pub(crate) const ORIGIN_MS: usize = 27;
/// The region's time at [`ORIGIN_MS`].
pub(crate) const FIRST_MS: usize = 28;
/// Not zero: some scope has a quota.
pub(crate) const QUOTAS: usize = 29;
/// What scopes are hashed with.
pub(crate) const SALT: usize = 30;
/// The longest default dedup window of all who opened the region, in milliseconds.
pub(crate) const LONGEST_WINDOW_MS: usize = 31;
/// Checks of the secrets, by the short id of their keys.
pub(crate) const KEY_CHECKS: usize = 32;
/// Two words that tell one boot of the machine from another.
pub(crate) const BOOT: usize = 48;
/// Milliseconds of wall time at [`ORIGIN_MS`].
pub(crate) const WALL_MS: usize = 50;
/// A time that the region has certainly come to.
pub(crate) const LAST_MS: usize = 51;
/// The highest entry of the registry that was ever used.
pub(crate) const PROCESSES_USED: usize = 52;
/// How many entries of dead processes have been cleared.
pub(crate) const DEATHS: usize = 53;
/// What dead processes may have left charged to scopes, and how often that was added to.
pub(crate) const DEBTS: usize = 54;
/// The next chunk to recycle.
pub(crate) const CHUNK_CURSOR: usize = 56;
/// One more than the chunk that takes what is carried on; zero: there is none.
pub(crate) const CARRY_CHUNK: usize = 64;
/// The next set to sweep.
pub(crate) const SWEEP_CURSOR: usize = 72;
/// How often something changed about the records that are retried.
pub(crate) const RETRY_CHANGES: usize = 80;
/// How many of them there are, at most.
pub(crate) const RETRYING: usize = 81;
/// How many dead letters there are, at most.
pub(crate) const DEAD_LETTERS: usize = 82;
/// Not zero: some process has settings for an operation.
pub(crate) const OPERATIONS: usize = 83;
/// Two words that tell one table from another; zero until somebody asks.
pub(crate) const TABLE_ID: usize = 84;
/// How many words the header takes.
pub(crate) const WORDS: usize = 88;

/// The options that all who share a region have in common, each with the name of its setting.
pub(crate) const SHARED_OPTIONS: [&str; 14] = [
    "capacity",
    "outcome_limit",
    "on_full",
    "fingerprint_mode",
    "default_quota",
    "default_quota",
    "default_quota",
    "unauthenticated_quota",
    "unauthenticated_quota",
    "unauthenticated_quota",
    "max_scopes",
    "context_limit",
    "steps_limit",
    "max_dead_letters",
];

/// What a region is: its sizes, and the options that all who share it have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) geometry: Geometry,
    pub(crate) options: [u64; SHARED_OPTIONS.len()],
}

impl Identity {
    /// The words of lines 0 to 2.
    pub(crate) fn words(&self) -> [u64; EPOCH] {
        let geometry = &self.geometry;
        let mut words = [0; EPOCH];
        words[MAGIC] = MAGIC_WORD;
        words[FORMAT] = FORMAT_WORD;
        let sizes = [
            geometry.sets(),
            geometry.inline_words(),
            geometry.scopes(),
            geometry.chunks(),
            geometry.chunk_words(),
            geometry.processes(),
        ];
        for (word, size) in words[SETS..].iter_mut().zip(sizes) {
            *word = size as u64;
        }
        words[RETRIES] = geometry.retries() as u64;
        words[OPTIONS..OPTIONS + self.options.len()].copy_from_slice(&self.options);
        words[CHECKSUM] = checksum(&words);
        words
    }

    /// Reads lines 0 to 2 of a file of `bytes` bytes.
    pub(crate) fn read(words: &[u64; EPOCH], bytes: u64) -> Result<Self, Error> {
        let no_region = |found: &str| Err(invalid(found, "a region that this version made"));
        match words[MAGIC] {
            MAGIC_WORD => {}
            other if other == MAGIC_WORD.swap_bytes() => {
                return no_region("a region of a machine with the other byte order");
            }
            0 => return no_region("an empty file"),
            _ => return no_region("another kind of file"),
        }
        if words[FORMAT] != FORMAT_WORD {
            return no_region("a region of another version of the engine");
        }
        if words[CHECKSUM] != checksum(words) {
            return no_region("a damaged header");
        }
        let size = |word: usize| usize::try_from(words[word]).unwrap_or(usize::MAX);
        let geometry = Geometry::new(
            size(SETS),
            size(INLINE_WORDS),
            size(SCOPES),
            size(CHUNKS),
            size(CHUNK_WORDS),
            size(PROCESSES),
            size(RETRIES),
        );
        let Some(geometry) = geometry.filter(Geometry::is_usable) else {
            return no_region("sizes out of their range");
        };
        if bytes != geometry.file_bytes() {
            return no_region("a file that is shorter or longer than its header says");
        }
        let mut options = [0; SHARED_OPTIONS.len()];
        options.copy_from_slice(&words[OPTIONS..OPTIONS + SHARED_OPTIONS.len()]);
        Ok(Self { geometry, options })
    }

    /// What the first of [`SHARED_OPTIONS`] of this name is set to.
    pub(crate) fn option(&self, name: &str) -> u64 {
        let at = SHARED_OPTIONS.iter().position(|option| *option == name);
        at.map_or(0, |at| self.options[at])
    }

    /// The first setting in which `wanted` differs from this region.
    pub(crate) fn same_as(&self, wanted: &Self) -> Result<(), Error> {
        let options = SHARED_OPTIONS.into_iter().zip(self.options.into_iter().zip(wanted.options));
        let (mine, theirs) = (&self.geometry, &wanted.geometry);
        let bytes = |geometry: &Geometry| (geometry.chunks() * geometry.chunk_words() * 8) as u64;
        let inline = |geometry: &Geometry| (geometry.inline_words() * 8) as u64;
        let size = |of: fn(&Geometry) -> usize| (of(mine) as u64, of(theirs) as u64);
        let sizes = [
            ("inline_outcome", (inline(mine), inline(theirs))),
            ("max_processes", size(Geometry::processes)),
            ("max_scopes", size(Geometry::scopes)),
            ("max_retrying", size(Geometry::retries)),
            ("outcome_bytes", (bytes(mine), bytes(theirs))),
            ("outcome_bytes", size(Geometry::chunks)),
            ("capacity", size(Geometry::sets)),
        ];
        let mut all = options.chain(sizes).enumerate();
        let differs = |(_, (_, (found, wanted))): &(_, (_, (u64, u64)))| {
            found != wanted && !Bug::OptionsUnchecked.is_planted()
        };
        let Some((at, (field, (found, wanted)))) = all.find(differs) else {
            return Ok(());
        };
        let found = format!("{} in the region", in_words(at, field, found));
        let wanted = in_words(at, field, wanted);
        let limit = format!("the same for all who share it; this process asks for {wanted}");
        Err(Error::new(ErrorCode::RegionMismatch, field, found, limit))
    }
}

/// The value of setting `at`, `field`, as its user knows it.
fn in_words(at: usize, field: &str, value: u64) -> String {
    const FIRST_QUOTA: usize = 4;
    match field {
        "outcome_limit" | "outcome_bytes" | "inline_outcome" | "context_limit" | "steps_limit" => {
            format!("{value} bytes")
        }
        "on_full" => if value == 0 { "Reject" } else { "EvictLru" }.to_owned(),
        "fingerprint_mode" => if value == 0 { "FastTrusted" } else { "Keyed" }.to_owned(),
        "default_quota" | "unauthenticated_quota" => match (at - FIRST_QUOTA) % 3 {
            0 if value == u64::MAX => "no limit of live records".to_owned(),
            0 => format!("{value} live records"),
            1 if value == 0 => "no rate".to_owned(),
            1 => format!("a rate of one in {value} ns"),
            _ => format!("a burst of {value} ns"),
        },
        _ => value.to_string(),
    }
}

/// Whether a file that begins with `words` was meant to be a region of this kind of machine.
pub(crate) fn is_ours(words: &[u64; EPOCH]) -> bool {
    words[MAGIC] == MAGIC_WORD
}

/// Whether they are of a region that another version of the engine made.
pub(crate) fn is_of_another_version(words: &[u64; EPOCH]) -> bool {
    is_ours(words) && words[FORMAT] != FORMAT_WORD
}

/// The version of the layout that `words` say they have.
pub(crate) fn format_of(words: &[u64; EPOCH]) -> u32 {
    (words[FORMAT] >> 32) as u32
}

pub(crate) fn invalid(found: &str, limit: &'static str) -> Error {
    Error::new(ErrorCode::RegionInvalid, "region", found.to_owned(), limit)
}

/// A checksum against accidents, not against attacks: whoever writes the file can make it.
fn checksum(words: &[u64; EPOCH]) -> u64 {
    let mut bytes = [0; CHECKSUM * size_of::<u64>()];
    for (to, word) in bytes.chunks_exact_mut(size_of::<u64>()).zip(words) {
        to.copy_from_slice(&word.to_le_bytes());
    }
    xxhash_rust::xxh3::xxh3_64(&bytes)
}

/// The first eight bytes of a region's file are the engine's name.
const MAGIC_WORD: u64 = u64::from_ne_bytes(*b"oncegate");
/// Version of the layout, and what the layout follows from at compile time.
const FORMAT_WORD: u64 = 2 << 32 | (MAX_PROCESSES as u64) << 8 | WAYS as u64;
