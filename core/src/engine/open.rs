//! Open: a new region, or a part in one that is there; and the part that a forked child gets.

use std::path::PathBuf;
use std::sync::Arc;

use super::keys::{self, KeyRing, KeyState};
use super::life::Life;
use super::listen::Listener;
use super::quota::Quotas;
use super::{Defaults, Engine, Fleet, Quota, Retries, millis_up};
use crate::clock::TimeSource;
use crate::config::EngineBuilder;
use crate::error::{Error, ErrorCode};
use crate::fingerprint::{KeyedHasher, Secret};
use crate::fork::{self, ForkGuard, PerProcess};
use crate::observe::{Counters, Histogram};
use crate::outcome::{self, OutcomeStore};
use crate::reach::{FileAccess, Reach};
use crate::region::registry::Joined;
use crate::region::{Identity, Region, header};
use crate::sync::Mutex;
use crate::sync::Ordering;
use crate::sync::plain::AtomicU64;
use crate::sync::planted::Bug;
use crate::table::Table;
use crate::table::slot::Deadline;
use crate::tier::{Tier, TierOptions};
use crate::wait::WaitQueue;

/// Where the secrets of a region are kept that nobody gave.
#[derive(Clone, Debug)]
pub(super) struct KeyFile {
    pub(super) path: PathBuf,
    pub(super) access: FileAccess,
}

/// A region of which this process is to have a part.
struct Part {
    region: Region,
    /// Secrets that may be those of the region.
    secrets: Vec<Secret>,
    key_file: Option<KeyFile>,
}

impl Engine {
    pub(crate) fn open(config: EngineBuilder, identity: Identity) -> Result<Self, Error> {
        let part = match &config.reach {
            Reach::Process => private(&config, &identity)?,
            #[cfg(all(target_os = "linux", not(any(oncegate_loom, oncegate_shuttle))))]
            Reach::HostInherited => shared::inherited(&config, &identity)?,
            #[cfg(all(target_os = "linux", not(any(oncegate_loom, oncegate_shuttle))))]
            Reach::Host(path) => shared::at(&config, &identity, path)?,
            #[cfg(not(all(target_os = "linux", not(any(oncegate_loom, oncegate_shuttle)))))]
            Reach::HostInherited | Reach::Host(_) => {
                return Err(Error::of(ErrorCode::Unsupported, "reach"));
            }
        };
        let is_named = matches!(config.reach, Reach::Host(_));
        let (engine, _) = Self::with(config, part)?;
        if is_named && engine.region.is_unlinked() {
            // Somebody removed it after it was found and before this process had its entry: whoever
            // comes next makes another one, and this process would be alone with what it has.
            let found = "a table that was removed meanwhile";
            return Err(Error::new(ErrorCode::RegionInUse, "reach", found, "open it again"));
        }
        Ok(engine)
    }

    /// An engine on the region at `path` that knows no secret, so that it can begin nothing, but
    /// can sweep and bury. The second says whether its entry was another process's before.
    #[cfg(all(target_os = "linux", not(any(oncegate_loom, oncegate_shuttle))))]
    pub(crate) fn caretaker(
        path: &std::path::Path,
        access: &FileAccess,
    ) -> Result<(Self, bool), Error> {
        let (config, region) = shared::known(path, access)?;
        let keys = KeyRing::new(config.mode);
        let (engine, joined) = Self::with_keys(config, region, keys, None)?;
        // What is retried is retried by the policies of those who use the table.
        engine.retries.leave_lapses();
        Ok((engine, joined.used))
    }

    /// A second engine on the region of `other`, as another process of a model.
    #[cfg(any(oncegate_loom, oncegate_shuttle))]
    pub(crate) fn beside(config: EngineBuilder, other: &Self, index: u8) -> Result<Self, Error> {
        let secrets = config.secret.clone().into_iter().collect();
        let region = other.region.beside(index);
        let part = Part { region, secrets, key_file: None };
        Self::with(config, part).map(|(engine, _)| engine)
    }

