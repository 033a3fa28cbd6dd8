//! Configuration: every limit of an engine, checked once when it is opened.

mod retries;
mod sizes;

pub(crate) use retries::RetrySizes;
use sizes::TINY_OUTCOME;
pub(crate) use sizes::{TEN_YEARS, YEAR, check_duration};

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::{Clock, TimeSource};
use crate::engine::Engine;
use crate::engine::{FillEvent, FillWatch, OnConflict, OnDrop, OnEvent, OnFull, OnLapse, Quota};
use crate::error::Error;
#[allow(unused_imports, reason = "links of the documentation")]
use crate::error::ErrorCode;
use crate::fingerprint::{FingerprintMode, KeyRules, Secret};
use crate::outcome::OutcomePolicy;
use crate::reach::{FileAccess, Reach};
use crate::region::WAYS;
use crate::retry::{AdaptiveConfig, RetryPolicy};
use crate::tier::{Tier, TierOptions};

/// Builds an [`Engine`]. Every setting has a default; [`build`](Self::build) checks them all.
///
/// ```
/// use std::time::Duration;
/// use oncegate::{Engine, OnFull};
///
/// let engine = Engine::builder()
///     .capacity(10_000)
///     .lease_duration(Duration::from_secs(60))
///     .on_full(OnFull::Reject)
///     .build()?;
/// # drop(engine);
/// # Ok::<(), oncegate::Error>(())
/// ```
#[must_use = "a builder does nothing until it builds"]
pub struct EngineBuilder {
    pub(crate) capacity: usize,
    pub(crate) outcome_bytes: Option<usize>,
    pub(crate) inline_outcome: usize,
    pub(crate) outcome_limit: usize,
    pub(crate) lease: Duration,
    pub(crate) window: Duration,
    pub(crate) on_conflict: OnConflict,
    pub(crate) on_lapse: OnLapse,
    pub(crate) on_drop: OnDrop,
    pub(crate) policy: OutcomePolicy,
    pub(crate) on_full: OnFull,
    pub(crate) reach: Reach,
    pub(crate) max_processes: usize,
    pub(crate) file_access: FileAccess,
    pub(crate) secret: Option<Secret>,
    pub(crate) retiring_secret: Option<Secret>,
    pub(crate) mode: FingerprintMode,
    pub(crate) key_rules: KeyRules,
    pub(crate) time: TimeSource,
    pub(crate) default_quota: Quota,
    pub(crate) unauthenticated_quota: Option<Quota>,
    pub(crate) max_scopes: usize,
    pub(crate) max_waiters: u64,
    pub(crate) prefault: bool,
    pub(crate) fill: Option<FillWatch>,
    pub(crate) on_event: Option<Box<OnEvent>>,
    pub(crate) retries: RetrySizes,
    pub(crate) retry_policy: RetryPolicy,
    pub(crate) max_in_flight: usize,
    pub(crate) adaptive: Option<AdaptiveConfig>,
    pub(crate) jitter_seed: Option<u64>,
    pub(crate) tier: Option<Arc<dyn Tier>>,
    pub(crate) tier_options: TierOptions,
    tiny: bool,
}

impl EngineBuilder {
    pub(crate) fn new() -> Self {
        Self {
            // 27 MB with outcomes: enough for a service to start with, small enough not to notice.
            capacity: 65_536,
            outcome_bytes: None,
            // One more cache line for each slot: most acknowledgements and ids fit.
            inline_outcome: 64,
            // A typical JSON answer is below 4 KiB; a page of results below 16.
            outcome_limit: 16 << 10,
            // Longer than the usual request timeout of 30 s minus its margin.
            lease: Duration::from_secs(30),
            // What payment interfaces publish for their keys.
            window: Duration::from_secs(24 * 3600),
            on_conflict: OnConflict::Conflict,
            on_lapse: OnLapse::Reclaim,
            on_drop: OnDrop::Retry,
            policy: OutcomePolicy::ietf(),
            on_full: OnFull::EvictLru,
            reach: Reach::Process,
            // More than most hosts run of one service, and 4 KiB.
            max_processes: 64,
            file_access: FileAccess::owner_only(),
            secret: None,
            retiring_secret: None,
            mode: FingerprintMode::Keyed,
            key_rules: KeyRules::any(),
            time: TimeSource::Coarse,
            default_quota: Quota::unlimited(),
            unauthenticated_quota: None,
            max_scopes: 4096,
            max_waiters: 16_384,
            prefault: false,
            fill: None,
            on_event: None,
            retries: RetrySizes::new(),
            retry_policy: retries::default_policy(),
            max_in_flight: usize::MAX,
            adaptive: None,
            jitter_seed: None,
            tier: None,
            tier_options: TierOptions::new(),
            tiny: false,
        }
    }

