//! The conformance suite itself: stores that break the contract fail by the name of what they
//! break, and what a rig cannot do is told.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use oncegate::ManualClock;
use oncegate::tier::conformance::{Report, Rig, Suite};
use oncegate::tier::{Memory, Tier};

/// A rig that gives no trouble, with a defect or without one.
#[derive(Debug)]
struct Plain {
    clock: ManualClock,
    memory: Mutex<Memory>,
    defect: Defect,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Defect {
    None,
    /// Each tier has a store of its own, as a map in every process is.
    NotShared,
    /// Time stands still: what has lapsed never does.
    NoTime,
    /// It has room for nothing.
    Full,
    Panics,
}

impl Plain {
    fn new(defect: Defect) -> Self {
        let clock = ManualClock::new();
        let memory = Mutex::new(Self::store(&clock, defect));
        Self { clock, memory, defect }
    }

    fn store(clock: &ManualClock, defect: Defect) -> Memory {
        let records = if defect == Defect::Full { 0 } else { 1_000 };
        Memory::with_clock(clock.clone()).max_records(records)
    }
}

impl Rig for Plain {
    fn fresh(&self) {
        *self.memory.lock().unwrap() = Self::store(&self.clock, self.defect);
    }

    fn tier(&self) -> Arc<dyn Tier> {
        assert!(self.defect != Defect::Panics, "no tier today");
        if self.defect == Defect::NotShared {
            self.fresh();
        }
        Arc::new(self.memory.lock().unwrap().clone())
    }

    fn advance(&self, by: Duration) {
        if self.defect != Defect::NoTime {
            self.clock.advance(by);
        }
    }
}

/// Goal: a rig needs no more than a store, tiers and time; what it cannot do is counted and told,
/// and fails nothing. Method: the whole suite on a rig without troubles.
#[test]
fn what_a_rig_cannot_do_is_told() {
    let suite = Suite::new();
    let report = suite.check(&Plain::new(Defect::None));
    assert!(report.has_passed(), "{report}");
    let unchecked: Vec<_> = report.unchecked().collect();
    for (name, what) in [
        ("tokens_grow_when_the_store_has_forgotten_all", "the store emptied"),
        ("tokens_grow_when_the_clock_is_set_back", "the clock set back"),
        ("an_end_makes_good_what_a_fail_over_lost", "the last writes lost"),
        ("a_restart_that_loses_nothing_keeps_everything", "the store restarted"),
        ("an_outcome_that_is_too_large_is_let_go", "a limit of outcomes"),
        ("a_claim_is_asked_again", "an operation refused"),
        ("a_notice_that_is_lost_changes_nothing", "notices lost"),
    ] {
        assert!(unchecked.contains(&(name, what)), "{name}: {report}");
        assert!(report.to_string().contains(&format!("{name} was not checked: it needs {what}")));
    }
    assert_eq!(report.passed() + unchecked.len(), suite.names().count());
    assert!(report.passed() > 90, "{report}");
}

/// Goal: a store that breaks a promise fails by the name of that promise. Method: stores that are
/// not shared, that know no time, and that take nothing.
#[test]
fn a_broken_store_fails_by_name() {
    let shared = check(Defect::NotShared);
    assert_failed(&shared, "one_holder_at_a_time");
    assert_failed(&shared, "of_many_claims_at_once_one_is_granted");
    assert_failed(&shared, "random_calls_agree_with_the_model");
    let time = check(Defect::NoTime);
    assert_failed(&time, "a_lapsed_attempt_is_reclaimed");
    assert_failed(&time, "a_window_is_as_long_as_it_says");
    assert_failed(&time, "random_calls_agree_with_the_model");
    let full = check(Defect::Full);
    assert_failed(&full, "the_first_grant_is_created");
    assert!(full.to_string().contains("the store is full"), "{full}");
    // What is not concerned passes all the same.
    assert!([shared, time, full].iter().all(|report| report.passed() > 0));
}

/// Goal: a tier that panics has failed, and the suite goes on. Method: a rig whose tiers cannot be
/// made.
#[test]
fn a_panic_is_a_failure() {
    let report = check(Defect::Panics);
    assert_failed(&report, "one_holder_at_a_time");
    assert_eq!((report.passed(), report.unchecked().count()), (0, 0));
    assert_eq!(report.failed().count(), Suite::new().names().count());
    assert!(report.to_string().contains("it panicked: no tier today"), "{report}");
}

/// Goal: a case is named once, and can be run alone. Method: its name, and a part of it.
#[test]
fn cases_are_run_by_name() {
    let names: Vec<_> = Suite::new().names().collect();
    for name in &names {
        assert_eq!(names.iter().filter(|other| *other == name).count(), 1, "{name} is there twice");
    }
    let one = Suite::new().only("one_holder_at_a_time").check(&Plain::new(Defect::None));
    assert_eq!(one.passed(), 1);
    let some = Suite::new().only("stale").names().count();
    assert!(some > 1 && some < names.len());
    assert_eq!(Suite::new().only("no such case").names().count(), 0);
}

fn check(defect: Defect) -> Report {
    Suite::new().seed(7).check(&Plain::new(defect))
}

fn assert_failed(report: &Report, case: &str) {
    assert!(report.failed().any(|(name, _)| name == case), "{case} has not failed: {report}");
    assert!(!report.has_passed() && report.to_string().contains(case), "{report}");
    assert!(report.to_string().contains("(seed 7)"), "{report}");
}
