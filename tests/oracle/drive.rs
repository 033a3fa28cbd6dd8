//! Drives an engine and the oracle through the same calls, and compares every answer.

use std::collections::HashMap;
use std::time::Duration;

use oncegate::{
    Admission, BeginOptions, Engine, Error, ErrorCode, Failure, FingerprintMode, Lease, LeaseToken,
    ManualClock, OnConflict, Payload, Request, Resolution, Scope, Secret, Stats, Status,
};

use crate::model::{Answer, Ask, End, Oracle, Rules, Verdict, ms_up};
use crate::ops::{Op, Options, Setup, outcome};

/// Requests that differ in one part each, or whose parts run together to the same text.
pub(crate) const REQUESTS: [(Option<&str>, &str, &str); 7] = [
    (Some("acme"), "charge", "k1"),
    (Some("acme"), "charge", "k2"),
    (Some("acme"), "refund", "k1"),
    (Some("acmec"), "harge", "k1"),
    (Some("other"), "charge", "k1"),
    (Some("single tenant"), "charge", "k1"),
    (None, "charge", "k1"),
];

const OUTCOME_LIMIT: usize = 64;
/// Room for every record and outcome of a run, so that nothing is evicted.
const CAPACITY: usize = 256;
const OUTCOME_BYTES: usize = 1 << 20;
const YEAR_US: u64 = 366 * 24 * 3600 * 1_000_000;

pub(crate) struct Drive<'e> {
    engine: &'e Engine,
    clock: ManualClock,
    now_us: u64,
    setup: Setup,
    oracle: Oracle,
    /// Every token that was given out: request, token, window in milliseconds.
    tokens: Vec<(usize, LeaseToken, u64)>,
    guards: Vec<(usize, Lease<'e>, u64)>,
    /// The highest fencing token of each request.
    highest: HashMap<usize, u64>,
    told: Told,
    /// How many rotations of the secret have begun.
    era: u32,
    rotating: bool,
}

/// How often each answer came.
#[derive(Debug, Default, PartialEq, Eq)]
struct Told {
    begun: u64,
    created: u64,
    expired: u64,
    retried: u64,
    replayed: u64,
    in_progress: u64,
    scheduled: u64,
    mismatched: u64,
    unresolved: u64,
    outcome_gone: u64,
    fenced: u64,
    dropped: u64,
}

/// Runs `ops` on a new engine.
pub(crate) fn run(setup: Setup, ops: &[Op]) -> Result<(), String> {
    let clock = ManualClock::new();
    let mode = if setup.fast { FingerprintMode::FastTrusted } else { FingerprintMode::Keyed };
    let engine = Engine::builder()
        .capacity(CAPACITY)
        .outcome_bytes(OUTCOME_BYTES)
        .outcome_limit(OUTCOME_LIMIT)
        .lease_duration(Duration::from_micros(setup.lease_us))
        .dedup_window(Duration::from_micros(setup.window_us))
        .on_lapse(setup.on_lapse)
        .on_drop(setup.on_drop)
        .fingerprint_mode(mode)
        .secret(Secret::from_bytes(&[setup.secret; 32]).map_err(|error| error.to_string())?)
        .clock(clock.clone())
        .build()
        .map_err(|error| error.to_string())?;
    let rules = Rules {
        window: ms_up(setup.window_us),
        on_drop: setup.on_drop,
        outcome_limit: OUTCOME_LIMIT,
    };
    let mut drive = Drive {
        engine: &engine,
        clock,
        now_us: 0,
        setup,
        oracle: Oracle::new(rules),
        tokens: Vec::new(),
        guards: Vec::new(),
        highest: HashMap::new(),
        told: Told::default(),
        era: 0,
        rotating: false,
    };
    for (at, op) in ops.iter().enumerate() {
        drive.step(op).map_err(|why| format!("step {at}, {op:?}: {why}"))?;
    }
    drive.finish()
}

