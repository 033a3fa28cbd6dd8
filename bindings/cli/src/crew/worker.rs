//! One process of a storm: it delivers its share, and may be killed at any moment.

use std::collections::HashSet;
use std::io::{self, Read};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use oncegate::{Admission, BeginOptions, Engine, Failure, Lease, OnConflict, Outcome};

use super::hosts::Lock;
use super::ledger::{Kind, Ledger, Record, Taken};
use super::orders::Orders;
use super::share::{Numbered, share};
use super::{CrewError, INPUT, ORDERS, ledger_of};
use crate::cli::WorkerArgs;
use crate::input::{self, Input};
use crate::storm::{End, Plan};

/// What a worker needs for every delivery.
pub(super) struct Worker<'w> {
    pub(super) orders: &'w Orders,
    pub(super) input: &'w Input,
    pub(super) plan: &'w Plan,
    pub(super) ledger: Ledger,
    pub(super) instance: u32,
}

/// Delivers what is left of a share.
pub(crate) fn work(args: &WorkerArgs) -> Result<(), CrewError> {
    end_with_the_captain();
    let orders = Orders::read(&args.folder.join(ORDERS)).map_err(CrewError::Orders)?;
    let input = input::load(&args.folder.join(INPUT))?;
    let plan = Plan::new(&input.lines, orders.shape())?;
    let ledger = Ledger::open(&ledger_of(&args.folder)).map_err(CrewError::Ledger)?;
    let records = ledger.read().map_err(CrewError::Ledger)?;
    let is_answer = |record: &&Record| record.kind == Kind::Answered;
    let answered: HashSet<u32> =
        records.iter().filter(is_answer).map(|record| record.delivery).collect();
    let mut left = share(&plan, &orders, args.index);
    left.retain(|one| !answered.contains(&one.number));
    let instance = args.instance;
    let worker = Worker { orders: &orders, input: &input, plan: &plan, ledger, instance };
    if let Some(hosts) = orders.hosts.as_ref().filter(|hosts| hosts.by_hand) {
        let lock = Lock::new(&hosts.url, instance, plan.distinct())?;
        return worker.share_out(&left, |one| worker.deliver_by_hand(&lock, one));
    }
    let engine = orders.engine(&args.table, plan.distinct())?;
    worker.share_out(&left, |one| worker.deliver(&engine, one))?;
    Ok(engine.flush_tier(FLUSH_WITHIN)?)
}

