//! Settings of shared timers.

use super::raw::MAX_IDS;
use super::shared::Timers;
use crate::error::{Error, ErrorCode};

/// Builds [`Timers`]. Every setting has a default; [`build`](Self::build) checks them all.
///
/// ```
/// use oncegate::Timers;
/// let timers = Timers::builder().capacity(100_000).lanes(4).start(1_000).build()?;
/// # Ok::<(), oncegate::Error>(())
/// ```
#[must_use = "a builder does nothing until it builds"]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimersBuilder {
    pub(super) capacity: usize,
    pub(super) lanes: usize,
    pub(super) lane_slots: usize,
    pub(super) start: u64,
}

impl TimersBuilder {
    pub(super) fn new() -> Self {
        // 256 KiB of slots: 16 threads at once, and 16,384 timers while whoever advances has lost
        // its processor.
        Self { capacity: 1 << 20, lanes: 16, lane_slots: 1 << 10, start: 0 }
    }

    /// How many timers may be pending, from 1 to 2^27. Default: 1,048,576. Memory is taken as they
    /// come: about 9.3 bytes for each.
    ///
    /// ```
    /// # use oncegate::Timers;
    /// assert!(Timers::builder().capacity(0).build().is_err());
    /// ```
    pub fn capacity(mut self, timers: usize) -> Self {
        self.capacity = timers;
        self
    }

    /// How many lanes there are: a power of two up to 256. Default: 16. As many threads as there
    /// are lanes can be in the middle of a submission at once.
    ///
    /// ```
    /// # use oncegate::Timers;
    /// assert_eq!(Timers::builder().lanes(3).build().unwrap_err().field(), "lanes");
    /// ```
    pub fn lanes(mut self, lanes: usize) -> Self {
        self.lanes = lanes;
        self
    }

    /// How many timers a lane takes before it is drained: a power of two from 2 to 65,536.
    /// Default: 1,024. A slot is 16 bytes.
    ///
    /// All lanes together have to take what is submitted while whoever advances, or drains a lane,
    /// does not run. One thread at its fastest submits 16,384 timers in half a millisecond.
    ///
    /// ```
    /// # use oncegate::Timers;
    /// assert!(Timers::builder().lane_slots(4_096).build().is_ok());
    /// ```
    pub fn lane_slots(mut self, slots: usize) -> Self {
        self.lane_slots = slots;
        self
    }

    /// The tick that it is now. Default: 0.
    ///
    /// ```
    /// # use oncegate::Timers;
    /// let timers = Timers::builder().start(1_000_000).build()?;
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn start(mut self, tick: u64) -> Self {
        self.start = tick;
        self
    }

    /// Makes the timers.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::InvalidConfig`] names the first setting that is out of its limits.
    ///
    /// ```
    /// # use oncegate::{ErrorCode, Timers};
    /// let error = Timers::builder().lane_slots(1).build().unwrap_err();
    /// assert_eq!(error.code(), ErrorCode::InvalidConfig);
    /// ```
    pub fn build(self) -> Result<Timers, Error> {
        self.check()?;
        Ok(Timers::new(&self))
    }

    fn check(&self) -> Result<(), Error> {
        // Half of the ids, so that there are enough beside those that rest.
        let fields = [
            ("capacity", self.capacity, 1, MAX_IDS as usize / 2, false),
            ("lanes", self.lanes, 1, 256, true),
            ("lane_slots", self.lane_slots, 2, 1 << 16, true),
        ];
        for (field, found, least, most, power) in fields {
            if (least..=most).contains(&found) && (!power || found.is_power_of_two()) {
                continue;
            }
            let kind = if power { ", a power of two" } else { "" };
            let limit = format!("{least} to {most}{kind}");
            return Err(Error::new(ErrorCode::InvalidConfig, field, found.to_string(), limit));
        }
        Ok(())
    }
}
