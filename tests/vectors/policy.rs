//! Retry policies and budgets, as vectors spell them, and what a policy decides.

use std::time::Duration;

use oncegate::{
    Attempted, BackoffPolicy, Buried, Decision, Error, Exhaustion, FailureKind, HintLimits, Jitter,
    JitterSource, RetryBudget, RetryPolicy,
};

use crate::fields::{Failure, Fields, choice, needed};

/// The policy that the fields describe.
pub(crate) fn policy(mut fields: Fields) -> Result<RetryPolicy, Failure> {
    let preset = fields.text("preset")?.unwrap_or_else(|| "CUSTOM".to_owned());
    let attempts = fields.number("max_attempts")?.map(|attempts| attempts as u32);
    let mut policy = match &preset[..] {
        "CUSTOM" => RetryPolicy::new(backoff(&mut fields)?),
        "AWS_STANDARD" => RetryPolicy::aws_standard(),
        "AWS_2026" => RetryPolicy::aws_2026(),
        "AWS_2026_THROTTLED" => RetryPolicy::aws_2026_throttled(),
        "GRPC" => {
            let initial = duration(&mut fields, "initial_ms")?;
            let max = duration(&mut fields, "max_ms")?;
            let multiplier = needed("multiplier", fields.float("multiplier")?)?;
            RetryPolicy::grpc(initial, max, multiplier, needed("max_attempts", attempts)?)
        }
        "GRPC_EXAMPLE" => RetryPolicy::grpc_example(),
        "RESILIENCE4J" => RetryPolicy::resilience4j(),
        "CELERY" => RetryPolicy::celery(),
        "CELERY_BACKOFF" => RetryPolicy::celery_backoff(),
        other => return Err(format!("preset: there is no {other}")),
    };
    if let Some(attempts) = attempts.filter(|_| preset != "GRPC") {
        policy = policy.max_attempts(attempts);
    }
    policy = limits(policy, &mut fields)?;
    fields.finish()?;
    Ok(policy)
}

fn backoff(fields: &mut Fields) -> Result<BackoffPolicy, Failure> {
    let kind = needed("backoff", fields.text("backoff")?)?;
    let mut backoff = match &kind[..] {
        "EXPONENTIAL" => {
            let initial = duration(fields, "initial_ms")?;
            let multiplier = needed("multiplier", fields.float("multiplier")?)?;
            BackoffPolicy::exponential(initial, multiplier, BackoffPolicy::LONGEST)
        }
        "LINEAR" => {
            let initial = duration(fields, "initial_ms")?;
            let increment = duration(fields, "increment_ms")?;
            BackoffPolicy::linear(initial, increment, BackoffPolicy::LONGEST)
        }
        "CONSTANT" => BackoffPolicy::constant(duration(fields, "initial_ms")?),
        "LIST" => {
            let delays = needed("delays_ms", fields.numbers("delays_ms")?)?;
            BackoffPolicy::list(delays.into_iter().map(Duration::from_millis).collect::<Vec<_>>())
        }
        other => return Err(format!("backoff: there is no {other}")),
    };
    if let Some(ms) = fields.number("max_ms")? {
        backoff = backoff.max(Duration::from_millis(ms));
    }
    let jitter = needed("jitter", fields.text("jitter")?)?;
    let share = fields.float("jitter_share")?;
    Ok(backoff.jitter(match &jitter[..] {
        "NONE" => Jitter::None,
        "FULL" => Jitter::Full,
        "EQUAL" => Jitter::Equal,
        "DECORRELATED" => Jitter::Decorrelated,
        "PROPORTIONAL" => Jitter::Proportional(needed("jitter_share", share)?),
        other => return Err(format!("jitter: there is no {other}")),
    }))
}

fn limits(mut policy: RetryPolicy, fields: &mut Fields) -> Result<RetryPolicy, Failure> {
    if let Some(ms) = fields.number("deadline_ms")? {
        policy = policy.deadline(Duration::from_millis(ms));
    }
    if let Some(ms) = fields.number("expected_ms")? {
        policy = policy.expected_duration(Duration::from_millis(ms));
    }
    if let Some(ms) = fields.number("attempt_timeout_ms")? {
        policy = policy.attempt_timeout(Duration::from_millis(ms));
    }
    let ignored = fields.flag("ignore_hints")?.unwrap_or(false);
    let max = fields.number("hint_max_ms")?.map(Duration::from_millis);
    let beyond = fields.number("hint_beyond_drawn_ms")?.map(Duration::from_millis);
    if ignored {
        return Ok(policy.hints(HintLimits::ignored()));
    }
    if max.is_none() && beyond.is_none() {
        return Ok(policy);
    }
    let mut hints = HintLimits::new();
    if let Some(max) = max {
        hints = hints.max(max);
    }
    if let Some(beyond) = beyond {
        hints = hints.beyond_drawn(beyond);
    }
    Ok(policy.hints(hints))
}

