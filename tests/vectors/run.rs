//! One vector: an engine of its own, and the steps on it.

use std::collections::HashMap;
use std::thread;
use std::time::Duration;

use oncegate::{Engine, Error, FencingToken, LeaseToken, ManualClock, Status};
use serde_json::Value;

use crate::calls;
use crate::fields::{Failure, Fields, needed};
use crate::open::open;
use crate::waits::Wait;

/// What the steps of a vector have made so far, by the names that they gave it.
pub(crate) struct Run<'scope, 'env> {
    pub(crate) engine: &'env Engine,
    pub(crate) clock: &'env ManualClock,
    pub(crate) scope: &'scope thread::Scope<'scope, 'env>,
    pub(crate) leases: HashMap<String, LeaseToken>,
    pub(crate) fences: HashMap<String, FencingToken>,
    pub(crate) waits: HashMap<String, Wait<'scope>>,
}

/// Runs one vector; an error says at which step it failed, and why.
pub(crate) fn run(vector: &Value) -> Result<(), Failure> {
    let mut vector = Fields::of(vector.clone())?;
    let _ = needed("id", vector.text("id")?)?;
    let _ = needed("about", vector.text("about")?)?;
    let (engine, clock) = open(vector.object("options")?)?;
    let steps = needed("steps", vector.list("steps")?)?;
    vector.finish()?;
    thread::scope(|scope| {
        let mut run = Run {
            engine: &engine,
            clock: &clock,
            scope,
            leases: HashMap::new(),
            fences: HashMap::new(),
            waits: HashMap::new(),
        };
        let mut result = Ok(());
        for (at, step) in steps.into_iter().enumerate() {
            let op = step.get("op").and_then(Value::as_str).unwrap_or("?").to_owned();
            result = run.step(step).map_err(|why| format!("step {}, {op}: {why}", at + 1));
            if result.is_err() {
                break;
            }
        }
        // Threads that still wait come back when their time is over.
        clock.advance(CENTURY);
        result
    })
}

impl Run<'_, '_> {
    fn step(&mut self, step: Value) -> Result<(), Failure> {
        let mut step = Fields::of(step)?;
        let op = needed("op", step.text("op")?)?;
        let mut expect = step.object("expect")?;
        let done = calls::call(self, &op, &mut step, &mut expect)?;
        settled(done, expect, step)
    }

    /// The lease of this name.
    pub(crate) fn lease(&self, step: &mut Fields) -> Result<LeaseToken, Failure> {
        let name = needed("lease", step.text("lease")?)?;
        self.leases.get(&name).copied().ok_or_else(|| format!("there is no lease {name}"))
    }

    /// Keeps what was admitted under the names that the step gives: of its lease, and of its
    /// fencing token.
    pub(crate) fn keep(&mut self, names: [Option<String>; 2], token: LeaseToken) {
        let [lease, fence] = names;
        fence.map(|name| self.fences.insert(name, token.fencing_token()));
        lease.map(|name| self.leases.insert(name, token));
    }
}

/// Compares the status with what is expected, and looks whether everything was.
pub(crate) fn settled(
    done: Result<(), Error>,
    mut expect: Fields,
    step: Fields,
) -> Result<(), Failure> {
    let expected = expect.text("status")?.unwrap_or_else(|| "OK".to_owned());
    let found = done.as_ref().map_or_else(status_of, |()| "OK".to_owned());
    if expected != found {
        return Err(format!("status: expected {expected}, found {found}; {done:?}"));
    }
    expect.same("field", done.map_or_else(|error| error.field(), |()| ""))?;
    expect.finish().map_err(|why| format!("expect: {why}"))?;
    step.finish()
}

/// What the header calls the code of an error.
pub(crate) fn status_of(error: &Error) -> String {
    let mut name = String::new();
    for letter in error.code().name().chars() {
        if letter.is_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(letter.to_ascii_uppercase());
    }
    name
}

/// What the header calls the reason of an admission.
pub(crate) fn how(status: Status) -> &'static str {
    match status {
        Status::Created => "CREATED",
        Status::Retried => "RETRIED",
        Status::Expired => "EXPIRED",
    }
}

/// Whole milliseconds, rounded up, as other languages get them.
pub(crate) fn millis(duration: Duration) -> u64 {
    duration.as_nanos().div_ceil(1_000_000) as u64
}

const CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 3_600);
