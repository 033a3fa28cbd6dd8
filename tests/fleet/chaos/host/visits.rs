//! What a host does: visits to keys, as clients make them, that end with an outcome.

use std::path::Path;
use std::thread;
use std::time::Duration;

use oncegate::{
    Admission, BeginOptions, Completed, Engine, Error, ErrorCode, Failure, Lease, OnConflict,
    Outcome, Payload, Request, Scope,
};

use crate::futures::wait_for;
use crate::line::{Ask, Told};
use crate::notes::{Notes, now};
use crate::options;

#[derive(Debug, Default)]
pub(crate) struct Host {
    engine: Option<Engine>,
    work: Option<Work>,
}

/// What there is to do in a round.
#[derive(Debug)]
struct Work {
    notes: Notes,
    seed: u64,
    keys: u64,
    visits: u64,
    threads: u64,
    /// Attempts fail, are dropped, and outlast their leases.
    rash: bool,
}

impl Host {
    pub(crate) fn obey(&mut self, line: &str) -> Result<String, String> {
        let mut words = line.split_whitespace();
        match words.next() {
            Some("open") => {
                self.engine = Some(options::open(words)?);
                Ok("open".to_owned())
            }
            Some("work") => {
                let work = Work::parse(&mut words).ok_or("work to do is missing")??;
                let crew = Crew { engine: self.engine()?, work: &work };
                thread::scope(|scope| {
                    (0..work.threads).for_each(|number| {
                        scope.spawn(move || crew.visit_all(number));
                    });
                });
                self.work = Some(work);
                Ok("done".to_owned())
            }
            Some("settle") => {
                let work = self.work.as_ref().ok_or("no work was done")?;
                let engine = self.engine()?;
                engine.flush_tier(PATIENCE).map_err(|error| error.to_string())?;
                let crew = Crew { engine, work };
                let mut dice = Dice(work.seed ^ u64::MAX);
                (0..work.keys).for_each(|key| crew.visit(&key.to_string(), &mut dice));
                Ok("settled".to_owned())
            }
            _ => Err("no such command".to_owned()),
        }
    }

    fn engine(&self) -> Result<&Engine, String> {
        self.engine.as_ref().ok_or_else(|| "nothing is open".to_owned())
    }
}

impl Work {
    fn parse<'l>(words: &mut impl Iterator<Item = &'l str>) -> Option<Result<Self, String>> {
        let (folder, name) = (words.next()?, words.next()?);
        let mut number = || words.next()?.parse::<u64>().ok();
        let (seed, keys, visits, threads) = (number()?, number()?, number()?, number()?);
        let rash = words.next()? == "rash";
        let notes = Notes::new(Path::new(folder), name);
        Some(notes.map(|notes| Self { notes, seed, keys, visits, threads, rash }))
    }
}

#[derive(Clone, Copy)]
struct Crew<'h> {
    engine: &'h Engine,
    work: &'h Work,
}

/// How a client comes.
#[derive(Clone, Copy)]
enum Style {
    Begin,
    Wait,
    Async,
    Join,
}

impl<'h> Crew<'h> {
    /// Visits every key as often as it is to be, in an order of this thread's own.
    fn visit_all(self, number: u64) {
        let mut dice = Dice(self.work.seed.wrapping_add(number << 32));
        for _ in 0..self.work.visits {
            let mut keys: Vec<u64> = (0..self.work.keys).collect();
            for at in (1..keys.len()).rev() {
                keys.swap(at, dice.roll(at as u64 + 1) as usize);
            }
            keys.iter().for_each(|key| self.visit(&key.to_string(), &mut dice));
        }
    }

    /// A client that comes again until it has an outcome.
    fn visit(self, key: &str, dice: &mut Dice) {
        loop {
            let Some(lease) = self.begin(key, dice) else { return };
            if self.run(lease, key, dice) {
                return;
            }
        }
    }

