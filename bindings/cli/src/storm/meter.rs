//! What one client thread counts; added up when the storm is over.
//!
//! Each thread has its own meter, so that counting disturbs nobody.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

macro_rules! counts {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Event counters of a storm.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub(crate) struct Counts {
            $($(#[$doc])* pub(crate) $name: u64,)*
        }

        impl Counts {
            fn add(&mut self, other: &Self) {
                $(self.$name += other.$name;)*
            }
        }
    };
}

counts! {
    /// Times that a delivery reached the service, first or again.
    calls,
    /// Deliveries answered by the completion of their own attempt.
    completed,
    /// Completions of attempts whose client had stopped waiting: its delivery is answered
    /// elsewhere.
    completed_late,
    /// Duplicates answered with the stored outcome.
    replayed,
    /// Calls answered that another attempt runs.
    in_progress,
    /// Calls answered that the next attempt is not due yet.
    scheduled,
    /// Deliveries refused because the key came with another payload.
    mismatched,
    /// Completions that the engine refused for a stale fencing token.
    fenced_completes,
    /// Attempts that found an earlier attempt's effect in the ledger, and completed with it.
    adopted,
    /// Executions that failed as planned.
    failed,
    /// Executions that panicked as planned.
    panicked,
    /// Executions that outlived their lease as planned.
    paused,
    /// Deliveries sent again because their client had waited for one lease.
    resent,
    /// Deliveries that the engine refused for good, with an error.
    refused,
    /// Calls that the engine refused for now, with an error.
    deferred,
    /// Calls that got an answer which no call of a storm may get.
    unexpected,
    /// Deliveries that the client gave up, without a final answer.
    unanswered,
}

/// The meter of one client thread.
#[derive(Debug)]
pub(crate) struct Meter {
    /// Event counters.
    pub(crate) counts: Counts,
    /// Time that `begin` took, in nanoseconds.
    pub(crate) begin: Histogram<u64>,
    /// Every execution of a handler.
    pub(crate) executions: Vec<Execution>,
    /// What went against the promise, as the client saw it.
    pub(crate) defects: Vec<Defect>,
}

/// One execution of a handler, in time since the storm began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Execution {
    /// The request that it was made for.
    pub(crate) request: u32,
    /// When it started.
    pub(crate) start: Duration,
    /// When it ended.
    pub(crate) end: Duration,
    /// Until when its lease lasted at least; the same as `end` without a lease.
    pub(crate) leased_until: Duration,
}

/// Something that must not happen, seen at one delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Defect {
    /// The request that it happened to.
    pub(crate) request: u32,
    /// What happened.
    pub(crate) kind: DefectKind,
}

/// What must not happen at a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DefectKind {
    /// Admitted although a completion had been acknowledged before.
    RanAfterSuccess,
    /// Admitted with another payload than the request's first line.
    MismatchRan,
    /// The engine took the completion of a holder that the ledger had fenced off.
    StaleCompletion,
    /// A duplicate got an outcome that is not the request's effect.
    ForeignOutcome,
    /// A duplicate got no outcome, though every outcome fits the budget.
    NoOutcome,
    /// The client gave up: no final answer within its patience.
    NoAnswer,
    /// The engine answered that the outcome is unknown, which no handler here leaves.
    Unresolved,
}

impl Meter {
    /// A meter at zero.
    pub(crate) fn new() -> Self {
        let begin = Histogram::new_with_bounds(1, LONGEST_BEGIN_NS, 3)
            .expect("1 to 60 s with 3 digits are bounds that the histogram documents as valid");
        Self { counts: Counts::default(), begin, executions: Vec::new(), defects: Vec::new() }
    }

    /// Adds another thread's meter to this one.
    pub(crate) fn add(&mut self, other: Self) {
        self.counts.add(&other.counts);
        self.begin.add(other.begin).expect("both histograms have the same bounds");
        self.executions.extend(other.executions);
        self.defects.extend(other.defects);
    }

    /// Times one call of `begin`.
    pub(crate) fn time_begin<T>(&mut self, begin: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let answer = begin();
        self.begin.saturating_record(start.elapsed().as_nanos().max(1) as u64);
        answer
    }

    /// Notes something that must not happen.
    pub(crate) fn defect(&mut self, request: u32, kind: DefectKind) {
        self.defects.push(Defect { request, kind });
    }
}

const LONGEST_BEGIN_NS: u64 = 60_000_000_000;