    /// The process of this engine dies, in a model: whatever it was doing, it does no more.
    #[cfg(any(oncegate_loom, oncegate_shuttle))]
    #[doc(hidden)]
    pub fn die(&self) {
        self.region.die();
    }

    fn with(config: EngineBuilder, part: Part) -> Result<(Self, Joined), Error> {
        let Part { region, secrets, key_file } = part;
        let keys = known_keys(&config, &region, &secrets);
        #[cfg(all(target_os = "linux", not(any(oncegate_loom, oncegate_shuttle))))]
        let keys = match (keys, &key_file) {
            (Err(error), Some(file)) if error.code() == ErrorCode::WrongSecret => {
                shared::known_keys_again(&config, &region, file)
            }
            (keys, _) => keys,
        };
        let keys = keys?;
        // Relaxed: it only grows (see `longest_window_ms`).
        let longest = region.header(header::LONGEST_WINDOW_MS);
        longest.fetch_max(millis_up(config.window), Ordering::Relaxed);
        Self::with_keys(config, region, keys, key_file)
    }

    fn with_keys(
        mut config: EngineBuilder,
        region: Region,
        keys: KeyRing,
        key_file: Option<KeyFile>,
    ) -> Result<(Self, Joined), Error> {
        // From here on forks are noticed, and wait where a child must inherit nothing half done.
        let fork = ForkGuard::new()?;
        let joined = region.join(config.time.wall_ms())?;
        let region = Arc::new(region);
        let counters = Arc::new(Counters::new());
        let waiters = Arc::new(WaitQueue::new(config.max_waiters, Arc::clone(&region)));
        let (origin_ms, first_ms) = began(&region, &config.time);
        // Relaxed, all: whoever made the region has published them with it.
        let word = |word| region.header(word).load(Ordering::Relaxed);
        let salt = word(header::SALT);
        let epoch = word(header::EPOCH).min(header::MAX_EPOCH);
        let retries = Retries::new(&config, region.geometry().retries())?;
        let (fleet, given) = (config.tier.take(), config.secret.is_some());
        let mut engine = Self {
            table: Table::new(Arc::clone(&region), Arc::clone(&counters), Arc::clone(&waiters)),
            store: OutcomeStore::new(Arc::clone(&region), Arc::clone(&counters)),
            scopes: scope_hasher(salt)?,
            keys,
            key_rules: config.key_rules,
            quotas: Quotas::new(
                config.default_quota,
                unauthenticated_quota(config.unauthenticated_quota, config.capacity),
            ),
            defaults: Defaults {
                lease_ms: millis_up(config.lease),
                window_ms: millis_up(config.window),
                on_conflict: config.on_conflict,
                on_lapse: config.on_lapse,
                on_drop: config.on_drop,
                on_full: config.on_full,
                policy: config.policy,
            },
            life: Life::new(config.time, origin_ms, first_ms),
            epoch,
            capacity: config.capacity,
            outcome_limit: config.outcome_limit,
            fill: config.fill,
            on_event: config.on_event,
            begin_latency: Histogram::new(),
            complete_latency: Histogram::new(),
            dispatch_lag: Histogram::new(),
            rotation: PerProcess::new(Mutex::new(())),
            listener: PerProcess::new(Listener::default()),
            retries,
            key_file,
            patient: super::stop::Patient::new(),
            fleet: None,
            looked_ms: AtomicU64::new(0),
            buried_ms: AtomicU64::new(0),
            settled_ms: AtomicU64::new(0),
            fork,
            region,
            counters,
            waiters,
        };
        if let Some(tier) = fleet {
            engine.join_fleet(tier, config.tier_options, given)?;
        }
        if engine.quotas.limits_any() {
            engine.note_quotas();
        }
        engine.clear_up_after(joined);
        Ok((engine, joined))
    }