    /// Comes until it is admitted; `None`: until there is an outcome.
    fn begin(self, key: &str, dice: &mut Dice) -> Option<Lease<'h>> {
        let name = format!("{}/{key}", self.work.notes.round());
        let request = request(&name);
        loop {
            let style = [Style::Begin, Style::Wait, Style::Async, Style::Join][dice.pick(4)];
            let limit = Duration::from_millis(50 + dice.roll(400));
            let number = self.work.notes.calls(key, Ask::Begin);
            let options = BeginOptions::new();
            let waiting = options.on_conflict(OnConflict::Wait(limit));
            let begun = match style {
                Style::Begin => Some(self.engine.begin_with(&request, &options)),
                Style::Wait => Some(self.engine.begin_with(&request, &waiting)),
                Style::Async => wait_for(self.engine.begin_async(&request, &options), PATIENCE),
                Style::Join => wait_for(self.engine.join(&request, &options), limit),
            };
            let told = match begun {
                None => Told::Left,
                Some(Err(error)) => refused(&error),
                Some(Ok(Admission::Admitted(lease))) => {
                    let told = Told::Admitted {
                        token: lease.fencing_token().get(),
                        attempt: lease.attempt(),
                        until: until(&lease),
                    };
                    self.work.notes.told(number, &told);
                    return Some(lease);
                }
                Some(Ok(Admission::Replayed(outcome))) => {
                    self.work.notes.told(number, &token_of(&outcome));
                    return None;
                }
                Some(Ok(Admission::InProgress { .. })) => Told::InProgress,
                Some(Ok(Admission::Scheduled { .. })) => Told::Scheduled,
                Some(Ok(other)) => Told::Odd(format!("{other:?}")),
            };
            self.work.notes.told(number, &told);
            if matches!(told, Told::Odd(_)) {
                return None;
            }
            // A client that comes again does so after a while.
            thread::park_timeout(Duration::from_millis(5 + dice.roll(30)));
        }
    }

    /// Runs the attempt. True: it has left an outcome.
    fn run(self, mut lease: Lease<'h>, key: &str, dice: &mut Dice) -> bool {
        let (notes, token) = (&self.work.notes, lease.fencing_token().get());
        // A handler takes its time: before its effect, and after it.
        let work = |dice: &mut Dice| thread::park_timeout(Duration::from_millis(dice.roll(15)));
        work(dice);
        if dice.pick(3) == 0 {
            let number = notes.calls(key, Ask::Renew(token));
            let lasts = lease.remaining() + Duration::from_millis(100);
            let renewed = lease.renew(lasts);
            let told = renewed.map_or_else(|error| refused(&error), |()| Told::Done(until(&lease)));
            notes.told(number, &told);
        }
        if self.work.rash && dice.pick(12) == 0 {
            // A handler that is slower than its lease, and does not look.
            thread::park_timeout(lease.remaining() + Duration::from_millis(dice.roll(300)));
        }
        notes.effect(key, token);
        work(dice);
        if self.work.rash && dice.pick(4) == 0 {
            self.fail(lease, key, dice);
            return false;
        }
        let outcome = Outcome::new(200, token.to_string());
        let number = notes.calls(key, Ask::Complete(token));
        let completed = if dice.pick(2) == 0 {
            Some(lease.complete(&outcome))
        } else {
            wait_for(lease.complete_async(&outcome), PATIENCE)
        };
        let told = match completed {
            None => Told::Odd("an end without an answer".to_owned()),
            Some(Ok(Completed::Stored)) => Told::Stored,
            Some(Ok(Completed::StoredHere)) => Told::StoredHere,
            Some(Ok(other)) => Told::Odd(format!("{other:?}")),
            Some(Err(error)) => refused(&error),
        };
        notes.told(number, &told);
        // Whoever is told something that nobody expects comes no more.
        matches!(told, Told::Stored | Told::StoredHere | Told::Odd(_))
    }

    fn fail(self, lease: Lease<'h>, key: &str, dice: &mut Dice) {
        let token = lease.fencing_token().get();
        let number = self.work.notes.calls(key, Ask::Fail(token));
        let later = Failure::retryable_after(Duration::from_millis(dice.roll(60)));
        let failed = match dice.pick(4) {
            0 => lease.fail(later),
            1 => wait_for(lease.fail_async(later), PATIENCE).unwrap_or(Ok(())),
            2 => lease.abandon(),
            _ => {
                drop(lease);
                Ok(())
            }
        };
        let told = failed.map_or_else(|error| refused(&error), |()| Told::Done(0));
        self.work.notes.told(number, &told);
    }
}

fn request(key: &str) -> Request<'_> {
    let request = Request::new(Scope::single_tenant(), "POST /charges", key);
    request.expect("valid").payload(Payload::raw(b"100"))
}

/// When the lease ends here at the earliest.
fn until(lease: &Lease<'_>) -> u64 {
    // The time first: it may be stopped between the two. The engine counts whole milliseconds.
    let now = now();
    let left = lease.remaining().saturating_sub(Duration::from_millis(2));
    now + u64::try_from(left.as_nanos()).unwrap_or(u64::MAX / 2)
}

fn token_of(outcome: &Outcome) -> Told {
    let body = String::from_utf8_lossy(outcome.body()).into_owned();
    body.parse().map_or_else(|_| Told::Odd(format!("the outcome {body}")), Told::Replayed)
}

fn refused(error: &Error) -> Told {
    match error.code() {
        ErrorCode::Fenced => Told::Fenced,
        ErrorCode::TierUnavailable => Told::Refused,
        _ => Told::Odd(error.to_string()),
    }
}

/// Numbers of a seed (SplitMix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % sides
    }

    fn pick(&mut self, sides: u64) -> usize {
        self.roll(sides) as usize
    }
}

/// What is never waited for so long but where something is broken.
const PATIENCE: Duration = Duration::from_secs(50);
