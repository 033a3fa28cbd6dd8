//! Fill levels: a warning before the table is full.

use std::fmt;

use super::Engine;
use crate::error::{Error, ErrorCode};
use crate::sync::Ordering;
use crate::sync::plain::AtomicBool;

/// The live records reached a configured level.
///
/// ```
/// let engine = oncegate::Engine::builder().on_fill(&[0.9], |event| {
///     eprintln!("level {} reached: {:.2}", event.level(), event.fill());
/// });
/// # assert!(engine.build().is_ok());
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FillEvent {
    level: f64,
    fill: f64,
}

impl FillEvent {
    /// The level, as it was configured.
    ///
    /// ```
    /// fn level(event: oncegate::FillEvent) -> f64 { event.level() }
    /// ```
    #[must_use]
    pub fn level(&self) -> f64 {
        self.level
    }

    /// Live records as a share of the capacity.
    ///
    /// ```
    /// fn fill(event: oncegate::FillEvent) -> f64 { event.fill() }
    /// ```
    #[must_use]
    pub fn fill(&self) -> f64 {
        self.fill
    }
}

/// The levels to watch, and whom to tell.
pub(crate) struct FillWatch {
    levels: Vec<(f64, AtomicBool)>,
    warn: Box<dyn Fn(FillEvent) + Send + Sync>,
}

impl FillWatch {
    pub(crate) fn new(levels: &[f64], warn: Box<dyn Fn(FillEvent) + Send + Sync>) -> Self {
        let levels = levels.iter().map(|level| (*level, AtomicBool::new(false))).collect();
        Self { levels, warn }
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        let sane = |level: f64| level > 0.0 && level <= 1.25;
        if self.levels.len() <= MAX_LEVELS && self.levels.iter().all(|(level, _)| sane(*level)) {
            return Ok(());
        }
        let found = format!("{} levels", self.levels.len());
        let limit = "at most 16 levels above 0, up to 1.25";
        Err(Error::new(ErrorCode::InvalidConfig, "on_fill", found, limit))
    }

    fn look(&self, fill: f64) {
        for (level, reached) in &self.levels {
            // Relaxed, both: the flag only keeps two callers from warning of one crossing.
            if fill >= *level && !reached.swap(true, Ordering::Relaxed) {
                (self.warn)(FillEvent { level: *level, fill });
            } else if fill < *level * REARM {
                // Relaxed: as above.
                reached.store(false, Ordering::Relaxed);
            }
        }
    }
}

impl fmt::Debug for FillWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FillWatch").field("levels", &self.levels).finish_non_exhaustive()
    }
}

impl Engine {
    /// Looks at the fill once in some new records of this thread.
    pub(super) fn watch_fill(&self) {
        if let Some(watch) = &self.fill
            && self.counters.own_admitted().is_multiple_of(self.look_every())
        {
            let shared = self.region.is_shared();
            let live = if shared { self.table.estimate() } else { self.counters.records() };
            watch.look(live as f64 / self.capacity as f64);
        }
    }

    fn look_every(&self) -> u64 {
        (self.capacity as u64 / LOOK_PART).clamp(1, LOOK_EVERY)
    }
}

/// A level warns again after the fill was below this share of it.
const REARM: f64 = 0.9;
const MAX_LEVELS: usize = 16;
/// A thread looks at most this seldom,
const LOOK_EVERY: u64 = 64;
/// and in a small table after so much of it that it added itself.
const LOOK_PART: u64 = 256;
