//! Buried: why a record is not tried again.

use oncegate::Buried;

/// It is tried again.
pub const ONCEGATE_BURIED_NONE: u32 = 0;
/// As many attempts failed, or lapsed, as the policy allows.
pub const ONCEGATE_BURIED_ATTEMPTS: u32 = 1;
/// No further attempt fits before the policy's deadline.
pub const ONCEGATE_BURIED_DEADLINE: u32 = 2;
/// A retry budget was spent.
pub const ONCEGATE_BURIED_BUDGET: u32 = 3;
/// The error was terminal, or the service said not to retry.
pub const ONCEGATE_BURIED_FINAL_ERROR: u32 = 4;
/// Its last attempt lapsed, and no limit ended it.
pub const ONCEGATE_BURIED_LAPSED: u32 = 5;

/// What the header says of why a record was buried.
pub(crate) fn buried(reason: Buried) -> u32 {
    // The numbers are the engine's: tables keep them.
    reason as u32
}

/// The reason of a number; zero names none.
pub(crate) fn reason(number: u32) -> Option<Buried> {
    [Buried::Attempts, Buried::Deadline, Buried::Budget, Buried::FinalError, Buried::Lapsed]
        .into_iter()
        .find(|reason| buried(*reason) == number)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: a number of the header is the engine's of that name.
    /// Method: each constant of this file against the name of its reason.
    #[test]
    fn numbers_are_the_engines() {
        let all = [
            (ONCEGATE_BURIED_ATTEMPTS, "attempts"),
            (ONCEGATE_BURIED_DEADLINE, "deadline"),
            (ONCEGATE_BURIED_BUDGET, "budget"),
            (ONCEGATE_BURIED_FINAL_ERROR, "final_error"),
            (ONCEGATE_BURIED_LAPSED, "lapsed"),
        ];
        for (number, name) in all {
            assert_eq!(reason(number).map(Buried::name), Some(name));
        }
        assert_eq!(reason(ONCEGATE_BURIED_NONE), None);
        assert_eq!(reason(ONCEGATE_BURIED_LAPSED + 1), None);
    }
}