impl<'e> Drive<'e> {
    fn step(&mut self, op: &Op) -> Result<(), String> {
        match *op {
            Op::Begin { key, payload, options, guard } => self.begin(key, payload, options, guard),
            Op::Complete { token, outcome: index } => {
                self.end(token, &End::Complete(outcome(index)))
            }
            Op::Terminal { token, outcome: index } => {
                self.end(token, &End::Terminal(outcome(index)))
            }
            Op::Retry { token, delay_us } => self.retry(token, delay_us),
            Op::GiveUp { token } => self.end(token, &End::GiveUp),
            Op::Renew { token, lease_us } => self.renew(token, lease_us),
            Op::DropGuard { guard } => self.drop_guard(guard),
            Op::ResolveTo { key, success: true, outcome: index } => {
                self.resolve(key, &Verdict::Succeeded(outcome(index)))
            }
            Op::ResolveTo { key, success: false, outcome: index } => {
                self.resolve(key, &Verdict::Failed(outcome(index)))
            }
            Op::RunAgain { key } => self.resolve(key, &Verdict::RunAgain),
            Op::SweepAll => self.sweep_all(),
            Op::SweepSome { slots } => {
                self.engine.sweep(slots).map_err(|error| error.to_string())?;
                self.oracle.housekeeping(self.now());
                Ok(())
            }
            Op::Rotate { secret } => self.rotate(secret),
            Op::FinishRotation => self.finish_rotation(),
            Op::AdvanceTo { key, moment, off_ms } => {
                self.advance_to(key, moment, off_ms);
                Ok(())
            }
            Op::AdvanceBy { us } => {
                self.advance(us);
                Ok(())
            }
        }
    }

    fn begin(
        &mut self,
        key: usize,
        payload: usize,
        options: Options,
        guard: bool,
    ) -> Result<(), String> {
        let engine = self.engine;
        let begun =
            with_request(key, payload, |request| engine.begin_with(request, &chosen(options)));
        let refused = options.lease_us.is_some_and(|us| !may_last(us, YEAR_US))
            || options.window_us.is_some_and(|us| !may_last(us, 10 * YEAR_US));
        let admission = match begun {
            Err(error) if refused => return expect_code(&error, ErrorCode::InvalidOption),
            Ok(admission) if refused => return Err(format!("not refused: {admission:?}")),
            begun => begun.map_err(|error| error.to_string())?,
        };
        let mut token = 0;
        let answer = match admission {
            Admission::Admitted(lease) => {
                token = lease.fencing_token().get();
                self.admitted(key, lease, options, guard)?
            }
            other => self.told(other)?,
        };
        self.told.begun += 1;
        let ask = Ask {
            payload,
            lease: ms_up(options.lease_us.unwrap_or(self.setup.lease_us)),
            lapse: options.lapse.unwrap_or(self.setup.on_lapse),
            token,
            era: self.era,
        };
        self.oracle.begin(key, self.now(), &ask, &answer)
    }

    /// Keeps the lease, and checks what it says of itself.
    fn admitted(
        &mut self,
        key: usize,
        lease: Lease<'e>,
        options: Options,
        guard: bool,
    ) -> Result<Answer, String> {
        let token = lease.fencing_token().get();
        let highest = self.highest.entry(key).or_default();
        if token <= *highest || token >= 1 << 63 {
            return Err(format!("token {token} after {highest}"));
        }
        *highest = token;
        *match lease.status() {
            Status::Created => &mut self.told.created,
            Status::Expired => &mut self.told.expired,
            Status::Retried => &mut self.told.retried,
        } += 1;
        let answer = Answer::Admitted {
            attempt: lease.attempt(),
            status: lease.status(),
            remaining_ms: whole_ms(lease.remaining())?,
        };
        let window = ms_up(options.window_us.unwrap_or(self.setup.window_us));
        self.tokens.push((key, *lease.token(), window));
        if guard {
            self.guards.push((key, lease, window));
        } else {
            let _ = lease.into_token();
        }
        Ok(answer)
    }

    /// Counts an answer that admits nobody.
    fn told(&mut self, admission: Admission<'_>) -> Result<Answer, String> {
        let told = &mut self.told;
        let (count, answer) = match admission {
            Admission::Admitted(_) => return Err("admitted".to_owned()),
            Admission::Replayed(outcome) => (&mut told.replayed, Answer::Replayed(outcome)),
            Admission::InProgress { attempt, remaining } => {
                let remaining_ms = whole_ms(remaining)?;
                (&mut told.in_progress, Answer::InProgress { attempt, remaining_ms })
            }
            Admission::Scheduled { next_attempt, due_in } => {
                let due_in_ms = whole_ms(due_in)?;
                (&mut told.scheduled, Answer::Scheduled { next_attempt, due_in_ms })
            }
            Admission::Mismatched => (&mut told.mismatched, Answer::Mismatched),
            Admission::Unresolved => (&mut told.unresolved, Answer::Unresolved),
            Admission::OutcomeGone => (&mut told.outcome_gone, Answer::OutcomeGone),
        };
        *count += 1;
        Ok(answer)
    }

