//! The sequential specification of one key in a fleet whose store keeps what it has acknowledged.
//!
//! The checker is that of `tests/histories`: it looks for an order of the calls, each between its
//! invocation and its return, in which this specification gives every answer that was given.
//!
//! What is not told is left open, and nothing else:
//!
//! - A call without an answer, and one whose end the store did not confirm (`stored-here`; a
//!   failure, which is told later where the store is silent), took effect at some time, or never.
//! - A `begin` that was refused, or left, may have been granted to nobody, and be taken back. It
//!   never takes the place of a live lease. From then on duplicates may be told that it runs, and
//!   numbers of attempts may be left out.
//! - A duplicate may be told of an attempt that its own host asks for just now; such answers are
//!   not part of the history (see [`calls`]). So are outcomes that a host has, and the store has
//!   not yet.

use super::super::checker::{Call, MOST_CALLS, Spec};
use super::history::{Event, History, KeyHistory};
use super::line::{Ask, Told};

/// A call that the checker has to place.
#[derive(Clone, Debug)]
pub(crate) struct Placed {
    event: Event,
    invoked: u64,
    returned: u64,
    optional: bool,
}

/// What there is of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Record {
    phase: Phase,
    attempt: u32,
    /// The highest token that was given out.
    highest: u64,
    /// An attempt may have been granted to nobody.
    phantom: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Phase {
    Vacant,
    /// Its lease does not end before `until`.
    Running {
        token: u64,
        until: u64,
    },
    /// The next attempt may start, now or later.
    Due,
    Finished {
        token: u64,
    },
}

/// The specification.
pub(crate) struct Fleet;

impl Call for Placed {
    fn invoked(&self) -> u64 {
        self.invoked
    }

    fn returned(&self) -> u64 {
        self.returned
    }

    fn is_optional(&self) -> bool {
        self.optional
    }

    fn only_reads(&self) -> bool {
        let told = self.event.told();
        matches!(told, Some(Told::Replayed(_) | Told::InProgress | Told::Scheduled | Told::Fenced))
    }
}

impl Spec for Fleet {
    type Call = Placed;
    type State = Record;

    fn start(&self) -> Record {
        Record { phase: Phase::Vacant, attempt: 0, highest: 0, phantom: false }
    }

    fn after(&self, record: &Record, call: &Placed, _: &Placed) -> Vec<Record> {
        record.after(call).into_iter().collect()
    }
}

impl Record {
    fn after(self, call: &Placed) -> Option<Self> {
        let Self { phase, attempt, highest, phantom } = self;
        let runs = |own: u64| matches!(phase, Phase::Running { token, .. } if token == own);
        let with = |phase| Some(Self { phase, ..self });
        match (call.event.ask, call.event.told()) {
            (Ask::Begin, Some(&Told::Admitted { token, attempt: number, until })) => {
                let expected = match phase {
                    Phase::Vacant => 1,
                    Phase::Due => attempt + 1,
                    // Lapsed, at some time of this call.
                    Phase::Running { until, .. } if call.returned >= until => attempt + 1,
                    Phase::Running { .. } | Phase::Finished { .. } => return None,
                };
                let fits = token > highest && (number == expected || phantom);
                let phase = Phase::Running { token, until };
                fits.then_some(Self { phase, attempt: number, highest: token, phantom })
            }
            (Ask::Begin, Some(Told::Replayed(token))) => {
                (phase == Phase::Finished { token: *token }).then_some(self)
            }
            (Ask::Begin, Some(Told::InProgress)) => {
                let maybe = phantom && !matches!(phase, Phase::Finished { .. });
                (maybe || matches!(phase, Phase::Running { .. })).then_some(self)
            }
            (Ask::Begin, Some(Told::Scheduled)) => {
                let maybe = phantom && !matches!(phase, Phase::Finished { .. });
                (maybe || phase == Phase::Due).then_some(self)
            }
            (Ask::Begin, _) => Some(Self { phantom: true, ..self }),
            (Ask::Renew(own), Some(Told::Done(later))) if runs(own) => {
                let Phase::Running { token, until } = phase else { return None };
                with(Phase::Running { token, until: until.max(*later) })
            }
            (_, Some(Told::Fenced)) => {
                // A lease that was over here, and that nobody has taken over, may be lost, too.
                let holds = |own| {
                    matches!(phase, Phase::Running { token, until }
                    if token == own && call.returned < until)
                };
                let (Ask::Renew(own) | Ask::Complete(own) | Ask::Fail(own)) = call.event.ask else {
                    return None;
                };
                (!holds(own)).then_some(self)
            }
            (Ask::Complete(own), _) if runs(own) => with(Phase::Finished { token: own }),
            (Ask::Fail(own), _) if runs(own) => with(Phase::Due),
            _ => None,
        }
    }
}

/// The calls of `key` that are to be placed, and how many observations had no room: a history is of
/// at most [`MOST_CALLS`], and one that is told less breaks no more promises.
pub(crate) fn calls(history: &History, key: &KeyHistory) -> (Vec<Placed>, usize) {
    let mut calls: Vec<Placed> = Vec::new();
    let mut phantom = false;
    for event in &key.events {
        let maybe = match (event.ask, event.told()) {
            (_, Some(Told::Odd(_))) => continue,
            // A try to renew that nobody answered changes nothing that is asked for here.
            (Ask::Renew(_), None | Some(Told::Refused)) => continue,
            (Ask::Begin, None | Some(Told::Refused | Told::Left)) => {
                if std::mem::replace(&mut phantom, true) {
                    continue;
                }
                true
            }
            (Ask::Begin, Some(told)) if is_local(history, key, event, told) => continue,
            (Ask::Complete(_), None | Some(Told::StoredHere | Told::Refused)) => true,
            (Ask::Fail(_), None | Some(Told::Done(_) | Told::Refused)) => true,
            _ => false,
        };
        let returned = if maybe { u64::MAX } else { event.returned() };
        let event = shortened(history, event);
        calls.push(Placed { invoked: event.invoked, returned, optional: maybe, event });
    }
    let most = calls.len().saturating_sub(MOST_CALLS);
    let mut left = most;
    calls.retain(|call| {
        let drops = left > 0 && call.only_reads() && call.event.is_begin();
        left -= usize::from(drops);
        !drops
    });
    (calls, most)
}

/// What only the host itself knows: an attempt that it asks for, or that it is ending; a delay
/// after a failure of its own; an outcome that it keeps for a store which does not answer.
fn is_local(history: &History, key: &KeyHistory, event: &Event, told: &Told) -> bool {
    let table = |event: &Event| history.hosts[event.host].table;
    let mut own = key.events.iter().filter(|other| table(other) == table(event));
    match told {
        Told::InProgress => own.any(|other| {
            other != event && other.invoked < event.returned() && event.invoked < other.returned()
        }),
        Told::Scheduled => {
            own.any(|other| matches!(other.ask, Ask::Fail(_)) && other.invoked < event.returned())
        }
        Told::Replayed(token) => own.any(|other| {
            other.ask == Ask::Complete(*token)
                && matches!(other.told(), None | Some(Told::StoredHere))
                && other.invoked < event.returned()
        }),
        _ => false,
    }
}

/// Who shares a table with a process that was killed takes its attempts over at once.
fn shortened(history: &History, event: &Event) -> Event {
    let mut event = event.clone();
    let end = history.kill_of(event.host);
    if let Some((_, Told::Admitted { until, .. } | Told::Done(until))) = &mut event.told {
        *until = (*until).min(end);
    }
    event
}
