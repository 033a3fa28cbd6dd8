//! Drives an engine and the oracle through the same calls, and compares every answer.

use std::collections::HashMap;
use std::time::Duration;

use oncegate::{
    Admission, BeginOptions, Engine, Error, ErrorCode, Failure, FingerprintMode, Lease, LeaseToken,
    ManualClock, OnConflict, Outcome, Prepared, Quota, Reach, Resolution, Secret, Status,
};

use crate::model::{Answer, Ask, End, Oracle, Rules, Verdict, ms_up};
use crate::ops::{Limits, Op, Options, Setup, Way, outcome};
use crate::quotas::Quotas;
use crate::requests::{HASHED_FROM, KEYS, prepare, request, scope, tenant};
use crate::tokens::{self, Tampered};
use crate::told::Told;

const OUTCOME_LIMIT: usize = 64;
/// Room for every record and outcome of a run, so that nothing is evicted.
const CAPACITY: usize = 256;
const OUTCOME_BYTES: usize = 1 << 20;
const YEAR_US: u64 = 366 * 24 * 3600 * 1_000_000;
/// The engine tells 34 years; deadlines beyond them are cut.
const LATEST_US: u64 = 20 * YEAR_US;

pub(crate) struct Drive<'e> {
    engine: &'e Engine,
    clock: ManualClock,
    now_us: u64,
    setup: Setup,
    oracle: Oracle,
    /// Every token that was given out: request, token, window in milliseconds.
    tokens: Vec<(usize, LeaseToken, u64)>,
    guards: Vec<(usize, Lease<'e>, u64)>,
    /// Requests that were prepared, perhaps under another secret, by request and payload.
    prepared: HashMap<(usize, usize), Prepared<'static>>,
    buffer: Outcome,
    quotas: Quotas,
    /// The highest fencing token of each request.
    highest: HashMap<usize, u64>,
    told: Told,
    /// How many rotations of the secret have begun.
    era: u32,
    /// What the secret in force is made of.
    secret: u8,
    rotating: bool,
    /// No lease would last any more.
    time_is_over: bool,
}

/// Runs `ops` on a new engine.
pub(crate) fn run(setup: Setup, ops: &[Op]) -> Result<(), String> {
    let clock = ManualClock::new();
    let mode = if setup.fast { FingerprintMode::FastTrusted } else { FingerprintMode::Keyed };
    let engine = Engine::builder()
        .capacity(CAPACITY)
        .outcome_bytes(OUTCOME_BYTES)
        .outcome_limit(OUTCOME_LIMIT)
        .inline_outcome(setup.inline)
        .lease_duration(Duration::from_micros(setup.lease_us))
        .dedup_window(Duration::from_micros(setup.window_us))
        .on_lapse(setup.on_lapse)
        .on_drop(setup.on_drop)
        .fingerprint_mode(mode)
        .secret(Secret::from_bytes(&[setup.secret; 32]).map_err(|error| error.to_string())?)
        .clock(clock.clone())
        .reach(if setup.shared { Reach::HostInherited } else { Reach::Process })
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
        prepared: HashMap::new(),
        buffer: Outcome::default(),
        quotas: Quotas::default(),
        highest: HashMap::new(),
        told: Told::default(),
        era: 0,
        secret: setup.secret,
        rotating: false,
        time_is_over: false,
    };
    for (at, op) in ops.iter().enumerate() {
        drive.step(op).map_err(|why| format!("step {at}, {op:?}: {why}"))?;
        if drive.time_is_over {
            break;
        }
    }
    drive.finish()
}

