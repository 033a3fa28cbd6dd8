//! The tier in Redis or Valkey.
//!
//! Each operation is one Lua script over the keys of one record, so it is atomic, conditional and
//! safe in a Cluster; time is the server's. Where an operation is asked again and again within the
//! time that it has, nothing is done twice: the scripts know a repetition.
//!
//! | file | what it owns |
//! |---|---|
//! | `*.lua` | the scripts: every decision about a record |
//! | `scripts` | which there are, and how they are called |
//! | `wire` | commands as bytes, and what scripts answer |
//! | `codec` | outcomes as they are stored: compressed, sealed |
//! | `keys` | the names in the store |
//! | `node` | one server: how a connection is opened, what it says of itself |
//! | `link` | a few connections to a server, which all callers share |
//! | `route` | which server is responsible: one, by Sentinels, in a Cluster |
//! | `ask` | an operation carried through, asked again where it may be |
//! | `session` | what the store is known to be |
//! | `fault` | what went wrong, and whether it may have taken effect |
//! | `builder` | settings |
//! | `tend` | what is done now and then: heartbeats, hazards, orphans |
//! | `letters` | the log of dead letters |
//! | `watch` | notices of changes, and the thread that hears them |

mod ask;
mod builder;
mod codec;
mod fault;
mod keys;
mod letters;
mod link;
mod node;
mod route;
mod scripts;
mod session;
mod stream;
mod tend;
mod watch;
mod wire;

pub use builder::RedisBuilder;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use redis::Value;

use self::ask::Request;
use self::builder::Settings;
use self::fault::{Cure, Fault};
use self::link::{Answer, Link, Op};
use self::node::Greeting;
use self::route::Routes;
use self::scripts::Script;
use self::session::{History, Known, Sessions};
use self::watch::Watch;
use self::wire::{Finish, pack};
use super::{
    Claim, Claimed, End, Ended, Ending, Hazard, Letter, Orphan, Renewal, Renewed, Session,
    Sighting, TableId, Tier, TierError, TierErrorKind, TierKey, Watcher,
};
use crate::clock::{Clock, PreciseClock};
use crate::fork::PerProcess;
use crate::sync::plain::AtomicU64;

/// A tier in Redis 6.2 or newer, or Valkey: one server, one with Sentinels, or a Cluster.
///
/// Clones share their connections, and each joins sessions for itself: give each engine one of its
/// own. A forked child opens its own connections.
///
/// An operation costs one round trip, and 7 to 11 µs of the server's one processor. Callers that
/// come at the same time share round trips.
///
/// ```no_run
/// use oncegate::tier::Redis;
///
/// let tier = Redis::connect("redis://127.0.0.1:6379")?;
/// # Ok::<(), oncegate::tier::TierError>(())
/// ```
pub struct Redis {
    core: Arc<Core>,
    /// What this clone has been told.
    history: History,
}

struct Core {
    settings: Settings,
    /// Where the next look for orphans begins.
    turn: AtomicU64,
    process: PerProcess<Process>,
}

/// What belongs to a process.
struct Process {
    routes: Arc<Routes>,
    sessions: Sessions,
    watch: Arc<Watch>,
}

impl Process {
    fn new(settings: &Settings) -> Self {
        let routes = Routes::new(settings.place.clone(), settings.limits);
        Self { routes: Arc::new(routes), sessions: Sessions::default(), watch: Arc::default() }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.watch.end();
    }
}

impl Redis {
    /// A tier in the server at `url`, which is asked who it is: `redis://user:password@host:port`,
    /// `rediss://…` for TLS (feature `redis-tls`), or `unix:///path/of/a/socket`.
    ///
    /// # Errors
    ///
    /// [`TierError`]: the URL is none, the server cannot be reached, or it may not be used
    /// ([`TierErrorKind::Unsafe`]).
    ///
    /// ```no_run
    /// # use oncegate::tier::Redis;
    /// let tier = Redis::connect("unix:///run/redis/redis.sock")?;
    /// # Ok::<(), oncegate::tier::TierError>(())
    /// ```
    pub fn connect(url: &str) -> Result<Self, TierError> {
        let tier = Self::builder(url).build()?;
        tier.session(CONNECT_WITHIN)?;
        Ok(tier)
    }

