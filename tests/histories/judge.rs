//! Judges runs: every history needs an order, and all of them together must have seen enough.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use oncegate::{ErrorCode, Status};

use crate::checker::{MOST_CALLS, check};
use crate::history::{Ask, Event, History};
use crate::model::Model;
use crate::pool::Ran;
use crate::program::Kind;
use crate::spec::Answer;
use crate::{saved, timeline};

/// Something that a kind of run is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Seen {
    Created,
    Retried,
    /// A lapsed lease went to a newcomer.
    TakenOver,
    /// A record began anew after its window.
    BegunAnew,
    Replayed,
    /// A lapse counted as failure.
    LapseFailed,
    InProgress,
    Scheduled,
    Mismatched,
    Unresolved,
    OutcomeGone,
    Fenced,
    Full,
    Resolved,
    /// A caller waited in vain.
    GaveUp,
    /// A failing leader woke a waiter.
    HandedOver,
    EvictedEarly,
    OutcomesEvicted,
}

/// What came up in the runs of a kind.
#[derive(Default)]
pub(crate) struct Tally {
    runs: u64,
    histories: u64,
    contended: u64,
    calls: u64,
    deepest: usize,
    looked_at: u64,
    /// Histories with an attempt that began and that nobody was told of.
    lost_takeovers: u64,
    seen: BTreeMap<Seen, u64>,
}

impl Tally {
    /// Judges one run. `Err` says what is wrong, for a reader.
    pub(crate) fn judge(&mut self, ran: &Ran) -> Result<(), String> {
        self.runs += 1;
        if let Some(broken) = &ran.broken {
            let timelines = ran.histories.iter().map(|history| timeline::draw(history, None));
            return Err(format!("{}\n{broken}", timelines.collect::<Vec<_>>().join("\n")));
        }
        for history in &ran.histories {
            self.note(history);
            self.looked_at += self.order(history)?;
        }
        self.count(Seen::HandedOver, ran.stats.hand_offs);
        self.count(Seen::EvictedEarly, ran.stats.evicted_early);
        self.count(Seen::OutcomesEvicted, ran.stats.outcomes_evicted);
        Ok(())
    }

    /// Looks for an order of `history`, and says how many places it looked at.
    fn order(&mut self, history: &History) -> Result<u64, String> {
        match judge(history) {
            Ok(Judged { looked_at, lost_takeover }) => {
                self.lost_takeovers += u64::from(lost_takeover);
                Ok(looked_at)
            }
            Err(timeline) => Err(format!("{timeline}\n{}", save(history))),
        }
    }

    fn note(&mut self, history: &History) {
        self.histories += 1;
        self.calls += history.events.len() as u64;
        self.contended += u64::from(history.is_contended());
        self.deepest = self.deepest.max(history.depth());
        history.events.iter().filter_map(seen).for_each(|seen| self.count(seen, 1));
    }

    fn count(&mut self, seen: Seen, times: u64) {
        *self.seen.entry(seen).or_default() += times;
    }

    /// One line for the log.
    pub(crate) fn report(&self, kind: &Kind) -> String {
        let Self { runs, histories, calls, deepest, looked_at, lost_takeovers, .. } = self;
        let contended = 100 * self.contended / self.histories.max(1);
        let seen: Vec<String> =
            kind.seen.iter().map(|seen| format!("{seen:?} {}", self.times(*seen))).collect();
        format!(
            "{}: {runs} runs, {histories} histories of {calls} calls, {contended} % contended, \
             up to {deepest} calls at once, {looked_at} places looked at, {lost_takeovers} lost \
             takeovers; {}",
            kind.name,
            seen.join(", ")
        )
    }

    /// Whether the runs saw what they are for.
    pub(crate) fn is_telling(&self, kind: &Kind) -> Result<(), String> {
        if self.runs < TELLING {
            return Ok(());
        }
        let missing: Vec<&Seen> = kind.seen.iter().filter(|seen| self.times(**seen) == 0).collect();
        if !missing.is_empty() {
            return Err(format!("never seen: {missing:?}"));
        }
        if 100 * self.contended < LEAST_CONTENDED * self.histories {
            return Err("too few histories in which calls overlap".to_owned());
        }
        Ok(())
    }

    fn times(&self, seen: Seen) -> u64 {
        self.seen.get(&seen).copied().unwrap_or(0)
    }
}

/// A history that has an order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Judged {
    pub(crate) looked_at: u64,
    /// It needed an attempt that began and that nobody was told of.
    pub(crate) lost_takeover: bool,
}

/// Judges one history. `Err` is its timeline.
pub(crate) fn judge(history: &History) -> Result<Judged, String> {
    let model = Model::new(&history.terms, &history.times);
    let refusal = match check(&model, &history.events) {
        Ok(effort) => {
            return Ok(Judged { looked_at: effort.looked_at as u64, lost_takeover: false });
        }
        Err(refusal) => refusal,
    };
    // Rare, and costly to look for: so only where nothing else explains the history.
    let wider = history.with_lost_takeovers();
    if wider.events.len() <= MOST_CALLS
        && let Ok(effort) = check(&model, &wider.events)
    {
        return Ok(Judged { looked_at: effort.looked_at as u64, lost_takeover: true });
    }
    Err(timeline::draw(history, Some(&refusal)))
}

/// Saves `history` where builds leave their files, and says how to judge it again.
fn save(history: &History) -> String {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("histories");
    let History { kind, seed, key, .. } = history;
    let path = folder.join(format!("{kind}-{seed}-{key}.history"));
    let saved = fs::create_dir_all(&folder).and_then(|()| fs::write(&path, saved::write(history)));
    match saved {
        Ok(()) => format!("saved: make histories REPLAY={}", path.display()),
        Err(error) => format!("not saved: {error}"),
    }
}

fn seen(event: &Event) -> Option<Seen> {
    Some(match &event.answer {
        Answer::Admitted { attempt, status, .. } => match (attempt, status) {
            (1, Status::Created) => Seen::Created,
            (1, _) => Seen::BegunAnew,
            (_, Status::Expired) => Seen::TakenOver,
            _ => Seen::Retried,
        },
        Answer::Replayed(outcome) if outcome.status() == LAPSED => Seen::LapseFailed,
        Answer::Replayed(_) => Seen::Replayed,
        Answer::InProgress { .. } if event.waits() => Seen::GaveUp,
        Answer::InProgress { .. } => Seen::InProgress,
        Answer::Scheduled { .. } => Seen::Scheduled,
        Answer::Mismatched => Seen::Mismatched,
        Answer::Unresolved => Seen::Unresolved,
        Answer::OutcomeGone => Seen::OutcomeGone,
        Answer::Refused(ErrorCode::Fenced) => Seen::Fenced,
        Answer::Refused(ErrorCode::Full) => Seen::Full,
        Answer::Done if matches!(event.ask, Ask::Resolve(_)) => Seen::Resolved,
        _ => return None,
    })
}

/// From so many runs on they must have seen what they are for.
const TELLING: u64 = 100;
/// Of a hundred histories, in so many two calls must overlap of which one changes something.
const LEAST_CONTENDED: u64 = 50;
/// The status of an attempt that failed by its lapse.
const LAPSED: u16 = 504;
