//! One file for each failure that users of other systems have met. Each is a promise of
//! `docs/guarantees.md`, held through the public interface alone.
#![cfg(not(oncegate_loom))]

mod allocations;
mod attack;
mod batches;
mod bulkheads;
mod chosen_keys;
mod costly_retries;
mod crashed_holder;
mod cross_tenant;
mod dead_letters;
mod described_calls;
#[cfg(target_os = "linux")]
mod descriptors;
mod dropped_lease;
mod due_at_once;
mod expired_holder;
mod failed_leader;
mod forked_child;
mod full_table;
mod late_calls;
mod late_retries;
mod leaked_content;
mod leavings;
mod long_windows;
mod looked_at;
mod many_tenants;
mod noisy_tenant;
mod outcomes;
mod own_calls;
mod paid_retries;
mod reconciled;
mod refused_input;
mod retried_calls;
mod rotated_secret;
mod running_places;
mod scheduled_retries;
mod steps;
mod support;
mod swapped_payload;
#[cfg(target_os = "linux")]
mod system_calls;
mod threads;
#[cfg(target_os = "linux")]
mod waiting_workers;
