//! Tests that run the real `oncegate` binary.

mod common;
mod dead_letters;
mod doctor;
mod help_and_completions;
mod input_and_exit_status;
mod measurement;
mod refusals;
mod schema;
mod shared_tables;
mod storm_of_hosts;
mod storm_of_processes;
mod storm_on_real_input;
mod storm_with_outage;
mod tier;
mod top;
