//! What a worker can be told to do.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use oncegate::{
    Admission, BeginOptions, Clock, Completed, Engine, EngineBuilder, Error, Failure, LeaseToken,
    OnConflict, OnFull, OnLapse, Outcome, Payload, PreciseClock, Quota, Reach, Request, Scope,
    Secret, Stats,
};

/// Why a command was not carried out.
pub(crate) struct Refused(pub(super) String);

impl Refused {
    pub(crate) fn name(&self) -> &str {
        &self.0
    }
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self(format!("{} {}", error.code().name(), error.field()))
    }
}

#[derive(Default)]
pub(crate) struct Worker {
    engine: Option<Engine>,
    pub(super) tokens: HashMap<String, LeaseToken>,
}

/// A line, word by word; `name=value` are options.
pub(super) struct Words<'l>(pub(super) std::str::SplitWhitespace<'l>);

impl<'l> Words<'l> {
    pub(super) fn next(&mut self) -> Result<&'l str, Refused> {
        self.0.next().ok_or_else(|| Refused("a word is missing".into()))
    }

    pub(super) fn number(&mut self) -> Result<u64, Refused> {
        number(self.next()?)
    }
}

pub(super) fn number(text: &str) -> Result<u64, Refused> {
    text.parse().map_err(|_| Refused(format!("{text} is no number")))
}

impl Worker {
    pub(crate) fn obey(&mut self, line: &str) -> Result<String, Refused> {
        let mut words = Words(line.split_whitespace());
        match words.next()? {
            "open" => self.open(&mut words),
            "begin" => self.begin(&mut words),
            "mass" => self.mass(words.number()?, words.number()?, words.next()?),
            "drop" => {
                self.engine = None;
                Ok("dropped".into())
            }
            "exit" => std::process::exit(0),
            "close-all" => {
                super::closing::close_all();
                Ok("closed".into())
            }
            "list" => list(words.next()?),
            "go" => {
                std::env::set_current_dir(words.next()?).map_err(|e| Refused(e.to_string()))?;
                Ok("there".into())
            }
            "herd" => self.herd(words.number()?, &mut words),
            "pass" => {
                // Real time, which several processes share.
                let until = PreciseClock.now() + Duration::from_millis(words.number()?);
                while PreciseClock.now() < until {
                    std::thread::yield_now();
                }
                Ok("passed".into())
            }
            #[cfg(oncegate_failpoints)]
            "doom" => {
                oncegate::fate::die_before_write(words.number()?);
                Ok("doomed".into())
            }
            "token" => {
                let bytes = self.token(words.next()?)?.to_bytes();
                Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
            }
            "take-token" => {
                let (key, digits) = (words.next()?, words.next()?);
                self.tokens.insert(key.into(), LeaseToken::from_bytes(&bytes_of(digits)?)?);
                Ok("taken".into())
            }
            command @ ("complete" | "fail" | "renew") => self.end(command, &mut words),
            command @ ("later" | "next" | "advance" | "letters" | "redrive" | "discard"
            | "free-entries") => self.retry(command, &mut words),
            command => self.tend(command, &mut words),
        }
    }

    fn end(&self, command: &str, words: &mut Words<'_>) -> Result<String, Refused> {
        let token = self.token(words.next()?)?;
        match command {
            "complete" => {
                let done = self.engine()?.complete(&token, &Outcome::new(200, words.next()?))?;
                let stored = done == Completed::Stored;
                return Ok(if stored { "stored" } else { "without-bytes" }.into());
            }
            "fail" => {
                let after = words.0.next().and_then(|word| word.strip_prefix("after="));
                let after = after.map(number).transpose()?.map(Duration::from_millis);
                let failure = after.map_or_else(Failure::retryable, Failure::retryable_after);
                self.engine()?.fail(&token, failure)?;
            }
            _ => {
                self.engine()?.renew(&token, Duration::from_millis(words.number()?))?;
            }
        }
        Ok("ok".into())
    }

    fn tend(&self, command: &str, words: &mut Words<'_>) -> Result<String, Refused> {
        match command {
            "rotate" => self.engine()?.rotate_secret(secret(words.number()? as u8)?)?,
            "retire" => self.engine()?.finish_rotation()?,
            "sweep" => return Ok(format!("{:?}", self.engine()?.sweep(usize::MAX)?)),
            "bury" => return Ok(format!("buried {}", self.engine()?.bury_dead()?)),
            "stats" => return Ok(told(&self.engine()?.stats()?)),
            other => return Err(Refused(format!("no such command: {other}"))),
        }
        Ok("ok".into())
    }

    pub(super) fn engine(&self) -> Result<&Engine, Refused> {
        self.engine.as_ref().ok_or_else(|| Refused("nothing is open".into()))
    }

    pub(super) fn token(&self, key: &str) -> Result<LeaseToken, Refused> {
        self.tokens.get(key).copied().ok_or_else(|| Refused(format!("{key} is not leased")))
    }

    fn open(&mut self, words: &mut Words<'_>) -> Result<String, Refused> {
        let path = words.next()?;
        let mut builder = Engine::builder().precise_clock().reach(Reach::Host(path.into()));
        for word in words.0.by_ref() {
            builder = configure(builder, word)?;
        }
        let engine = builder.build()?;
        super::retries::opened(&engine)?;
        self.engine = Some(engine);
        Ok("open".into())
    }