impl<'e> Drive<'e> {
    fn step(&mut self, op: &Op) -> Result<(), String> {
        match *op {
            Op::Begin { key, payload, options, way, guard } => {
                self.begin((key, payload), options, way, guard)
            }
            Op::Complete { token, outcome: index } => {
                self.end(token, &End::Complete(outcome(index)))
            }
            Op::Terminal { token, outcome: index } => {
                self.end(token, &End::Terminal(outcome(index)))
            }
            Op::Retry { token, delay_us } => self.retry(token, delay_us),
            Op::Abandon { token } => self.abandon(token),
            Op::Tamper { token, at, with, call } => self.tamper(token, (at, with), call),
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
            Op::SetQuota { key, quota } => self.set_quota(key, quota),
            Op::EndOfTime => self.end_of_time(),
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
        (key, payload): (usize, usize),
        options: Options,
        way: Way,
        guard: bool,
    ) -> Result<(), String> {
        let refused = options.lease_us.is_some_and(|us| !may_last(us, YEAR_US))
            || options.window_us.is_some_and(|us| !may_last(us, 10 * YEAR_US));
        for begun in self.answers(key, payload, &chosen(options), way)? {
            match begun {
                Err(error) if refused => expect_code(&error, ErrorCode::InvalidOption)?,
                Ok(admission) if refused => return Err(format!("not refused: {admission:?}")),
                Err(error) if error.code() == ErrorCode::QuotaExceeded => {
                    let now = (self.now(), self.now_us);
                    self.quotas.refused(key, tenant(key), &self.oracle, now, &error)?;
                    self.oracle.refused(key, self.now())?;
                }
                begun => {
                    let admission = begun.map_err(|error| error.to_string())?;
                    self.begun(key, payload, options, admission, guard)?;
                }
            }
        }
        Ok(())
    }

    /// What `begin` answers to a request, by one of its calls. A batch gives two answers.
    fn answers(
        &mut self,
        key: usize,
        payload: usize,
        options: &BeginOptions,
        way: Way,
    ) -> Result<Vec<Result<Admission<'e>, Error>>, String> {
        let engine = self.engine;
        if way == Way::With && key < HASHED_FROM {
            return Ok(vec![engine.begin_with(&request(key, payload), options)]);
        }
        let prepared = match self.prepared.get(&(key, payload)) {
            // Also after a rotation: the engine makes the digests again.
            Some(prepared) if way != Way::With => *prepared,
            _ => prepare(engine, key, payload).map_err(|error| error.to_string())?,
        };
        self.prepared.insert((key, payload), prepared);
        Ok(match way {
            Way::With | Way::Prepared => vec![engine.begin_prepared(&prepared, options)],
            Way::Into => {
                vec![engine.begin_into(&prepared, options, &mut self.buffer).map(owned)]
            }
            Way::Batch => {
                let mut answers = Vec::new();
                let batch = [prepared; 2];
                engine.begin_batch(&batch, options, &mut self.buffer, |_, answer| {
                    answers.push(answer.map(owned));
                });
                answers
            }
        })
    }

