//! Regions: whatever a table's file holds, the engine answers or refuses, and comes to an end.
//!
//! The bytes change words of a table in which every kind of record lies, retried ones and dead
//! letters as well, and then say what is asked of it. Which answers are right nobody can say any
//! more; what is promised is that each call gives one, or a typed error, that nothing outside the
//! file is read, and that nothing goes on for ever.

mod retries;
mod template;

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::time::Duration;

use arbitrary::Unstructured;
use oncegate::{
    Admission, BackoffPolicy, BeginOptions, Engine, EngineBuilder, ErrorCode, Failure, FileAccess,
    LeaseToken, ManualClock, OnFull, Outcome, OutcomePolicy, Quota, Reach, RegionFile, Request,
    Resolution, RetryPolicy, Scope, Secret,
};

use self::template::{ATTEMPTS, Words, template};

/// Takes the changes and the calls.
pub fn run(data: &[u8]) {
    let mut bytes = Unstructured::new(data);
    let first = byte(&mut bytes);
    let kind = usize::from(first >> 5) % KINDS;
    let mut region = template(kind).clone();
    let changes = first % 24;
    for _ in 0..changes {
        change(&mut region, &mut bytes);
    }
    let place = Place::new();
    place.fill(&region.bytes());
    if let Ok(file) = RegionFile::open(place.table(), FileAccess::owner_only()) {
        // Numbers, findings, or an error that says why.
        let _ = file.inspect();
        file.check().expect("a file that can be read");
    }
    let clock = ManualClock::new();
    let engine = match builder(kind, &clock, &place).build() {
        Ok(engine) => engine,
        Err(refused) => {
            // For what it holds, and for nothing else.
            let content = [ErrorCode::RegionInvalid, ErrorCode::WrongSecret];
            assert!(content.contains(&refused.code()), "{refused}");
            return;
        }
    };
    let mut tokens = Vec::new();
    for _ in 0..MOST_CALLS {
        if bytes.is_empty() {
            break;
        }
        call(&engine, &clock, &mut bytes, &mut tokens);
    }
    drop(engine);
    retries::without_the_secret(&place);
}

fn byte(bytes: &mut Unstructured<'_>) -> u8 {
    bytes.arbitrary().unwrap_or_default()
}

/// Changes one word.
fn change(region: &mut Words, bytes: &mut Unstructured<'_>) {
    let [how, high, low] = [byte(bytes), byte(bytes), byte(bytes)];
    // A quarter of them among the words of the records that are retried, which are few.
    let at = match high >> 6 {
        3 if !region.retries.is_empty() => {
            let at = usize::from(high & 0x3f) << 8 | usize::from(low);
            region.retries[at % region.retries.len()]
        }
        _ => (usize::from(high) << 8 | usize::from(low)) % region.all.len(),
    };
    let word = &mut region.all[at];
    *word = match how % 8 {
        0..=2 => *word ^ 1 << (how >> 3),
        3 => *word ^ 1 << (32 + (how >> 3)),
        4 => u64::MAX,
        5 => 0,
        6 => word.rotate_left(u32::from(how >> 3)),
        _ => bytes.arbitrary().unwrap_or_default(),
    };
}

