//! The downstream as a state machine: time is an argument, and it sleeps nowhere.
//!
//! It works on so many calls at a time, in the order of their coming, keeps some more, and refuses
//! the rest. It has no idea of who has stopped waiting: such a call is worked on all the same, and
//! has its effect. While it is down it refuses everything; what it had taken before is lost.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::time::Duration;

use super::super::ledger::{Commit, Entry, Ledger, Opening, Receipt};
use super::shape::Shape;

/// The downstream of one run.
pub(super) struct Service {
    shape: Shape,
    ledger: Ledger,
    /// When each of the places where it works is free.
    free: BinaryHeap<Reverse<Duration>>,
    /// What it has taken, by when it is done.
    taken: BinaryHeap<Reverse<Pending>>,
    /// What became of calls whose callers still wait.
    ends: HashMap<u64, Result<Receipt, Failed>>,
    /// Calls of each request so far.
    calls_of: Vec<u32>,
    is_restarted: bool,
    calls: u64,
    /// What was seen of it.
    pub(super) seen: Seen,
}

/// What was seen of the downstream.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    /// Calls that came, by millisecond.
    pub(super) calls: Vec<u32>,
    /// The most that were there at once, whether anybody still waited or not, by millisecond.
    pub(super) at_once: Vec<u32>,
    /// Calls that were refused, that nobody waited for to the end, and that failed.
    pub(super) refused: u64,
    pub(super) timed_out: u64,
    pub(super) failed: u64,
    /// Calls whose token was stale, when they came.
    pub(super) fenced: u64,
}

/// A call that was taken, and is done then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Pending {
    done: Duration,
    call: u64,
    request: u32,
    token: Option<u64>,
    fails: bool,
    waits_until: Duration,
}

/// Why a call gave its caller nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failed {
    /// It was not taken: the downstream is down, or has too much to do.
    Refused,
    /// No answer came in time.
    TimedOut,
    /// It was answered that it failed.
    Error,
    /// A call with a higher fencing token had come.
    Fenced,
}

/// A call that has arrived.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub(super) struct Arrived {
    /// When its caller has its answer, or stops waiting.
    pub(super) until: Duration,
    what: What,
}

#[derive(Clone, Copy, Debug)]
enum What {
    Answered(Result<Receipt, Failed>),
    /// It is done in time.
    Done(u64),
    /// It is not, or never.
    TooLate,
}

impl Service {
    /// A downstream for so many requests, to whom nobody has come.
    pub(super) fn new(shape: Shape, requests: usize) -> Self {
        let milliseconds = shape.horizon.as_millis() as usize + 1;
        let seen = Seen {
            calls: vec![0; milliseconds],
            at_once: vec![0; milliseconds],
            ..Seen::default()
        };
        Self {
            shape,
            ledger: Ledger::new(requests),
            free: (0..shape.capacity).map(|_| Reverse(Duration::ZERO)).collect(),
            taken: BinaryHeap::new(),
            ends: HashMap::new(),
            calls_of: vec![0; requests],
            is_restarted: false,
            calls: 0,
            seen,
        }
    }

    /// A call comes, with a fencing token if its caller has one.
    pub(super) fn arrive(&mut self, now: Duration, request: u32, token: Option<u64>) -> Arrived {
        self.settle(now);
        self.note(now);
        let soon = now + self.shape.refusal;
        let answered = |answer| Arrived { until: soon, what: What::Answered(answer) };
        if self.shape.is_down(now) || self.taken.len() >= self.shape.room {
            self.seen.refused += 1;
            return answered(Err(Failed::Refused));
        }
        match token.map(|token| self.ledger.open(request, token)) {
            None => self.ledger.open_unfenced(request),
            Some(Opening::Open) => {}
            Some(Opening::Committed(receipt)) => return answered(Ok(receipt)),
            Some(Opening::Fenced) => {
                self.seen.fenced += 1;
                return answered(Err(Failed::Fenced));
            }
        }
        self.take(now, request, token)
    }

    /// Finds out when the call is done.
    fn take(&mut self, now: Duration, request: u32, token: Option<u64>) -> Arrived {
        let [down, up] = self.shape.outage;
        if now >= up && !self.is_restarted {
            self.is_restarted = true;
            self.free = (0..self.shape.capacity).map(|_| Reverse(up)).collect();
        }
        let nth = &mut self.calls_of[request as usize];
        let (work, fails) = self.shape.fate(request, *nth);
        *nth += 1;
        let Reverse(free) = self.free.pop().unwrap_or_default();
        let done = free.max(now) + work;
        self.free.push(Reverse(done));
        let waits_until = now + self.shape.patience;
        if now < down && done >= down {
            self.seen.timed_out += 1;
            return Arrived { until: waits_until, what: What::TooLate };
        }
        self.calls += 1;
        let call = self.calls;
        self.taken.push(Reverse(Pending { done, call, request, token, fails, waits_until }));
        if done <= waits_until {
            return Arrived { until: done, what: What::Done(call) };
        }
        self.seen.timed_out += 1;
        Arrived { until: waits_until, what: What::TooLate }
    }

    /// The caller of a call has waited as long as it says, and goes with what it has.
    pub(super) fn leave(&mut self, now: Duration, arrived: Arrived) -> Result<Receipt, Failed> {
        self.settle(now.max(arrived.until));
        match arrived.what {
            What::Answered(answer) => answer,
            What::Done(call) => {
                let end = self.ends.remove(&call).unwrap_or(Err(Failed::TimedOut));
                self.seen.failed += u64::from(end == Err(Failed::Error));
                end
            }
            What::TooLate => Err(Failed::TimedOut),
        }
    }

