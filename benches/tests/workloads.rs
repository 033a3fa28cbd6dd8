//! Every workload and every study once, small: they must not break unseen.

use std::time::Duration;

use oncegate_benches::rounds::{Figures, Settings};
use oncegate_benches::studies::{Study, Subject};
use oncegate_benches::suite::{Extent, Filter, Sizes, Task};

fn settings(threads: &[usize], latencies: bool) -> Settings {
    let slice = Duration::from_millis(3);
    Settings { rounds: 1, slice, threads: threads.to_vec(), latencies, seed: 7 }
}

fn run(task: Task) -> Vec<Figures> {
    task.run(&Sizes::of(Extent::Tiny), &Filter::default(), &settings(&[1, 2], true))
}

/// Records created for each operation.
fn created(figures: &Figures) -> f64 {
    figures.created as f64 / figures.operations as f64
}

/// Goal: every contender works on every workload, and does what the workload is about. Method: a
/// slice of a few milliseconds each, seed 7; the share of new records tells what happened.
#[test]
fn every_workload_runs() {
    for task in Task::ALL {
        let figures = run(task);
        let names: Vec<&str> = figures.iter().map(|figures| figures.name.as_str()).collect();
        for peer in ["oncegate", "papaya", "dashmap", "moka", "quick_cache", "std Mutex"] {
            assert!(names.iter().any(|name| name.starts_with(peer)), "{}: {names:?}", task.name());
        }
        for figures in &figures {
            let what = format!("{}, {}, {} threads", task.name(), figures.name, figures.threads);
            // Where the machine was busy elsewhere, a share of few operations says nothing.
            if figures.operations < 2_000 {
                continue;
            }
            let share = created(figures);
            let expected = match task {
                Task::Hot | Task::HotText => 0.0..=0.0,
                Task::Unique | Task::UniqueText => 1.0..=1.0,
                // Caches whose policy refuses records create them again and again, and some let
                // every thread create the same one.
                _ if figures.kind.bounded && !figures.kind.ours => 0.0..=figures.threads as f64,
                Task::Hits64k | Task::Hits16m => 0.003..=0.03,
                // Half are new; and rare ones of the others go before they come again, the more of
                // them the longer it runs, as with any use of the least recent.
                Task::Mix => 0.45..=0.7,
                Task::Race => 1.0..=1.0,
            };
            assert!(expected.contains(&share), "{what}: {share} not in {expected:?}");
            let single = figures.kind.batch == 1 && task != Task::Race;
            assert!(single || figures.latency.is_none(), "{what}");
        }
    }
}

/// Goal: of threads that begin the same key at the same moment, one gets it. Method: two and four
/// threads in lockstep on keys that nobody had, in heats of sixteen; creations against keys.
#[test]
fn a_race_has_one_winner() {
    let filter = Filter { names: vec!["oncegate".to_owned()] };
    let settings = Settings { slice: Duration::from_millis(200), ..settings(&[2, 4], false) };
    let figures = Task::Race.run(&Sizes::of(Extent::Tiny), &filter, &settings);
    assert_eq!(figures.len(), 2);
    for figures in figures {
        let (created, keys) = (figures.created, figures.operations);
        assert!(keys >= 16, "{keys}");
        assert_eq!(created, keys, "{} threads created {created} of {keys}", figures.threads);
    }
}

fn study(subject: Subject) -> Study {
    let found = subject.make(Extent::Tiny, &settings(&[1], false));
    found.expect("no process of its own").grids.remove(0)
}

fn figure(study: &Study, row: &str, at: f64) -> f64 {
    study.figure(row, at).unwrap_or_else(|| panic!("{}: no {row} at {at}", study.name))
}

/// Goal: the trace is the same for all, and the engine keeps what an exact LRU keeps. Method: a
/// short trace; the popular keys are found by everybody.
#[test]
fn hit_rates_are_near_those_of_exact_lru() {
    let study = study(Subject::HitRate);
    let exact = figure(&study, "exact LRU", 16_384.0);
    assert!(exact > 45.0 && exact < 65.0, "{exact}");
    let sharded = figure(&study, "moka, LRU", 16_384.0);
    assert!((sharded - exact).abs() < 1.0, "{sharded} against {exact}");
    let ours = figure(&study, "oncegate", 16_384.0);
    assert!(ours > exact - 0.5, "{ours} against {exact}");
}

/// Goal: distances are those that an exact LRU covers below the capacity, and not above. Method:
/// a small table that is always full.
#[test]
fn exact_lru_loses_no_retry_within_its_capacity() {
    let study = study(Subject::Retention);
    for at in [0.1, 0.5, 0.8, 0.9, 0.95] {
        assert_eq!(figure(&study, "exact LRU", at), 0.0, "at {at}");
    }
    assert_eq!(figure(&study, "oncegate", 0.1), 0.0);
    // By its default policy a cache that never heard of retries loses almost all.
    assert!(figure(&study, "moka", 0.1) > 50.0);
}

