//! Judges a round: what may not be, whatever happened to hosts, networks and the store.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::AddAssign;

use super::super::checker::check;
use super::history::{Event, History, KeyHistory};
use super::line::{Ask, Told};
use super::record::{self, Fleet};

/// What was promised to a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Terms {
    /// When the store forgot something that it had acknowledged. `None`: it keeps all of it.
    pub(crate) loss: Option<Loss>,
    /// Leases outlast everything that happens, and no attempt fails: there is one effect a key.
    pub(crate) once: bool,
}

/// A store that forgets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Loss {
    /// Before this it had forgotten nothing, and after `to` nothing more.
    pub(crate) from: u64,
    pub(crate) to: u64,
    /// For how long nothing new runs on a host after it has noticed.
    pub(crate) quarantine: u64,
}

/// What was looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) keys: usize,
    pub(crate) calls: usize,
    pub(crate) attempts: usize,
    pub(crate) effects: usize,
    pub(crate) replays: usize,
    pub(crate) refused: usize,
    /// Calls whose answer nobody got.
    pub(crate) unknown: usize,
    /// Outcomes that the store was told of later.
    pub(crate) told_later: usize,
    /// Ends and renewals that came too late.
    pub(crate) fenced: usize,
    /// Effects that a store which looks at the token keeps out.
    pub(crate) kept_out: usize,
    /// Requests that ran again after an outcome that the store had acknowledged, and lost.
    pub(crate) lost: usize,
    /// Keys whose history has an order.
    pub(crate) ordered: usize,
    /// Observations that had no room in it.
    pub(crate) left_out: usize,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.keys += other.keys;
        self.calls += other.calls;
        self.attempts += other.attempts;
        self.effects += other.effects;
        self.replays += other.replays;
        self.refused += other.refused;
        self.unknown += other.unknown;
        self.told_later += other.told_later;
        self.fenced += other.fenced;
        self.kept_out += other.kept_out;
        self.lost += other.lost;
        self.ordered += other.ordered;
        self.left_out += other.left_out;
    }
}

/// What is wrong with a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wrong {
    pub(crate) key: String,
    pub(crate) what: &'static str,
}

/// An attempt that was admitted.
#[derive(Clone, Copy, Debug)]
struct Attempt {
    token: u64,
    invoked: u64,
    returned: u64,
    /// Until then it surely held its lease, unless it ended before.
    alive_until: u64,
}

/// Looks for what may not be. `Err`: all of it, the shortest history first.
pub(crate) fn judge(history: &History, terms: Terms) -> Result<Tally, Vec<Wrong>> {
    let (mut tally, mut wrong) = (Tally::default(), Vec::new());
    for (key, of_key) in &history.keys {
        let one = Key { history, of_key, attempts: attempts(history, of_key) };
        tally += one.count();
        let mut found: Vec<&'static str> = one.look(terms);
        if terms.loss.is_none() && found.is_empty() {
            let (calls, left_out) = record::calls(history, of_key);
            match check(&Fleet, &calls) {
                Ok(_) => tally.ordered += 1,
                Err(_) => found.push("its calls have no order"),
            }
            tally.left_out += left_out;
        }
        wrong.extend(found.into_iter().map(|what| Wrong { key: key.clone(), what }));
    }
    wrong.sort_by_key(|wrong| history.keys[&wrong.key].events.len());
    if wrong.is_empty() { Ok(tally) } else { Err(wrong) }
}

/// A key under examination.
struct Key<'h> {
    history: &'h History,
    of_key: &'h KeyHistory,
    /// By token.
    attempts: Vec<Attempt>,
}