    /// How many live records the table holds, from 16 to 200,000,000. Default: 65,536.
    ///
    /// A record takes a slot of 64 bytes, its [inline outcome](Self::inline_outcome) and two more;
    /// there are 20 slots for 17 records, so that the table holds that many in the steady state.
    /// With the room for larger outcomes it is some 410 bytes for a record, by default; what it is
    /// exactly says [`required_bytes`](Self::required_bytes). Memory is fixed when the engine is
    /// opened.
    ///
    /// ```
    /// # use oncegate::Engine;
    /// assert!(Engine::builder().capacity(0).build().is_err());
    /// ```
    pub fn capacity(mut self, records: usize) -> Self {
        self.capacity = records;
        self
    }

    /// The budget of all outcomes together, in bytes, headers included. Default: 256 for each
    /// record of the capacity, and at least 16 outcomes of the largest size.
    ///
    /// ```
    /// # use oncegate::Engine;
    /// assert!(Engine::builder().outcome_bytes(1 << 20).build().is_ok());
    /// ```
    pub fn outcome_bytes(mut self, bytes: usize) -> Self {
        self.outcome_bytes = Some(bytes);
        self
    }

    /// Outcomes up to this size lie beside their record: replaying them waits for no other memory,
    /// and they never give way to other outcomes. Rounded up to a multiple of 64 bytes, which
    /// every slot then takes; at most 448. Zero keeps all outcomes in the store that
    /// [`outcome_bytes`](Self::outcome_bytes) sizes. Default: 64.
    ///
    /// Metadata counts with its lengths: 3 bytes an entry, and 8 for all.
    ///
    /// ```
    /// let engine = oncegate::Engine::builder().capacity(1_000).inline_outcome(200).build()?;
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn inline_outcome(mut self, bytes: usize) -> Self {
        self.inline_outcome = bytes;
        self
    }

    /// The size of the largest outcome that is stored, from 64 bytes to 1,000,000. Default: 16
    /// KiB.
    ///
    /// A larger one still finishes its record; its duplicates get
    /// [`OutcomeGone`](crate::Admission::OutcomeGone).
    ///
    /// ```
    /// # use oncegate::Engine;
    /// assert!(Engine::builder().outcome_limit(2_000_000).build().is_err());
    /// ```
    pub fn outcome_limit(mut self, bytes: usize) -> Self {
        self.outcome_limit = bytes;
        self
    }

    /// How long an attempt may run before its lease lapses, from 1 ms to a year. Default: 30 s.
    ///
    /// ```
    /// # use oncegate::Engine;
    /// # use std::time::Duration;
    /// assert!(Engine::builder().lease_duration(Duration::ZERO).build().is_err());
    /// ```
    pub fn lease_duration(mut self, duration: Duration) -> Self {
        self.lease = duration;
        self
    }

    /// How long a finished record answers duplicates, from 1 ms to ten years. Default: 24 hours.
    ///
    /// Processes that share a table may have windows of their own. What ends without a call that
    /// says which, such as a lease that lapses, gets the longest of those who ever opened it; and
    /// so long a record stays whose next attempt nobody asks for.
    ///
    /// ```
    /// # use oncegate::Engine;
    /// # use std::time::Duration;
    /// assert!(Engine::builder().dedup_window(Duration::from_secs(3600)).build().is_ok());
    /// ```
    pub fn dedup_window(mut self, duration: Duration) -> Self {
        self.window = duration;
        self
    }

    /// How a duplicate meets a running attempt. Default: [`OnConflict::Conflict`].
    ///
    /// ```
    /// # use oncegate::{Engine, OnConflict};
    /// # use std::time::Duration;
    /// let wait = OnConflict::Wait(Duration::from_secs(5));
    /// assert!(Engine::builder().on_conflict(wait).build().is_ok());
    /// ```
    pub fn on_conflict(mut self, policy: OnConflict) -> Self {
        self.on_conflict = policy;
        self
    }

