//! Faults: processes crash, stop for a while or end, and clocks jump.

use crate::kinds::Kind;
use crate::node::Order;
use crate::simulation::Simulation;

impl Simulation {
    /// One fault.
    pub(crate) fn fault(&mut self) {
        let (draw, index, stops_ms, jump_ms, wall_ms) = {
            let mut world = self.shared.world();
            let places = self.places.len() as u64;
            let lease_ms = world.plan.lease_ms;
            let jump_ms = *world.random.pick(&[1, 1_000, 60_000, 3_600_000, 259_200_000]);
            (
                world.random.below(10),
                world.random.below(places) as usize,
                world.random.below(lease_ms * 4),
                jump_ms,
                world.random.below(7_200_000),
            )
        };
        match draw {
            0..=2 => self.obey(index, Order::Crash),
            3 => self.obey(index, Order::Leave),
            4..=6 => {
                let mut world = self.shared.world();
                let until = world.now() + stops_ms;
                world.kinds.add(Kind::NodePaused);
                world.tell(&format!("node {index}"), &format!("is stopped for {stops_ms} ms"));
                drop(world);
                self.places[index].stopped_until = until;
            }
            7..=8 => {
                let mut world = self.shared.world();
                let to = world.now() + jump_ms;
                if jump_ms > 86_400_000 {
                    world.kinds.add(Kind::Jumped);
                }
                world.tell("clock", &format!("jumps by {jump_ms} ms"));
                world.clock.move_to(to);
            }
            _ => {
                let mut world = self.shared.world();
                world.kinds.add(Kind::WallSetBack);
                world.tell("clock", &format!("the wall clock is set back by {wall_ms} ms"));
                world.clock.set_wall(-(wall_ms as i64));
            }
        }
    }
}
