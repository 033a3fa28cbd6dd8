//! Random programs on the wheel and on a sorted list.

use std::collections::{BTreeMap, HashSet};

use proptest::prelude::*;

use super::super::*;
use crate::retry::wheel::tests::seeded;

/// One call.
#[derive(Clone, Debug)]
enum Op {
    /// A timer so many ticks from now.
    Insert(u64),
    /// A timer that is late by so much.
    InsertLate(u64),
    /// One of the handles that were ever given out.
    Cancel(prop::sample::Index),
    /// Time goes on, and so much work may be done.
    Advance(u64, usize),
    /// Time goes on to where the wheel says, or just before it.
    AdvanceToNext { before: bool },
}

/// Lengths of time from a tick to years, each scale as likely, and often at the edge of a level.
fn span() -> impl Strategy<Value = u64> {
    let scaled = (0_u32..45, any::<u64>()).prop_map(|(bits, word)| word & ((1 << bits) - 1));
    let edge = (0_u32..45, 0_u64..3).prop_map(|(bits, more)| (1_u64 << bits) - 1 + more);
    prop_oneof![4 => scaled, 1 => edge, 1 => 0_u64..5]
}

fn op() -> impl Strategy<Value = Op> {
    let limit = prop_oneof![3 => Just(usize::MAX), 1 => 0_usize..10, 1 => 10_usize..200];
    prop_oneof![
        8 => span().prop_map(Op::Insert),
        1 => span().prop_map(Op::InsertLate),
        4 => any::<prop::sample::Index>().prop_map(Op::Cancel),
        3 => (span(), limit).prop_map(|(jump, limit)| Op::Advance(jump, limit)),
        2 => any::<bool>().prop_map(|before| Op::AdvanceToNext { before }),
    ]
}

/// The wheel, and what is pending by due tick.
struct Pair {
    wheel: TimerWheel,
    /// Due ticks as the wheel takes them: never before its cursor.
    pending: BTreeMap<u64, Vec<TimerHandle>>,
    /// Every handle ever given out, with the due tick that was asked for.
    handles: Vec<(TimerHandle, u64)>,
    distinct: HashSet<TimerHandle>,
    now: u64,
    most: usize,
}

impl Pair {
    fn new(start: u64) -> Self {
        Self {
            wheel: TimerWheel::new(start),
            pending: BTreeMap::new(),
            handles: Vec::new(),
            distinct: HashSet::new(),
            now: start,
            most: 0,
        }
    }

    fn len(&self) -> usize {
        self.pending.values().map(Vec::len).sum()
    }

    fn insert(&mut self, due: u64) -> Result<(), TestCaseError> {
        let taken = due.max(self.wheel.wheel.cursor());
        let handle = self.wheel.insert(due).expect("room");
        prop_assert!(self.distinct.insert(handle), "{:?} comes twice", handle);
        let mut ids = self.pending.values().flatten();
        prop_assert!(ids.all(|other| other.index() != handle.index()), "an id is pending twice");
        self.pending.entry(taken).or_default().push(handle);
        self.handles.push((handle, due));
        self.most = self.most.max(self.len());
        Ok(())
    }

    fn cancel(&mut self, which: prop::sample::Index) -> Result<(), TestCaseError> {
        if self.handles.is_empty() {
            return Ok(());
        }
        let (handle, _) = self.handles[which.index(self.handles.len())];
        let mut was_pending = false;
        self.pending.retain(|_, timers| {
            let before = timers.len();
            timers.retain(|timer| *timer != handle);
            was_pending |= timers.len() < before;
            !timers.is_empty()
        });
        prop_assert_eq!(self.wheel.cancel(handle), was_pending, "{:?}", handle);
        Ok(())
    }

    fn advance(&mut self, now: u64, limit: usize) -> Result<(), TestCaseError> {
        self.now = self.now.max(now);
        let mut fired = Vec::new();
        let advanced = self.wheel.advance(now, limit, |timer| fired.push(timer));
        prop_assert_eq!(advanced.fired, fired.len());
        prop_assert!(advanced.fired <= limit);
        for timer in fired {
            let (&due, timers) = self.pending.iter_mut().next().expect("somebody is pending");
            prop_assert!(due <= self.now, "fires at {}, due at {}", self.now, due);
            let at = timers.iter().position(|other| *other == timer);
            prop_assert!(at.is_some(), "{:?} fires, but not as the first", timer);
            timers.swap_remove(at.expect("it was found"));
            if timers.is_empty() {
                self.pending.remove(&due);
            }
        }
        let first = self.pending.keys().next().copied();
        if !advanced.more {
            prop_assert!(first.is_none_or(|due| due > self.now), "{:?} is left", first);
        }
        Ok(())
    }

    fn check(&self) -> Result<(), TestCaseError> {
        prop_assert_eq!(self.wheel.len(), self.len());
        prop_assert_eq!(self.wheel.is_empty(), self.pending.is_empty());
        let (first, next) = (self.pending.keys().next(), self.wheel.next_due());
        if let Some(first) = first {
            prop_assert!(next.is_some_and(|next| next <= *first), "{:?} > {}", next, first);
        }
        prop_assert!(next.is_none_or(|next| next >= self.wheel.wheel.cursor()));
        prop_assert!(self.wheel.wheel.entries() <= 6 * self.most + SLACK);
        Ok(())
    }

    /// Everything ends: the wheel's own stops lead to the last timer, and nothing is left.
    fn finish(mut self) -> Result<(), TestCaseError> {
        let mut calls = 0;
        while let Some(next) = self.wheel.next_due() {
            self.advance(next, usize::MAX)?;
            calls += 1;
            prop_assert!(calls <= self.handles.len() * 6 + 6, "it does not end");
        }
        prop_assert!(self.pending.is_empty() && self.wheel.is_empty());
        prop_assert_eq!(self.wheel.wheel.entries(), 0);
        Ok(())
    }
}

/// Goal: the wheel does what a sorted list does. Method: random programs of insertions, late ones
/// too, cancellations by any handle there ever was, and advances from a tick to years, with limits
/// and without, on both: who fires, in which order, never early, nobody left; `next_due` is never
/// late; ids and handles are not given out twice; entries stay within the bound; at the end
/// nothing is left.
#[test]
fn agrees_with_a_sorted_list() {
    let programs = (span(), prop::collection::vec(op(), 1..300));
    proptest!(seeded(512), |((start, ops) in programs)| {
        let mut pair = Pair::new(start);
        for op in ops {
            match op {
                Op::Insert(span) => pair.insert(pair.now.saturating_add(span))?,
                Op::InsertLate(span) => pair.insert(pair.now.saturating_sub(span))?,
                Op::Cancel(which) => pair.cancel(which)?,
                Op::Advance(jump, limit) => pair.advance(pair.now.saturating_add(jump), limit)?,
                Op::AdvanceToNext { before } => {
                    if let Some(next) = pair.wheel.next_due() {
                        pair.advance(next.saturating_sub(u64::from(before)), usize::MAX)?;
                    }
                }
            }
            pair.check()?;
        }
        pair.finish()?;
    });
}