fn call(
    engine: &Engine,
    clock: &ManualClock,
    bytes: &mut Unstructured<'_>,
    tokens: &mut Vec<LeaseToken>,
) {
    let what = byte(bytes);
    let key = format!("key-{}", what >> 4);
    let request = request(&key);
    let options = BeginOptions::new();
    let more = byte(bytes);
    if more >= 0x80 {
        return retries::call(engine, what, more & 0x7f, tokens);
    }
    let body = vec![7; usize::from(more) % 70];
    let token = tokens.get(usize::from(what >> 4)).copied();
    // Each of these may be refused, by an error that says why.
    match (what & 15, token) {
        (0..=3, _) => {
            if let Ok(Admission::Admitted(lease)) = engine.begin_with(&request, &options) {
                tokens.push(lease.into_token());
            }
        }
        (4 | 5, Some(token)) => drop(engine.complete(&token, &Outcome::new(200, body))),
        (6, Some(token)) => drop(engine.fail(&token, Failure::retryable())),
        (7, Some(token)) => drop(engine.renew(&token, Duration::from_secs(1))),
        (8, _) => drop(engine.sweep(64)),
        (9, _) => drop(engine.bury_dead()),
        (10, _) => clock.advance(Duration::from_secs(1 << (what >> 4))),
        (11, _) => {
            let quota = Quota::unlimited().max_live(u64::from(what));
            let _ = engine.set_quota(scope(what), quota);
            let _ = engine.quota(scope(what));
        }
        (12, _) => drop(engine.resolve(&request, Resolution::RunAgain)),
        (13, _) => {
            let _ = engine.rotate_secret(secret(what | 1));
            let _ = engine.finish_rotation();
        }
        (14, _) => drop(engine.stats()),
        _ => {
            let name = [b'a' + (what >> 4)];
            let name = std::str::from_utf8(&name).expect("a letter");
            let scope = Scope::new(name).expect("short");
            let request = Request::new(scope, "op", &*key).expect("short");
            drop(engine.begin_with(&request, &options));
        }
    }
}

fn request(key: &str) -> Request<'_> {
    Request::new(Scope::single_tenant(), "op", key).expect("short")
}

fn scope(number: u8) -> Scope<'static> {
    let names = ["a", "b", "c", "d", "e"];
    Scope::new(names[usize::from(number) % names.len()]).expect("short")
}

fn secret(byte: u8) -> Secret {
    Secret::from_bytes(&[byte; 32]).expect("32 bytes")
}

/// Outcomes lie beside their records, in a store of few chunks, or in one of more where they must
/// stay.
fn builder(kind: usize, clock: &ManualClock, place: &Place) -> EngineBuilder {
    let builder = Engine::builder();
    let policy = RetryPolicy::new(BackoffPolicy::constant(Duration::from_secs(1)));
    let builder = match kind {
        0 => builder.tiny().inline_outcome(64),
        1 => builder.tiny(),
        _ => builder
            .capacity(16)
            .inline_outcome(0)
            .outcome_limit(64)
            .outcome_bytes(32 << 10)
            .max_scopes(8)
            .max_processes(3)
            .on_full(OnFull::Reject),
    };
    builder
        .clock(clock.clone())
        .lease_duration(Duration::from_secs(30))
        .outcome_policy(OutcomePolicy::ietf())
        .retry_policy(policy.max_attempts(ATTEMPTS))
        .jitter_seed(7)
        .context_limit(64)
        .steps_limit(0)
        .max_retrying(6)
        .secret(secret(7))
        .reach(Reach::Host(place.table()))
}

/// A file of its own, gone with this value.
struct Place(PathBuf);

impl Place {
    fn new() -> Self {
        use std::sync::atomic::{AtomicU64, Ordering};
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        // Relaxed: numbers only have to differ.
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let memory = PathBuf::from("/dev/shm");
        let base = if memory.is_dir() { memory } else { std::env::temp_dir() };
        let path = base.join(format!("oncegate-fuzz-{}-{number}", std::process::id()));
        // Of a process of the same number that was ended in the middle of an input.
        let _ = std::fs::remove_file(&path);
        Self(path)
    }

    fn table(&self) -> PathBuf {
        self.0.clone()
    }

    fn fill(&self, bytes: &[u8]) {
        let mut options = std::fs::OpenOptions::new();
        let file = options.write(true).create_new(true).mode(0o600).open(&self.0);
        file.and_then(|mut file| file.write_all(bytes)).expect("room in a temporary folder");
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

const MOST_CALLS: usize = 64;
const KINDS: usize = 3;