    /// What was done by `now` has its effect.
    fn settle(&mut self, now: Duration) {
        while let Some(&Reverse(first)) = self.taken.peek()
            && first.done <= now
        {
            self.taken.pop();
            let end = self.finish(first);
            if first.done <= first.waits_until {
                self.ends.insert(first.call, end);
            }
        }
    }

    fn finish(&mut self, call: Pending) -> Result<Receipt, Failed> {
        let Pending { request, token, .. } = call;
        if call.fails {
            return Err(Failed::Error);
        }
        let Some(token) = token else {
            return Ok(self.ledger.commit_unfenced(request, NO_PAYLOAD));
        };
        match self.ledger.commit(request, token, NO_PAYLOAD) {
            Commit::Accepted(receipt) => Ok(receipt),
            Commit::Fenced | Commit::Duplicate => Err(Failed::Fenced),
        }
    }

    fn note(&mut self, now: Duration) {
        let at = (now.as_millis() as usize).min(self.seen.calls.len() - 1);
        self.seen.calls[at] += 1;
        let there = self.taken.len() as u32 + 1;
        self.seen.at_once[at] = self.seen.at_once[at].max(there);
    }

    /// Works off what it has taken, and gives what each request left.
    pub(super) fn close(mut self) -> (Seen, Vec<Entry>) {
        self.settle(Duration::MAX);
        (self.seen, self.ledger.entries())
    }
}

/// Here a request has one payload.
const NO_PAYLOAD: u64 = 0;

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// Two places of 10 ms each, on average; callers wait for 50 ms.
    fn service(fail_rate: f64) -> Service {
        let shape = Shape {
            outage: [100 * MS, 200 * MS],
            window: 300 * MS,
            horizon: 600 * MS,
            capacity: 2,
            room: 40,
            work: 10 * MS,
            patience: 50 * MS,
            refusal: 5 * MS,
            fail_rate,
            seed: 7,
        };
        Service::new(shape, 100)
    }

    fn effects(service: Service) -> Vec<usize> {
        service.close().1.iter().map(|entry| entry.effects.len()).collect()
    }

    /// Goal: it works on as many calls as its capacity, and a caller who stops waiting does not
    /// stop it. Method: twenty calls at once; those beyond ten times are late, and have effects.
    #[test]
    fn abandoned_calls_have_their_effect() {
        let mut service = service(0.0);
        let all: Vec<_> = (0..20).map(|request| service.arrive(MS, request, None)).collect();
        let late = all.iter().filter(|call| matches!(call.what, What::TooLate)).count();
        assert!((8..13).contains(&late), "{late} of 20");
        let in_time = all.iter().filter(|call| call.until <= 51 * MS).count();
        assert_eq!(in_time, 20, "nobody waits beyond his patience");
        let answers = all.iter().map(|call| service.leave(call.until, *call));
        assert_eq!(answers.filter(Result::is_ok).count(), 20 - late);
        assert_eq!(service.seen.timed_out, late as u64);
        assert_eq!(service.seen.at_once.iter().max(), Some(&20));
        assert_eq!(effects(service).iter().sum::<usize>(), 20);
    }

    /// Goal: an outage refuses what comes and loses what was taken, and a restarted downstream
    /// owes nobody anything. Method: a queue that reaches into the outage, calls in it and after.
    #[test]
    fn outages_refuse_and_lose() {
        let mut service = service(0.0);
        let before: Vec<_> =
            (0..30).map(|request| service.arrive(90 * MS, request, None)).collect();
        assert!(before.iter().filter(|call| matches!(call.what, What::TooLate)).count() > 20);
        let down = service.arrive(150 * MS, 40, None);
        assert_eq!((down.until, service.leave(down.until, down)), (155 * MS, Err(Failed::Refused)));
        let after = service.arrive(200 * MS, 41, None);
        assert!(after.until <= 215 * MS, "{:?}", after.until);
        assert!(service.leave(after.until, after).is_ok());
        let effects = effects(service);
        assert!(effects[..30].iter().sum::<usize>() < 10 && effects[41] == 1, "{effects:?}");
    }

    /// Goal: a call beyond its room is refused, and one that fails says so and has no effect.
    /// Method: a full queue; a rate at which all fail.
    #[test]
    fn it_refuses_and_fails() {
        let mut service = service(1.0);
        service.shape.room = 4;
        let all: Vec<_> = (0..5).map(|request| service.arrive(MS, request, None)).collect();
        assert!(matches!(all[4].what, What::Answered(Err(Failed::Refused))));
        assert_eq!(service.leave(all[0].until, all[0]), Err(Failed::Error));
        assert_eq!((service.seen.refused, service.seen.failed), (1, 1));
        assert_eq!(effects(service).iter().sum::<usize>(), 0);
    }

    /// Goal: with fencing tokens a request has one effect, whoever stopped waiting. Method: an
    /// attempt that is left alone, its successor before and after the effect, and a stale one.
    #[test]
    fn tokens_keep_late_attempts_out() {
        let mut service = service(0.0);
        let first = service.arrive(MS, 0, Some(5));
        let second = service.arrive(2 * MS, 0, Some(6));
        assert!(service.leave(60 * MS, second).is_ok());
        assert_eq!(service.leave(60 * MS, first), Err(Failed::Fenced));
        let third = service.arrive(70 * MS, 0, Some(7));
        assert!(service.leave(third.until, third).is_ok(), "it finds the effect");
        let stale = service.arrive(80 * MS, 0, Some(5));
        assert_eq!(service.leave(stale.until, stale), Err(Failed::Fenced));
        assert_eq!(effects(service)[0], 1);
    }
}
