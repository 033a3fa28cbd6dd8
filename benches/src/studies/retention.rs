//! Retention: whether a retry still finds the record of its first attempt.

use std::collections::VecDeque;

use super::{Row, Study};
use crate::peers::{self, Visitor};
use crate::rng::Rng;
use crate::store::{Begun, Store};

/// A stream of `requests` new requests through a full table; three in ten are retried once, when a
/// share of the capacity has been used since, by new requests and by retries of others. Exact LRU
/// loses none below 1.
pub(super) fn retention(capacity: usize, requests: u64, distances: &[f64]) -> Study {
    let mut all = Retry { capacity, requests, distances, rows: Vec::new() };
    peers::bounded(&mut all);
    Study {
        name: "retention",
        about: "a full table; 30 % of new requests are retried once, at that distance",
        unit: "% of retries that run again",
        axis: "records used since the first attempt, as a share of the capacity",
        columns: distances.to_vec(),
        log_axis: false,
        rows: all.rows,
    }
}

struct Retry<'d> {
    capacity: usize,
    requests: u64,
    distances: &'d [f64],
    rows: Vec<Row>,
}

impl Visitor for Retry<'_> {
    fn visit<S: Store + 'static>(&mut self) {
        let figures = self.distances.iter().map(|&distance| {
            // Each new request comes with three tenths of a retry, which uses a record too.
            let lag = (self.capacity as f64 * distance / 1.3) as u64;
            Some(lost::<S>(self.capacity, self.requests, lag) * 100.0)
        });
        let row = Row { name: S::NAME.to_owned(), figures: figures.collect() };
        self.rows.push(row);
    }
}

/// The share of retries that created their record anew.
fn lost<S: Store>(capacity: usize, requests: u64, lag: u64) -> f64 {
    let (store, mut rng) = (S::open(capacity), Rng::new(0x5e7));
    let (outcome, mut buffer) = (S::outcome(7), S::outcome(0));
    let mut created = |number: u64| match store.begin(&S::key(number), &mut buffer) {
        Begun::Created(lease) => {
            store.complete(lease, &outcome);
            true
        }
        Begun::Replayed => false,
        Begun::InFlight => unreachable!("each record is completed at once"),
    };
    let first = capacity as u64 * 2;
    (0..first).for_each(|number| {
        created(number);
    });
    let mut due: VecDeque<u64> = VecDeque::new();
    let (mut retries, mut lost) = (0_u64, 0_u64);
    for number in first..first + requests + lag {
        created(number);
        if rng.below(10) < 3 && number < first + requests {
            due.push_back(number);
        }
        while due.front().is_some_and(|&first| first + lag <= number) {
            let retried = due.pop_front().expect("it was looked at");
            retries += 1;
            lost += u64::from(created(retried));
        }
    }
    lost as f64 / retries.max(1) as f64
}
