//! Contenders that need no runtime: ours, a heap, a tree, and a wheel by other hands.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::Duration;

use hierarchical_hash_wheel_timer::IdOnlyTimerEntry;
use hierarchical_hash_wheel_timer::wheels::cancellable::QuadWheelWithOverflow;
use oncegate::{TimerHandle, TimerWheel, Timers};

use super::{Keeper, arranged};

/// Our wheel, with one owner.
pub(super) struct Wheel {
    wheel: TimerWheel,
    handles: Vec<TimerHandle>,
    now: u64,
}

impl Keeper for Wheel {
    const NAME: &'static str = "oncegate";

    fn open(timers: usize) -> Self {
        let any = TimerWheel::new(0).insert(1).expect("room");
        Self { wheel: TimerWheel::new(0), handles: vec![any; timers], now: 0 }
    }

    fn insert(&mut self, dues: &[u64]) {
        for (handle, &due) in self.handles.iter_mut().zip(dues) {
            *handle = self.wheel.insert(due).expect("room");
        }
    }

    fn arrange(&mut self, order: &[u32]) {
        self.handles = arranged(&self.handles, order);
    }

    fn cancel(&mut self) {
        for handle in &self.handles {
            assert!(self.wheel.cancel(*handle));
        }
    }

    fn fire(&mut self, until: u64) -> usize {
        let (mut fired, mut seen) = (0, 0);
        while self.now < until {
            self.now += 1;
            let look = |timer: TimerHandle| seen ^= timer.index();
            fired += self.wheel.advance(self.now, usize::MAX, look).fired;
        }
        std::hint::black_box(seen);
        fired
    }
}

/// Our wheel for many threads, used by one.
pub(super) struct Shared {
    timers: Timers,
    handles: Vec<TimerHandle>,
    now: u64,
}

impl Keeper for Shared {
    const NAME: &'static str = "oncegate, shared";

    fn open(timers: usize) -> Self {
        let any = TimerWheel::new(0).insert(1).expect("room");
        let shared = Timers::builder().capacity(timers.max(1)).build().expect("valid");
        Self { timers: shared, handles: vec![any; timers], now: 0 }
    }

    fn insert(&mut self, dues: &[u64]) {
        for (handle, &due) in self.handles.iter_mut().zip(dues) {
            *handle = self.timers.insert(due).expect("room").handle;
        }
    }

    fn arrange(&mut self, order: &[u32]) {
        self.handles = arranged(&self.handles, order);
    }

    fn cancel(&mut self) {
        for handle in &self.handles {
            assert!(self.timers.cancel(*handle));
        }
    }

    fn fire(&mut self, until: u64) -> usize {
        let (mut fired, mut seen) = (0, 0);
        while self.now < until {
            self.now += 1;
            let look = |timer: TimerHandle| seen ^= timer.index();
            let advanced = self.timers.advance(self.now, usize::MAX, look);
            fired += advanced.expect("nobody else").fired;
        }
        std::hint::black_box(seen);
        fired
    }
}

/// A binary heap; what is cancelled is passed over when it comes up.
pub(super) struct Heap {
    heap: BinaryHeap<Reverse<(u64, u32, u32)>>,
    /// The use of each number that is pending.
    uses: Vec<u32>,
    order: Vec<u32>,
    now: u64,
}

impl Keeper for Heap {
    const NAME: &'static str = "BinaryHeap";

    fn open(timers: usize) -> Self {
        Self { heap: BinaryHeap::new(), uses: vec![1; timers], order: Vec::new(), now: 0 }
    }

    fn insert(&mut self, dues: &[u64]) {
        for (nth, &due) in dues.iter().enumerate() {
            self.heap.push(Reverse((due, nth as u32, self.uses[nth])));
        }
    }

    fn arrange(&mut self, order: &[u32]) {
        self.order = order.to_vec();
    }

    fn cancel(&mut self) {
        for nth in &self.order {
            self.uses[*nth as usize] += 1;
        }
    }

    fn fire(&mut self, until: u64) -> usize {
        let mut fired = 0;
        while self.now < until {
            self.now += 1;
            while let Some(&Reverse((due, nth, used))) = self.heap.peek()
                && due <= self.now
            {
                self.heap.pop();
                if self.uses[nth as usize] == used {
                    self.uses[nth as usize] += 1;
                    fired += 1;
                }
            }
        }
        fired
    }
}

/// A tree by due time and number.
pub(super) struct Tree {
    tree: BTreeMap<(u64, u32), ()>,
    keys: Vec<(u64, u32)>,
    now: u64,
}

impl Keeper for Tree {
    const NAME: &'static str = "BTreeMap";

    fn open(timers: usize) -> Self {
        Self { tree: BTreeMap::new(), keys: vec![(1, 1); timers], now: 0 }
    }

    fn insert(&mut self, dues: &[u64]) {
        for (nth, &due) in dues.iter().enumerate() {
            self.tree.insert((due, nth as u32), ());
            self.keys[nth] = (due, nth as u32);
        }
    }

    fn arrange(&mut self, order: &[u32]) {
        self.keys = arranged(&self.keys, order);
    }

    fn cancel(&mut self) {
        for key in &self.keys {
            assert!(self.tree.remove(key).is_some());
        }
    }

    fn fire(&mut self, until: u64) -> usize {
        let mut fired = 0;
        while self.now < until {
            self.now += 1;
            while let Some(first) = self.tree.first_entry()
                && first.key().0 <= self.now
            {
                first.remove();
                fired += 1;
            }
        }
        fired
    }
}

/// The cancellable wheel of the crate `hierarchical_hash_wheel_timer`.
pub(super) struct HashWheel {
    wheel: QuadWheelWithOverflow<IdOnlyTimerEntry<u32>>,
    ids: Vec<u32>,
    now: u64,
}

impl Keeper for HashWheel {
    const NAME: &'static str = "hierarchical_hash_wheel_timer";

    fn open(_timers: usize) -> Self {
        Self { wheel: QuadWheelWithOverflow::new(), ids: Vec::new(), now: 0 }
    }

    fn insert(&mut self, dues: &[u64]) {
        for (nth, &due) in dues.iter().enumerate() {
            let delay = Duration::from_millis(due - self.now);
            let entry = IdOnlyTimerEntry { id: nth as u32, delay };
            assert!(self.wheel.insert(entry).is_ok());
        }
    }

    fn arrange(&mut self, order: &[u32]) {
        self.ids = order.to_vec();
    }

    fn cancel(&mut self) {
        for id in &self.ids {
            assert!(self.wheel.cancel(id).is_ok());
        }
    }

    fn fire(&mut self, until: u64) -> usize {
        let mut fired = 0;
        while self.now < until {
            self.now += 1;
            fired += self.wheel.tick().len();
        }
        fired
    }
}