/// Goal: the steady state is one. Method: at half of the capacity nothing leaves early, far above
/// it something must.
#[test]
fn early_evictions_begin_above_the_capacity() {
    let study = study(Subject::EarlyEvictions);
    assert_eq!(figure(&study, "oncegate", 0.5), 0.0);
    assert!(figure(&study, "oncegate", 0.8) <= 0.02);
}

/// Goal: growth is measured for every size and contender. Method: the smallest size.
#[test]
fn growth_has_a_figure_for_everybody() {
    let study = study(Subject::Growth);
    assert!(study.rows.len() >= 6, "{:?}", study.rows);
    for row in &study.rows {
        assert!(row.figures[0].is_some_and(|ns| ns > 0.0), "{}", row.name);
    }
}

/// Goal: shared memory is measured in every kind of it, and the report knows what pages the kernel
/// gave. Method: small tables; without huge pages there are none.
#[test]
fn shared_memory_has_a_figure_for_every_kind() {
    let found = Subject::SharedMemory.make(Extent::Tiny, &settings(&[1], false));
    let found = found.expect("no process of its own");
    assert_eq!(found.rates.len(), 4);
    for rates in &found.rates {
        let names: Vec<&str> = rates.figures.iter().map(|figures| &*figures.name).collect();
        assert_eq!(names.len(), 6, "{names:?}");
        assert!(rates.figures.iter().all(|figures| figures.median() > 0.0), "{}", rates.name);
    }
    let pages = &found.grids[0];
    assert_eq!((pages.rows.len(), pages.columns.len()), (6, 4));
    for row in &pages.rows {
        assert!(row.figures.iter().flatten().all(|share| (0.0..=100.0).contains(share)));
        if row.name.ends_with("small pages") {
            assert!(row.figures.iter().all(|share| share.is_some_and(|share| share < 1.0)));
        }
    }
}

/// Goal: timers are measured for every contender and phase, and each contender fires exactly what
/// is pending. Method: the smallest run; phases assert their counts themselves, and all but the
/// bytes, which a process of its own would answer, have a figure.
#[test]
fn timers_have_a_figure_for_everybody() {
    let rates = Subject::timer_rates(Extent::Tiny, &settings(&[1, 2], false));
    assert_eq!(rates.len(), 6);
    for rates in &rates {
        let least = if rates.name == "timers-pairs" { 8 } else { 7 };
        assert_eq!(rates.figures.len(), least, "{}", rates.name);
        assert!(rates.figures.iter().any(|figures| figures.name == "oncegate"));
        // On a busy machine, so little work may seem to have taken no time.
        assert!(rates.figures.iter().all(|figures| !figures.ns.is_empty()), "{}", rates.name);
    }
}

/// Goal: scheduling is measured for every contender and phase, and records that are due at once are
/// all handed out, with bounded work in each call. Method: the smallest run; phases and calls
/// assert their counts themselves. Times of so few say nothing, but that there are some.
#[test]
fn scheduling_has_a_figure_for_everybody() {
    let found = Subject::Scheduling.make(Extent::Tiny, &settings(&[1], false));
    let found = found.expect("no process of its own");
    assert_eq!(found.rates.len(), 6);
    for rates in &found.rates {
        let expected = if rates.name.contains("step") { 1 } else { 3 };
        assert_eq!(rates.figures.len(), expected, "{}", rates.name);
        assert_eq!(rates.figures[0].name, "oncegate");
        assert!(rates.figures.iter().all(|figures| figures.median() > 0.0), "{}", rates.name);
    }
    let expiry = &found.grids[0];
    assert_eq!(expiry.name, "mass-expiry");
    let at = |row: &str| figure(expiry, row, 2_000.0);
    assert!(at("records that one advance(1000) looked at, at the most") <= 1_000.0);
    assert!(at("the last one handed out after, ms") >= at("the first one handed out after, ms"));
    assert!(at("begin meanwhile: p99, ns") > 0.0);
}

/// Goal: an attacker's requests harm no victim with a reservation. Method: two short slices; the
/// latencies of so few say nothing, but what was refused or run again must be none.
#[test]
fn attack_harms_nobody() {
    let study = study(Subject::Attack);
    for at in [0.0, 10.0] {
        assert!(figure(&study, "p99", at) > 0.0);
        assert_eq!(figure(&study, "refused, or run again", at), 0.0, "at {at}");
    }
    assert!(figure(&study, "requests of the attacker for each", 10.0) > 0.0);
}