    /// What happens to an attempt whose lease lapsed. Default: [`OnLapse::Reclaim`].
    ///
    /// ```
    /// # use oncegate::{Engine, OnLapse};
    /// assert!(Engine::builder().on_lapse(OnLapse::Unknown).build().is_ok());
    /// ```
    pub fn on_lapse(mut self, policy: OnLapse) -> Self {
        self.on_lapse = policy;
        self
    }

    /// What a lease that is dropped without an end does, by panic or by return. Default:
    /// [`OnDrop::Retry`].
    ///
    /// ```
    /// # use oncegate::{Engine, OnDrop};
    /// assert!(Engine::builder().on_drop(OnDrop::Unknown).build().is_ok());
    /// ```
    pub fn on_drop(mut self, policy: OnDrop) -> Self {
        self.on_drop = policy;
        self
    }

    /// Which results of [`Engine::run`] are final. Default: [`OutcomePolicy::ietf`].
    ///
    /// ```
    /// # use oncegate::{Engine, OutcomePolicy, Verdict};
    /// let careful = OutcomePolicy::ietf().on_error(Verdict::Unknown);
    /// assert!(Engine::builder().outcome_policy(careful).build().is_ok());
    /// ```
    pub fn outcome_policy(mut self, policy: OutcomePolicy) -> Self {
        self.policy = policy;
        self
    }

    /// What gives way when there is no room. Default: [`OnFull::EvictLru`].
    ///
    /// ```
    /// # use oncegate::{Engine, OnFull};
    /// assert!(Engine::builder().on_full(OnFull::Reject).build().is_ok());
    /// ```
    pub fn on_full(mut self, policy: OnFull) -> Self {
        self.on_full = policy;
        self
    }

    /// Who shares the table. Default: [`Reach::Process`].
    ///
    /// ```
    /// # use oncegate::{Engine, Reach};
    /// let engine = Engine::builder().capacity(1_000).reach(Reach::HostInherited).build()?;
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn reach(mut self, reach: Reach) -> Self {
        self.reach = reach;
        self
    }

    /// How many processes may share the table at once, from 1 to 255. Default: 64. One more gets
    /// [`ErrorCode::RegistryFull`]. Every engine counts, and so does every forked child that uses
    /// one.
    ///
    /// ```
    /// # use oncegate::Engine;
    /// assert!(Engine::builder().max_processes(256).build().is_err());
    /// ```
    pub fn max_processes(mut self, processes: usize) -> Self {
        self.max_processes = processes;
        self
    }

    /// Which files are safe to share the table in. Default: [`FileAccess::owner_only`].
    ///
    /// ```
    /// # use oncegate::{Engine, FileAccess};
    /// let builder = Engine::builder().file_access(FileAccess::owner_only().group());
    /// # let _ = builder;
    /// ```
    pub fn file_access(mut self, access: FileAccess) -> Self {
        self.file_access = access;
        self
    }

    /// The secret of the fingerprints. Default: one from the operating system, for this engine
    /// alone; for a table in a file, one that is made with it and kept in a file beside it, whose
    /// name is the table's with `.key` added and whose permissions are the table's.
    ///
    /// ```
    /// # use oncegate::{Engine, Secret};
    /// let engine = Engine::builder().secret(Secret::from_bytes(&[7; 32])?).build()?;
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn secret(mut self, secret: Secret) -> Self {
        self.secret = Some(secret);
        self
    }

    /// The secret that is being rotated out, for a process that opens a shared table while a
    /// [rotation](Engine::rotate_secret) is under way. It plays no part otherwise.
    ///
    /// ```
    /// # use oncegate::{Engine, Secret};
    /// let builder = Engine::builder()
    ///     .secret(Secret::from_bytes(&[8; 32])?)
    ///     .retiring_secret(Secret::from_bytes(&[7; 32])?);
    /// # let _ = builder;
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn retiring_secret(mut self, secret: Secret) -> Self {
        self.retiring_secret = Some(secret);
        self
    }

    /// How fingerprints are made. Default: [`FingerprintMode::Keyed`].
    ///
    /// ```
    /// # use oncegate::{Engine, FingerprintMode};
    /// let fast = Engine::builder().fingerprint_mode(FingerprintMode::FastTrusted);
    /// assert!(fast.build().is_ok());
    /// ```
    pub fn fingerprint_mode(mut self, mode: FingerprintMode) -> Self {
        self.mode = mode;
        self
    }