impl Worker<'_> {
    /// Has each of the threads take the next one that is left, until none is.
    fn share_out(
        &self,
        left: &[Numbered],
        deliver: impl Fn(Numbered) -> Result<(), CrewError> + Sync,
    ) -> Result<(), CrewError> {
        let next = AtomicUsize::new(0);
        // Relaxed: each number is given out once, and says nothing else.
        let taken = || left.get(next.fetch_add(1, Ordering::Relaxed));
        let work = || std::iter::from_fn(taken).try_for_each(|one| deliver(*one));
        thread::scope(|scope| {
            let threads: Vec<_> = (0..self.orders.threads).map(|_| scope.spawn(work)).collect();
            let ends = threads.into_iter().map(|thread| match thread.join() {
                Ok(end) => end,
                Err(panic) => std::panic::resume_unwind(panic),
            });
            ends.collect()
        })
    }

    /// Brings one delivery to the engine until it is answered.
    fn deliver(&self, engine: &Engine, one: Numbered) -> Result<(), CrewError> {
        let line = &self.input.lines[one.delivery.line as usize];
        let operation = self.orders.operation(line);
        let request = self.orders.request(line, &operation)?;
        let options = BeginOptions::new().on_conflict(OnConflict::Wait(PATIENCE));
        loop {
            match engine.begin_with(&request, &options) {
                Ok(Admission::Admitted(lease)) => {
                    if self.attempt(one, lease)? {
                        return Ok(());
                    }
                }
                Ok(Admission::Replayed(outcome)) => {
                    let token = token_of(&outcome).unwrap_or(0);
                    return self.note(Kind::Answered, one, 0, token);
                }
                Ok(Admission::InProgress { .. }) => {}
                Ok(Admission::Scheduled { due_in, .. }) => thread::sleep(due_in.min(PATIENCE)),
                // An answer that this storm leads to nowhere: the verdict will find no token.
                Ok(_) => return self.note(Kind::Answered, one, 0, 0),
                Err(error) if error.is_retriable() => {
                    thread::sleep(error.retry_after().unwrap_or(A_MOMENT).min(PATIENCE));
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// One attempt. True: it answered the delivery.
    fn attempt(&self, one: Numbered, lease: Lease<'_>) -> Result<bool, CrewError> {
        let (attempt, token) = (lease.attempt(), lease.fencing_token().get());
        self.note(Kind::Started, one, attempt, token)?;
        let fate = self.plan.fate(one.delivery.request, attempt.saturating_sub(1));
        thread::sleep(fate.work);
        match fate.end {
            End::Fail | End::Panic => {
                // Before the engine knows: from then on the next attempt may start.
                self.note(Kind::Failed, one, attempt, token)?;
                // A panic drops the lease, which tells the engine the same.
                if fate.end == End::Fail {
                    let _ = lease.fail(Failure::retryable());
                }
                return Ok(false);
            }
            End::Commit | End::Pause => {}
        }
        let Some(receipt) = self.effect(one, attempt, token)? else {
            // The lease is gone, and the next one has the request.
            drop(lease);
            self.note(Kind::Fenced, one, attempt, token)?;
            return Ok(false);
        };
        // A real handler takes a while from its effect to its answer: a good moment to be killed.
        thread::sleep(fate.work / 8);
        match lease.complete(&outcome_of(receipt)) {
            Ok(_) => {
                self.note(Kind::Completed, one, attempt, token)?;
                self.note(Kind::Answered, one, attempt, receipt)?;
                Ok(true)
            }
            Err(error) if error.is_fenced() => {
                self.note(Kind::Fenced, one, attempt, token)?;
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The token of the effect that this attempt completes with: its own, or that of an attempt
    /// which made one and was killed. `None`: its token is stale.
    fn effect(&self, one: Numbered, attempt: u32, token: u64) -> Result<Option<u64>, CrewError> {
        if self.orders.hosts.is_none() {
            return self.note(Kind::Effect, one, attempt, token).map(|()| Some(token));
        }
        let effect = self.record(Kind::Effect, one, attempt, token);
        Ok(match self.ledger.make(&effect).map_err(CrewError::Ledger)? {
            Taken::Made => Some(token),
            Taken::Stale => None,
            Taken::Before(receipt) => {
                self.note(Kind::Adopted, one, attempt, token)?;
                Some(receipt)
            }
        })
    }

    pub(super) fn note(
        &self,
        kind: Kind,
        one: Numbered,
        attempt: u32,
        token: u64,
    ) -> Result<(), CrewError> {
        let record = self.record(kind, one, attempt, token);
        self.ledger.append(&record).map_err(CrewError::Ledger)
    }

    fn record(&self, kind: Kind, one: Numbered, attempt: u32, token: u64) -> Record {
        let (request, delivery) = (one.delivery.request, one.number);
        Record { request, delivery, attempt, token, ..Record::new(kind, self.instance) }
    }
}

/// The outcome of the attempt with `token`: the token, again and again, too large to lie beside the
/// record.
fn outcome_of(token: u64) -> Outcome {
    Outcome::new(200, format!("{token:016x}").repeat(REPEATED))
}

/// The token in an outcome, if all of it is there, and as it was stored.
pub(crate) fn token_of(outcome: &Outcome) -> Option<u64> {
    let first = outcome.body().get(..DIGITS)?;
    let token = u64::from_str_radix(std::str::from_utf8(first).ok()?, 16).ok()?;
    (*outcome == outcome_of(token)).then_some(token)
}

/// Ends this process when the one that started it has ended, however that came.
fn end_with_the_captain() {
    thread::spawn(|| {
        let mut input = io::stdin().lock();
        let mut byte = [0];
        // The captain never writes: this returns when its end of the pipe is gone.
        while matches!(input.read(&mut byte), Ok(1..)) {}
        std::process::exit(1);
    });
}

const DIGITS: usize = 16;
const REPEATED: usize = 20;
/// How long a duplicate waits for another process's attempt before it asks again.
const PATIENCE: Duration = Duration::from_millis(100);
const A_MOMENT: Duration = Duration::from_millis(1);
const FLUSH_WITHIN: Duration = Duration::from_secs(20);

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: an outcome that is not byte for byte what was stored has no token. Method: whole,
    /// cut, changed, and another status.
    #[test]
    fn outcomes_are_compared_byte_for_byte() {
        let whole = outcome_of(0x1234);
        assert_eq!(token_of(&whole), Some(0x1234));
        let body = whole.body();
        assert_eq!(token_of(&Outcome::new(200, &body[..body.len() - 1])), None);
        assert_eq!(token_of(&Outcome::new(201, body)), None);
        let mut changed = body.to_vec();
        changed[100] ^= 1;
        assert_eq!(token_of(&Outcome::new(200, changed)), None);
        assert_eq!(token_of(&Outcome::new(200, b"")), None);
    }
}
