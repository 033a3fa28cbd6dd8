//! Models of the shipped engine: one race, one file.
//!
//! Built with `--cfg oncegate_loom` the model checker runs each body under every schedule within
//! its preemption bound, and each model has a broken twin that must fail. Built without, the same
//! bodies run on real threads, so that they always compile and mean something; but for those in
//! which a process dies, which real threads cannot (`tests/processes` kills real processes).

mod support;

mod adopt_vs_fire;
mod begin_vs_begin;
mod begin_vs_begin_across_sets;
mod cancel_vs_fire;
mod clear_vs_renew;
mod complete_vs_replay;
mod complete_vs_takeover;
#[cfg(oncegate_loom)]
mod dead_charge_vs_begin;
#[cfg(oncegate_loom)]
mod dead_finisher_vs_begin;
#[cfg(oncegate_loom)]
mod dead_holder_vs_two;
#[cfg(oncegate_loom)]
mod dead_inserter_vs_begin;
#[cfg(oncegate_loom)]
mod dead_writer_vs_store;
mod end_vs_end;
mod evict_vs_begin;
mod expire_vs_begin;
mod handles;
mod inline_read_vs_evict;
mod inline_write_vs_takeover;
mod lapse_vs_fail;
mod late_window_vs_redrive;
mod redrive_vs_discard;
mod renew_vs_lapse;
mod resolve_vs_holder;
mod retry_later_vs_begin;
mod ring_wrap_vs_read;
mod rotate_vs_begin;
mod schedule_vs_sleep;
mod set_quota_vs_new_scope;
mod stale_complete_vs_begin;
mod step_vs_takeover;
mod stop_vs_wait;
mod submit_vs_advance;
mod submit_vs_sleep;
mod sweep_vs_begin;
#[cfg(oncegate_loom)]
mod take_back_vs_others;
mod takeover_vs_takeover;
mod wait_vs_complete_vs_fail;
mod withdraw_vs_deposit;
