//! How many attempts of one request ran at once, found from the logged executions.

use std::time::Duration;

use super::meter::Execution;

/// Overlapping attempts over a whole storm.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Overlap {
    /// How many requests had at most 1, 2, 3… attempts at once; index 0 is 1.
    pub(crate) requests: Vec<u64>,
    /// The most attempts of any one request that held a lease at once.
    pub(crate) most_leased: u32,
    /// Requests of which two attempts held a lease at the same time.
    pub(crate) leased_twice: Vec<u32>,
    /// The most attempts of any one request at once, by slice of the storm.
    pub(crate) timeline: Vec<u32>,
}

impl Overlap {
    /// Counts overlaps; `slices` is the length of the timeline. Costs a sort of the executions.
    pub(crate) fn measure(mut executions: Vec<Execution>, total: Duration, slices: usize) -> Self {
        executions.sort_unstable_by_key(|e| (e.request, e.start));
        let mut overlap = Self { timeline: vec![0; slices], ..Self::default() };
        for of_request in executions.chunk_by(|a, b| a.request == b.request) {
            let steps = steps(of_request.iter().map(|e| (e.start, e.end)));
            let most = most(&steps);
            overlap.count(most);
            overlap.draw(&steps, total);
            let leased = of_request.iter().map(|e| (e.start, e.end.min(e.leased_until)));
            let most_leased = self::most(&self::steps(leased));
            overlap.most_leased = overlap.most_leased.max(most_leased);
            if most_leased > 1 {
                overlap.leased_twice.push(of_request[0].request);
            }
        }
        overlap
    }

    /// The most attempts of one request at once.
    pub(crate) fn most(&self) -> usize {
        self.requests.len()
    }

    fn count(&mut self, most: u32) {
        let index = most.max(1) as usize - 1;
        if self.requests.len() <= index {
            self.requests.resize(index + 1, 0);
        }
        self.requests[index] += 1;
    }

    /// Raises each slice to the attempts that ran in it.
    fn draw(&mut self, steps: &[(Duration, u32)], total: Duration) {
        let Some(last) = self.timeline.len().checked_sub(1) else { return };
        let scale = self.timeline.len() as f64 / total.as_secs_f64().max(f64::MIN_POSITIVE);
        let slice = |at: Duration| ((at.as_secs_f64() * scale) as usize).min(last);
        for pair in steps.windows(2) {
            let [(from, running), (to, _)] = [pair[0], pair[1]];
            for value in &mut self.timeline[slice(from)..=slice(to)] {
                *value = (*value).max(running);
            }
        }
    }
}

/// How many spans run from each instant at which that changes. Of two events at one instant, the
/// end comes first: a span that begins where another ends does not overlap it.
fn steps(spans: impl Iterator<Item = (Duration, Duration)>) -> Vec<(Duration, u32)> {
    let mut events: Vec<_> = spans
        .filter(|(start, end)| start < end)
        .flat_map(|(start, end)| [(start, 1_i32), (end, -1)])
        .collect();
    events.sort_unstable();
    let mut running = 0;
    let step = |(at, change): (Duration, i32)| {
        running += change;
        (at, running.unsigned_abs())
    };
    events.into_iter().map(step).collect()
}

fn most(steps: &[(Duration, u32)]) -> u32 {
    steps.iter().map(|&(_, running)| running).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    fn execution(request: u32, start: u64, end: u64, leased_until: u64) -> Execution {
        Execution { request, start: ms(start), end: ms(end), leased_until: ms(leased_until) }
    }

    /// Goal: overlaps are counted by request. Method: two that overlap, one that follows at once,
    /// and another request in between.
    #[test]
    fn counts_overlaps_by_request() {
        let executions = vec![
            execution(0, 0, 10, 10),
            execution(0, 5, 15, 15),
            execution(0, 15, 20, 20),
            execution(1, 5, 8, 8),
        ];
        let overlap = Overlap::measure(executions, ms(20), 4);
        assert_eq!(overlap.requests, [1, 1]);
        assert_eq!(overlap.timeline, [1, 2, 2, 1]);
        assert_eq!((overlap.leased_twice, overlap.most_leased), (vec![0], 2));
    }

    /// Goal: a holder that outlived its lease overlaps its successor, but not under a lease.
    /// Method: the lease of the first ends where the second starts.
    #[test]
    fn a_lapsed_lease_is_no_second_lease() {
        let executions = vec![execution(3, 0, 30, 10), execution(3, 10, 20, 40)];
        let overlap = Overlap::measure(executions, ms(30), 3);
        assert_eq!(overlap.requests, [0, 1]);
        assert!(overlap.leased_twice.is_empty());
        assert_eq!((overlap.most(), overlap.most_leased), (2, 1));
    }

    /// Goal: a handler that starts when its lease is over holds none. Method: one such beside one
    /// whose lease lasts, and one that takes no time.
    #[test]
    fn an_execution_without_time_under_a_lease_counts_for_none() {
        let late = vec![execution(0, 20, 40, 10), execution(0, 15, 30, 50)];
        let overlap = Overlap::measure(late, ms(40), 0);
        assert_eq!((overlap.most(), overlap.most_leased), (2, 1));
        let instant = vec![execution(0, 20, 20, 50), execution(0, 10, 15, 50)];
        assert_eq!(Overlap::measure(instant, ms(40), 2).timeline, [1, 0]);
    }

    /// Goal: nothing to show is no error. Method: no executions, and no slices.
    #[test]
    fn an_empty_storm_is_flat() {
        assert_eq!(Overlap::measure(Vec::new(), ms(0), 3).timeline, [0, 0, 0]);
        let one = Overlap::measure(vec![execution(0, 0, 1, 1)], ms(1), 0);
        assert_eq!((one.requests, one.timeline), (vec![1], vec![]));
    }
}