    /// Which keys are accepted. Default: any of 1 to 255 bytes.
    ///
    /// ```
    /// # use oncegate::{Engine, KeyRules};
    /// assert!(Engine::builder().key_rules(KeyRules::any().uuid()).build().is_ok());
    /// ```
    pub fn key_rules(mut self, rules: KeyRules) -> Self {
        self.key_rules = rules;
        self
    }

    /// The clock. Default: [`CoarseClock`](crate::CoarseClock).
    ///
    /// ```
    /// # use oncegate::{Engine, ManualClock};
    /// assert!(Engine::builder().clock(ManualClock::new()).build().is_ok());
    /// ```
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.time = TimeSource::Given(Arc::new(clock));
        self
    }

    /// Uses [`PreciseClock`](crate::PreciseClock): for leases below 50 ms.
    ///
    /// ```
    /// # use oncegate::Engine;
    /// assert!(Engine::builder().precise_clock().build().is_ok());
    /// ```
    pub fn precise_clock(mut self) -> Self {
        self.time = TimeSource::Precise;
        self
    }

    /// The quota of every scope that has none of its own. Default: none.
    ///
    /// It limits, and reserves nothing (see [`Quota`]). With quotas, every new record writes to a
    /// word that its scope's records share.
    ///
    /// ```
    /// # use oncegate::{Engine, Quota};
    /// let quota = Quota::unlimited().max_live(1_000);
    /// assert!(Engine::builder().default_quota(quota).build().is_ok());
    /// ```
    pub fn default_quota(mut self, quota: Quota) -> Self {
        self.default_quota = quota;
        self
    }

    /// The quota of [`Scope::unauthenticated`](crate::Scope::unauthenticated). Default: a
    /// sixteenth of the capacity.
    ///
    /// ```
    /// # use oncegate::{Engine, Quota};
    /// let quota = Quota::unlimited().max_live(100).rate(10.0, 20);
    /// assert!(Engine::builder().unauthenticated_quota(quota).build().is_ok());
    /// ```
    pub fn unauthenticated_quota(mut self, quota: Quota) -> Self {
        self.unauthenticated_quota = Some(quota);
        self
    }

    /// How many scopes may have a quota at once, from 2 to 32,000. Default: 4,096. Takes 128 bytes
    /// each.
    ///
    /// Scopes that were named to [`Engine::set_quota`] count until [`Engine::remove_quota`]; those
    /// under the [`default_quota`](Self::default_quota) while they have live records, or have used
    /// their rate up. One scope more gets [`ErrorCode::QuotaExceeded`], field `scopes`.
    ///
    /// ```
    /// # use oncegate::Engine;
    /// assert!(Engine::builder().max_scopes(32_001).build().is_err());
    /// ```
    pub fn max_scopes(mut self, scopes: usize) -> Self {
        self.max_scopes = scopes;
        self
    }

    /// How many callers may wait at once. Default: 16,384.
    ///
    /// ```
    /// # use oncegate::Engine;
    /// assert!(Engine::builder().max_waiters(0).build().is_ok());
    /// ```
    pub fn max_waiters(mut self, waiters: u64) -> Self {
        self.max_waiters = waiters;
        self
    }

    /// Faults all memory in when the engine is opened, instead of on first use. Default: no.
    ///
    /// ```
    /// # use oncegate::Engine;
    /// assert!(Engine::builder().capacity(1_000).prefault(true).build().is_ok());
    /// ```
    pub fn prefault(mut self, prefault: bool) -> Self {
        self.prefault = prefault;
        self
    }

    /// Calls `warn` when the live records first reach each of `levels`, shares of the capacity.
    ///
    /// The levels are looked at once in 64 new records of a thread. A level warns again after the
    /// fill has been a tenth below it. `warn` runs in the call that noticed, and must not panic.
    ///
    /// ```
    /// # use oncegate::Engine;
    /// let engine = Engine::builder().on_fill(&[0.8, 0.95], |event| {
    ///     eprintln!("table at {:.0} %", event.fill() * 100.0);
    /// });
    /// # assert!(engine.build().is_ok());
    /// ```
    pub fn on_fill(
        mut self,
        levels: &[f64],
        warn: impl Fn(FillEvent) + Send + Sync + 'static,
    ) -> Self {
        self.fill = Some(FillWatch::new(levels, Box::new(warn)));
        self
    }

    /// Shares records with the engines of other tables by `tier`: on one machine, or on many. All
    /// of them need the same [`secret`](Self::secret) and fingerprint mode.
    ///
    /// The table is asked first, and only what it has admitted is asked of the tier: one round trip
    /// for a claim, one for the end of the attempt, none for a duplicate that the table answers.
    /// The engine starts a thread on the first claim.
    ///
    /// ```no_run
    /// # fn tier() -> std::sync::Arc<dyn oncegate::tier::Tier> { unimplemented!() }
    /// use oncegate::{Engine, Secret};
    /// let secret = Secret::from_bytes(&[7; 32])?; // the same on each host
    /// let engine = Engine::builder().secret(secret).tier(tier()).build()?;
    /// # drop(engine);
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn tier(mut self, tier: impl Tier) -> Self {
        self.tier = Some(Arc::new(tier));
        self
    }

    /// How the tier is used.
    ///
    /// ```
    /// use oncegate::{Engine, tier::{OnOutage, TierOptions}};
    /// let options = TierOptions::new().on_outage(OnOutage::LocalOnly);
    /// let builder = Engine::builder().tier_options(options);
    /// # let _ = builder;
    /// ```
    pub fn tier_options(mut self, options: TierOptions) -> Self {
        self.tier_options = options;
        self
    }

    /// The smallest engine: two sets, and room for a dozen outcomes of at most 64 bytes. For tests
    /// that want to see it full; overrides `capacity`, `outcome_bytes`, `outcome_limit`
    /// and `max_processes`.
    ///
    /// ```
    /// # use oncegate::Engine;
    /// assert!(Engine::builder().tiny().build()?.stats()?.bytes < 16 << 10);
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn tiny(mut self) -> Self {
        self.tiny = true;
        self.capacity = 2 * WAYS;
        self.outcome_limit = TINY_OUTCOME;
        self.inline_outcome = 0;
        self.max_scopes = 8;
        self.max_processes = 3;
        // Room that nobody asked for would keep chunks from being recycled.
        self.retries.most.get_or_insert(0);
        self
    }

    /// How many bytes of memory the table takes; for [`Reach::Host`], the size of its file.
    ///
    /// It is the same in [`Stats::bytes`](crate::Stats::bytes). Costs a microsecond; nothing is
    /// opened.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::InvalidConfig`] names the field that is out of its range.
    ///
    /// ```
    /// # use oncegate::Engine;
    /// let builder = Engine::builder().capacity(100_000).outcome_bytes(4 << 20);
    /// assert_eq!(builder.required_bytes()?, builder.build()?.stats()?.bytes);
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn required_bytes(&self) -> Result<u64, Error> {
        Ok(self.identity()?.geometry.bytes(self.reach != Reach::Process))
    }

    /// Opens the engine.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::InvalidConfig`] names the field that is out of its range;
    /// [`ErrorCode::NoMemory`] and [`ErrorCode::NoEntropy`] come from the operating system. Where
    /// the table is shared: [`ErrorCode::RegionMismatch`] names the setting in which this process
    /// and the region differ, [`ErrorCode::WrongSecret`], [`ErrorCode::FileRefused`],
    /// [`ErrorCode::RegionInvalid`], [`ErrorCode::RegistryFull`], [`ErrorCode::Os`] (a full disk,
    /// a missing directory) and [`ErrorCode::Unsupported`].
    ///
    /// ```
    /// # use oncegate::Engine;
    /// let error = Engine::builder().capacity(3).build().unwrap_err();
    /// assert_eq!(error.field(), "capacity");
    /// ```
    pub fn build(self) -> Result<Engine, Error> {
        let identity = self.identity()?;
        Engine::open(self, identity)
    }

    /// Opens a second engine on the table of `other`, as another process of a model, whose entry is
    /// `index`.
    #[cfg(any(oncegate_loom, oncegate_shuttle))]
    #[doc(hidden)]
    pub fn build_beside(self, other: &Engine, index: u8) -> Result<Engine, Error> {
        self.identity()?;
        Engine::beside(self, other, index)
    }
}

impl fmt::Debug for EngineBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EngineBuilder")
            .field("capacity", &self.capacity)
            .field("outcome_bytes", &self.outcome_bytes)
            .field("outcome_limit", &self.outcome_limit)
            .field("lease_duration", &self.lease)
            .field("dedup_window", &self.window)
            .finish_non_exhaustive()
    }
}
