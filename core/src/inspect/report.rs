//! What an inspection says, in plain numbers.

use crate::engine::OnFull;
use crate::fingerprint::FingerprintMode;
use crate::observe::Live;

/// What a table holds and who uses it, as [`RegionFile::inspect`](crate::RegionFile::inspect) saw
/// it. No secret, no key and no content is among it.
///
/// Times are milliseconds. The table's own time, which deadlines are told in, begins with one when
/// it is made; where the machine was started anew, it goes on by what has passed on the wall, as
/// soon as a process opens the table.
///
/// ```no_run
/// # use oncegate::{FileAccess, RegionFile};
/// let file = RegionFile::open("/dev/shm/charges", FileAccess::owner_only())?;
/// let seen = file.inspect()?;
/// assert!(seen.records.total() + seen.half_done <= seen.slots);
/// # Ok::<(), oncegate::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Inspection {
    /// The version of the file's layout.
    pub format: u32,
    /// Bytes of the file, fixed when it was made.
    pub bytes: u64,
    /// How many live records the table was made for.
    pub capacity: u64,
    /// Slots for records: a quarter more than the capacity.
    pub slots: u64,
    /// Sets that the slots lie in, 32 in each.
    pub sets: u64,
    /// Bytes beside each record for a small outcome.
    pub inline_outcome: u64,
    /// Bytes of the largest outcome that is stored.
    pub outcome_limit: u64,
    /// How many processes may share the table at once.
    pub max_processes: u64,
    /// How many scopes may have a quota at once.
    pub max_scopes: u64,
    /// What gives way when there is no room.
    pub on_full: OnFull,
    /// How fingerprints are made.
    pub fingerprint_mode: FingerprintMode,
    /// What every fencing counter of the table is added to; it grows when the machine is started
    /// anew.
    pub epoch: u64,
    /// Whether the table was used since this machine was started.
    pub same_boot: bool,
    /// The table's time now, by this machine's monotonic clock; where the machine was started anew
    /// since, the last time that was noted in it. (An engine that was given another clock has other
    /// times, which cannot be told from outside.)
    pub now_ms: u64,
    /// Records by state.
    pub records: Live,
    /// Slots that somebody claimed, for an insertion that is under way or whose process died.
    pub half_done: u64,
    /// Live records as a share of the capacity; above 1 where the slots held more than promised.
    pub fill: f64,
    /// Leases, by how they stand.
    pub leases: Leases,
    /// Who uses the table, or did: each entry of the registry that was taken and not cleared since.
    pub processes: Vec<ProcessStatus>,
    /// How many entries of processes that had ended were cleared for good.
    pub buried: u64,
    /// Scopes that have an entry, because something limits them: most live records first.
    pub scopes: Vec<ScopeStatus>,
    /// Records of scopes that nothing limits; they are counted under no scope.
    pub unlimited_records: u64,
    /// The memory of outcomes that are too large to lie beside their record.
    pub chunks: Chunks,
    /// Records that the engine retries by itself, those with steps, and dead letters: each has an
    /// entry.
    pub retries: RetryEntries,
    /// The state of the secrets, without the secrets.
    pub keys: KeyStatus,
}

/// Leases, by how they stand. A record that runs has one.
///
/// ```
/// assert_eq!(oncegate::Leases::default().lapsed, 0);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Leases {
    /// They last, and their processes are alive.
    pub held: u64,
    /// Their time is over, and nobody came by to take the record over.
    pub lapsed: u64,
    /// Their process has ended: whoever comes next takes the record over at once.
    pub of_dead: u64,
    /// Their attempt has been decided, and the last step is to be taken yet.
    pub ending: u64,
    /// For how long the lease that lapsed first has been over, in milliseconds. (When a lease began
    /// is not kept.)
    pub longest_lapsed_ms: Option<u64>,
    /// When the next lease lapses that is not renewed, in milliseconds from now.
    pub next_lapse_ms: Option<u64>,
}

/// How a process that shares a table stands, by the lock that the kernel frees with its death.
///
/// ```
/// assert_eq!(oncegate::ProcessState::Alive.name(), "alive");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ProcessState {
    /// It holds its lock.
    Alive,
    /// It gave its entry up, with its engine.
    Left,
    /// It ended without a word.
    Dead,
}

impl ProcessState {
    /// One word for it.
    ///
    /// ```
    /// assert_eq!(oncegate::ProcessState::Dead.name(), "dead");
    /// ```
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Alive => "alive",
            Self::Left => "left",
            Self::Dead => "dead",
        }
    }
}

/// One entry of a table's registry.
///
/// ```no_run
/// # use oncegate::{FileAccess, ProcessState, RegionFile};
/// # let file = RegionFile::open("/dev/shm/charges", FileAccess::owner_only())?;
/// let seen = file.inspect()?;
/// let dead = seen.processes.iter().filter(|process| process.state == ProcessState::Dead);
/// println!("{} leases wait for a successor", dead.map(|process| process.leases).sum::<u64>());
/// # Ok::<(), oncegate::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProcessStatus {
    /// The entry's number, from one.
    pub index: u8,
    /// How the process stands.
    pub state: ProcessState,
    /// Its process id, in the namespace that it lives in; zero where it left.
    pub pid: u64,
    /// When it came, in milliseconds of wall time since 1970.
    pub since_unix_ms: u64,
    /// Leases that it holds, or held when it ended.
    pub leases: u64,
    /// Slots and entries of retried records that it claimed, chunks that it writes to, and outcomes
    /// that it is writing.
    pub half_done: u64,
}