fn duration(fields: &mut Fields, name: &str) -> Result<Duration, Failure> {
    Ok(Duration::from_millis(needed(name, fields.number(name)?)?))
}

/// The delays before attempts 2, 3, … of a request whose attempts all fail at once, at most
/// `most`, and why there are no more.
pub(crate) fn preview(
    policy: &RetryPolicy,
    seed: u64,
    most: usize,
) -> Result<(Vec<u64>, &'static str), Error> {
    policy.check()?;
    let source = JitterSource::seeded(seed);
    let (mut elapsed, mut previous) = (Duration::ZERO, Duration::ZERO);
    let mut delays = Vec::new();
    let mut attempt = 1;
    let ended = loop {
        let attempted = Attempted::new(attempt, elapsed).previous_delay(previous);
        let delay = match policy.decide(&attempted, &source) {
            Decision::RetryAfter(_) if delays.len() == most => break "NONE",
            Decision::RetryAfter(delay) => delay,
            Decision::Exhausted(Exhaustion::Attempts) => break "ATTEMPTS",
            Decision::Exhausted(Exhaustion::Deadline) => break "DEADLINE",
            Decision::Exhausted(Exhaustion::Refused) => break "FINAL_ERROR",
        };
        delays.push(delay.as_millis() as u64);
        attempt += 1;
        (elapsed, previous) = (elapsed + delay, delay);
    };
    Ok((delays, ended))
}

/// The budget that the fields describe, or why the engine takes none such.
pub(crate) fn budget(mut fields: Fields) -> Result<Result<RetryBudget, Error>, Failure> {
    let kind = needed("kind", fields.text("kind")?)?;
    let budget = match &kind[..] {
        "BUCKET" => bucket(&mut fields)?,
        "RATIO" => ratio(&mut fields)?,
        "CONCURRENCY" => {
            let mut budget = RetryBudget::envoy();
            if let Some(share) = fields.float("share")? {
                budget = budget.share(share);
            }
            if let Some(retries) = fields.number("min_retries")? {
                budget = budget.min_retries(retries as u32);
            }
            budget.build()
        }
        other => return Err(format!("kind: there is no {other}")),
    };
    fields.finish()?;
    Ok(budget)
}

fn bucket(fields: &mut Fields) -> Result<Result<RetryBudget, Error>, Failure> {
    let capacity = fields.float("capacity")?;
    let success = fields.float("success")?;
    let mut bucket = match fields.text("preset")?.as_deref() {
        None => RetryBudget::bucket(),
        Some("GRPC") => {
            let most = needed("capacity", capacity)? as u32;
            RetryBudget::grpc(most, needed("success", success)?)
        }
        Some("AWS_STANDARD") => RetryBudget::aws_standard(),
        Some("AWS_2026") => RetryBudget::aws_2026(),
        Some(other) => return Err(format!("preset: there is no {other}")),
    };
    if let Some(tokens) = capacity {
        bucket = bucket.capacity(tokens);
    }
    if let Some(tokens) = success {
        bucket = bucket.success(tokens);
    }
    let costs = [
        ("cost_transient", FailureKind::Transient),
        ("cost_throttled", FailureKind::Throttled),
        ("cost_timeout", FailureKind::Timeout),
    ];
    for (name, kind) in costs {
        if let Some(tokens) = fields.float(name)? {
            bucket = bucket.cost(kind, tokens);
        }
    }
    if let Some(tokens) = fields.float("refill_per_second")? {
        bucket = bucket.refill_per_second(tokens);
    }
    Ok(bucket.build())
}

fn ratio(fields: &mut Fields) -> Result<Result<RetryBudget, Error>, Failure> {
    let mut budget = RetryBudget::finagle();
    if let Some(ratio) = fields.float("ratio")? {
        budget = budget.ratio(ratio);
    }
    if let Some(retries) = fields.number("min_per_second")? {
        budget = budget.min_per_second(retries as u32);
    }
    if let Some(ms) = fields.number("ttl_ms")? {
        budget = budget.ttl(Duration::from_millis(ms));
    }
    if let Some(slices) = fields.number("slices")? {
        budget = budget.slices(slices as u32);
    }
    Ok(budget.build())
}

/// What the header calls the reason of a dead letter.
pub(crate) fn reason(buried: Buried) -> &'static str {
    match buried {
        Buried::Attempts => "ATTEMPTS",
        Buried::Deadline => "DEADLINE",
        Buried::Budget => "BUDGET",
        Buried::FinalError => "FINAL_ERROR",
        Buried::Lapsed => "LAPSED",
        _ => "UNKNOWN",
    }
}

/// What the price of a retry depends on.
pub(crate) fn kind(fields: &mut Fields) -> Result<FailureKind, Failure> {
    let choices = [
        ("TRANSIENT", FailureKind::Transient),
        ("THROTTLED", FailureKind::Throttled),
        ("TIMEOUT", FailureKind::Timeout),
    ];
    let given = fields.text("kind")?;
    given.map_or(Ok(FailureKind::Transient), |kind| choice("kind", &kind, &choices))
}
