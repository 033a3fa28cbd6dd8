//! A few connections to one server, shared by all callers (flat combining).
//!
//! A caller that finds a connection free sends its own operation at once. One that finds all of
//! them busy queues its operation, and whoever gets a connection next takes along what is queued,
//! in one round trip. Nobody is handed anything by another thread while the server is quiet, and
//! under load the round trips are shared, by at most [`Limits::pipeline`] operations each.
//!
//! A connection whose round did not end well is closed: the next reply on it would be another's.

mod gate;
mod ticket;

pub(super) use gate::Jitter;
pub(super) use ticket::{Answer, Op};

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use redis::Value;

use self::gate::Gate;
use self::ticket::Ticket;
use super::fault::Fault;
use super::node::{Conn, Endpoint};
use super::wire::pack;
use crate::clock::{Clock, PreciseClock};
use crate::sync::{Mutex, MutexGuard, lock, park};

/// What a link may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) connections: usize,
    /// Operations in one round trip.
    pub(super) pipeline: usize,
    /// Operations that wait for one.
    pub(super) queue: usize,
    pub(super) connect_within: Duration,
    /// How many replicas must have what was written, and how long they are waited for.
    pub(super) replicas: Option<(usize, Duration)>,
}

#[derive(Debug)]
pub(super) struct Link {
    pub(super) endpoint: Endpoint,
    limits: Limits,
    state: Mutex<State>,
}

struct State {
    idle: Vec<Conn>,
    /// Those that are idle, those in use, and those that are being opened.
    open: usize,
    queue: VecDeque<Arc<Ticket>>,
    gate: Gate,
    /// Why no connection could be made last.
    why_not: Option<Fault>,
}

impl Link {
    pub(super) fn new(endpoint: Endpoint, limits: Limits) -> Self {
        let (idle, queue, gate) = (Vec::new(), VecDeque::new(), Gate::new());
        let state = State { idle, open: 0, queue, gate, why_not: None };
        Self { endpoint, limits, state: Mutex::new(state) }
    }

    /// Carries out `ops`, all in one round trip, which are no more than [`Limits::pipeline`].
    pub(super) fn call(&self, ops: Vec<Op>, deadline: Duration) -> Vec<Answer> {
        let ticket = Arc::new(Ticket::new(ops));
        let mut queued = false;
        loop {
            if let Some(answers) = ticket.take_answers() {
                return answers;
            }
            let now = PreciseClock.now();
            let mut state = self.state();
            if queued && !state.queue.iter().any(|other| Arc::ptr_eq(other, &ticket)) {
                // Another caller has it, and is on the way.
                drop(state);
                if now >= deadline {
                    return ticket
                        .take_answers()
                        .unwrap_or_else(|| ticket.all(&Fault::lost("no reply in time")));
                }
                park(Some(deadline - now));
                continue;
            }
            if now >= deadline {
                return self.leave(state, &ticket, &Fault::unsent("the time was over before"));
            }
            if let Some(conn) = state.idle.pop() {
                let batch = self.gather(&mut state, &ticket);
                drop(state);
                self.lead(conn, &batch, deadline);
                continue;
            }
            if state.open < self.limits.connections {
                if !state.gate.is_closed(now) {
                    state.open += 1;
                    drop(state);
                    match self.connect(deadline) {
                        // Unless another connection is there, which may come free.
                        Err(fault) if !queued && self.state().open == 0 => {
                            return ticket.all(&fault);
                        }
                        _ => continue,
                    }
                } else if state.open == 0 {
                    let fault = Fault::a_moment_ago(state.why_not.as_ref());
                    return self.leave(state, &ticket, &fault);
                }
            }
            if !queued {
                let waiting: usize = state.queue.iter().map(|other| other.len()).sum();
                if waiting + ticket.len() > self.limits.queue {
                    drop(state);
                    return ticket.all(&Fault::unsent("too many operations wait for the server"));
                }
                state.queue.push_back(Arc::clone(&ticket));
                queued = true;
            }
            drop(state);
            park(Some(deadline - now));
        }
    }

    /// Whether there is a connection, or one is being opened.
    pub(super) fn is_open(&self) -> bool {
        self.state().open > 0
    }

    /// Forgets the connections that nobody is using.
    pub(super) fn drop_idle(&self) {
        let mut state = self.state();
        state.open -= state.idle.len();
        let idle = std::mem::take(&mut state.idle);
        drop(state);
        drop(idle);
    }

    /// Gives up a ticket that was not sent.
    fn leave(
        &self,
        mut state: MutexGuard<'_, State>,
        ticket: &Arc<Ticket>,
        fault: &Fault,
    ) -> Vec<Answer> {
        state.queue.retain(|other| !Arc::ptr_eq(other, ticket));
        // It may be the one that was woken for a connection.
        wake_first(&state);
        drop(state);
        ticket.all(fault)
    }

