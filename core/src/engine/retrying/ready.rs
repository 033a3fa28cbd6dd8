//! Ready: records whose next attempt is due, and whose turn it is.
//!
//! Within a scope the one that was due first comes first. Of several scopes the one comes first
//! that was served the longest time ago, so that a scope with a million due records delays another
//! scope's one by one attempt and not by a million. An operation with as many attempts under way
//! as it may have is passed over, and delays no other.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};

use rustc_hash::FxHashMap;

use crate::sync::planted::Bug;

/// A record that is due, by its entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Due {
    pub(super) due_ms: u64,
    pub(super) index: u32,
}

/// Records that are due, by scope and operation.
#[derive(Debug, Default)]
pub(super) struct Ready {
    /// By operation: the scopes with something due, the longest unserved first.
    turns: FxHashMap<u32, BTreeSet<Turn>>,
    /// The first turn of each operation, in order.
    firsts: BTreeSet<(Turn, u32)>,
    lanes: FxHashMap<(u32, u32), Lane>,
    /// By scope: the operations of which it has something due.
    of_scope: FxHashMap<u32, Vec<u32>>,
    /// When each scope was served last, by a count of servings.
    served: FxHashMap<u32, u64>,
    servings: u64,
    len: usize,
}

/// Whose turn it is: served last, due first, scope.
type Turn = (u64, Due, u32);

/// What is due of one scope and operation.
#[derive(Debug, Default)]
struct Lane {
    queue: BinaryHeap<Reverse<Due>>,
    turn: Option<Turn>,
}

impl Ready {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn push(&mut self, operation: u32, scope: u32, due: Due) {
        self.len += 1;
        let lane = self.lanes.entry((operation, scope)).or_insert_with(|| {
            self.of_scope.entry(scope).or_default().push(operation);
            Lane::default()
        });
        lane.queue.push(Reverse(due));
        self.queue_up(operation, scope);
    }

    /// The record whose turn it is, of an operation that `may_run`.
    ///
    /// O(log n) for each operation before it that may not, and for each of which its scope has
    /// something due.
    pub(super) fn pop(&mut self, mut may_run: impl FnMut(u32) -> bool) -> Option<(u32, Due)> {
        let first = self.firsts.iter().find(|(_, operation)| may_run(*operation));
        let ((_, _, scope), operation) = *first?;
        let lane = self.lanes.get_mut(&(operation, scope))?;
        let Reverse(due) = lane.queue.pop()?;
        self.len -= 1;
        if lane.queue.is_empty() {
            let turn = lane.turn.take();
            self.leave(operation, turn);
            self.close_lane(operation, scope);
        }
        self.servings += 1;
        if !Bug::ScopesServedByDueTime.is_planted() {
            self.served.insert(scope, self.servings);
        }
        self.queue_up_all(scope);
        Some((operation, due))
    }

    fn close_lane(&mut self, operation: u32, scope: u32) {
        self.lanes.remove(&(operation, scope));
        if let Some(operations) = self.of_scope.get_mut(&scope) {
            operations.retain(|other| *other != operation);
            if operations.is_empty() {
                self.of_scope.remove(&scope);
            }
        }
    }

    /// Scopes with nothing due are forgotten now and then: they come first when they come again.
    fn queue_up_all(&mut self, scope: u32) {
        let operations = self.of_scope.get(&scope).map_or(0, Vec::len);
        for at in 0..operations {
            self.queue_up(self.of_scope[&scope][at], scope);
        }
        if self.served.len() > self.lanes.len() * 2 + KEPT {
            let busy = &self.of_scope;
            self.served.retain(|scope, _| busy.contains_key(scope));
        }
    }

    /// Puts a lane in its place among the turns of its operation.
    fn queue_up(&mut self, operation: u32, scope: u32) {
        let served = self.served.get(&scope).copied().unwrap_or(0);
        let Some(lane) = self.lanes.get_mut(&(operation, scope)) else { return };
        let Some(Reverse(first)) = lane.queue.peek() else { return };
        let turn = (served, *first, scope);
        let old = lane.turn.replace(turn);
        if old != Some(turn) {
            self.leave(operation, old);
            self.change_turns(operation, |turns| _ = turns.insert(turn));
        }
    }

    fn leave(&mut self, operation: u32, turn: Option<Turn>) {
        if let Some(turn) = turn {
            self.change_turns(operation, |turns| _ = turns.remove(&turn));
        }
    }

    /// Changes the turns of an operation, and which of them is its first.
    fn change_turns(&mut self, operation: u32, change: impl FnOnce(&mut BTreeSet<Turn>)) {
        let turns = self.turns.entry(operation).or_default();
        let before = turns.first().copied();
        change(turns);
        let after = turns.first().copied();
        if turns.is_empty() {
            self.turns.remove(&operation);
        }
        if before != after {
            before.map(|turn| self.firsts.remove(&(turn, operation)));
            after.map(|turn| self.firsts.insert((turn, operation)));
        }
    }
}

