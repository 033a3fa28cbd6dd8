//! Dead letters, as the log of a fleet has them.

use std::time::Duration;

use super::{TableId, TierKey};
use crate::engine::{Buried, LetterId};

/// A dead letter of one host, as the log of the fleet has it.
///
/// It has nothing of the request: no operation, no scope, no class of an error, all of which are
/// the caller's text. The host that buried it has those; `table` and `id` say where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Letter {
    /// The record.
    pub key: TierKey,
    /// The table that buried it.
    pub table: TableId,
    /// The fencing token of its last attempt.
    pub fence: u64,
    /// How many attempts there were in the fleet, as far as that table knows.
    pub attempts: u32,
    /// Why it is in the log.
    pub reason: LetterReason,
    /// The name of the letter in that table. `None`: it has none, or had no room for it.
    pub id: Option<LetterId>,
    /// How long ago that was when the log is told; it keeps milliseconds.
    pub age: Duration,
}

/// Why a record is in the log of dead letters.
///
/// ```
/// use oncegate::{Buried, tier::LetterReason};
/// assert_eq!(LetterReason::Buried(Buried::Attempts).name(), "attempts");
/// assert_eq!(LetterReason::Conflict.name(), "conflict");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LetterReason {
    /// It failed for good, and is not tried again.
    Buried(Buried),
    /// It ran there while the tier could not be reached, and elsewhere too, as a
    /// [`TierConflict`](super::TierConflict) says.
    Conflict,
}

impl Letter {
    /// How many bytes [`identity`](Self::identity) has.
    pub const IDENTITY_BYTES: usize = TierKey::BYTES + 25;

    /// What makes two letters the same: the record, the table, the token, and whether it is a
    /// conflict.
    ///
    /// ```
    /// use std::time::Duration;
    /// use oncegate::tier::{Letter, LetterReason, TableId, TierKey};
    ///
    /// let key = TierKey::from_bytes([7; TierKey::BYTES]);
    /// let (table, reason, age) = (TableId(1), LetterReason::Conflict, Duration::ZERO);
    /// let letter = Letter { key, table, fence: 1, attempts: 3, reason, id: None, age };
    /// let later = Letter { age: Duration::from_secs(1), ..letter };
    /// assert_eq!(later.identity(), letter.identity());
    /// assert_ne!(Letter { fence: 2, ..letter }.identity(), letter.identity());
    /// ```
    #[must_use]
    pub fn identity(&self) -> [u8; Self::IDENTITY_BYTES] {
        let mut bytes = [0; Self::IDENTITY_BYTES];
        let (key, rest) = bytes.split_at_mut(TierKey::BYTES);
        key.copy_from_slice(&self.key.to_bytes());
        let (table, rest) = rest.split_at_mut(size_of::<u128>());
        table.copy_from_slice(&self.table.0.to_be_bytes());
        let (fence, kind) = rest.split_at_mut(size_of::<u64>());
        fence.copy_from_slice(&self.fence.to_be_bytes());
        kind[0] = u8::from(self.reason == LetterReason::Conflict);
        bytes
    }
}

impl LetterReason {
    /// One word for it.
    ///
    /// ```
    /// assert_eq!(oncegate::tier::LetterReason::Conflict.name(), "conflict");
    /// ```
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Buried(reason) => reason.name(),
            Self::Conflict => "conflict",
        }
    }
}