    fn retry(&mut self, token: usize, delay_us: Option<u64>) -> Result<(), String> {
        let delay = delay_us.unwrap_or(0);
        if delay <= YEAR_US {
            return self.end(token, &End::Retry { delay_us });
        }
        let Some((_, token, _)) = self.token(token) else { return Ok(()) };
        let failed = self.engine.fail(&token, retryable(delay_us));
        expect_code(&failed.expect_err("too long"), ErrorCode::InvalidOption)
    }

    fn renew(&mut self, token: usize, lease_us: u64) -> Result<(), String> {
        if may_last(lease_us, YEAR_US) {
            return self.end(token, &End::Renew { lease_us });
        }
        let Some((_, token, _)) = self.token(token) else { return Ok(()) };
        let renewed = self.engine.renew(&token, Duration::from_micros(lease_us));
        expect_code(&renewed.expect_err("out of range"), ErrorCode::InvalidOption)
    }

    fn end(&mut self, token: usize, end: &End) -> Result<(), String> {
        let Some((key, token, window)) = self.token(token) else { return Ok(()) };
        let engine = self.engine;
        let answer = match end {
            End::Complete(outcome) => engine.complete(&token, outcome).map(Answer::Completed),
            End::Terminal(outcome) => {
                engine.fail(&token, Failure::terminal(outcome.clone())).map(|()| Answer::Done)
            }
            End::Retry { delay_us } => {
                engine.fail(&token, retryable(*delay_us)).map(|()| Answer::Done)
            }
            End::GiveUp => engine.fail(&token, Failure::unknown()).map(|()| Answer::Done),
            End::Renew { lease_us } => {
                engine.renew(&token, Duration::from_micros(*lease_us)).map(|_| Answer::Done)
            }
            End::Drop => return Err("a token cannot be dropped".to_owned()),
        };
        let answer = answer.unwrap_or_else(|error| Answer::Refused(error.code()));
        self.told.fenced += u64::from(answer == Answer::Refused(ErrorCode::Fenced));
        let held = (token.fencing_token().get(), window);
        self.oracle.end(key, self.now(), held, end, &answer)
    }

    fn drop_guard(&mut self, guard: usize) -> Result<(), String> {
        if self.guards.is_empty() {
            return Ok(());
        }
        let (key, lease, window) = self.guards.swap_remove(guard % self.guards.len());
        let held = (lease.fencing_token().get(), window);
        drop(lease);
        self.told.dropped += 1;
        self.oracle.end(key, self.now(), held, &End::Drop, &Answer::Dropped)
    }

    fn resolve(&mut self, key: usize, verdict: &Verdict) -> Result<(), String> {
        let resolution = match verdict.clone() {
            Verdict::Succeeded(outcome) => Resolution::Succeeded(outcome),
            Verdict::Failed(outcome) => Resolution::Failed(outcome),
            Verdict::RunAgain => Resolution::RunAgain,
        };
        let resolved = with_request(key, 0, |request| self.engine.resolve(request, resolution));
        let answer = match resolved {
            Ok(()) => Answer::Done,
            Err(error) => Answer::Refused(error.code()),
        };
        self.oracle.resolve(key, self.now(), verdict, &answer)
    }

    fn sweep_all(&mut self) -> Result<(), String> {
        let swept = self.engine.sweep(usize::MAX).map_err(|error| error.to_string())?;
        self.oracle.swept(self.now(), swept.cleared, swept.lapsed)
    }

    fn rotate(&mut self, secret: u8) -> Result<(), String> {
        let secret = Secret::from_bytes(&[secret; 32]).map_err(|error| error.to_string())?;
        match self.engine.rotate_secret(secret) {
            Err(error) if self.rotating => expect_code(&error, ErrorCode::RotationPending),
            Ok(()) if self.rotating => Err("rotated twice".to_owned()),
            rotated => {
                self.rotating = true;
                self.era += 1;
                rotated.map_err(|error| error.to_string())
            }
        }
    }

    fn finish_rotation(&mut self) -> Result<(), String> {
        let finished = self.engine.finish_rotation();
        if !self.rotating {
            return expect_code(&finished.expect_err("none"), ErrorCode::NotFound);
        }
        self.rotating = finished.is_err();
        if let Err(error) = &finished {
            expect_code(error, ErrorCode::RotationPending)?;
        }
        self.oracle.finished_rotation(self.now(), self.era, finished.is_ok())
    }

