//! The engine measured beside maps and caches that could do its work.
//!
//! Every contender is a [`Store`](store::Store): begin and complete of requests whose outcomes
//! have 64 bytes. A [`Workload`](workloads::Workload) is the order of the keys. All contenders of
//! a workload are measured in one process, in an order that is shuffled anew in each round, so
//! that a slow phase of the machine does not fall on one of them alone. Only ratios within one run
//! mean something. `make bench` writes the report.

pub mod contender;
pub mod host;
pub mod huge_pages;
pub mod key;
pub mod machine;
pub mod meter;
pub mod options;
pub mod peers;
pub mod pin;
pub mod process;
pub mod record;
pub mod report;
pub mod rng;
pub mod rounds;
pub mod store;
pub mod storm;
pub mod studies;
pub mod suite;
pub mod timestamp;
pub mod workloads;
