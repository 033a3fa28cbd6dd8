//! A storm: several processes work on one table at once, and each of them is killed before some
//! write, while an oracle beside the table knows what none of them may be told.

use std::panic::Location;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use oncegate::{
    Admission, BeginOptions, Completed, Engine, EngineBuilder, Error, ErrorCode, Failure,
    FileAccess, Lease, OnConflict, OnDrop, OnFull, Outcome, Quota, Reach, RegionFile, Request,
    Scope, Secret, Severity,
};

use crate::crew::Folder;
use crate::forked::Forked;

mod retries;

use retries::Ends;

const KEYS: usize = 40;
const QUOTA: Quota = Quota::unlimited().max_live(KEYS as u64);
/// Processes of one table, three at a time.
const CREW: u64 = 20;
const AT_ONCE: usize = 3;
const CALLS: u64 = 300;

/// What all processes of a storm write down, in memory that they share beside the table.
struct Oracle {
    /// The process that was admitted last, and has not ended its attempt.
    holder: [AtomicU64; KEYS],
    /// The token of the attempt whose end was acknowledged; [`NO_BYTES`]: it left no bytes.
    done: [AtomicU64; KEYS],
    /// The token of the attempt whose outcome was replayed.
    seen: [AtomicU64; KEYS],
    /// The highest number of an attempt, and the highest token.
    attempt: [AtomicU64; KEYS],
    fence: [AtomicU64; KEYS],
    /// The first thing that may not be: what, and the key.
    wrong: AtomicU64,
    /// Where it was seen, and what was seen there: a text, as long as there is room for it.
    seen_wrong: [AtomicU8; 400],
    admitted: AtomicU64,
    replayed: AtomicU64,
}

const NO_BYTES: u64 = u64::MAX;

/// What may not be, as numbers that fit beside a key.
const WRONG: [&str; 11] = [
    "nothing",
    "admitted beside a living holder",
    "admitted again to its own holder",
    "admitted although its end was acknowledged",
    "the holder could not end it",
    "bytes of another request",
    "bytes other than those that were acknowledged",
    "two replays differ",
    "an error that nobody expects",
    "an attempt whose number or token is not above those before",
    "a context, or a history, that nobody made",
];

impl Oracle {
    /// Memory that forked children share; it stays until the process ends.
    fn new() -> &'static Self {
        let (size, none) = (size_of::<Self>(), std::ptr::null_mut());
        let (access, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED);
        // SAFETY: a new anonymous mapping at an address of the kernel's choice.
        let memory = unsafe { libc::mmap(none, size, access, kind | libc::MAP_ANONYMOUS, -1, 0) };
        assert!(memory != libc::MAP_FAILED, "no memory");
        // SAFETY: large enough, aligned to a page, all zeroes, which are atomics, and never
        // unmapped.
        unsafe { &*memory.cast::<Self>() }
    }

    #[track_caller]
    fn wrong(&self, what: usize, key: usize) {
        self.note(what, key, &Location::caller().to_string());
    }

    /// The same, because of an error.
    #[track_caller]
    fn wrong_by(&self, what: usize, key: usize, error: &Error) {
        self.note(what, key, &format!("{}: {error:?}", Location::caller()));
    }

    fn note(&self, what: usize, key: usize, seen: &str) {
        let report = (what as u64) << 32 | key as u64;
        // Relaxed, all: read when all processes have ended. Who is first is the only one to write.
        let first = self.wrong.compare_exchange(0, report, Ordering::Relaxed, Ordering::Relaxed);
        if first.is_ok() {
            for (to, byte) in self.seen_wrong.iter().zip(seen.bytes()) {
                to.store(byte, Ordering::Relaxed);
            }
        }
    }

    /// What was wrong, if anything was, when all processes have ended.
    fn verdict(&self) -> Option<String> {
        // Relaxed, both: every process has ended.
        let wrong = self.wrong.load(Ordering::Relaxed);
        let seen = self.seen_wrong.iter().map(|byte| byte.load(Ordering::Relaxed));
        let seen: Vec<u8> = seen.take_while(|byte| *byte != 0).collect();
        let (what, key) = (WRONG[(wrong >> 32) as usize], wrong as u32);
        let seen = String::from_utf8_lossy(&seen);
        (wrong != 0).then(|| format!("key {key}: {what}; seen at {seen}"))
    }
}

/// Random numbers from a seed (xorshift64*, Vigna 2014).
struct Dice(u64);

impl Dice {
    fn new(seed: u64) -> Self {
        let mut dice = Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        (0..4).for_each(|_| _ = dice.roll(2));
        dice
    }

    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) % sides
    }
}