/// What one scope uses.
///
/// ```no_run
/// # use oncegate::{FileAccess, RegionFile};
/// # let file = RegionFile::open("/dev/shm/charges", FileAccess::owner_only())?;
/// for scope in file.inspect()?.scopes.iter().take(10) {
///     println!("{:016x} {}", scope.hash, scope.records);
/// }
/// # Ok::<(), oncegate::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct ScopeStatus {
    /// The scope's hash under the table's own salt; see
    /// [`RegionFile::scope_hash`](crate::RegionFile::scope_hash).
    pub hash: u64,
    /// Its records, counted.
    pub records: u64,
    /// What its limit is compared with: the records, and what was charged for one that is being
    /// made, or that a process died over.
    pub charged: u64,
    /// The most live records that it may have.
    pub max_live: Option<u64>,
    /// The most new records that it may make in a second, in the long run.
    pub per_second: Option<f64>,
    /// Whether it was given its quota by name, which reserves its room.
    pub by_name: bool,
    /// Whether it is the scope of traffic that nobody vouches for.
    pub is_guest: bool,
}

/// The memory of outcomes, which is filled chunk by chunk, and recycled in turn.
///
/// ```
/// assert_eq!(oncegate::Chunks::default().torn, 0);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Chunks {
    /// All of them.
    pub total: u64,
    /// Bytes of each.
    pub bytes_each: u64,
    /// Nothing was ever written to them.
    pub unused: u64,
    /// They can be read, and written to where room is left.
    pub open: u64,
    /// Somebody is emptying them.
    pub recycling: u64,
    /// A process died while it wrote to them; they take nothing more until they are recycled.
    pub torn: u64,
    /// They hold an outcome whose dedup window is not over.
    pub live: u64,
    /// Bytes that are filled, whether their outcomes still count or not.
    pub filled_bytes: u64,
}

/// Entries of records that the engine retries by itself or that have steps, by how the records
/// stand. Those that are not counted here are free.
///
/// ```
/// assert_eq!(oncegate::RetryEntries::default().retried(), 0);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetryEntries {
    /// All of them: how many records may be retried, or be dead letters, at a time.
    pub total: u64,
    /// An attempt runs.
    pub running: u64,
    /// The next attempt is to come.
    pub waiting: u64,
    /// Those of the waiting whose time has come.
    pub due: u64,
    /// Nobody knows how the last attempt ended.
    pub unknown: u64,
    /// They have failed for good, and stay until they are redriven or discarded.
    pub dead_letters: u64,
    /// How many of those there may be.
    pub max_dead_letters: u64,
    /// Somebody is making them.
    pub claimed: u64,
    /// Their record has ended or is gone, or their maker died: whoever meets one frees it.
    pub left_over: u64,
}

impl RetryEntries {
    /// How many records are retried.
    ///
    /// ```
    /// assert_eq!(oncegate::RetryEntries::default().retried(), 0);
    /// ```
    #[must_use]
    pub const fn retried(&self) -> u64 {
        self.running + self.waiting + self.unknown
    }

    /// How many entries are taken.
    ///
    /// ```
    /// assert_eq!(oncegate::RetryEntries::default().used(), 0);
    /// ```
    #[must_use]
    pub const fn used(&self) -> u64 {
        self.retried() + self.dead_letters + self.claimed + self.left_over
    }
}

/// The state of a table's secrets.
///
/// ```
/// assert!(!oncegate::KeyStatus::default().is_rotating);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyStatus {
    /// How many steps of rotations there were.
    pub generation: u32,
    /// The number of the secret in force.
    pub current: u8,
    /// Whether the one before it is in force too.
    pub is_rotating: bool,
}

/// How many insertions each set has seen, as far as it counts.
///
/// ```no_run
/// # use oncegate::{FileAccess, RegionFile};
/// # let file = RegionFile::open("/dev/shm/charges", FileAccess::owner_only())?;
/// let before = file.insertions()?;
/// assert_eq!(before.since(&before), 0);
/// # Ok::<(), oncegate::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Insertions {
    pub(super) versions: Vec<u16>,
}

impl Insertions {
    /// New records between `earlier` and this count of the same table. Exact up to 32,767 in each
    /// set; the steps of a rotation count like one in each.
    ///
    /// ```no_run
    /// # use oncegate::{FileAccess, RegionFile};
    /// # let file = RegionFile::open("/dev/shm/charges", FileAccess::owner_only())?;
    /// # let before = file.insertions()?;
    /// println!("{} new records", file.insertions()?.since(&before));
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    #[must_use]
    pub fn since(&self, earlier: &Self) -> u64 {
        let pairs = self.versions.iter().zip(&earlier.versions);
        pairs.map(|(now, then)| u64::from(now.wrapping_sub(*then) & VERSION_MASK)).sum()
    }
}

/// What [`RegionFile::collect`](crate::RegionFile::collect) cleared.
///
/// ```
/// assert_eq!(oncegate::Collected::default().drafts, 0);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Collected {
    /// Entries of processes that had died, or had left something behind. (An entry that was given
    /// up with nothing in it, as the last collection's, is cleared as well, and not counted.)
    pub buried: u64,
    /// Leases and half-done steps of dead processes that were ended or undone.
    pub recovered: u64,
    /// Leases of others that were found lapsed.
    pub lapsed: u64,
    /// Records that were over, and are gone.
    pub cleared: u64,
    /// Drafts of files that nobody finished, and that are removed.
    pub drafts: u64,
}

/// Sets count insertions in 15 bits.
const VERSION_MASK: u16 = 0x7fff;
