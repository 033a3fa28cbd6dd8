//! One operation, or many, carried through: sent where they belong, and asked again within the time
//! that there is, which all of them allow.

use std::sync::Arc;
use std::time::Duration;

use super::fault::{Cure, Fault};
use super::link::{Answer, Jitter, Link, Op};
use super::route::{Map, Routes};
use super::scripts::Script;
use crate::clock::{Clock, PreciseClock};
use crate::sync::park;
use crate::tier::TierErrorKind;

/// An operation, and where it belongs.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) bucket: u8,
    pub(super) op: Op,
    /// The same, as it is asked again where replicas must have it.
    pub(super) again: Option<Vec<u8>>,
}

impl Routes {
    /// The answer to `request`, within that time.
    pub(super) fn ask(&self, request: Request, within: Duration) -> Answer {
        let answer = self.ask_all(vec![request], 1, within).pop();
        answer.unwrap_or_else(|| Err(Fault::odd_reply()))
    }

    /// The same for many, in one round trip to each server, of at most `most` operations; what
    /// fails is asked again together. Answers in their order.
    pub(super) fn ask_all(
        &self,
        requests: Vec<Request>,
        most: usize,
        within: Duration,
    ) -> Vec<Answer> {
        let deadline = PreciseClock.now() + within;
        let mut attempts: Vec<Attempt> = requests.into_iter().map(Attempt::new).collect();
        loop {
            let map = match self.map(deadline) {
                Ok(map) => map,
                Err(fault) => {
                    return attempts.into_iter().map(|one| one.or_else(&fault)).collect();
                }
            };
            round(&map, &mut attempts, most, deadline);
            for attempt in &attempts {
                let lost = matches!(&attempt.answer, Some(Err(fault)) if fault.cure == Cure::Again);
                let link = map.link(attempt.request.bucket).filter(|_| lost);
                link.into_iter().for_each(|link| self.suspect(link));
            }
            let left = deadline.saturating_sub(PreciseClock.now());
            let mut cures: Vec<(Cure, u8, u32)> = Vec::new();
            for attempt in &mut attempts {
                let cure = attempt.judge(left);
                cures.extend(cure.map(|cure| (cure, attempt.request.bucket, attempt.tries)));
            }
            if cures.is_empty() {
                let nothing = Fault::odd_reply();
                return attempts.into_iter().map(|one| one.or_else(&nothing)).collect();
            }
            self.mend(&cures, &map, deadline);
        }
    }

    /// Does what may help, so that it can be asked again.
    fn mend(&self, cures: &[(Cure, u8, u32)], map: &Arc<Map>, deadline: Duration) {
        let links = |wanted: Cure| {
            let mut links: Vec<&Arc<Link>> = Vec::new();
            for (_, bucket, _) in cures.iter().filter(|(cure, ..)| *cure == wanted) {
                let link = map.link(*bucket);
                links.extend(link.filter(|link| !links.iter().any(|one| Arc::ptr_eq(one, link))));
            }
            links
        };
        for link in links(Cure::Load) {
            let load = Script::ALL.map(Script::load).map(Op::plain);
            link.call(load.to_vec(), deadline);
        }
        if cures.iter().any(|(cure, ..)| *cure == Cure::Route) {
            links(Cure::Route).into_iter().for_each(|link| link.drop_idle());
            // Whether somebody else is found or not, it is asked again.
            let _ = self.look(Some(map), deadline);
        }
        let pauses = |cure: &Cure| matches!(cure, Cure::Later | Cure::Route);
        if let Some((_, _, tries)) = cures.iter().find(|(cure, ..)| pauses(cure)) {
            let left = deadline.saturating_sub(PreciseClock.now());
            let whole = FIRST_PAUSE.saturating_mul(1 << (*tries).min(MOST_DOUBLINGS));
            park(Some(Jitter::new().half_to_all(whole).min(left)));
        }
    }
}

/// Sends what has no answer yet, and notes what comes.
fn round(map: &Map, attempts: &mut [Attempt], most: usize, deadline: Duration) {
    for attempt in attempts.iter_mut().filter(|attempt| attempt.is_open()) {
        attempt.answer = Some(Err(Fault::nobody()));
        attempt.is_sent = false;
    }
    for link in &map.links {
        let here = |attempt: &Attempt| {
            let link_of = map.link(attempt.request.bucket);
            !attempt.is_sent && link_of.is_some_and(|other| Arc::ptr_eq(link, other))
        };
        let mine: Vec<usize> = (0..attempts.len()).filter(|&at| here(&attempts[at])).collect();
        for part in mine.chunks(most.max(1)) {
            let ops = part.iter().map(|&at| attempts[at].request.op.clone()).collect();
            for (&at, answer) in part.iter().zip(link.call(ops, deadline)) {
                attempts[at].answer = Some(answer);
                attempts[at].is_sent = true;
            }
        }
    }
}

/// What was tried so far.
struct Attempt {
    request: Request,
    /// What came of it, or of the last try. `None`: it is to be tried.
    answer: Option<Answer>,
    /// Whether it was, in this round; or is over.
    is_sent: bool,
    tries: u32,
    /// Why it may have been carried out already.
    doubt: Option<Fault>,
}

impl Attempt {
    fn new(request: Request) -> Self {
        Self { request, answer: None, is_sent: false, tries: 0, doubt: None }
    }

    fn is_open(&self) -> bool {
        self.answer.is_none()
    }

    /// What may help against the fault of this round, if it is to be asked again.
    fn judge(&mut self, left: Duration) -> Option<Cure> {
        let Some(Err(fault)) = &self.answer else { return None };
        if self.tries == OVER {
            return None;
        }
        let fault = fault.clone();
        self.tries += 1;
        if fault.kind == TierErrorKind::Unknown {
            self.doubt = Some(fault.clone());
            if let Some(again) = self.request.again.take() {
                self.request.op.bytes = again;
            }
        }
        let cure = match fault.cure {
            // It may have been carried out, and there is no connection now: there may be one soon.
            Cure::None if fault.kind == TierErrorKind::Unavailable && self.doubt.is_some() => {
                Cure::Later
            }
            cure => cure,
        };
        if cure == Cure::None || left.is_zero() || self.tries >= MOST_TRIES {
            self.answer = Some(Err(self.last_word(fault)));
            (self.tries, self.is_sent) = (OVER, true);
            return None;
        }
        self.answer = None;
        Some(cure)
    }

    /// What is said in the end: whatever came last, it may have been carried out if it ever may.
    ///
    /// Except where the session is over: whoever claims begins anew, and a grant that was lost with
    /// its reply is granted again, or lapses.
    fn last_word(&self, fault: Fault) -> Fault {
        match &self.doubt {
            Some(doubt) if fault.kind != TierErrorKind::SessionOver => doubt.clone(),
            _ => fault,
        }
    }

    /// The answer; what there is none for fails by `fault`.
    fn or_else(mut self, fault: &Fault) -> Answer {
        match self.answer.take() {
            Some(answer) => answer,
            None => Err(self.last_word(fault.clone())),
        }
    }
}

/// Nothing more is tried.
const OVER: u32 = u32::MAX;
/// A bound of last resort: the time ends it long before.
const MOST_TRIES: u32 = 1_000;
const FIRST_PAUSE: Duration = Duration::from_millis(2);
const MOST_DOUBLINGS: u32 = 5;
