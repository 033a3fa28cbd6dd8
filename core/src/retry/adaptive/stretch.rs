//! Stretch: by how much a backoff is drawn out.

/// Factors of a backoff, each at least 1.
///
/// ```
/// use oncegate::Stretch;
///
/// let calm = Stretch::NONE;
/// assert_eq!((calm.base, calm.ceiling, calm.width), (1.0, 1.0, 1.0));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stretch {
    /// Of the first delay, and with it of every later one below the ceiling.
    pub base: f64,
    /// Of the longest delay.
    pub ceiling: f64,
    /// Of the width over which jitter spreads the delays.
    pub width: f64,
}

impl Stretch {
    /// Nothing is drawn out.
    ///
    /// ```
    /// assert_eq!(oncegate::Stretch::NONE.base, 1.0);
    /// ```
    pub const NONE: Self = Self { base: 1.0, ceiling: 1.0, width: 1.0 };
}

impl Default for Stretch {
    /// [`Stretch::NONE`].
    fn default() -> Self {
        Self::NONE
    }
}