    /// Opens a table in many threads at once.
    fn herd(&self, threads: u64, words: &mut Words<'_>) -> Result<String, Refused> {
        let (path, options) = (words.next()?, words.0.by_ref().collect::<Vec<_>>());
        let start = std::sync::Barrier::new(threads as usize);
        let open = || {
            let builder = Engine::builder().reach(Reach::Host(path.into()));
            let mut options = options.iter();
            let builder = options.try_fold(builder, |builder, word| configure(builder, word));
            start.wait();
            Some(builder.ok()?.build())
        };
        let opened: Vec<_> = std::thread::scope(|scope| {
            let all: Vec<_> = (0..threads).map(|_| scope.spawn(open)).collect();
            all.into_iter().map(|one| one.join().ok().flatten()).collect()
        });
        let open = opened.iter().filter(|one| matches!(one, Some(Ok(_)))).count();
        Ok(format!("opened {open}"))
    }

    fn begin(&mut self, words: &mut Words<'_>) -> Result<String, Refused> {
        let key = words.next()?;
        let how = words.0.next();
        let wait = how.and_then(|word| word.strip_prefix("wait="));
        let mut options = BeginOptions::new();
        if how == Some("run-due") {
            options = options.run_due();
        }
        if let Some(ms) = wait {
            options = options.on_conflict(OnConflict::Wait(Duration::from_millis(number(ms)?)));
        }
        let request = request(key)?;
        let engine = self.engine.as_ref().ok_or_else(|| Refused("nothing is open".into()))?;
        let begun = match wait {
            None => engine.begin_with(&request, &options)?,
            Some(_) => begin_and_tell(engine, &request, &options)?,
        };
        let answer = match begun {
            Admission::Admitted(lease) => {
                let (attempt, status) = (lease.attempt(), lease.status());
                let token = lease.into_token();
                self.tokens.insert(key.into(), token);
                format!("admitted {attempt} {} {status:?}", token.fencing_token())
            }
            Admission::Replayed(outcome) => {
                format!("replayed {}", String::from_utf8_lossy(outcome.body()))
            }
            Admission::InProgress { attempt, .. } => format!("in-progress {attempt}"),
            Admission::Scheduled { next_attempt, .. } => format!("scheduled {next_attempt}"),
            other => format!("{other:?}").to_lowercase(),
        };
        Ok(answer)
    }

    fn mass(&mut self, from: u64, to: u64, body: &str) -> Result<String, Refused> {
        let engine = self.engine()?;
        let mut admitted = 0;
        for number in from..to {
            let key = format!("key-{number}");
            if let Admission::Admitted(lease) = engine.begin(&request(&key)?)? {
                lease.complete(&Outcome::new(200, body))?;
                admitted += 1;
            }
        }
        Ok(format!("admitted {admitted}"))
    }
}

fn bytes_of(digits: &str) -> Result<Vec<u8>, Refused> {
    let pair = |at| digits.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
    let bytes: Option<Vec<u8>> = (0..digits.len()).step_by(2).map(pair).collect();
    bytes.ok_or_else(|| Refused("no bytes".into()))
}

/// Begins, and says `waits` as soon as it does.
fn begin_and_tell<'e>(
    engine: &'e Engine,
    request: &Request<'_>,
    options: &BeginOptions,
) -> Result<Admission<'e>, Error> {
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // Relaxed: the flag orders nothing.
            while !ended.load(Ordering::Relaxed) {
                if engine.stats().is_ok_and(|stats| stats.waiters > 0) {
                    println!("waits");
                    return;
                }
                std::thread::yield_now();
            }
        });
        let begun = engine.begin_with(request, options);
        // Relaxed: as above.
        ended.store(true, Ordering::Relaxed);
        begun
    })
}

fn list(folder: &str) -> Result<String, Refused> {
    let entries = std::fs::read_dir(folder).map_err(|error| Refused(error.to_string()))?;
    let names = entries.flatten().map(|entry| entry.file_name());
    let names: Vec<String> = names.map(|name| name.to_string_lossy().into_owned()).collect();
    Ok(names.join(" "))
}

fn told(stats: &Stats) -> String {
    let live = stats.live;
    format!(
        "running {} waiting {} succeeded {} failed {} unknown {} created {} recovered {}",
        live.running,
        live.waiting,
        live.succeeded,
        live.failed,
        live.unknown,
        stats.created,
        stats.recovered
    )
}

fn configure(builder: EngineBuilder, word: &str) -> Result<EngineBuilder, Refused> {
    let (name, value) = word.split_once('=').unwrap_or((word, ""));
    Ok(match name {
        "tiny" => builder.tiny(),
        "capacity" => builder.capacity(number(value)? as usize),
        "processes" => builder.max_processes(number(value)? as usize),
        "inline" => builder.inline_outcome(number(value)? as usize),
        "lease" => builder.lease_duration(Duration::from_millis(number(value)?)),
        "secret" => builder.secret(secret(number(value)? as u8)?),
        "retiring" => builder.retiring_secret(secret(number(value)? as u8)?),
        "window" => builder.dedup_window(Duration::from_millis(number(value)?)),
        "quota" => builder.default_quota(Quota::unlimited().max_live(number(value)?)),
        "reject" => builder.on_full(OnFull::Reject),
        "lapse" if value == "failed" => builder.on_lapse(OnLapse::Failed),
        "lapse" => builder.on_lapse(OnLapse::Unknown),
        _ => super::retries::configure(builder, name, value)?,
    })
}

fn secret(byte: u8) -> Result<Secret, Error> {
    Secret::from_bytes(&[byte; 32])
}

pub(super) fn request(key: &str) -> Result<Request<'_>, Error> {
    let request = Request::new(Scope::single_tenant(), "POST /charges", key)?;
    Ok(request.payload(Payload::raw(b"{}")))
}
