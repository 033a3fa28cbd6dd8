//! Key ring: the secrets in force, and the state of a rotation.
//!
//! One word of the region says which secret is current, which one is being retired, and in which
//! generation. The hashers themselves are private to the process and are never replaced, only
//! added, so a call reads them without a lock.

use std::sync::OnceLock;

use crate::error::{Error, ErrorCode};
use crate::fingerprint::{FingerprintMode, KeyedHasher, Secret};
use crate::region::{Region, header};
use crate::sync::Ordering;

/// The hashers of one engine.
pub(crate) struct KeyRing {
    hashers: Box<[OnceLock<Box<KeyedHasher>>]>,
    mode: FingerprintMode,
}

/// Which secrets are in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeyState {
    pub(crate) generation: u32,
    pub(crate) current: u8,
    pub(crate) retiring: Option<u8>,
}

impl KeyState {
    #[inline(always)]
    pub(crate) fn unpack(word: u64) -> Self {
        let retiring = (word >> 16 & 1 == 1).then_some((word >> 8) as u8);
        Self { generation: (word >> 32) as u32, current: word as u8, retiring }
    }

    pub(crate) fn pack(self) -> u64 {
        u64::from(self.generation) << 32
            | u64::from(self.retiring.is_some()) << 16
            | u64::from(self.retiring.unwrap_or(0)) << 8
            | u64::from(self.current)
    }

    /// The state in which `key` is current and this state's key is being retired.
    pub(crate) fn rotated_to(self, key: u8) -> Self {
        let generation = self.generation + 1;
        Self { generation, current: key, retiring: Some(self.current) }
    }

    /// The state in which only the current key is in force.
    pub(crate) fn retired(self) -> Self {
        Self { generation: self.generation + 1, retiring: None, ..self }
    }
}

impl KeyRing {
    pub(crate) fn new(secret: &Secret, mode: FingerprintMode) -> Self {
        let ring = Self { hashers: (0..KEYS).map(|_| OnceLock::new()).collect(), mode };
        ring.hashers[0].get_or_init(|| Box::new(KeyedHasher::new(secret, mode)));
        ring
    }

    /// Adds `secret` and gives the id of its key, which nothing uses yet.
    pub(crate) fn add(&self, secret: &Secret, after: KeyState) -> Result<u8, Error> {
        let exhausted = || Error::new(ErrorCode::Exhausted, "secret", "256 rotations", "255");
        let id = after.current.checked_add(1).ok_or_else(exhausted)?;
        let hasher = Box::new(KeyedHasher::new(secret, self.mode));
        if let Some(known) = self.hashers[usize::from(id)].get() {
            // A rotation that failed half way left it; only the same secret may go on.
            if known.key_check() != hasher.key_check() {
                return Err(Error::of(ErrorCode::RotationPending, "secret"));
            }
        }
        let _ = self.hashers[usize::from(id)].set(hasher);
        Ok(id)
    }

    /// The hasher of key `id`, which a state read from this ring's region named.
    #[inline]
    pub(crate) fn hasher(&self, id: u8) -> &KeyedHasher {
        let known = self.hashers[usize::from(id)].get();
        known.or_else(|| self.hashers[0].get()).expect("the ring starts with key 0")
    }

    /// The hasher that made a record with this short key id, if it still is in force.
    pub(crate) fn hasher_of_record(&self, state: KeyState, key_id: u8) -> Option<&KeyedHasher> {
        let named = [Some(state.current), state.retiring].into_iter().flatten();
        named.into_iter().find(|id| short(*id) == key_id).map(|id| self.hasher(id))
    }
}

/// The part of a key id that a record stores. Two keys in force differ in it.
pub(crate) fn short(id: u8) -> u8 {
    id % GIVEN
}

#[inline(always)]
pub(crate) fn load(region: &Region) -> KeyState {
    // Acquire: pairs with the Release of `store`; the hasher and the fence floor come first.
    KeyState::unpack(region.header(header::KEYS).load(Ordering::Acquire))
}

pub(crate) fn store(region: &Region, state: KeyState) {
    // Release: publishes the hasher that was added, and the raised fence floor, to `load`.
    region.header(header::KEYS).store(state.pack(), Ordering::Release);
}

/// What a record stores whose digests the caller made, under no key of the engine.
pub(crate) const GIVEN: u8 = 15;
/// How many secrets an engine may see in its life.
const KEYS: usize = 256;
