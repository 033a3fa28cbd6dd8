//! Shares: which process delivers what. A pure function of plan and orders, so that whoever starts
//! again knows its share again.

use super::orders::Orders;
use crate::storm::{Delivery, Plan};

/// One delivery with its number in the storm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Numbered {
    pub(crate) number: u32,
    pub(crate) delivery: Delivery,
}

/// What process `index` delivers, in the order of the plan. Duplicates of one request go to
/// different processes, in turn.
pub(crate) fn share(plan: &Plan, orders: &Orders, index: usize) -> Vec<Numbered> {
    let mut seen = vec![0_usize; plan.distinct()];
    let numbered = (0..).zip(&plan.order).filter(|(_, delivery)| {
        let request = delivery.request as usize;
        let owner = (request + seen[request]) % orders.processes;
        seen[request] += 1;
        owner == index
    });
    numbered.map(|(number, delivery)| Numbered { number, delivery: *delivery }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input;

    /// Goal: every delivery has one process, and duplicates have different ones. Method: shares of
    /// three processes, added up.
    #[test]
    fn shares_are_the_whole_and_split_duplicates() {
        let lines: String = (0..20).map(|i| format!("{{\"key\":{i}}}\n")).collect();
        let input = input::read(lines.as_bytes()).unwrap();
        let orders = Orders {
            processes: 3,
            threads: 2,
            copies: 3,
            fail_rate: 0.0,
            kill_rate: 0.0,
            seed: 7,
            work_ms: 0,
            run: 1,
            hosts: None,
        };
        let plan = Plan::new(&input.lines, orders.shape()).unwrap();
        let shares = [0, 1, 2].map(|index| share(&plan, &orders, index));
        let mut numbers: Vec<u32> = shares.iter().flatten().map(|one| one.number).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (0..60).collect::<Vec<_>>());
        for share in shares {
            let mut requests: Vec<u32> = share.iter().map(|one| one.delivery.request).collect();
            requests.sort_unstable();
            assert_eq!(requests, (0..20).collect::<Vec<_>>());
        }
    }
}
