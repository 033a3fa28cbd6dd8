//! What every tier must pass, for authors of tiers.
//!
//! Write a [`Rig`] for the store, and a test that runs the [`Suite`]:
//!
//! ```no_run
//! # fn rig() -> impl oncegate::tier::conformance::Rig { Nowhere }
//! # struct Nowhere;
//! # impl oncegate::tier::conformance::Rig for Nowhere {
//! #     fn fresh(&self) {}
//! #     fn tier(&self) -> std::sync::Arc<dyn oncegate::tier::Tier> { unreachable!() }
//! #     fn advance(&self, _by: std::time::Duration) {}
//! # }
//! use oncegate::tier::conformance::Suite;
//!
//! let report = Suite::new().check(&rig());
//! println!("{report}");
//! assert!(report.has_passed());
//! ```
//!
//! Each case is a function with the name of a promise of [`Tier`](super::Tier), and stands for
//! itself. Beside them runs a random history, compared with a small model step by step.
//!
//! | file | what it owns |
//! |---|---|
//! | `rig` | what the suite needs of a store |
//! | `suite` | which cases run, and what they found |
//! | `stage` | what a case works with: nodes, keys, claims, comparisons |
//! | `claims` | who is granted, and what the others are told |
//! | `lapses` | what comes of a lease that is over |
//! | `fences` | tokens that grow for ever |
//! | `ends` | how an attempt ends, and who may end it |
//! | `outcomes` | what duplicates get |
//! | `renewals` | more time, for its holder alone |
//! | `retries` | who takes the next attempt, and when |
//! | `restores` | what a store gets back that has forgotten it |
//! | `sessions` | how a store that has forgotten says so |
//! | `orphans` | what tables leave that are there no more |
//! | `letters` | what the log of dead letters has |
//! | `notices` | who hears of a change |
//! | `batches` | many at once |
//! | `extremes` | the smallest and the largest of everything |
//! | `threads` | many at the same moment |
//! | `troubles` | every operation, refused or with its reply lost |
//! | `history`, `model` | random calls beside a plain model |

mod batches;
mod claims;
mod ends;
mod extremes;
mod fences;
mod history;
mod lapses;
mod letters;
mod model;
mod notices;
mod orphans;
mod outcomes;
mod renewals;
mod restores;
mod retries;
mod rig;
mod sessions;
mod stage;
mod suite;
mod threads;
mod troubles;

pub use rig::{Rig, Trouble};
pub use suite::{Report, Suite};

use stage::Case;

/// All cases, by the file that they stand in.
const ALL: &[&[Case]] = &[
    claims::CASES,
    lapses::CASES,
    fences::CASES,
    ends::CASES,
    outcomes::CASES,
    renewals::CASES,
    retries::CASES,
    restores::CASES,
    sessions::CASES,
    orphans::CASES,
    letters::CASES,
    notices::CASES,
    batches::CASES,
    extremes::CASES,
    threads::CASES,
    troubles::CASES,
    history::CASES,
];