    fn begun(
        &mut self,
        key: usize,
        payload: usize,
        options: Options,
        admission: Admission<'e>,
        guard: bool,
    ) -> Result<(), String> {
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
            // No secret made the digests of a request that comes hashed.
            era: if key < HASHED_FROM { self.era } else { u32::MAX },
        };
        if matches!(answer, Answer::Admitted { attempt: 1, .. }) {
            let now = (self.now(), self.now_us);
            self.quotas.made(key, tenant(key), &self.oracle, now)?;
        }
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
        let Some((_, token, _)) = self.token(token)? else { return Ok(()) };
        let failed = self.engine.fail(&token, retryable(delay_us));
        expect_code(&failed.expect_err("too long"), ErrorCode::InvalidOption)
    }

    fn renew(&mut self, token: usize, lease_us: u64) -> Result<(), String> {
        if may_last(lease_us, YEAR_US) {
            return self.end(token, &End::Renew { lease_us });
        }
        let Some((_, token, _)) = self.token(token)? else { return Ok(()) };
        let renewed = self.engine.renew(&token, Duration::from_micros(lease_us));
        expect_code(&renewed.expect_err("out of range"), ErrorCode::InvalidOption)
    }

    fn abandon(&mut self, token: usize) -> Result<(), String> {
        let Some((key, token, window)) = self.token(token)? else { return Ok(()) };
        let answer = self.engine.abandon(&token).map(|()| Answer::Done);
        self.ended(key, &token, window, &End::Retry { delay_us: None }, answer)
    }

    fn end(&mut self, token: usize, end: &End) -> Result<(), String> {
        let Some((key, token, window)) = self.token(token)? else { return Ok(()) };
        let answer = self.call(&token, end);
        self.ended(key, &token, window, end, answer)
    }

    /// A token that was changed on its way does what its bytes say, if that is anything.
    fn tamper(&mut self, token: usize, how: (usize, u8), call: usize) -> Result<(), String> {
        let Some((_, token, _)) = self.token(token)? else { return Ok(()) };
        let Some(Tampered { token, window }) = tokens::tamper(&token, how)? else { return Ok(()) };
        let end = match call % 5 {
            0 => End::Complete(outcome(call / 5)),
            1 => End::Terminal(outcome(call / 5)),
            2 => End::Retry { delay_us: Some(call as u64 % 20_000) },
            3 => End::GiveUp,
            _ => End::Renew { lease_us: 1_000 + call as u64 % 20_000 },
        };
        let answer = self.call(&token, &end);
        let fenced = answer.as_ref().is_err_and(Error::is_fenced);
        match self.tokens.iter().find(|(_, known, _)| tokens::name_one_attempt(known, &token)) {
            // Nothing signs the bytes: whoever names a running attempt is taken for its holder.
            Some(&(key, known, _)) if known.attempt() == token.attempt() || !fenced => {
                self.ended(key, &token, window, &end, answer)
            }
            _ if fenced => {
                self.told.fenced += 1;
                Ok(())
            }
            _ => Err(format!("{answer:?} to {token:?}, which nobody was given")),
        }
    }

    fn call(&self, token: &LeaseToken, end: &End) -> Result<Answer, Error> {
        let engine = self.engine;
        let done = |()| Answer::Done;
        match end {
            End::Complete(outcome) => engine.complete(token, outcome).map(Answer::Completed),
            End::Terminal(outcome) => {
                engine.fail(token, Failure::terminal(outcome.clone())).map(done)
            }
            End::Retry { delay_us } => engine.fail(token, retryable(*delay_us)).map(done),
            End::GiveUp | End::Drop => engine.fail(token, Failure::unknown()).map(done),
            End::Renew { lease_us } => {
                engine.renew(token, Duration::from_micros(*lease_us)).map(|_| Answer::Done)
            }
        }
    }

    fn ended(
        &mut self,
        key: usize,
        token: &LeaseToken,
        window: u64,
        end: &End,
        answer: Result<Answer, Error>,
    ) -> Result<(), String> {
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
        if key >= HASHED_FROM {
            // A reconciler names the request itself.
            return Ok(());
        }
        let resolution = match verdict.clone() {
            Verdict::Succeeded(outcome) => Resolution::Succeeded(outcome),
            Verdict::Failed(outcome) => Resolution::Failed(outcome),
            Verdict::RunAgain => Resolution::RunAgain,
        };
        let answer = match self.engine.resolve(&request(key, 0), resolution) {
            Ok(()) => Answer::Done,
            Err(error) => Answer::Refused(error.code()),
        };
        self.oracle.resolve(key, self.now(), verdict, &answer)
    }

    fn sweep_all(&mut self) -> Result<(), String> {
        let swept = self.engine.sweep(usize::MAX).map_err(|error| error.to_string())?;
        self.oracle.swept(self.now(), swept.cleared, swept.lapsed)
    }

    fn set_quota(&mut self, key: usize, limits: Limits) -> Result<(), String> {
        let mut quota = Quota::unlimited();
        if let Some(records) = limits.max_live {
            quota = quota.max_live(records);
        }
        if let Some((per_second, burst)) = limits.rate {
            quota = quota.rate(per_second, burst);
        }
        let set = self.engine.set_quota(scope(key), quota);
        if limits.rate.is_some_and(|(per, burst)| !(0.001..=1e9).contains(&per) || burst == 0) {
            return expect_code(&set.expect_err("no rate"), ErrorCode::InvalidOption);
        }
        set.map_err(|error| error.to_string())?;
        self.quotas.set(tenant(key), limits);
        let kept = self.engine.quota(scope(key)).map_err(|error| error.to_string())?;
        if kept == quota { Ok(()) } else { Err(format!("{kept:?} is kept of {quota:?}")) }
    }

    fn rotate(&mut self, to: u8) -> Result<(), String> {
        let secret = Secret::from_bytes(&[to; 32]).map_err(|error| error.to_string())?;
        match self.engine.rotate_secret(secret) {
            // It is in force.
            rotated if self.secret == to => rotated.map_err(|error| error.to_string()),
            Err(error) if self.rotating => expect_code(&error, ErrorCode::RotationPending),
            Ok(()) if self.rotating => Err("rotated twice".to_owned()),
            rotated => {
                (self.rotating, self.secret) = (true, to);
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
        let us = us.min(LATEST_US.saturating_sub(self.now_us));
        self.clock.advance(Duration::from_micros(us));
        self.now_us += us;
    }

    /// Nothing is admitted any more, and nothing panics.
    fn end_of_time(&mut self) -> Result<(), String> {
        self.clock.advance(Duration::from_secs(1_000 * 366 * 24 * 3600));
        let _ = self.engine.sweep(usize::MAX).map_err(|error| error.to_string())?;
        for key in 0..KEYS {
            let options = BeginOptions::new();
            for begun in self.answers(key, 0, &options, Way::Batch)? {
                match begun {
                    Ok(Admission::Admitted(lease)) => return Err(format!("{lease:?} for ever")),
                    Ok(_) => {}
                    Err(error) => expect_code(&error, ErrorCode::Exhausted)?,
                }
            }
        }
        for (_, token, _) in &self.tokens {
            let _ = self.engine.renew(token, Duration::from_secs(1));
            let _ = self.engine.complete(token, &outcome(0));
        }
        self.time_is_over = true;
        Ok(())
    }

    /// After a sweep nothing is uncertain, and all counts add up.
    fn finish(mut self) -> Result<(), String> {
        // What is left is not dropped in the middle of a panic.
        let guards = std::mem::take(&mut self.guards);
        let checked = if self.time_is_over { Ok(()) } else { self.check_counts() };
        guards.into_iter().for_each(|(_, lease, _)| drop(lease));
        checked
    }

    fn check_counts(&mut self) -> Result<(), String> {
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
        if stats.quota != self.quotas.refused {
            return Err(format!("{} refused by quotas, counted {stats:?}", self.quotas.refused));
        }
        self.told.check(&stats)
    }

    /// A token that was given out, through its bytes, with its request and its window.
    fn token(&self, index: usize) -> Result<Option<(usize, LeaseToken, u64)>, String> {
        // Half of the calls come with the latest token, the others with any, mostly stale.
        let Some(last) = self.tokens.len().checked_sub(1) else { return Ok(None) };
        let index = if index.is_multiple_of(2) { last } else { index / 2 % (last + 1) };
        let (key, token, window) = self.tokens[index];
        let read = LeaseToken::from_bytes(&token.to_bytes()).map_err(|error| error.to_string())?;
        if read != token {
            return Err(format!("{read:?} from the bytes of {token:?}"));
        }
        Ok(Some((key, read, window)))
    }

    /// Milliseconds since the engine was opened, from one on.
    fn now(&self) -> u64 {
        self.now_us / 1_000 + 1
    }
}

/// The same answer with an outcome of its own.
fn owned<'e>(answer: Admission<'e, &Outcome>) -> Admission<'e> {
    match answer {
        Admission::Admitted(lease) => Admission::Admitted(lease),
        Admission::Replayed(outcome) => Admission::Replayed(outcome.clone()),
        Admission::InProgress { attempt, remaining } => {
            Admission::InProgress { attempt, remaining }
        }
        Admission::Scheduled { next_attempt, due_in } => {
            Admission::Scheduled { next_attempt, due_in }
        }
        Admission::Mismatched => Admission::Mismatched,
        Admission::Unresolved => Admission::Unresolved,
        Admission::OutcomeGone => Admission::OutcomeGone,
    }
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