/// How many scopes are remembered beside those with something due.
const KEPT: usize = 64;

#[cfg(all(test, not(oncegate_loom)))]
mod tests {
    use super::*;

    fn due(due_ms: u64, index: u32) -> Due {
        Due { due_ms, index }
    }

    fn all(ready: &mut Ready) -> Vec<u32> {
        std::iter::from_fn(|| ready.pop(|_| true).map(|(_, due)| due.index)).collect()
    }

    /// Goal: one scope is served by due time. Method: due times in another order than pushed.
    #[test]
    fn first_due_comes_first() {
        let mut ready = Ready::default();
        for (due_ms, index) in [(30, 3), (10, 1), (20, 2), (10, 0)] {
            ready.push(1, 1, due(due_ms, index));
        }
        assert_eq!(ready.len(), 4);
        assert_eq!(all(&mut ready), [0, 1, 2, 3]);
        assert_eq!(ready.len(), 0);
    }

    /// Goal: a scope that floods delays another by one attempt. Method: a thousand records of one
    /// scope that are long due, and two of another, over two operations.
    #[test]
    fn flooding_scope_delays_nobody() {
        let mut ready = Ready::default();
        (0..1000).for_each(|index| ready.push(index % 2, 1, due(u64::from(index), index)));
        ready.push(0, 2, due(5_000, 5_000));
        ready.push(1, 2, due(6_000, 6_000));
        let order = all(&mut ready);
        let place = |index: u32| order.iter().position(|other| *other == index).expect("served");
        assert!(place(5_000) <= 1 && place(6_000) <= 3, "{:?}", &order[..8]);
        assert_eq!(order.len(), 1002);
        let of_flood: Vec<u32> = order.into_iter().filter(|index| *index < 1000).collect();
        assert!(of_flood.is_sorted(), "a scope is served by due time");
    }

    /// Goal: an operation at its limit delays no other. Method: the first due are of one that may
    /// not run.
    #[test]
    fn full_operation_is_passed_over() {
        let mut ready = Ready::default();
        (0..10).for_each(|index| ready.push(7, 1, due(0, index)));
        ready.push(8, 1, due(100, 100));
        assert_eq!(ready.pop(|operation| operation != 7), Some((8, due(100, 100))));
        assert_eq!(ready.pop(|operation| operation != 7), None);
        assert_eq!(ready.pop(|_| true), Some((7, due(0, 0))));
    }

    /// Goal: what is remembered of scopes is bounded. Method: ten thousand scopes, one after the
    /// other.
    #[test]
    fn served_scopes_are_forgotten() {
        let mut ready = Ready::default();
        for scope in 0..10_000_u32 {
            ready.push(1, scope, due(0, scope));
            assert!(ready.pop(|_| true).is_some());
        }
        assert!(ready.served.len() <= KEPT + 1 && ready.lanes.is_empty() && ready.turns.is_empty());
        assert!(ready.firsts.is_empty() && ready.of_scope.is_empty());
    }

    /// Goal: one look asks about no more operations than are held up before the one that it finds.
    /// Method: a thousand operations have something due; the questions are counted.
    ///
    /// Cause: all operations with something due were asked about, twice, for each attempt.
    #[test]
    fn operations_behind_are_not_asked_about() {
        let mut ready = Ready::default();
        (0..1_000).for_each(|number| ready.push(number, number, due(u64::from(number), number)));
        for held_up in [0, 3] {
            let mut asked = Vec::new();
            let popped = ready.pop(|operation| {
                asked.push(operation);
                operation >= held_up
            });
            assert!(popped.is_some());
            assert!(asked.len() <= held_up as usize + 1, "{} operations", asked.len());
        }
    }

    /// Goal: whichever operations may run, the order is by turns: the scope that was served the
    /// longest time ago, and within it by due time. Method: a program of pushes and pops beside
    /// a plain list that is searched whole.
    #[test]
    fn order_is_that_of_a_plain_list() {
        let mut ready = Ready::default();
        let mut list: Vec<(u32, u32, Due)> = Vec::new();
        let (mut served, mut random) = (vec![0; 7], 1_u32);
        let mut draw = |below: u32| {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (random >> 16) % below
        };
        for number in 0..20_000_u32 {
            if draw(2) == 0 {
                let (operation, scope, at) = (draw(5), draw(7), u64::from(draw(50)));
                ready.push(operation, scope, due(at, number));
                list.push((operation, scope, due(at, number)));
                continue;
            }
            let held_up = draw(6);
            let may_run = |operation: u32| operation != held_up;
            let turns = list.iter().enumerate().filter(|(_, one)| may_run(one.0));
            let first = turns.min_by_key(|(_, one)| (served[one.1 as usize], one.2, one.1));
            let first = first.map(|(at, _)| at).map(|at| list.swap_remove(at));
            first.iter().for_each(|one| served[one.1 as usize] = number);
            assert_eq!(ready.pop(may_run), first.map(|(operation, _, due)| (operation, due)));
            assert_eq!(ready.len(), list.len());
        }
    }
}