/// What the tables of a storm are like.
#[derive(Clone, Copy, Debug)]
struct Weather {
    evicts: bool,
    has_quota: bool,
    inline: bool,
    waits: bool,
    /// Other scopes fill the table up, and the one that is watched has a reservation.
    crowded: bool,
    inherited: bool,
    /// Attempts are left to the engine.
    retries: bool,
}

impl Weather {
    fn new(number: u64) -> Self {
        let bit = |at: u64| number >> at & 1 == 1;
        let [evicts, has_quota, inline, waits, crowded, retries] = [0, 1, 2, 3, 4, 5].map(bit);
        let inherited = number % 5 == 4;
        Self { evicts, has_quota, inline, waits, crowded, inherited, retries }
    }

    fn builder(self) -> EngineBuilder {
        let hour = Duration::from_secs(3_600);
        let builder = Engine::builder()
            .capacity(16)
            .max_processes(4)
            .max_scopes(4)
            .inline_outcome(if self.inline { 64 } else { 0 })
            .outcome_limit(200)
            .outcome_bytes(24 << 10)
            .precise_clock()
            .lease_duration(hour)
            .on_drop(OnDrop::KeepLease)
            .on_full(if self.evicts { OnFull::EvictLru } else { OnFull::Reject });
        let builder = if self.retries { retries::configure(builder) } else { builder };
        if self.has_quota { builder.default_quota(QUOTA) } else { builder }
    }
}

fn acme() -> Scope<'static> {
    Scope::new("acme").expect("short")
}

fn request(key: &str) -> Request<'_> {
    Request::new(acme(), "op", key).expect("valid")
}

/// The outcome that the attempt `token` of `key` leaves, and no other one.
fn body(key: usize, token: u64) -> Vec<u8> {
    let mut dice = Dice::new(token ^ (key as u64) << 50);
    let length = [5, 20, 60, 70, 120, 180][dice.roll(6) as usize];
    let noise = (0..length).map(|_| dice.roll(256) as u8);
    token.to_le_bytes().into_iter().chain(noise).collect()
}

/// Whether process `id` is alive, and not on its way out.
fn is_alive(id: u64) -> bool {
    const EXITING: u64 = 4;
    let Ok(text) = std::fs::read_to_string(format!("/proc/{id}/stat")) else { return false };
    let fields: Vec<&str> = text.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    let flags = fields.get(6).and_then(|flags| flags.parse::<u64>().ok()).unwrap_or(EXITING);
    !matches!(fields.first(), Some(&("Z" | "X")) | None) && flags & EXITING == 0
}

/// One process of the crew.
struct Sailor<'s> {
    engine: Engine,
    oracle: &'s Oracle,
    weather: Weather,
    dice: Dice,
    me: u64,
    waits: bool,
}

impl Sailor<'_> {
    fn work(&mut self) {
        for _ in 0..CALLS {
            match self.dice.roll(60) {
                0 => drop(self.engine.sweep(16)),
                1 => drop(self.engine.bury_dead()),
                2 if !self.weather.inherited => {
                    let secret = Secret::generate().expect("entropy");
                    drop(self.engine.rotate_secret(secret));
                }
                3 => drop(self.engine.finish_rotation()),
                4..=25 if self.weather.crowded => self.crowd(),
                26 if self.weather.crowded => self.limit_the_crowd(),
                27..=40 if self.weather.retries => self.tend_retries(),
                _ => self.call(),
            }
        }
    }

    /// One more record of somebody else.
    fn crowd(&mut self) {
        let (name, key) = (self.crowd_name(), self.dice.roll(500).to_string());
        let guest = self.dice.roll(4) == 0;
        let scope = Scope::new(&name).expect("short");
        let scope = if guest { Scope::unauthenticated() } else { scope };
        let outcome = Outcome::new(200, vec![7; self.dice.roll(200) as usize]);
        let ended = match self.engine.begin(&Request::new(scope, "op", &key).expect("valid")) {
            Ok(Admission::Admitted(lease)) => lease.complete(&outcome).map(drop),
            Ok(_) => Ok(()),
            Err(error) => Err(error),
        };
        self.refused_at_most(ended);
    }

    fn limit_the_crowd(&mut self) {
        let (name, limit) = (self.crowd_name(), self.dice.roll(20));
        let scope = Scope::new(&name).expect("short");
        let done = match limit {
            0..6 => self.engine.remove_quota(scope),
            // Without a reservation: all together would leave the watched scope too little.
            _ => self.engine.set_quota(scope, Quota::unlimited().rate(1e6, limit as u32)),
        };
        self.refused_at_most(done);
    }

    /// More of them than there are quotas.
    fn crowd_name(&mut self) -> String {
        format!("crowd-{}", self.dice.roll(9))
    }

    #[track_caller]
    fn refused_at_most(&self, done: Result<(), oncegate::Error>) {
        if let Err(error) = done {
            refused_at_most(self.oracle, KEYS, &error);
        }
    }

    fn call(&mut self) {
        let key = self.dice.roll(KEYS as u64) as usize;
        let name = format!("key-{key}");
        // SeqCst, here and below: what one process wrote down before a call, another one must find
        // after a later call. The engine's own orderings are what is on trial, so that the oracle
        // leans on none of them: its words have one order for all. It pairs with the swaps and
        // stores in `admitted`, `end` and `replayed`.
        let done = self.oracle.done[key].load(Ordering::SeqCst);
        let wait = OnConflict::Wait(Duration::from_secs(2));
        let options = BeginOptions::new();
        let options = if self.waits { options.on_conflict(wait) } else { options };
        // Who waits, and all others with him, would wait for a worker.
        let options =
            if self.waits || self.dice.roll(2) == 0 { options.run_due() } else { options };
        let oracle = self.oracle;
        // The engine is lent to the lease, and the dice are not.
        let Self { engine, dice, me, waits, weather, .. } = self;
        let ends = Ends { waits: *waits, retries: weather.retries };
        match engine.begin_with(&request(&name), &options) {
            Ok(Admission::Admitted(lease)) => {
                admitted(oracle, key, *me, done, &lease);
                end(oracle, engine, key, dice, ends, lease);
            }
            Ok(Admission::Replayed(outcome)) => replayed(oracle, key, done, &outcome),
            Ok(_) => {}
            Err(error) => refused_at_most(oracle, key, &error),
        }
    }
}