    /// Settings of a tier in the server at `url`; see [`connect`](Self::connect).
    ///
    /// ```
    /// # use oncegate::tier::Redis;
    /// let tier = Redis::builder("redis://127.0.0.1:6379").prefix("shop:").build()?;
    /// # drop(tier);
    /// # Ok::<(), oncegate::tier::TierError>(())
    /// ```
    pub fn builder(url: &str) -> RedisBuilder {
        RedisBuilder::new(url)
    }

    /// The rights that a tier with this prefix needs, as rules of `ACL SETUSER`: its own keys and
    /// channels, and no command more than it sends.
    ///
    /// ```
    /// # use oncegate::tier::Redis;
    /// let rules = Redis::acl_rules("shop:");
    /// assert!(rules.starts_with("resetkeys ~shop:* resetchannels &shop:w:* -@all "));
    /// ```
    #[must_use]
    pub fn acl_rules(prefix: &str) -> String {
        format!("resetkeys ~{prefix}* resetchannels &{prefix}w:* -@all {COMMANDS}")
    }

    fn new(settings: Settings) -> Self {
        crate::fork::watch();
        let process = PerProcess::new(Process::new(&settings));
        let core = Core { settings, turn: AtomicU64::new(0), process };
        Self { core: Arc::new(core), history: History::default() }
    }

    /// Moves the time that the scripts go by, for tests which need not wait then.
    #[doc(hidden)]
    pub fn advance(&self, by: Duration) {
        self.core.settings.shift.advance(by);
    }

    /// Moves that time back.
    #[doc(hidden)]
    pub fn set_back(&self, by: Duration) {
        self.core.settings.shift.set_back(by);
    }

    fn process(&self) -> &Process {
        self.core.process.get(|| Process::new(&self.core.settings))
    }

    fn shift(&self) -> i64 {
        self.core.settings.shift.ms()
    }

    /// A script on the keys of a record.
    fn script(&self, script: Script, key: TierKey, args: &[&[u8]]) -> Vec<u8> {
        let prefix = &self.core.settings.prefix;
        let bucket = keys::bucket(key);
        let record = keys::record(prefix, key);
        let (guard, schedule) = (keys::guard(prefix, bucket), keys::schedule(prefix, bucket));
        script.call(&[&record, &guard, &schedule], args)
    }

    fn claim_request(&self, claim: &Claim) -> Result<Request, Fault> {
        let known = self.process().sessions.get(claim.session)?;
        let bucket = keys::bucket(claim.key);
        let fixed = wire::claim(claim, known.epochs[usize::from(bucket)], self.shift());
        let channels = &self.core.settings.channels;
        let bytes = self.script(Script::Claim, claim.key, &[&fixed, channels]);
        let runs = Some(Arc::clone(&known.runs));
        Ok(Request { bucket, op: Op { bytes, runs, waits: true }, again: None })
    }

    fn claimed(&self, claim: &Claim, answer: Answer) -> Result<Claimed, TierError> {
        let read = answer.and_then(|value| {
            wire::claimed(value, claim.key, &self.core.settings.codec)
                .ok_or_else(Fault::odd_reply)?
                .ok_or_else(|| Fault::session_over("the store is another one"))
        });
        read.map_err(|fault| {
            if fault.kind == TierErrorKind::SessionOver {
                self.process().sessions.end(claim.session);
            }
            fault.into_error()
        })
    }

    /// Gives back what too few replicas have, so that it was not granted.
    fn give_back(&self, claim: &Claim, fault: Fault, within: Duration) -> Fault {
        let ending = Ending {
            key: claim.key,
            holder: claim.holder,
            restores: false,
            fence: 0,
            attempt: 0,
            digest: claim.digest,
            end: End::NeverRan,
        };
        let (mut request, _) = self.end_request(&ending);
        request.op.waits = false;
        match self.process().routes.ask(request, within.max(MOMENT)) {
            Ok(Value::Int(_)) => Fault::unsent("too few replicas have the claim"),
            _ => fault,
        }
    }

