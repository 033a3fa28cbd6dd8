//! The kinds of runs: what each is for, and what must be seen in it.

use oncegate::OnLapse;

use crate::judge::Seen;
use crate::program::{Kind, Room, Weights};

/// All policies for a lapsed lease.
const ALL: &[OnLapse] = &[OnLapse::Reclaim, OnLapse::Unknown, OnLapse::Failed];
/// The default: the next caller gets the next attempt.
const RECLAIM: &[OnLapse] = &[OnLapse::Reclaim];

/// Without a name: few keys, room for all, and a clock that stands still.
const STILL: Kind = Kind {
    name: "",
    keys: 2,
    threads: (8, 16),
    steps: (4, 10),
    leases: (1_000, 2_000),
    windows: (1_000, 2_000),
    delays: (0, 0),
    jumps: (0, 0),
    lapses: RECLAIM,
    room: Room::Enough,
    ends_all: false,
    weights: Weights::NONE,
    seen: &[],
};

/// Everybody ends everybody's attempts, and nothing lapses.
pub(crate) const STORM: Kind = Kind {
    name: "storm",
    weights: Weights { begin: 10, wait: 1, end: 8, resolve: 2, sweep: 1, ..Weights::NONE },
    seen: &[
        Seen::Created,
        Seen::Retried,
        Seen::Replayed,
        Seen::InProgress,
        Seen::Mismatched,
        Seen::Unresolved,
        Seen::OutcomeGone,
        Seen::Fenced,
        Seen::Resolved,
    ],
    ..STILL
};

/// Leases lapse, by every policy.
pub(crate) const LAPSES: Kind = Kind {
    name: "lapses",
    keys: 3,
    leases: (2, 6),
    windows: (6, 12),
    delays: (1, 4),
    jumps: (1, 4),
    lapses: ALL,
    weights: Weights {
        begin: 10,
        wait: 1,
        end: 6,
        resolve: 1,
        sweep: 1,
        advance: 2,
        ..Weights::NONE
    },
    seen: &[Seen::TakenOver, Seen::LapseFailed, Seen::Unresolved, Seen::Scheduled, Seen::Fenced],
    ..STILL
};

/// Dedup windows end, and records begin anew.
pub(crate) const WINDOWS: Kind = Kind {
    name: "windows",
    leases: (3, 6),
    windows: (1, 4),
    delays: (1, 2),
    jumps: (1, 3),
    weights: Weights { begin: 14, end: 4, sweep: 2, advance: 4, ..Weights::NONE },
    seen: &[Seen::BegunAnew, Seen::Replayed, Seen::TakenOver, Seen::Fenced],
    ..STILL
};

/// Callers wait for leaders that fail, and nothing but a hand-over wakes them.
pub(crate) const HAND_OFFS: Kind = Kind {
    name: "hand-offs",
    ends_all: true,
    weights: Weights { begin: 3, wait: 10, end: 3, resolve: 3, sweep: 1, ..Weights::NONE },
    seen: &[Seen::HandedOver, Seen::Retried, Seen::Replayed, Seen::Unresolved],
    ..STILL
};

/// Callers wait for leaders that stall, and give up in the end.
pub(crate) const WAITS: Kind = Kind {
    name: "waits",
    leases: (2, 6),
    windows: (4, 8),
    delays: (1, 4),
    jumps: (1, 4),
    lapses: ALL,
    weights: Weights {
        begin: 4,
        wait: 8,
        end: 4,
        resolve: 1,
        sweep: 1,
        advance: 3,
        ..Weights::NONE
    },
    seen: &[Seen::HandedOver, Seen::TakenOver, Seen::GaveUp, Seen::Retried],
    ..STILL
};

/// A full table in which finished records go for newcomers, and outcomes for newer ones.
pub(crate) const EVICTIONS: Kind = Kind {
    name: "evictions",
    leases: (2, 6),
    windows: (4, 8),
    jumps: (1, 3),
    room: Room::Evicting,
    weights: Weights { begin: 10, end: 3, sweep: 1, advance: 1, fill: 4, ..Weights::NONE },
    seen: &[Seen::EvictedEarly, Seen::OutcomesEvicted, Seen::Replayed, Seen::OutcomeGone],
    ..STILL
};

/// A full table in which newcomers are refused, and nothing goes.
pub(crate) const REJECTIONS: Kind = Kind {
    name: "rejections",
    keys: 3,
    leases: (2, 6),
    windows: (2, 6),
    jumps: (1, 3),
    room: Room::Rejecting,
    weights: Weights { begin: 10, end: 3, sweep: 1, advance: 2, fill: 1, ..Weights::NONE },
    seen: &[Seen::Full, Seen::Replayed, Seen::BegunAnew],
    ..STILL
};

/// The secret is rotated while records are made and found.
pub(crate) const ROTATIONS: Kind = Kind {
    name: "rotations",
    keys: 3,
    leases: (2, 6),
    windows: (2, 6),
    jumps: (1, 3),
    weights: Weights {
        begin: 12,
        end: 4,
        resolve: 1,
        sweep: 1,
        advance: 3,
        rotate: 4,
        ..Weights::NONE
    },
    seen: &[Seen::BegunAnew, Seen::Replayed, Seen::TakenOver],
    ..STILL
};

/// Half of the threads are another process's: its engine shares the table and nothing else.
pub(crate) const PROCESSES: Kind = Kind {
    name: "processes",
    room: Room::Shared,
    weights: Weights {
        begin: 10,
        wait: 3,
        end: 7,
        resolve: 1,
        sweep: 1,
        advance: 2,
        ..Weights::NONE
    },
    seen: &[
        Seen::Created,
        Seen::TakenOver,
        Seen::Retried,
        Seen::Replayed,
        Seen::Fenced,
        Seen::HandedOver,
    ],
    ..LAPSES
};

/// All of them.
pub(crate) const KINDS: usize = 9;
