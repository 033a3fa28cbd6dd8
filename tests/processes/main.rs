//! Real processes that share a table: workers that are told what to do, killed and stopped.
#![cfg(all(target_os = "linux", not(any(oncegate_loom, oncegate_shuttle))))]

mod crew;
mod death;
mod files;
mod forked;
mod hostile;
mod inspection;
mod isolated;
mod quotas;
mod reboot;
mod restart;
mod retries;
#[cfg(oncegate_failpoints)]
mod retry_steps;
mod sharing;
#[cfg(oncegate_failpoints)]
mod steps;
mod stopped;
#[cfg(oncegate_failpoints)]
mod storm;
mod upkeep;
mod waiting;
mod windows;