    fn renew_request(&self, renewal: &Renewal) -> Request {
        let fixed = wire::renewal(renewal, self.shift());
        let channels = &self.core.settings.channels;
        let bytes = self.script(Script::Renew, renewal.key, &[&fixed, channels]);
        Request { bucket: keys::bucket(renewal.key), op: Op::plain(bytes), again: None }
    }

    /// The request, and whether the outcome's bytes are left out.
    fn end_request(&self, ending: &Ending<'_>) -> (Request, bool) {
        let finish = Finish::of(ending.key, &ending.end, &self.core.settings.codec);
        let fixed = finish.ending(ending, self.shift());
        (self.finish_request(ending.key, fixed, &finish), finish.without_bytes)
    }

    fn finish_request(&self, key: TierKey, mut fixed: Vec<u8>, finish: &Finish) -> Request {
        let channels = &self.core.settings.channels;
        let bytes = self.script(Script::End, key, &[&fixed, &finish.bytes, channels]);
        let again = self.core.settings.limits.replicas.map(|_| {
            fixed[wire::END_ASKS_AT] |= wire::AGAIN;
            self.script(Script::End, key, &[&fixed, &finish.bytes, channels])
        });
        Request { bucket: keys::bucket(key), op: Op { bytes, runs: None, waits: true }, again }
    }

    fn ask_all(&self, requests: Vec<Request>, within: Duration) -> Vec<Answer> {
        self.process().routes.ask_all(requests, self.core.settings.limits.pipeline, within)
    }
}

impl Tier for Redis {
    fn session(&self, within: Duration) -> Result<Session, TierError> {
        let deadline = PreciseClock.now() + within;
        let known = self.join(deadline).map_err(Fault::into_error)?;
        Ok(Session { id: known.id, lost: self.history.note(&known) })
    }

    fn claim(&self, claim: &Claim, within: Duration) -> Result<Claimed, TierError> {
        let deadline = PreciseClock.now() + within;
        let request = self.claim_request(claim).map_err(Fault::into_error)?;
        let answer = self.process().routes.ask(request, within);
        let answer = answer.map_err(|fault| match fault.few_replicas {
            true => self.give_back(claim, fault, deadline.saturating_sub(PreciseClock.now())),
            false => fault,
        });
        self.claimed(claim, answer)
    }

    fn claim_all(&self, claims: &[Claim], within: Duration) -> Vec<Result<Claimed, TierError>> {
        if self.core.settings.limits.replicas.is_some() {
            return claims.iter().map(|claim| self.claim(claim, within)).collect();
        }
        let requests: Result<Vec<_>, _> =
            claims.iter().map(|claim| self.claim_request(claim)).collect();
        let Ok(requests) = requests else {
            return claims.iter().map(|claim| self.claim(claim, within)).collect();
        };
        let answers = self.ask_all(requests, within);
        claims.iter().zip(answers).map(|(claim, answer)| self.claimed(claim, answer)).collect()
    }

    fn renew(&self, renewal: &Renewal, within: Duration) -> Result<Renewed, TierError> {
        renewed(self.process().routes.ask(self.renew_request(renewal), within))
    }

    fn renew_all(&self, renewals: &[Renewal], within: Duration) -> Vec<Result<Renewed, TierError>> {
        let requests = renewals.iter().map(|renewal| self.renew_request(renewal)).collect();
        self.ask_all(requests, within).into_iter().map(renewed).collect()
    }

    fn end(&self, ending: &Ending<'_>, within: Duration) -> Result<Ended, TierError> {
        let (request, without_bytes) = self.end_request(ending);
        ended(self.process().routes.ask(request, within), without_bytes)
    }

