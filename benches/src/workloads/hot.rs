//! A retry storm: every request is a duplicate of one of a few keys.

use std::ops::Range;

use super::{NewKeys, Step, Stream, Workload};
use crate::rng::Rng;
use crate::store::Store;

/// Sixteen keys.
#[derive(Clone, Copy, Debug)]
pub struct Hot;

impl Workload for Hot {
    fn name(&self) -> &'static str {
        "hot"
    }

    fn capacity(&self) -> usize {
        1 << 16
    }

    fn filled(&self, _: bool) -> [Range<u64>; 2] {
        [0..KEYS as u64, 0..0]
    }

    fn stream<S: Store>(&self, _: &NewKeys, seed: u64) -> impl Stream<S> {
        HotKeys::<S> {
            keys: std::array::from_fn(|number| S::key(number as u64)),
            rng: Rng::new(seed),
            word: 0,
        }
    }
}

struct HotKeys<S: Store> {
    keys: [S::Key; KEYS],
    rng: Rng,
    /// What is left of a random word, four bits for each choice.
    word: u64,
}

impl<S: Store> Stream<S> for HotKeys<S> {
    #[inline]
    fn next(&mut self) -> Step<S::Key> {
        if self.word < 16 {
            // The uppermost bit marks the end: fifteen choices for each word.
            self.word = self.rng.word() | 1 << 63;
        }
        let key = self.keys[(self.word & 15) as usize];
        self.word >>= 4;
        Step { key, leaves: None }
    }
}

/// Few enough to stay in the first cache.
const KEYS: usize = 16;