impl Key<'_> {
    fn look(&self, terms: Terms) -> Vec<&'static str> {
        let keeps = terms.loss.is_none();
        let looks: [(bool, &'static str); 11] = [
            (self.has_odd_answers(), "an answer that nobody expects"),
            (self.has_token_twice(), "a token was given out twice"),
            (self.has_falling_tokens(), "a token is not above one before it"),
            (self.has_overlap(), "an attempt began while another one held its lease"),
            (self.replays_what_never_was(), "an outcome that no attempt left"),
            (self.has_stray_effect(), "an effect of no attempt, or twice of one"),
            (self.hosts_differ(terms), "hosts replay different outcomes"),
            (self.runs_after_completion(terms), "a new attempt after a completion"),
            (self.breaks_quarantine(terms), "an attempt began within the quarantine"),
            (keeps && self.loses_outcome(), "an outcome that was stored is lost"),
            (terms.once && self.of_key.effects.len() != 1, "not one effect, but none or several"),
        ];
        looks.into_iter().filter_map(|(is_wrong, what)| is_wrong.then_some(what)).collect()
    }

    fn has_odd_answers(&self) -> bool {
        self.events(|told| matches!(told, Told::Odd(_))).next().is_some()
    }

    fn has_token_twice(&self) -> bool {
        self.attempts.windows(2).any(|pair| pair[0].token == pair[1].token)
    }

    fn has_falling_tokens(&self) -> bool {
        let mut pairs = self.pairs();
        pairs.any(|(lower, higher)| higher.returned < lower.invoked)
    }

    /// Whether an attempt was admitted, at the latest when its call returned, while an attempt with
    /// a lower token surely held its lease and had not begun to end.
    fn has_overlap(&self) -> bool {
        let mut pairs = self.pairs();
        pairs.any(|(lower, higher)| higher.returned < lower.alive_until)
    }

    fn replays_what_never_was(&self) -> bool {
        self.events(|told| matches!(told, Told::Replayed(_))).any(|event| {
            let Some((at, Told::Replayed(token))) = &event.told else { return false };
            let left = |other: &Event| other.ask == Ask::Complete(*token) && other.invoked < *at;
            !self.of_key.events.iter().any(left)
        })
    }

    fn has_stray_effect(&self) -> bool {
        let mut seen = BTreeSet::new();
        let of = |token| self.attempts.iter().any(|attempt| attempt.token == token);
        self.of_key.effects.iter().any(|effect| !seen.insert(effect.token) || !of(effect.token))
    }

    /// Whether, in the end, hosts do not agree, but for one that keeps what it could not tell
    /// before its lease had ended, and for what a store has lost.
    fn hosts_differ(&self, terms: Terms) -> bool {
        if terms.loss.is_some() && self.lost() > 0 {
            return false;
        }
        let last = self.last_replays();
        let kept = |host: usize, token: u64| {
            self.told_of(Ask::Complete(token)).any(|event| {
                let same = self.history.hosts[event.host].table == self.history.hosts[host].table;
                same && event.told() == Some(&Told::StoredHere)
            })
        };
        let common: BTreeSet<u64> =
            last.iter().filter(|(host, token)| !kept(**host, **token)).map(|(_, t)| *t).collect();
        common.len() > 1
    }

    /// Whether an attempt was admitted after an outcome was stored, which nobody had forgotten yet.
    fn runs_after_completion(&self, terms: Terms) -> bool {
        let forgotten = terms.loss.map_or(u64::MAX, |loss| loss.from);
        self.stored().any(|(at, _)| {
            self.attempts.iter().any(|one| one.invoked > at && one.returned < forgotten)
        })
    }

    /// Whether a host was admitted after the loss, which it then knows of, and too soon.
    fn breaks_quarantine(&self, terms: Terms) -> bool {
        terms.loss.is_some_and(|Loss { from, to, quarantine }| {
            self.attempts.iter().any(|one| one.invoked > to && one.returned < from + quarantine)
        })
    }

    /// Whether somebody who came after an outcome was stored is told of another one.
    fn loses_outcome(&self) -> bool {
        let stored: Vec<(u64, u64)> = self.stored().collect();
        let others = self.last_replays();
        let kept = |token: &u64| {
            self.told_of(Ask::Complete(*token)).any(|event| event.told() == Some(&Told::StoredHere))
        };
        stored.len() > 1
            || stored.iter().any(|(_, token)| {
                others.values().any(|replayed| replayed != token && !kept(replayed))
            })
    }

    /// When which outcome was stored, as its holder was told.
    fn stored(&self) -> impl Iterator<Item = (u64, u64)> {
        self.events(|told| *told == Told::Stored).filter_map(|event| match event.ask {
            Ask::Complete(token) => Some((event.returned(), token)),
            _ => None,
        })
    }

    /// How many outcomes were stored, and the request was admitted again after that.
    fn lost(&self) -> usize {
        let again = |token: u64, at: u64| {
            self.attempts.iter().any(|attempt| attempt.token > token && attempt.returned > at)
        };
        self.stored().filter(|(at, token)| again(*token, *at)).count()
    }

    /// What each host was told last.
    fn last_replays(&self) -> BTreeMap<usize, u64> {
        let mut last = BTreeMap::new();
        for event in self.events(|told| matches!(told, Told::Replayed(_))) {
            if let Some(Told::Replayed(token)) = event.told() {
                last.insert(event.host, *token);
            }
        }
        last
    }

    fn told_of(&self, ask: Ask) -> impl Iterator<Item = &Event> {
        self.of_key.events.iter().filter(move |event| event.ask == ask)
    }

    fn events(&self, is_meant: impl Fn(&Told) -> bool) -> impl Iterator<Item = &Event> {
        self.of_key.events.iter().filter(move |event| event.told().is_some_and(&is_meant))
    }

    /// Each two attempts, the one with the lower token first.
    fn pairs(&self) -> impl Iterator<Item = (&Attempt, &Attempt)> {
        let later = |at: usize| self.attempts[at + 1..].iter();
        self.attempts
            .iter()
            .enumerate()
            .flat_map(move |(at, lower)| later(at).map(move |higher| (lower, higher)))
    }

    fn count(&self) -> Tally {
        let of = |is_meant: &dyn Fn(&Told) -> bool| self.events(is_meant).count();
        let mut highest = 0;
        // Admitted earlier, the higher token counts even where its effect has not come yet.
        let late = self.of_key.effects.iter().filter(|effect| {
            highest = highest.max(effect.token);
            effect.token < highest
        });
        Tally {
            keys: 1,
            calls: self.of_key.events.len(),
            attempts: self.attempts.len(),
            effects: self.of_key.effects.len(),
            replays: of(&|told| matches!(told, Told::Replayed(_))),
            refused: of(&|told| *told == Told::Refused),
            unknown: self.of_key.events.iter().filter(|event| event.told.is_none()).count(),
            told_later: of(&|told| *told == Told::StoredHere),
            fenced: of(&|told| *told == Told::Fenced),
            kept_out: late.count(),
            lost: self.lost(),
            ordered: 0,
            left_out: 0,
        }
    }
}

