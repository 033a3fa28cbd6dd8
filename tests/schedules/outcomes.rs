//! Outcomes come round to chunks that readers read and slow writers write.
//!
//! Threads: four to six. Sizes: two chunks of two outcomes, six keys. Property: what is replayed
//! is byte for byte what an attempt of that key left, and not older than the last one that was
//! known to have finished, or its bytes are gone (I4). Left out: carrying on, which needs more
//! chunks than a schedule can fill.

use std::sync::Arc;

use oncegate::{BeginOptions, Bug};

use crate::site::{Dice, End, Site, WINDOW};
use crate::support::{Drawn, broken, crew, explore};

fn outcomes_come_round() {
    let site = Arc::new(Site::tight(KEYS as usize, 0));
    for key in 0..2 {
        site.run(key, &BeginOptions::new(), End::Complete);
    }
    let inside = Arc::clone(&site);
    crew(4 + Drawn.roll(3), move |_| {
        for _ in 0..4 {
            let key = Drawn.roll(KEYS) as usize;
            let end = Drawn.any(&[End::Complete, End::Fail]);
            site.run(key, &BeginOptions::new(), end);
            if Drawn.roll(8) == 0 {
                site.clock.advance(WINDOW);
            }
        }
    });
    inside.comes_to_rest();
}

/// Goal: no reader gets another's bytes, torn bytes, or an outcome that was superseded. Method:
/// every caller writes and reads a few of six keys in a store that holds four outcomes.
#[test]
fn replays_are_whole() {
    explore("outcomes::replays_are_whole", outcomes_come_round);
}

/// Goal: the scenario bites. Method: a reader does not look at the chunk again.
#[test]
fn broken_reads_without_revalidation() {
    broken(Bug::ReadsWithoutRevalidation, outcomes_come_round);
}

/// Goal: the scenario bites. Method: a chunk is recycled while somebody writes to it.
#[test]
fn broken_recycles_under_writer() {
    broken(Bug::RecyclesUnderWriter, outcomes_come_round);
}

const KEYS: u64 = 6;