    fn advance_to(&mut self, key: usize, moment: usize, off_ms: i64) {
        let moments = self.oracle.moments(key);
        let Some(at) = moments.get(moment % moments.len().max(1)) else { return };
        // The engine counts milliseconds from one on.
        let target_us = (at - 1).saturating_add_signed(off_ms).saturating_mul(1_000);
        self.advance(target_us.saturating_sub(self.now_us));
    }

    fn advance(&mut self, us: u64) {
        self.clock.advance(Duration::from_micros(us));
        self.now_us += us;
    }

    /// After a sweep nothing is uncertain, and all counts add up.
    fn finish(mut self) -> Result<(), String> {
        self.sweep_all()?;
        let stats = self.engine.stats().expect("not forked");
        let live = stats.live;
        let found = [live.running, live.waiting, live.succeeded, live.failed, live.unknown];
        let expected = self.oracle.live();
        let agrees =
            |(found, (fewest, most)): (&u64, &(u64, u64))| (fewest..=most).contains(&found);
        if !found.iter().zip(&expected).all(agrees) {
            return Err(format!("live {found:?}, expected {expected:?}"));
        }
        self.told.check(&stats)?;
        // What is left is not dropped in the middle of a panic.
        self.guards.into_iter().for_each(|(_, lease, _)| drop(lease));
        Ok(())
    }

    fn token(&self, index: usize) -> Option<(usize, LeaseToken, u64)> {
        // Half of the calls come with the latest token, the others with any, mostly stale.
        let last = self.tokens.len().checked_sub(1)?;
        self.tokens
            .get(if index.is_multiple_of(2) { last } else { index / 2 % (last + 1) })
            .copied()
    }

    /// Milliseconds since the engine was opened, from one on.
    fn now(&self) -> u64 {
        self.now_us / 1_000 + 1
    }
}

impl Told {
    fn check(&self, stats: &Stats) -> Result<(), String> {
        let counted = Told {
            begun: stats.begun,
            created: stats.created,
            expired: stats.expired,
            retried: stats.retried,
            replayed: stats.replayed,
            in_progress: stats.in_progress,
            scheduled: stats.scheduled,
            mismatched: stats.mismatched,
            unresolved: stats.unresolved,
            outcome_gone: stats.outcome_gone,
            // A guard that was dropped stale may have been fenced.
            fenced: stats.fenced.clamp(self.fenced, self.fenced + self.dropped).min(stats.fenced),
            dropped: self.dropped,
        };
        let told = Told { fenced: counted.fenced, ..*self };
        let lost = [stats.evicted_early, stats.outcomes_evicted, stats.full, stats.quota];
        if counted == told && stats.fenced >= self.fenced && lost == [0; 4] {
            return Ok(());
        }
        Err(format!("counted {stats:?}, told {self:?}"))
    }
}

fn with_request<T>(key: usize, payload: usize, call: impl FnOnce(&Request<'_>) -> T) -> T {
    let (scope, operation, key) = REQUESTS[key];
    let scope = scope.map_or(Scope::single_tenant(), |name| Scope::new(name).expect("short"));
    let request = Request::new(scope, operation, key).expect("short");
    let payload = [Payload::none(), Payload::raw(b"a"), Payload::raw(b"b")][payload];
    call(&request.payload(payload))
}

fn chosen(options: Options) -> BeginOptions {
    let mut chosen = BeginOptions::new().on_conflict(OnConflict::Conflict);
    if let Some(us) = options.lease_us {
        chosen = chosen.lease_duration(Duration::from_micros(us));
    }
    if let Some(us) = options.window_us {
        chosen = chosen.dedup_window(Duration::from_micros(us));
    }
    match options.lapse {
        Some(lapse) => chosen.on_lapse(lapse),
        None => chosen,
    }
}

fn retryable(delay_us: Option<u64>) -> Failure {
    delay_us
        .map_or_else(Failure::retryable, |us| Failure::retryable_after(Duration::from_micros(us)))
}

fn expect_code(error: &Error, code: ErrorCode) -> Result<(), String> {
    if error.code() == code { Ok(()) } else { Err(format!("{error}, expected {code:?}")) }
}

/// From a millisecond on, and at most so long.
fn may_last(us: u64, most_us: u64) -> bool {
    (1_000..=most_us).contains(&us)
}

fn whole_ms(duration: Duration) -> Result<u64, String> {
    let whole = duration.subsec_nanos().is_multiple_of(1_000_000);
    whole.then_some(duration.as_millis() as u64).ok_or_else(|| format!("{duration:?}"))
}