/// The attempts of a key, by token.
fn attempts(history: &History, key: &KeyHistory) -> Vec<Attempt> {
    let mut all: Vec<Attempt> = key
        .events
        .iter()
        .filter_map(|event| {
            let (returned, Told::Admitted { token, until, .. }) = event.told.as_ref()? else {
                return None;
            };
            let (token, host) = (*token, event.host);
            let of = |other: &&Event| match other.ask {
                Ask::Renew(own) | Ask::Complete(own) | Ask::Fail(own) => own == token,
                Ask::Begin => false,
            };
            let own = || key.events.iter().filter(of);
            let renewed = own().filter_map(|event| match (event.ask, event.told()) {
                (Ask::Renew(_), Some(Told::Done(until))) => Some(*until),
                _ => None,
            });
            let until = renewed.fold(*until, u64::max);
            let ends = own().filter(|event| !matches!(event.ask, Ask::Renew(_)));
            let ends = ends.map(|event| event.invoked).min().unwrap_or(u64::MAX);
            let alive_until = until.min(ends).min(history.kill_of(host));
            let (invoked, returned) = (event.invoked, *returned);
            Some(Attempt { token, invoked, returned, alive_until })
        })
        .collect();
    all.sort_by_key(|attempt| attempt.token);
    all
}
