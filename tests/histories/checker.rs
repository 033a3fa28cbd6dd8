//! The checker: is there an order of the calls, each somewhere between its invocation and its
//! return, in which a sequential specification gives every answer that was given?
//!
//! The search is Wing and Gong's ("Testing and Verifying Concurrent Objects", 1993): of the calls
//! that are not in the order yet, any may come next that was invoked before the first of them
//! returned. Lowe's addition ("Testing for Linearizability", 2017) keeps it short: a pair of
//! (calls in the order, state) from which the search has gone on before is never tried again.
//! The specification is not deterministic, so a call may lead from one state to several.

use std::collections::HashSet;
use std::hash::Hash;

/// What a call of a history must tell the checker.
pub(crate) trait Call {
    /// When it was invoked, by a counter that all threads share.
    fn invoked(&self) -> u64;
    /// When it had returned.
    fn returned(&self) -> u64;
    /// Whether it may be left out of the order: something that may have happened.
    fn is_optional(&self) -> bool {
        false
    }
    /// Whether its answer says that it changed nothing. Such a call comes next as soon as it fits:
    /// the calls after it can do the same without it.
    fn only_reads(&self) -> bool;
}

/// The sequential specification of one object.
pub(crate) trait Spec {
    type Call: Call;
    type State: Clone + Eq + Hash;

    fn start(&self) -> Self::State;

    /// Every state after `call` was made in `state` and gave its answer; none if it would not
    /// have given it. `first` is the call that returns first of those not in the order yet, this
    /// one included: whatever happens now happens before that return.
    fn after(&self, state: &Self::State, call: &Self::Call, first: &Self::Call)
    -> Vec<Self::State>;
}

/// What an accepted history cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Effort {
    /// Pairs of (calls in the order, state) that were looked at.
    pub(crate) looked_at: usize,
}

/// Why there is no order.
#[derive(Clone, Debug)]
pub(crate) struct Refusal<State> {
    /// The longest order that was found.
    pub(crate) order: Vec<usize>,
    /// A state after it.
    pub(crate) state: State,
    /// The calls that could have come next, and do not fit.
    pub(crate) stuck: Vec<usize>,
}

/// Looks for an order of `calls`, of which there are at most [`MOST_CALLS`].
pub(crate) fn check<S: Spec>(spec: &S, calls: &[S::Call]) -> Result<Effort, Refusal<S::State>> {
    assert!(calls.len() <= MOST_CALLS, "{} calls on one key", calls.len());
    let needed = set(calls.iter().enumerate().filter(|(_, c)| !c.is_optional()).map(|(at, _)| at));
    let start = Node { done: 0, state: spec.start(), order: Vec::new() };
    let mut seen = HashSet::new();
    let mut deepest: Option<Refusal<S::State>> = None;
    let mut open = vec![start];
    while let Some(node) = open.pop() {
        if !seen.insert((node.done, node.state.clone())) {
            continue;
        }
        if node.done & needed == needed {
            return Ok(Effort { looked_at: seen.len() });
        }
        let (candidates, first) = candidates(calls, node.done, needed);
        if deepest.as_ref().is_none_or(|refusal| refusal.order.len() < node.order.len()) {
            let (order, state) = (node.order.clone(), node.state.clone());
            deepest = Some(Refusal { order, state, stuck: candidates.clone() });
        }
        let read = candidates.iter().copied().find(|at| {
            let call = &calls[*at];
            call.only_reads() && spec.after(&node.state, call, first).contains(&node.state)
        });
        if let Some(at) = read {
            open.push(node.then(at, node.state.clone()));
            continue;
        }
        for at in candidates {
            let after = spec.after(&node.state, &calls[at], first);
            open.extend(after.into_iter().map(|state| node.then(at, state)));
        }
    }
    Err(deepest.expect("the first node is looked at"))
}

/// A point of the search: which calls are in the order, and the state after them.
struct Node<State> {
    done: u128,
    state: State,
    order: Vec<usize>,
}

impl<State> Node<State> {
    fn then(&self, at: usize, state: State) -> Self {
        let mut order = self.order.clone();
        order.push(at);
        Self { done: self.done | 1 << at, state, order }
    }
}

/// The calls that may come next, and the one among those still needed that returns first.
fn candidates<C: Call>(calls: &[C], done: u128, needed: u128) -> (Vec<usize>, &C) {
    let left = |set: u128| (0..calls.len()).filter(move |at| set >> at & 1 == 1);
    let first = left(needed & !done).min_by_key(|at| calls[*at].returned()).expect("some is left");
    let first = &calls[first];
    let mut next: Vec<usize> =
        left(!done).filter(|at| calls[*at].invoked() <= first.returned()).collect();
    // The last of these is tried first: the one that returns first, in most histories.
    next.sort_by_key(|at| std::cmp::Reverse(calls[*at].returned()));
    (next, first)
}

fn set(members: impl Iterator<Item = usize>) -> u128 {
    members.fold(0, |set, at| set | 1 << at)
}

/// As many calls as a set of them has bits.
pub(crate) const MOST_CALLS: usize = 128;
