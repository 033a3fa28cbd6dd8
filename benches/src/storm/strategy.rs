//! The ways to retry that are compared.

/// How a client retries.
///
/// All but the first make at most six retries of a request, of which none starts more than 15 s
/// after it. Delays double from 100 ms to 10 s.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// At once, until it succeeds.
    Immediate,
    /// After delays that double, for everybody the same.
    Exponential,
    /// After a part of such a delay, drawn between nothing and all of it.
    FullJitter,
    /// The same, stretched by the engine's adaptive backoff.
    Adaptive,
    /// Full jitter, as far as the engine's ratio budget pays: a fifth of the first attempts, and
    /// one a second.
    Budget,
    /// Full jitter, budget and adaptive backoff.
    BudgetAdaptive,
}

impl Strategy {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Immediate,
        Self::Exponential,
        Self::FullJitter,
        Self::Adaptive,
        Self::Budget,
        Self::BudgetAdaptive,
    ];

    /// Its name in plots.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Immediate => "retry at once",
            Self::Exponential => "exponential",
            Self::FullJitter => "full jitter",
            Self::Adaptive => "full jitter, adaptive",
            Self::Budget => "oncegate: full jitter, budget",
            Self::BudgetAdaptive => "oncegate: and adaptive",
        }
    }

    /// Whether retries are paid for by a budget.
    #[must_use]
    pub const fn has_budget(self) -> bool {
        matches!(self, Self::Budget | Self::BudgetAdaptive)
    }

    /// Whether delays are stretched under load.
    #[must_use]
    pub const fn is_adaptive(self) -> bool {
        matches!(self, Self::Adaptive | Self::BudgetAdaptive)
    }
}
