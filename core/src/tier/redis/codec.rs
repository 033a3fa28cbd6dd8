//! What an outcome, or the context of an attempt, looks like in the store.
//!
//! One byte says what follows: plain, or compressed with its length before, or one of both sealed.
//! Sealed is XChaCha20-Poly1305: a random nonce of 24 bytes, which is long enough to be drawn for
//! each value for ever, then the ciphertext and its tag. The record's key is authenticated with it,
//! so that a value that was moved to another record does not open.

use std::fmt;

use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{Key, KeyInit, XChaCha20Poly1305, XNonce};

use crate::outcome::Outcome;
use crate::tier::TierKey;

/// How values are written, and what is read.
pub(super) struct Codec {
    /// The largest value that is stored, as it is stored.
    pub(super) limit: usize,
    /// From how many bytes on it is compressed.
    pub(super) compress_from: Option<usize>,
    key: Option<XChaCha20Poly1305>,
    retiring: Option<XChaCha20Poly1305>,
}

impl Codec {
    pub(super) fn new(
        limit: usize,
        compress_from: Option<usize>,
        key: Option<&[u8; 32]>,
        retiring: Option<&[u8; 32]>,
    ) -> Self {
        let cipher = |key: &[u8; 32]| XChaCha20Poly1305::new(&Key::from(*key));
        Self { limit, compress_from, key: key.map(cipher), retiring: retiring.map(cipher) }
    }

    /// Whether what is written is secret.
    pub(super) fn seals(&self) -> bool {
        self.key.is_some()
    }

    /// The bytes of an outcome. Nothing: it is withheld, or too large.
    pub(super) fn outcome(&self, key: TierKey, outcome: &Outcome) -> Option<Vec<u8>> {
        if outcome.is_withheld() || outcome.put_len() > MOST_UNPACKED {
            return None;
        }
        let mut plain = Vec::with_capacity(1 + outcome.put_len());
        plain.push(PLAIN);
        outcome.put(&mut plain);
        self.write(key, OUTCOME, plain)
    }

    /// What duplicates get. Nothing: it is not there, or cannot be read by who has these keys.
    pub(super) fn read_outcome(&self, key: TierKey, stored: &[u8]) -> Option<Outcome> {
        Outcome::take(&self.read(key, OUTCOME, stored)?)
    }

    /// The bytes of an attempt's context, which is the request's content: nothing, if it cannot be
    /// sealed, or is too large.
    pub(super) fn context(&self, key: TierKey, context: &[u8]) -> Option<Vec<u8>> {
        if !self.seals() || context.is_empty() || context.len() > MOST_UNPACKED {
            return None;
        }
        let mut plain = Vec::with_capacity(1 + context.len());
        plain.push(PLAIN);
        plain.extend_from_slice(context);
        self.write(key, CONTEXT, plain)
    }

    pub(super) fn read_context(&self, key: TierKey, stored: &[u8]) -> Option<Vec<u8>> {
        // A context that is not sealed was written by nobody of ours.
        if stored.first()? & SEALED == 0 {
            return None;
        }
        self.read(key, CONTEXT, stored)
    }

    /// `plain` begins with its mark.
    fn write(&self, key: TierKey, what: u8, plain: Vec<u8>) -> Option<Vec<u8>> {
        let packed = self.compress(plain);
        let stored = match &self.key {
            None => packed,
            Some(cipher) => seal(cipher, key, what, &packed)?,
        };
        (stored.len() <= self.limit).then_some(stored)
    }

    fn compress(&self, plain: Vec<u8>) -> Vec<u8> {
        let bytes = plain.get(1..).unwrap_or_default();
        let (Some(from), Ok(len)) = (self.compress_from, u32::try_from(bytes.len())) else {
            return plain;
        };
        if bytes.len() < from {
            return plain;
        }
        let mut packed = vec![COMPRESSED];
        packed.extend_from_slice(&len.to_le_bytes());
        packed.extend_from_slice(&lz4_flex::block::compress(bytes));
        if packed.len() < plain.len() { packed } else { plain }
    }

    fn read(&self, key: TierKey, what: u8, stored: &[u8]) -> Option<Vec<u8>> {
        let (&mark, rest) = stored.split_first()?;
        let opened;
        let bytes = if mark & SEALED == 0 {
            rest
        } else {
            let ciphers = self.key.iter().chain(&self.retiring);
            opened = ciphers.into_iter().find_map(|cipher| open(cipher, key, what, mark, rest))?;
            &opened
        };
        match mark & !SEALED {
            PLAIN => Some(bytes.to_vec()),
            COMPRESSED => {
                let (len, packed) = bytes.split_first_chunk::<4>()?;
                let len = usize::try_from(u32::from_le_bytes(*len)).ok()?;
                // A block of LZ4 grows at most 255 times: more is said by nothing of ours.
                if len > MOST_UNPACKED || len > packed.len().saturating_mul(255) {
                    return None;
                }
                let unpacked = lz4_flex::block::decompress(packed, len).ok()?;
                (unpacked.len() == len).then_some(unpacked)
            }
            _ => None,
        }
    }
}

impl fmt::Debug for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Codec")
            .field("limit", &self.limit)
            .field("compress_from", &self.compress_from)
            .field("sealed", &self.seals())
            .finish_non_exhaustive()
    }
}

fn seal(cipher: &XChaCha20Poly1305, key: TierKey, what: u8, packed: &[u8]) -> Option<Vec<u8>> {
    let (&mark, bytes) = packed.split_first()?;
    let mark = mark | SEALED;
    let mut nonce = [0; NONCE];
    getrandom::fill(&mut nonce).ok()?;
    let aad = associated(key, what, mark);
    let secret = cipher.encrypt(&XNonce::from(nonce), Payload { msg: bytes, aad: &aad }).ok()?;
    let mut stored = Vec::with_capacity(1 + NONCE + secret.len());
    stored.push(mark);
    stored.extend_from_slice(&nonce);
    stored.extend_from_slice(&secret);
    Some(stored)
}

fn open(
    cipher: &XChaCha20Poly1305,
    key: TierKey,
    what: u8,
    mark: u8,
    rest: &[u8],
) -> Option<Vec<u8>> {
    let (nonce, secret) = rest.split_first_chunk::<NONCE>()?;
    let aad = associated(key, what, mark);
    cipher.decrypt(&XNonce::from(*nonce), Payload { msg: secret, aad: &aad }).ok()
}

fn associated(key: TierKey, what: u8, mark: u8) -> [u8; TierKey::BYTES + 2] {
    let mut bytes = [0; TierKey::BYTES + 2];
    bytes[..TierKey::BYTES].copy_from_slice(&key.to_bytes());
    bytes[TierKey::BYTES..].copy_from_slice(&[what, mark]);
    bytes
}

const NONCE: usize = 24;
/// What the first byte says.
const PLAIN: u8 = 1;
const COMPRESSED: u8 = 2;
const SEALED: u8 = 0x80;
/// What a value is for: one is never read as the other.
const OUTCOME: u8 = b'o';
const CONTEXT: u8 = b'c';
/// No value is larger before it is compressed.
const MOST_UNPACKED: usize = 64 << 20;

#[cfg(test)]
mod tests;
