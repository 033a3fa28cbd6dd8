//! What a caller wants done, and what came of it.

use std::sync::Arc;

use redis::Value;

use super::super::fault::Fault;
use crate::sync::{Mutex, Thread, current, lock};

/// The reply to one operation.
pub(in super::super) type Answer = Result<Value, Fault>;

/// One command.
#[derive(Clone, Debug)]
pub(in super::super) struct Op {
    pub(in super::super) bytes: Vec<u8>,
    /// The runs of servers that it may be sent to; `None`: any.
    pub(in super::super) runs: Option<Arc<[u64]>>,
    /// Whether replicas have to have it, where any are asked for.
    pub(in super::super) waits: bool,
}

impl Op {
    /// One that any server may be sent, and that no replica is waited for.
    pub(in super::super) fn plain(bytes: Vec<u8>) -> Self {
        Self { bytes, runs: None, waits: false }
    }

    pub(super) fn may_go(&self, run: u64) -> bool {
        self.runs.as_ref().is_none_or(|runs| runs.contains(&run))
    }
}

/// The operations of one caller, which waits for their answers.
#[derive(Debug)]
pub(super) struct Ticket {
    pub(super) ops: Vec<Op>,
    answers: Mutex<Option<Vec<Answer>>>,
    owner: Thread,
}

impl Ticket {
    pub(super) fn new(ops: Vec<Op>) -> Self {
        Self { ops, answers: Mutex::new(None), owner: current() }
    }

    pub(super) fn len(&self) -> usize {
        self.ops.len()
    }

    pub(super) fn answer(&self, answers: Vec<Answer>) {
        *lock(&self.answers) = Some(answers);
        self.wake();
    }

    pub(super) fn take_answers(&self) -> Option<Vec<Answer>> {
        lock(&self.answers).take()
    }

    /// The same for all of them.
    pub(super) fn all(&self, fault: &Fault) -> Vec<Answer> {
        self.ops.iter().map(|_| Err(fault.clone())).collect()
    }

    pub(super) fn wake(&self) {
        self.owner.unpark();
    }
}
