//! Orders: what every process of a storm has to know.

use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use oncegate::tier::{Redis, TierOptions};
use oncegate::{Engine, Payload, Reach, Request, Scope, Secret};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::CrewError;
use crate::cli::StormArgs;
use crate::input::Line;
use crate::storm::Shape;

/// The options of one storm of processes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Orders {
    /// Processes at a time.
    pub(crate) processes: usize,
    /// Threads of each that deliver.
    pub(crate) threads: usize,
    pub(crate) copies: usize,
    pub(crate) fail_rate: f64,
    /// Kills a second.
    pub(crate) kill_rate: f64,
    pub(crate) seed: u64,
    pub(crate) work_ms: u64,
    /// Tells the requests of this storm from those of an earlier one in the same table.
    pub(crate) run: u64,
    /// The processes are hosts, with a table each, and this is what they share.
    pub(crate) hosts: Option<Hosts>,
}

/// What hosts share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hosts {
    /// Where the Redis server is.
    pub(crate) url: String,
    /// They lock in it, and have no engine.
    pub(crate) by_hand: bool,
}

impl Orders {
    /// The orders that `args` ask for.
    pub(crate) fn new(args: &StormArgs) -> Self {
        let processes = args.processes.or(args.hosts).map_or(1, usize::from);
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let run =
            xxh3_64(&[since.as_nanos(), std::process::id().into()].map(u128::to_le_bytes).concat());
        Self {
            processes,
            threads: usize::from(args.clients).div_ceil(processes),
            copies: args.copies.into(),
            fail_rate: args.fail_rate,
            kill_rate: args.kill_rate,
            seed: args.seed,
            work_ms: args.work_ms,
            run,
            hosts: None,
        }
    }

    pub(crate) fn write(&self, path: &Path) -> io::Result<()> {
        fs::write(path, serde_json::to_vec(self)?)
    }

    pub(crate) fn read(path: &Path) -> io::Result<Self> {
        Ok(serde_json::from_slice(&fs::read(path)?)?)
    }

    /// How long a lease lasts, or a lock that is taken by hand.
    pub(crate) fn lease(&self) -> Duration {
        if self.hosts.is_some() { HOST_LEASE } else { LEASE }
    }

    /// The storm as its plan is made from it. Nobody outlives a lease: processes die instead.
    pub(crate) fn shape(&self) -> Shape {
        Shape {
            clients: self.processes * self.threads,
            copies: self.copies,
            fail_rate: self.fail_rate,
            pause_rate: 0.0,
            seed: self.seed,
            work: Duration::from_millis(self.work_ms),
            lease: self.lease(),
        }
    }

    /// An engine on the table at `path`, with room for `distinct` requests.
    pub(crate) fn engine(&self, path: &Path, distinct: usize) -> Result<Engine, CrewError> {
        let mut builder = Engine::builder()
            .reach(Reach::Host(path.to_owned()))
            .capacity((2 * distinct).max(1_024))
            .outcome_bytes((distinct * OUTCOME_ROOM).max(8 << 20))
            .outcome_limit(OUTCOME_LIMIT)
            // Those that die have not been told of by the time that somebody comes for their entry.
            .max_processes(MAX_PROCESSES)
            .lease_duration(self.lease())
            .dedup_window(DEDUP_WINDOW);
        if let Some(hosts) = &self.hosts {
            // All of them have the same secret; this one is worth as little as the storm.
            let secret = Secret::from_bytes(&[self.run.to_le_bytes(); 4].concat())?;
            builder = builder.secret(secret).tier(Redis::connect(&hosts.url)?);
            // All of it runs on one machine, which may have other things to do.
            builder = builder.tier_options(TierOptions::new().deadline(TIER_DEADLINE));
        }
        builder.build().map_err(|source| CrewError::Table { path: path.to_owned(), source })
    }

    /// The operation of `line` in this storm: another storm in the same table has others.
    pub(crate) fn operation(&self, line: &Line) -> String {
        format!("storm-{:016x}-{:016x}", self.run, xxh3_64(line.operation.as_bytes()))
    }

    /// The request of `line`, under the name that [`operation`](Self::operation) gave.
    pub(crate) fn request<'l>(
        &self,
        line: &'l Line,
        operation: &'l str,
    ) -> Result<Request<'l>, oncegate::Error> {
        let request = Request::new(Scope::new(&line.scope)?, operation, line.key.as_str())?;
        Ok(request.payload(Payload::json(line.payload.as_bytes())))
    }
}

/// The most processes of a storm.
pub(crate) const MOST: u16 = 64;
/// The most hosts of a storm.
pub(crate) const MOST_HOSTS: u16 = 8;
/// So many, their successors, the captain, and whoever looks on.
const MAX_PROCESSES: usize = 160;
/// Far longer than a handler works: a lease that ends was ended by its process's death.
const LEASE: Duration = Duration::from_secs(600);
/// Among hosts nobody knows of a death: for so long others wait for what a killed one held, and so
/// long is the quarantine after a restart of the store.
pub(crate) const HOST_LEASE: Duration = Duration::from_secs(3);
const TIER_DEADLINE: Duration = Duration::from_secs(2);
/// Far longer than a storm.
const DEDUP_WINDOW: Duration = Duration::from_secs(3_600);
/// Bytes of the outcome budget for each request: its outcome, and as much for those that die.
const OUTCOME_ROOM: usize = 2_048;
const OUTCOME_LIMIT: usize = 512;
