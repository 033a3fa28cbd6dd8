//! Many threads at once: more than the exhaustive models of `tests/loom/` can follow, under
//! schedules that are drawn from a seed.
//!
//! Built with `--cfg oncegate_shuttle` alone. All threads of a scenario run on one thread of the
//! system, and change at every atomic operation of the engine, lock and sleep; the memory is
//! sequentially consistent, so orderings are left to the models. A failure prints the schedule,
//! which can be replayed: see CONTRIBUTING.md.
#![cfg(oncegate_shuttle)]

mod ledger;
mod site;
mod support;

mod deaths;
mod leavings;
mod outcomes;
mod records;
mod rotation;
mod stall;
mod sweep;
mod together;
mod waiters;
