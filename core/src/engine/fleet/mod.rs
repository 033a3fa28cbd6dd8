//! The fleet: what an engine with a tier does beyond its own table.
//!
//! ```text
//! begin ─► table ─► admitted? ─► claim at the tier ─┬─► granted: the lease, with the tier's token
//!             │                                     ├─► finished: kept here, and replayed
//!             └─► any other answer: no network      └─► anything else: taken back here, and told
//!
//! complete, fail ─► tier ─► table          no answer ─► table, and later the tier
//! ```
//!
//! The table's own attempt and the tier's are tied by who holds it: the table's id, and the table's
//! fencing counter, which grows with every attempt of a request. A tier so knows a repeated
//! question, and a newer attempt of the same table from an older one; nothing but the token that
//! the caller sees has to be kept.
//!
//! | file | what it owns |
//! |---|---|
//! | `link` | the way to the tier: breaker, claims, ends |
//! | `standing` | what is known of the store: session, quarantine, and who finds it out |
//! | `confirm` | what an admission of the table comes to in the fleet |
//! | `batch` | the same for many requests at once |
//! | `asking` | the same for whoever may not block |
//! | `finish` | how an attempt ends in both |
//! | `attempts` | attempts that the scheduler hands out |
//! | `adopt` | attempts whose host is there no more |
//! | `ends` | how the tier is told that attempts have ended |
//! | `parcel` | the end of an attempt that the tier has not heard of yet |
//! | `outbox` | all of those, and in which order they are told |
//! | `letters` | what the log of dead letters is told |
//! | `held` | leases that are renewed by the engine |
//! | `news` | who waits for a record that changes elsewhere |
//! | `porter` | the thread that carries all of that |

mod adopt;
mod asking;
mod attempts;
mod batch;
mod bell;
mod confirm;
mod ends;
mod finish;
mod held;
mod letters;
mod link;
mod look;
mod news;
mod outbox;
mod parcel;
mod porter;
mod standing;

pub(super) use asking::Asking;
pub(super) use attempts::AskedAttempt;
pub use link::TierStats;
pub(super) use link::{Fleet, key_of};