/// There may be no room for a record, nor in its scope's share; nothing else may be in its way.
#[track_caller]
fn refused_at_most(oracle: &Oracle, key: usize, error: &Error) {
    if ![ErrorCode::Full, ErrorCode::QuotaExceeded].contains(&error.code()) {
        oracle.wrong_by(8, key, error);
    }
}

fn admitted(oracle: &Oracle, key: usize, me: u64, done: u64, lease: &Lease<'_>) {
    let before = oracle.holder[key].swap(me, Ordering::SeqCst);
    if before == me {
        oracle.wrong(2, key);
    } else if before != 0 && is_alive(before) {
        oracle.wrong(1, key);
    }
    if done != 0 {
        oracle.wrong(3, key);
    }
    // SeqCst, both: as in `call`. It is alive and holds the lease: nobody has a later one.
    let number = oracle.attempt[key].fetch_max(lease.attempt().into(), Ordering::SeqCst);
    let token = lease.fencing_token().get();
    let fence = oracle.fence[key].fetch_max(token, Ordering::SeqCst);
    if number >= lease.attempt().into() || fence >= token {
        oracle.wrong(9, key);
    }
    // Relaxed: for people.
    oracle.admitted.fetch_add(1, Ordering::Relaxed);
}

/// Ends the attempt in one way or another, or keeps it until this process's death.
fn end(
    oracle: &Oracle,
    engine: &Engine,
    key: usize,
    dice: &mut Dice,
    ends: Ends,
    lease: Lease<'_>,
) {
    if ends.retries && dice.roll(2) == 0 {
        return retries::leave(oracle, engine, key, lease);
    }
    let token = lease.fencing_token().get();
    let outcome = Outcome::new(200, body(key, token));
    let ended = match dice.roll(6) {
        0 => {
            oracle.holder[key].store(0, Ordering::SeqCst);
            lease.fail(Failure::retryable()).map(|()| 0)
        }
        // Who waits would wait for itself.
        1 if !ends.waits => {
            let _ = lease.into_token();
            return;
        }
        2 => lease.fail(Failure::terminal(outcome)).map(|()| NO_BYTES),
        _ => lease
            .complete(&outcome)
            .map(|stored| if stored == Completed::Stored { token } else { NO_BYTES }),
    };
    match ended {
        Ok(0) => {}
        Ok(done) => oracle.done[key].store(done, Ordering::SeqCst),
        Err(error) => oracle.wrong_by(4, key, &error),
    }
}

fn replayed(oracle: &Oracle, key: usize, done: u64, outcome: &Outcome) {
    if retries::is_given_up(outcome) {
        // It may be redriven, and run again; what was completed may not.
        if done != 0 && done != NO_BYTES {
            oracle.wrong(6, key);
        }
        return;
    }
    let token = outcome.body().first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
    if outcome.body() != body(key, token) {
        oracle.wrong(5, key);
    }
    if done != 0 && done != NO_BYTES && done != token {
        oracle.wrong(6, key);
    }
    let before = oracle.seen[key].swap(token, Ordering::SeqCst);
    if before != 0 && before != token {
        oracle.wrong(7, key);
    }
    // Relaxed: for people.
    oracle.replayed.fetch_add(1, Ordering::Relaxed);
}

