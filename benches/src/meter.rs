//! Meter: what is read around single operations.

use std::time::Duration;

use hdrhistogram::Histogram;

use crate::{process, timestamp};

/// Is told when an operation starts and when it ends, and may time some.
pub trait Meter: Send {
    /// What it knows of an operation that runs.
    type Mark: Copy;

    /// Before the operation.
    fn start(&mut self) -> Self::Mark;
    /// After it.
    fn end(&mut self, mark: Self::Mark);
}

/// Times nothing: throughput is read from outside.
#[derive(Debug, Default)]
pub struct Untimed;

impl Meter for Untimed {
    type Mark = ();

    #[inline]
    fn start(&mut self) {}

    #[inline]
    fn end(&mut self, (): ()) {}
}

/// Times one operation in eight. One that took long because another program had the processor is
/// left out; one that waited for a lock is not.
#[derive(Debug)]
pub struct OneInEight {
    count: u32,
    /// How long the thread had waited for a processor, when that was last looked at.
    waited: Duration,
    /// Ticks of each timed operation. They are written in order, so that keeping them disturbs
    /// the caches little.
    ticks: Vec<u32>,
}

impl Default for OneInEight {
    fn default() -> Self {
        let ticks = Vec::with_capacity(MOST_SAMPLES);
        Self { count: 0, waited: process::waited(), ticks }
    }
}

impl Meter for OneInEight {
    /// When it started, if it is timed.
    type Mark = Option<u64>;

    #[inline]
    fn start(&mut self) -> Option<u64> {
        self.count = self.count.wrapping_add(1);
        let timed = self.count.is_multiple_of(8) && self.ticks.len() < MOST_SAMPLES;
        timed.then(timestamp::start)
    }

    #[inline]
    fn end(&mut self, mark: Option<u64>) {
        if let Some(start) = mark {
            let ticks = timestamp::end() - start;
            // Looked at now and then too, so that what it says is about this operation.
            if (ticks > LONG_TICKS || self.ticks.len().is_multiple_of(64)) && self.robbed(ticks) {
                return;
            }
            self.ticks.push(u32::try_from(ticks).unwrap_or(u32::MAX));
        }
    }
}

impl OneInEight {
    /// Whether most of these ticks passed without a processor.
    #[cold]
    fn robbed(&mut self, ticks: u64) -> bool {
        let before = std::mem::replace(&mut self.waited, process::waited());
        let without = self.waited.saturating_sub(before).as_nanos() as f64;
        ticks > LONG_TICKS && without * 2.0 > ticks as f64 * timestamp::scale().ns_per_tick
    }

    /// The nanoseconds of the timed operations, without the bracket's own.
    #[must_use]
    pub fn histogram(&self) -> Histogram<u64> {
        let scale = timestamp::scale();
        let mut histogram = empty_histogram();
        for &ticks in &self.ticks {
            let ns = u64::from(ticks).saturating_sub(scale.empty) as f64 * scale.ns_per_tick;
            histogram.saturating_record(ns.round() as u64);
        }
        histogram
    }
}

/// From 1 ns to a minute, within 1 %.
#[must_use]
pub fn empty_histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000_000, 2).expect("valid bounds")
}

const MOST_SAMPLES: usize = 1 << 20;
/// Some microseconds: longer than any operation takes by itself.
const LONG_TICKS: u64 = 20_000;