    /// Shares records by `tier`. `given`: whether a secret was.
    fn join_fleet(
        &mut self,
        tier: Arc<dyn Tier>,
        options: TierOptions,
        given: bool,
    ) -> Result<(), Error> {
        options.check()?;
        // Secrets of their own would keep hosts from meeting each other's records.
        if !given || keys::load(&self.region).retiring.is_some() {
            let found = if given { "a rotation under way" } else { "no secret" };
            let limit = "one secret, given to all hosts that share the tier";
            return Err(Error::new(ErrorCode::InvalidConfig, "secret", found, limit));
        }
        let local = (self.table.clone(), self.life.clone());
        let (id, lease_ms) = (self.region.table_id()?, self.defaults.lease_ms);
        self.fleet = Some(Arc::new(Fleet::new(tier, options, local, id, lease_ms)?));
        Ok(())
    }

    /// Sees to it that this process has a part in the table. In a forked child of a shared one, the
    /// first call takes an entry of its own.
    #[inline(always)]
    pub(super) fn enter(&self) -> Result<(), Error> {
        if self.fork.is_own() { Ok(()) } else { self.enter_child() }
    }

    #[cold]
    #[inline(never)]
    fn enter_child(&self) -> Result<(), Error> {
        if !self.region.is_shared() {
            return Err(fork::forked());
        }
        self.fork.adopt(|| {
            self.region.disown_entry();
            if let Some(fleet) = &self.fleet {
                fleet.forked();
            }
            let joined = self.region.join(self.life.time().wall_ms())?;
            self.counters.reset();
            self.store.forget_hints();
            self.clear_up_after(joined);
            Ok(())
        })
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // The parent's entry, and its thread, are not this process's.
        if self.fork.is_holder() {
            if let Some(fleet) = &self.fleet {
                fleet.stop();
            }
            self.stop_listening();
            self.region.leave();
        } else {
            self.region.disown_entry();
        }
    }
}

/// What the time of `region` hangs on: when it began, on this process's clock, and with what.
fn began(region: &Region, time: &TimeSource) -> (i64, u64) {
    // Relaxed, both: whoever made the region has published them with it.
    let word = |word| region.header(word).load(Ordering::Relaxed);
    let origin_ms = word(header::ORIGIN_MS).cast_signed();
    let first_ms = word(header::FIRST_MS).clamp(1, Deadline::MAX_MS);
    (origin_ms.saturating_add(clock_shift_ms(time)), first_ms)
}

/// A region of this process alone.
fn private(config: &EngineBuilder, identity: &Identity) -> Result<Part, Error> {
    let secret = config.secret.clone().map_or_else(Secret::generate, Ok)?;
    let region = Region::private(identity.geometry.clone(), config.prefault)?;
    set_up(&region, config, identity, (0, &secret));
    Ok(Part { region, secrets: vec![secret], key_file: None })
}

/// Fills the header of a region that nobody else has yet.
fn set_up(
    region: &Region,
    config: &EngineBuilder,
    identity: &Identity,
    (key, secret): (u8, &Secret),
) {
    // Relaxed: publishing the region publishes its header.
    let store = |word: usize, value: u64| region.header(word).store(value, Ordering::Relaxed);
    identity.words().into_iter().enumerate().for_each(|(word, value)| store(word, value));
    let check = KeyedHasher::check_of(secret);
    let wall_ms = config.time.wall_ms();
    let now_ms = machine_ms(&config.time);
    for (word, value) in [
        (header::EPOCH, new_epoch(wall_ms)),
        (header::ORIGIN_MS, now_ms),
        (header::FIRST_MS, 1),
        (header::LAST_MS, 1),
        (header::WALL_MS, wall_ms),
        (header::SALT, check),
    ] {
        store(word, value);
    }
    #[cfg(all(target_os = "linux", not(any(oncegate_loom, oncegate_shuttle))))]
    for (i, half) in crate::region::life::boot_id().into_iter().enumerate() {
        store(header::BOOT + i, half);
    }
    keys::store_check(region, key, check);
    keys::store(region, KeyState { generation: 0, current: key, retiring: None });
    outcome::set_aside(region);
}

