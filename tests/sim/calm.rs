//! Calm: the faults are over, and all work has to end.

use crate::node::Order;
use crate::simulation::Simulation;

impl Simulation {
    /// The part without faults, in which all work ends.
    pub(crate) fn calm(&mut self) {
        if self.is_broken() {
            return;
        }
        self.shared.world().calm = true;
        self.shared.tell("simulation", "the faults are over");
        for index in 0..self.places.len() {
            self.places[index].stopped_until = 0;
            self.open(index);
            self.obey(index, Order::Learn);
        }
        self.obey(0, Order::LiftQuotas);
        // What the engine looks after ends by itself, in the time that a last attempt may take.
        let wait_ms = self.longest_wait();
        self.rounds(wait_ms, MANY);
        self.obey(0, Order::ResolveAll);
        self.rounds(wait_ms / 4, FEW);
        let left = self.shared.world().model.scheduled();
        for id in left {
            self.obey(0, Order::AskAfter { id });
        }
        // The rest ends as soon as its clients come again.
        for _ in 0..6 {
            self.obey(0, Order::Resend);
            self.rounds(wait_ms / 4, FEW);
        }
        self.obey(0, Order::AskAll);
        let window_ms = self.shared.world().plan.window_ms;
        self.rounds(2 * window_ms + 120_000, FEW);
        self.each(Order::Inspect);
        self.obey(0, Order::FinishRotation);
    }

    /// Longer than any lease, delay or doubt that there is.
    fn longest_wait(&self) -> u64 {
        let world = self.shared.world();
        let delay = world.plan.rhythms.iter().map(|rhythm| rhythm.most_ms).max().unwrap_or(0);
        delay + world.model.longest_lease(world.now()) + DOUBT_MS
    }

    /// Everybody does what is due, about `times`, until so much time has passed.
    fn rounds(&mut self, ms: u64, times: u64) {
        let end = self.shared.world().now() + ms;
        loop {
            self.each(Order::Settle);
            let mut world = self.shared.world();
            let (now, most) = (world.now(), 2 * ms / times + 2);
            if now >= end || world.broken.is_some() {
                return;
            }
            let to = now + 1 + world.random.below(most);
            world.clock.move_to(to);
        }
    }

    fn each(&mut self, order: Order) {
        (0..self.places.len()).for_each(|index| self.obey(index, order));
    }
}

/// For longer than the longest pause between two questions about an unknown record.
const DOUBT_MS: u64 = 700_000;
/// How often everybody looks: more often than there are turns of the sweep that finds what nobody
/// looks after, and less often.
const MANY: u64 = 90;
const FEW: u64 = 10;