    fn end_all(&self, endings: &[Ending<'_>], within: Duration) -> Vec<Result<Ended, TierError>> {
        let (requests, without_bytes): (Vec<_>, Vec<_>) =
            endings.iter().map(|ending| self.end_request(ending)).unzip();
        let answers = self.ask_all(requests, within).into_iter();
        answers.zip(without_bytes).map(|(answer, without)| ended(answer, without)).collect()
    }

    fn settle(&self, key: TierKey, end: &End<'_>, within: Duration) -> Result<Ended, TierError> {
        if matches!(end, End::Unknown { .. } | End::NeverRan) {
            // Neither settles anything.
            return Ok(Ended::Fenced);
        }
        let settler = getrandom::u32().map_err(|_| {
            TierError::new(TierErrorKind::Unavailable, "the system has no randomness")
        })?;
        let finish = Finish::of(key, end, &self.core.settings.codec);
        let fixed = finish.settlement(settler, self.shift());
        let request = self.finish_request(key, fixed, &finish);
        ended(self.process().routes.ask(request, within), finish.without_bytes)
    }

    fn read(&self, key: TierKey, within: Duration) -> Result<Option<Sighting>, TierError> {
        let fixed = wire::reading(false, self.shift());
        let op = Op::plain(self.script(Script::Read, key, &[&fixed]));
        let request = Request { bucket: keys::bucket(key), op, again: None };
        let value = self.process().routes.ask(request, within).map_err(Fault::into_error)?;
        let seen = wire::seen(value, key, &self.core.settings.codec)
            .ok_or_else(|| Fault::odd_reply().into_error())?;
        Ok(seen.map(|seen| seen.sighting))
    }

    fn watch(&self, table: TableId, watcher: Arc<dyn Watcher>) -> Result<(), TierError> {
        let process = self.process();
        process.watch.add(table, watcher, &process.routes, &self.core.settings.channels)
    }

    fn beat(
        &self,
        table: TableId,
        lasts: Duration,
        within: Duration,
    ) -> Result<Vec<Hazard>, TierError> {
        self.tend(table, lasts, PreciseClock.now() + within).map_err(Fault::into_error)
    }

    fn orphans(&self, limit: usize, within: Duration) -> Result<Vec<Orphan>, TierError> {
        self.look_for_orphans(limit, PreciseClock.now() + within).map_err(Fault::into_error)
    }

    fn keeps_letters(&self) -> bool {
        self.core.settings.letters.is_some()
    }

    fn log_letters(&self, letters: &[Letter], within: Duration) -> Vec<Result<(), TierError>> {
        match self.core.settings.letters {
            Some(most) => self.log(letters, most, within),
            None => letters.iter().map(|_| Ok(())).collect(),
        }
    }
}

impl Redis {
    /// Learns what the store is now; makes it one of ours, if it is new.
    fn join(&self, deadline: Duration) -> Result<Arc<Known>, Fault> {
        let process = self.process();
        let mut map = process.routes.map(deadline)?;
        loop {
            let mut known = Known::default();
            let mut runs = Vec::new();
            let mut all = || -> Result<(), Fault> {
                for link in &map.links {
                    let Greeting { run, past, .. } = self.check(link, deadline)?;
                    runs.push(run);
                    known.pasts.extend((past != 0).then_some((run, past)));
                    let here = |bucket: &u8| {
                        map.link(*bucket).is_some_and(|other| Arc::ptr_eq(other, link))
                    };
                    let buckets: Vec<u8> = (0..=u8::MAX).filter(here).collect();
                    self.guards(link, run, &buckets, &mut known, deadline)?;
                }
                Ok(())
            };
            match all() {
                Ok(()) => {
                    runs.sort_unstable();
                    known.runs = runs.into();
                    return Ok(process.sessions.begin(known));
                }
                // Another server is responsible by now, or this one has begun another run.
                Err(fault) if PreciseClock.now() >= deadline => return Err(fault),
                Err(fault) if fault.cure == Cure::Route => {
                    map.links.iter().for_each(|link| link.drop_idle());
                    map = process.routes.look(Some(&map), deadline)?;
                }
                Err(fault) if matches!(fault.cure, Cure::Again | Cure::Later) => {
                    crate::sync::park(Some(MOMENT.min(deadline - PreciseClock.now())));
                }
                Err(fault) if fault.kind == TierErrorKind::SessionOver => {}
                Err(fault) => return Err(fault.unsent_yet()),
            }
        }
    }

