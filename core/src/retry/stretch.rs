//! Stretch: by how much a controller slows retries down for now.

/// Factors by which an adaptive controller stretches a backoff; one means the plain formula.
///
/// A factor below one, or none at all (`NaN`), counts as one, and one above a million as a
/// million: a controller gone wrong neither hurries retries nor stops them for ever.
///
/// ```
/// use std::time::Duration;
/// use oncegate::{BackoffPolicy, Jitter, JitterSource, Stretch};
///
/// let backoff = BackoffPolicy::constant(Duration::from_secs(2)).jitter(Jitter::None);
/// let slower = Stretch { base: 1.5, ..Stretch::default() };
/// let delay = backoff.delay(1, Duration::ZERO, slower, &JitterSource::seeded(7));
/// assert_eq!(delay, Duration::from_secs(3));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stretch {
    /// Multiplies every delay of the backoff before its jitter.
    pub base: f64,
    /// Multiplies the ceiling.
    pub ceiling: f64,
    /// Multiplies the width of the jitter: the lower end of its range stays, and the upper end
    /// moves, so that nothing starts earlier than without. The ceiling holds all the same.
    pub width: f64,
}

impl Stretch {
    /// Nothing is drawn out.
    ///
    /// ```
    /// assert_eq!(oncegate::Stretch::NONE.base, 1.0);
    /// ```
    pub const NONE: Self = Self { base: 1.0, ceiling: 1.0, width: 1.0 };

    /// The same with every factor in its range.
    pub(super) fn bounded(self) -> Self {
        let factor = |given: f64| if given >= 1.0 { given.min(LARGEST) } else { 1.0 };
        Self { base: factor(self.base), ceiling: factor(self.ceiling), width: factor(self.width) }
    }
}

impl Default for Stretch {
    /// [`Stretch::NONE`].
    fn default() -> Self {
        Self::NONE
    }
}

const LARGEST: f64 = 1e6;
