//! The contenders: each runs a new request once and stores an outcome of 64 bytes, as far as it
//! can, and answers duplicates by it.

mod by_hand;
#[cfg(oncegate_idempotent)]
mod idempotent;
mod lua_lock;
mod oncegate;
mod redlock;

use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use tokio::runtime::Runtime;

/// How long a claim lasts, with everybody.
const LEASE: Duration = Duration::from_secs(5);
/// How long an outcome is kept, with everybody: short, so that a run does not fill the memory.
pub(crate) const WINDOW: Duration = Duration::from_secs(10);
/// How many requests go together where they go in batches.
pub(crate) const BATCH: u64 = 128;
/// What everybody stores.
pub const OUTCOME: [u8; 64] =
    *b"{\"id\":\"ch_3NqZxA2eZvKYlo2C\",\"amount\":1999,\"status\":\"succeeded\"}.";

/// One caller that blocks.
pub trait Caller: Send {
    /// Runs the requests of `number` and of those that follow, [`batch`](Self::batch) of them: all
    /// are new.
    fn fresh(&mut self, number: u64);
    /// Asks again for what has finished.
    fn again(&mut self, number: u64, outcome: &mut Vec<u8>);
    /// How many requests go together.
    fn batch(&self) -> u64 {
        1
    }
}

/// What a task awaits.
pub type Doing<'t, T> = Pin<Box<dyn Future<Output = T> + 't>>;

/// What tasks of one thread share.
pub trait Task {
    /// As [`Caller::fresh`].
    fn fresh(&self, number: u64) -> Doing<'_, ()>;
    /// As [`Caller::again`].
    fn again(&self, number: u64) -> Doing<'_, Vec<u8>>;
    /// As [`Caller::batch`].
    fn batch(&self) -> u64 {
        1
    }
}

/// One host: what its callers share.
pub enum Node {
    /// Makes callers that block, for a thread each.
    Calls(Box<dyn Fn() -> Box<dyn Caller>>),
    /// Any number of tasks share it.
    Tasks(Rc<dyn Task>),
}

/// What somebody who takes it may rely on while the server loses nothing.
#[derive(Clone, Copy, Debug)]
pub struct Promises {
    /// Whether a duplicate gets the outcome of the first run.
    pub outcome: bool,
    /// Whether a holder whose claim has lapsed is kept from changing the record.
    pub late_holder: bool,
    /// Whether the effect's own store can tell a late holder, by a token that grows.
    pub fencing: bool,
    /// Whether the same key with another payload is noticed.
    pub payload: bool,
    /// Whether a duplicate can wait for the outcome of what runs.
    pub waits: bool,
}

/// One row of the tables.
#[derive(Clone, Copy)]
pub struct Contender {
    /// Its name.
    pub name: &'static str,
    /// What it promises.
    pub promises: Promises,
    /// Opens it at that address.
    pub open: fn(&str, &Runtime) -> Node,
}

/// Those that are asked one request at a time, what blocks first.
#[must_use]
pub fn singles() -> Vec<Contender> {
    vec![
        oncegate::BLOCKING,
        by_hand::BLOCKING,
        lua_lock::BLOCKING,
        oncegate::ASYNC,
        by_hand::ASYNC,
        lua_lock::ASYNC,
        redlock::ALONE,
        redlock::WITH_OUTCOME,
        #[cfg(oncegate_idempotent)]
        idempotent::ASYNC,
    ]
}

/// Those that are asked many requests at a time: `BATCH` of them.
#[must_use]
pub fn batches() -> Vec<Contender> {
    vec![oncegate::BATCHES, by_hand::BATCHES]
}

/// What a client would send as its key.
fn key(number: u64) -> String {
    format!("{number:032x}")
}

/// Milliseconds, as commands want them.
fn ms(time: Duration) -> u64 {
    time.as_millis() as u64
}
