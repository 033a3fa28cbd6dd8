//! Key ring: the secrets in force, and the state of a rotation.
//!
//! One word of the region says which secret is current, which one is being retired, and in which
//! generation, and others tell the secrets themselves apart by a check. The hashers are private to
//! the process and are never replaced, only added, so a call reads them without a lock.

use super::Engine;
use crate::error::{Error, ErrorCode};
use crate::fingerprint::{FingerprintMode, KeyedHasher, Secret};
use crate::fork::Once;
use crate::region::{Region, header};
use crate::sync::Ordering;
use crate::sync::planted::Bug;

/// The hashers of one engine.
pub(crate) struct KeyRing {
    /// In the order in which they came, whichever ids they have.
    hashers: Box<[Once<KeyedHasher>]>,
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
        let generation = self.generation.wrapping_add(1);
        Self { generation, current: key, retiring: Some(self.current) }
    }

    /// The state in which only the current key is in force.
    pub(crate) fn retired(self) -> Self {
        Self { generation: self.generation.wrapping_add(1), retiring: None, ..self }
    }
}

impl Engine {
    /// The hasher of key `id`, which the region's state named.
    #[inline]
    pub(super) fn hasher(&self, id: u8) -> Result<&KeyedHasher, Error> {
        match self.keys.known(&self.region, id) {
            Some(hasher) => Ok(hasher),
            None => self.learn_key(id),
        }
    }

    /// Another process has rotated the secret since this one looked last.
    #[cold]
    fn learn_key(&self, id: u8) -> Result<&KeyedHasher, Error> {
        #[cfg(all(target_os = "linux", not(any(oncegate_loom, oncegate_shuttle))))]
        if let Some(file) = &self.key_file
            && let Some(secrets) = crate::region::keyfile::read(&file.path, &file.access)?
        {
            self.keys.learn(&self.region, id, secrets.iter().map(|(_, secret)| secret));
        }
        self.keys.known(&self.region, id).ok_or_else(unknown_secret)
    }

    /// Keeps `secrets` in the key file, if there is one.
    pub(super) fn keep_secrets(
        &self,
        change: impl FnOnce(&mut Vec<(u8, Secret)>),
    ) -> Result<(), Error> {
        #[cfg(all(target_os = "linux", not(any(oncegate_loom, oncegate_shuttle))))]
        if let Some(file) = &self.key_file {
            use crate::region::keyfile;
            let mut secrets = keyfile::read(&file.path, &file.access)?.unwrap_or_default();
            change(&mut secrets);
            return keyfile::replace(&file.path, &file.access, &secrets);
        }
        let _ = (change, &self.key_file);
        Ok(())
    }
}

impl KeyRing {
    /// A ring without keys.
    pub(crate) fn new(mode: FingerprintMode) -> Self {
        Self { hashers: (0..KEYS).map(|_| Once::new()).collect(), mode }
    }

    /// Adds `secret`, for the key that comes after those of `after`. Nothing uses it until the
    /// region names it.
    pub(crate) fn add(&self, secret: &Secret, after: KeyState) -> Result<NewKey, Error> {
        let exhausted = || Error::new(ErrorCode::Exhausted, "secret", "256 rotations", "255");
        let id = after.current.checked_add(1).ok_or_else(exhausted)?;
        let hasher = self.put(secret).ok_or_else(exhausted)?;
        Ok(NewKey { id, check: hasher.key_check() })
    }

    /// Knows that key `id` is one of `secrets`, if the region's check says that it is.
    pub(crate) fn learn<'s>(
        &self,
        region: &Region,
        id: u8,
        secrets: impl IntoIterator<Item = &'s Secret>,
    ) -> bool {
        let check = check_of(region, id);
        let is_this = |secret: &&Secret| {
            Bug::SecretUnchecked.is_planted() || KeyedHasher::check_of(secret) == check
        };
        secrets.into_iter().find(is_this).is_some_and(|secret| self.put(secret).is_some())
    }

    fn put(&self, secret: &Secret) -> Option<&KeyedHasher> {
        let check = KeyedHasher::check_of(secret);
        let here = |cell: &'_ Once<KeyedHasher>| -> bool {
            cell.get_or_set(|| KeyedHasher::new(secret, self.mode)).key_check() == check
        };
        let cell = self.hashers.iter().find(|cell| here(cell))?;
        cell.get()
    }

    /// The hasher of key `id`, if this process knows its secret: the region tells by a check which
    /// one that is, since another process may have rotated to another one.
    #[inline]
    pub(crate) fn known(&self, region: &Region, id: u8) -> Option<&KeyedHasher> {
        let check = check_of(region, id);
        let own = self.hashers.iter().map_while(Once::get);
        own.into_iter()
            .find(|hasher| hasher.key_check() == check || Bug::SecretUnchecked.is_planted())
    }

    /// The hasher that made a record with this short key id, if it still is in force.
    pub(crate) fn hasher_of_record(
        &self,
        region: &Region,
        state: KeyState,
        key_id: u8,
    ) -> Option<&KeyedHasher> {
        let named = [Some(state.current), state.retiring].into_iter().flatten();
        named.into_iter().find(|id| short(*id) == key_id).and_then(|id| self.known(region, id))
    }
}

fn check_of(region: &Region, id: u8) -> u64 {
    // Acquire: pairs with the Release of `store_check`.
    region.header(check_word(id)).load(Ordering::Acquire)
}

/// A key that was added to the ring, and the check that tells other processes of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NewKey {
    pub(crate) id: u8,
    pub(crate) check: u64,
}

#[cold]
fn unknown_secret() -> Error {
    Error::new(
        ErrorCode::WrongSecret,
        "secret",
        "a secret that this process was not given",
        "the secret of the region; after a rotation, the new one",
    )
}

/// Where the check of key `id` lies. Two keys in force differ in it.
pub(crate) fn check_word(id: u8) -> usize {
    header::KEY_CHECKS + usize::from(short(id))
}

/// Tells other processes by what they know the secret of key `id`.
pub(crate) fn store_check(region: &Region, id: u8, check: u64) {
    // Release: pairs with the Acquire of `check_of`.
    region.header(check_word(id)).store(check, Ordering::Release);
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