    /// Opens a connection, for which there is room. If none can be had, nobody waits for one any
    /// longer.
    fn connect(&self, deadline: Duration) -> Result<(), Fault> {
        let left = deadline.saturating_sub(PreciseClock.now());
        let opened = self.endpoint.open(left.min(self.limits.connect_within));
        let opened =
            opened.and_then(
                |(conn, greeting)| {
                    if greeting.replica { Err(Fault::replica()) } else { Ok(conn) }
                },
            );
        let mut state = self.state();
        let fault = match opened {
            Ok(conn) => {
                state.gate.succeeded();
                state.why_not = None;
                state.idle.push(conn);
                return Ok(());
            }
            // What was lost is a greeting.
            Err(fault) => fault.unsent_yet(),
        };
        state.open -= 1;
        state.gate.failed(PreciseClock.now());
        state.why_not = Some(fault.clone());
        if state.open == 0 {
            for waiting in std::mem::take(&mut state.queue) {
                waiting.answer(waiting.all(&fault));
            }
        }
        Err(fault)
    }

    /// Takes what is queued along with `own`.
    fn gather(&self, state: &mut State, own: &Arc<Ticket>) -> Vec<Arc<Ticket>> {
        let mut batch = vec![Arc::clone(own)];
        let mut count = own.len();
        state.queue.retain(|other| !Arc::ptr_eq(other, own));
        while let Some(next) = state.queue.front() {
            count += next.len();
            if count > self.limits.pipeline {
                break;
            }
            batch.extend(state.queue.pop_front());
        }
        batch
    }

    /// One round trip for all of `batch`.
    fn lead(&self, mut conn: Conn, batch: &[Arc<Ticket>], deadline: Duration) {
        let whole = self.round(&mut conn, batch, deadline);
        let mut state = self.state();
        if whole {
            state.idle.push(conn);
        } else {
            state.open -= 1;
        }
        wake_first(&state);
    }

    /// Whether the connection is still good.
    fn round(&self, conn: &mut Conn, batch: &[Arc<Ticket>], deadline: Duration) -> bool {
        let mut bytes = Vec::new();
        let mut waits = false;
        for op in batch.iter().flat_map(|ticket| &ticket.ops) {
            if op.may_go(conn.run) {
                bytes.extend_from_slice(&op.bytes);
                waits |= op.waits;
            }
        }
        let replicas = self.limits.replicas.filter(|_| waits);
        if let Some((count, limit)) = replicas {
            let (count, limit) = (count.to_string(), limit.as_millis().max(1).to_string());
            bytes.extend(pack(&[b"WAIT", count.as_bytes(), limit.as_bytes()]));
        }
        let mut broken = conn.send(&bytes, deadline).err();
        let mut answers: Vec<Vec<Answer>> = Vec::with_capacity(batch.len());
        for ticket in batch {
            let answer = |op: &Op| {
                if !op.may_go(conn.run) {
                    return Err(Fault::session_over("another run of the server"));
                }
                if let Some(fault) = &broken {
                    return Err(fault.clone());
                }
                match conn.receive(deadline) {
                    Ok(Value::ServerError(error)) => Err(Fault::answered(&error)),
                    Ok(value) => Ok(value),
                    Err(fault) => {
                        broken = Some(fault.clone());
                        Err(fault)
                    }
                }
            };
            answers.push(ticket.ops.iter().map(answer).collect());
        }
        if let (Some((count, _)), None) = (replicas, &broken) {
            let acknowledged = conn.receive(deadline);
            if !matches!(acknowledged, Ok(Value::Int(have)) if have >= count as i64) {
                doubt(batch, &mut answers);
            }
            broken = acknowledged.err();
        }
        for (ticket, answers) in batch.iter().zip(answers) {
            ticket.answer(answers);
        }
        broken.is_none()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

/// Whoever came first looks whether there is a connection for it now.
fn wake_first(state: &State) {
    if let Some(first) = state.queue.front() {
        first.wake();
    }
}

/// What was written may be forgotten, should this server be lost now.
fn doubt(batch: &[Arc<Ticket>], answers: &mut [Vec<Answer>]) {
    for (ticket, answers) in batch.iter().zip(answers) {
        for (op, answer) in ticket.ops.iter().zip(answers) {
            if op.waits && answer.as_ref().is_ok_and(has_written) {
                *answer = Err(Fault::few_replicas());
            }
        }
    }
}

/// Whether a script says that it has done what it was asked for.
fn has_written(answer: &Value) -> bool {
    match answer {
        Value::Array(fields) => matches!(fields.first(), Some(Value::Int(1))),
        answer => matches!(answer, Value::Int(1)),
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State")
            .field("open", &self.open)
            .field("idle", &self.idle.len())
            .field("queued", &self.queue.len())
            .finish_non_exhaustive()
    }
}