/// The ring of the keys that are in force, if their secrets are among `secrets`.
fn known_keys(
    config: &EngineBuilder,
    region: &Region,
    secrets: &[Secret],
) -> Result<KeyRing, Error> {
    let ring = KeyRing::new(config.mode);
    let state = keys::load(region);
    if !ring.learn(region, state.current, secrets) {
        let found = "a secret other than the region's";
        let limit = "the secret that it was made with, or rotated to";
        return Err(Error::new(ErrorCode::WrongSecret, "secret", found, limit));
    }
    if let Some(old) = state.retiring
        && !ring.learn(region, old, secrets)
    {
        let found = "no secret for the records of before the rotation that is under way";
        return Err(Error::new(ErrorCode::WrongSecret, "retiring_secret", found, "the old secret"));
    }
    Ok(ring)
}

/// Scopes are hashed with a salt of the region's own: no secret, so that they can be told apart by
/// whoever may read the region.
pub(crate) fn scope_hasher(salt: u64) -> Result<Box<KeyedHasher>, Error> {
    let bytes = [salt, !salt, salt, !salt].map(u64::to_le_bytes);
    let secret = Secret::from_bytes(bytes.as_flattened())?;
    Ok(Box::new(KeyedHasher::new(&secret, crate::FingerprintMode::FastTrusted)))
}

/// The quota of the unauthenticated scope, where none is given: a sixteenth of the capacity.
pub(crate) fn unauthenticated_quota(given: Option<Quota>, capacity: usize) -> Quota {
    given.unwrap_or_else(|| Quota::unlimited().max_live((capacity as u64 / 16).max(1)))
}

/// How far the built-in clocks of this process are shifted; a given clock is taken as it is.
fn clock_shift_ms(time: &TimeSource) -> i64 {
    #[cfg(all(target_os = "linux", not(any(oncegate_loom, oncegate_shuttle))))]
    if !matches!(time, TimeSource::Given(_)) {
        return crate::region::life::clock_shift_ms();
    }
    let _ = time;
    0
}

/// The clock without the shift of a time namespace.
fn machine_ms(time: &TimeSource) -> u64 {
    // By the same clock whichever of the two a process reads: the coarse one is a few milliseconds
    // behind.
    time.exact_ms().saturating_add_signed(clock_shift_ms(time).saturating_neg())
}

#[cfg(all(target_os = "linux", not(any(oncegate_loom, oncegate_shuttle))))]
mod shared {
    //! Regions of several processes.

    use std::path::Path;
    use std::time::Duration;

    use super::*;
    use crate::config::TEN_YEARS;
    use crate::engine::OnFull;
    use crate::fingerprint::FingerprintMode;
    use crate::region::file::Place;
    use crate::region::keyfile;
    use crate::region::shared::Clocks;

    /// A region that forked children share.
    pub(super) fn inherited(config: &EngineBuilder, identity: &Identity) -> Result<Part, Error> {
        let secret = config.secret.clone().map_or_else(Secret::generate, Ok)?;
        let region = Region::inherited(identity, config.prefault, |region| {
            set_up(region, config, identity, (0, &secret));
            Ok(())
        })?;
        Ok(Part { region, secrets: vec![secret], key_file: None })
    }

    /// The region in the file at `path`.
    pub(super) fn at(
        config: &EngineBuilder,
        identity: &Identity,
        path: &Path,
    ) -> Result<Part, Error> {
        let place = Place::new(path, &config.file_access)?;
        let access = &place.access;
        let key_file = KeyFile { path: keyfile::path_of(&place.at), access: *access };
        let mut secrets: Vec<Secret> =
            config.secret.iter().chain(&config.retiring_secret).cloned().collect();
        let key_file = secrets.is_empty().then_some(key_file);
        let (mut newest, mut first) = (0, config.secret.clone());
        let known = Region::existing(&place, Some(identity), config.prefault)?;
        if let Some(file) = &key_file {
            let kept = match &known {
                Some(_) => keyfile::read(&file.path, access)?.ok_or_else(no_key_file)?,
                None => keyfile::read_or_create(&file.path, access)?,
            };
            // Of a rotation that the table has not outlived, the new one.
            newest = kept.iter().map(|(id, _)| *id).max().unwrap_or(0);
            let is_newest = |(id, _): &&(u8, Secret)| *id == newest;
            first = kept.iter().find(is_newest).map(|(_, secret)| secret.clone());
            secrets = kept.into_iter().map(|(_, secret)| secret).collect();
        }
        let region = match known {
            Some(region) => region,
            None => {
                let secret = first.as_ref().ok_or_else(no_key_file)?;
                let set_up = |region: &Region| {
                    set_up(region, config, identity, (newest, secret));
                    Ok(())
                };
                Region::at(&place, identity, config.prefault, set_up)?.0
            }
        };
        region.wake(clocks(config))?;
        Ok(Part { region, secrets, key_file })
    }