    /// Whether this server may be used, which knows the scripts then. What it says of itself.
    fn check(&self, link: &Link, deadline: Duration) -> Result<Greeting, Fault> {
        let mut ops =
            Greeting::SECTIONS.map(|section| Op::plain(pack(&[b"INFO", section]))).to_vec();
        let needed = |script: &Script| *script != Script::Letter || self.keeps_letters();
        ops.extend(Script::ALL.into_iter().filter(needed).map(Script::load).map(Op::plain));
        let mut greeting = Greeting::default();
        for (at, answer) in link.call(ops, deadline).into_iter().enumerate() {
            let answer = answer?;
            if at < Greeting::SECTIONS.len() {
                greeting.read(&answer);
            }
        }
        if greeting.replica {
            return Err(Fault::replica());
        }
        if greeting.run == 0 {
            let what = "the server does not say which run it is (run_id of INFO): what a restart \
                        or a fail-over loses could not be seen";
            return Err(Fault::new(TierErrorKind::Unsafe, Cure::None, what));
        }
        if greeting.evicts() && !self.core.settings.allow_eviction {
            let what = format!("the server evicts records (maxmemory-policy {})", greeting.policy);
            return Err(Fault::new(TierErrorKind::Unsafe, Cure::None, what));
        }
        Ok(greeting)
    }

    /// Reads the guards of these buckets, and makes those that are not there.
    fn guards(
        &self,
        link: &Link,
        run: u64,
        buckets: &[u8],
        known: &mut Known,
        deadline: Duration,
    ) -> Result<(), Fault> {
        let runs: Arc<[u64]> = Arc::new([run]);
        let mut fresh = [0; 8 * keys::BUCKETS];
        getrandom::fill(&mut fresh).map_err(|_| Fault::unsent("no randomness"))?;
        let together = self.core.settings.place.keys_together();
        for part in buckets.chunks(together * self.core.settings.limits.pipeline) {
            let ops = part.chunks(together).map(|some| {
                let names = some.iter().map(|&at| keys::guard(&self.core.settings.prefix, at));
                let names: Vec<Vec<u8>> = names.collect();
                let names: Vec<&[u8]> = names.iter().map(Vec::as_slice).collect();
                let first = 8 * usize::from(some[0]);
                let bytes = Script::Guards.call(&names, &[&fresh[first..]]);
                Op { bytes, runs: Some(Arc::clone(&runs)), waits: false }
            });
            let answers = link.call(ops.collect(), deadline);
            for (some, answer) in part.chunks(together).zip(answers) {
                let Value::BulkString(epochs) = answer? else { return Err(Fault::odd_reply()) };
                for (&bucket, epoch) in some.iter().zip(epochs.as_chunks::<8>().0) {
                    known.epochs[usize::from(bucket)] = *epoch;
                }
            }
        }
        Ok(())
    }
}

impl Clone for Redis {
    /// Shares all but the sessions that were joined.
    fn clone(&self) -> Self {
        Self { core: Arc::clone(&self.core), history: History::default() }
    }
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis").field("settings", &self.core.settings).finish_non_exhaustive()
    }
}

fn renewed(answer: Answer) -> Result<Renewed, TierError> {
    match answer.map(|value| wire::done(&value)) {
        Ok(Some(true)) => Ok(Renewed::Done),
        Ok(Some(false)) => Ok(Renewed::Fenced),
        Ok(None) => Err(Fault::odd_reply().into_error()),
        Err(fault) => Err(fault.into_error()),
    }
}

fn ended(answer: Answer, without_bytes: bool) -> Result<Ended, TierError> {
    match answer.map(|value| wire::done(&value)) {
        Ok(Some(true)) if without_bytes => Ok(Ended::WithoutBytes),
        Ok(Some(true)) => Ok(Ended::Done),
        Ok(Some(false)) => Ok(Ended::Fenced),
        Ok(None) => Err(Fault::odd_reply().into_error()),
        Err(fault) => Err(fault.into_error()),
    }
}

/// What is sent, and what the scripts call.
const COMMANDS: &str = "+evalsha +script|load +info +set +get +time +wait +ping +subscribe \
                        +unsubscribe +punsubscribe +publish +cluster|slots +mget +setrange \
                        +getrange +del +zadd +zrem +zrangebyscore +pttl +pexpire +xadd \
                        +zrevrange +zremrangebyrank";
/// How long [`Redis::connect`] tries.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
const MOMENT: Duration = Duration::from_millis(5);