/// One life of a process: it may be killed while it opens the table, or later.
fn live(seed: u64, weather: Weather, oracle: &Oracle, folder: &Folder, own: Option<Engine>) -> i32 {
    let mut dice = Dice::new(seed);
    let before_opening = dice.roll(5) == 0;
    let writes = 1 + if dice.roll(2) == 0 { dice.roll(60) } else { dice.roll(1_200) };
    if before_opening {
        oncegate::fate::die_before_write(writes);
    }
    let builder = || weather.builder().reach(Reach::Host(folder.table()));
    // A rotation may have been under way, and its secrets in the file.
    let Ok(engine) = own.map_or_else(|| builder().build(), Ok) else { return 1 };
    if !before_opening {
        oncegate::fate::die_before_write(writes);
    }
    if weather.crowded
        && let Err(error) = engine.set_quota(acme(), QUOTA)
    {
        oracle.wrong_by(8, KEYS, &error);
    }
    let waits = weather.waits && dice.roll(2) == 0;
    let me = u64::from(std::process::id());
    let mut sailor = Sailor { engine, oracle, weather, dice, me, waits };
    sailor.work();
    for holder in &oracle.holder {
        // Whatever it holds is free as soon as the engine is dropped, below.
        let _ = holder.compare_exchange(me, 0, Ordering::SeqCst, Ordering::SeqCst);
    }
    0
}

/// All processes of one table, and what they left. Returns how many were killed.
fn storm(seed: u64, weather: Weather) -> u64 {
    let (oracle, folder) = (Oracle::new(), Folder::new());
    let inherited = || weather.builder().reach(Reach::HostInherited).build().expect("memory");
    let mut parent = weather.inherited.then(inherited);
    let mut killed = 0;
    let mut crew = std::collections::VecDeque::new();
    for number in 0..CREW {
        if crew.len() == AT_ONCE {
            killed += ended(crew.pop_front(), seed);
        }
        let seed = seed * CREW + number;
        let life = || live(seed, weather, oracle, &folder, parent.take());
        // In the parent nothing is taken: it is the child that runs this.
        crew.push_back(Forked::new(life));
    }
    while !crew.is_empty() {
        killed += ended(crew.pop_front(), seed);
    }
    assert_eq!(oracle.verdict(), None, "seed {seed}, {weather:?}");
    match parent {
        Some(engine) => drop(engine.bury_dead().expect("own")),
        None => {
            if weather.retries {
                retries::settled(seed, weather, &folder);
            }
            settled(seed, weather, &folder);
        }
    }
    killed
}

fn ended(sailor: Option<Forked>, seed: u64) -> u64 {
    let status = sailor.expect("there is one").status();
    assert!(matches!(status, None | Some(0)), "seed {seed}: a process gave {status:?}");
    u64::from(status.is_none())
}

/// Nothing is left of the dead, and what counts is counted right.
fn settled(seed: u64, weather: Weather, folder: &Folder) {
    let access = FileAccess::owner_only;
    RegionFile::collect(folder.table(), access()).expect("a table");
    let file = RegionFile::open(folder.table(), access()).expect("a table");
    let seen = file.inspect().expect("a table");
    assert_eq!((seen.half_done, seen.leases.held), (0, 0), "seed {seed}, {weather:?}");
    for scope in &seen.scopes {
        assert_eq!(scope.charged, scope.records, "seed {seed}, {weather:?}");
    }
    for finding in file.check().expect("a table") {
        let fine = finding.severity < Severity::Error;
        assert!(fine, "seed {seed}, {weather:?}: {finding:?}");
    }
}

/// Goal: whoever is killed, and whenever: no request is admitted beside a living holder or after an
/// end that was acknowledged, every outcome is whole, its own and always the same one, nothing of
/// the dead is left, and quotas are right (I1, I3, I4, I7, I8). Method: many tables, each with 20
/// processes, three at a time, that begin, end, sweep, bury, rotate and wait, in half of the tables
/// beside other scopes that fill it up, and in half of them leave attempts to the engine, take
/// them, redrive and discard, each killed before a write of its own; an oracle in shared memory.
/// `STORM=N` begins at another seed, `STORM_TABLES=N` takes as many of them, and
/// `STORM_WEATHER=N` gives every table the weather of one seed.
#[test]
fn nothing_is_run_twice_or_lost_in_a_storm() {
    let from = number_of("STORM").unwrap_or(1);
    let tables = number_of("STORM_TABLES").unwrap_or(TABLES);
    let weather = number_of("STORM_WEATHER").map(Weather::new);
    let weather_of = |seed| weather.unwrap_or_else(|| Weather::new(seed));
    let killed: u64 = (from..from + tables).map(|seed| storm(seed, weather_of(seed))).sum();
    println!("processes: {killed} killed, in a storm over {tables} tables");
}

/// What the variable `name` of the environment says, if there is one.
fn number_of(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
}

/// As many as take some seconds.
const TABLES: u64 = 320;