    /// The region that is at `path`, and the configuration that its header tells.
    pub(super) fn known(
        path: &Path,
        access: &FileAccess,
    ) -> Result<(EngineBuilder, Region), Error> {
        let (region, identity) = Region::found(path, access)?;
        let mut config = config_of(&identity).file_access(*access).precise_clock();
        // Relaxed: whoever opened the table has written it before.
        let longest_ms = region.header(header::LONGEST_WINDOW_MS).load(Ordering::Relaxed);
        if longest_ms != 0 {
            // Its own default is nobody's.
            config = config.dedup_window(Duration::from_millis(longest_ms).min(TEN_YEARS));
        }
        region.wake(clocks(&config))?;
        Ok((config, region))
    }

    /// What the header of a region tells, and the defaults for what each process chooses by itself.
    fn config_of(identity: &Identity) -> EngineBuilder {
        let number = |name| usize::try_from(identity.option(name)).unwrap_or(usize::MAX);
        let keyed = identity.option("fingerprint_mode") != 0;
        let evicts = identity.option("on_full") != 0;
        Engine::builder()
            .capacity(number("capacity"))
            .outcome_limit(number("outcome_limit"))
            .max_scopes(number("max_scopes"))
            .context_limit(number("context_limit"))
            .steps_limit(number("steps_limit"))
            .max_retrying(identity.geometry.retries())
            .max_dead_letters(number("max_dead_letters"))
            .on_full(if evicts { OnFull::EvictLru } else { OnFull::Reject })
            .fingerprint_mode(if keyed {
                FingerprintMode::Keyed
            } else {
                FingerprintMode::FastTrusted
            })
    }

    /// The same where a rotation may have come between the key file and the region.
    pub(super) fn known_keys_again(
        config: &EngineBuilder,
        region: &Region,
        file: &KeyFile,
    ) -> Result<KeyRing, Error> {
        let again = || {
            let kept = keyfile::read(&file.path, &file.access)?.ok_or_else(no_key_file)?;
            let secrets: Vec<Secret> = kept.into_iter().map(|(_, secret)| secret).collect();
            known_keys(config, region, &secrets)
        };
        // Rotations follow each other by more than the time of a read.
        again().or_else(|_| again())
    }

    fn clocks(config: &EngineBuilder) -> Clocks {
        let wall_ms = config.time.wall_ms();
        let now_ms = machine_ms(&config.time);
        Clocks { now_ms, wall_ms, epoch: new_epoch(wall_ms) }
    }

    fn no_key_file() -> Error {
        let found = "neither a secret nor the key file beside the table";
        Error::new(ErrorCode::WrongSecret, "secret", found, "one of the two")
    }
}

/// What fencing counters of a new private region are added to.
///
/// Wall time, with room for four million attempts per millisecond and home: a region that is
/// opened later has higher tokens than any that an earlier one gave out, as long as the wall
/// clock was not set back meanwhile.
fn new_epoch(wall_ms: u64) -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    let wall_ms = if Bug::EpochNotOfWallTime.is_planted() { 0 } else { wall_ms };
    let next = |last: u64| wall_ms.min(MAX_EPOCH_MS).max(last.saturating_add(1));
    // Relaxed, both: the epochs of one process only have to differ and grow.
    let last = LAST.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(next(last)));
    next(last.unwrap_or_else(|same| same)) << EPOCH_SHIFT
}

/// A token is an epoch of 41 bits and a counter that overlaps it, below 2^63.
const EPOCH_SHIFT: u32 = 22;
const MAX_EPOCH_MS: u64 = (1 << 40) - 1;
