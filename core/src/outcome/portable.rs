//! Outcomes as bytes that leave the process.

use super::{Outcome, split_entry};

impl Outcome {
    /// Writes all of it behind `out`.
    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        out.reserve(self.put_len());
        out.extend_from_slice(&self.status.to_le_bytes());
        out.extend_from_slice(&self.metadata_len.to_le_bytes());
        out.extend_from_slice(&self.bytes);
    }

    /// How many bytes that takes.
    pub(crate) fn put_len(&self) -> usize {
        HEAD + self.bytes.len()
    }

    /// What [`put`](Self::put) wrote; nothing, if these bytes were written by nothing of ours.
    pub(crate) fn take(bytes: &[u8]) -> Option<Self> {
        let (status, rest) = bytes.split_first_chunk::<2>()?;
        let (metadata_len, rest) = rest.split_first_chunk::<2>()?;
        let (status, metadata_len) =
            (u16::from_le_bytes(*status), u16::from_le_bytes(*metadata_len));
        let mut entries = rest.get(..usize::from(metadata_len))?;
        while !entries.is_empty() {
            (_, entries) = split_entry(entries)?;
        }
        Some(Self { status, metadata_len, withheld: false, bytes: rest.to_vec() })
    }
}

/// The status, and how much is metadata.
const HEAD: usize = 4;
