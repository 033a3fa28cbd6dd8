//! Who gets a service out of an overload, and who keeps it there.

use super::*;

const SEEDS: std::ops::RangeInclusive<u64> = 1..=20;

/// How each seed's run ended: when it was steady again, and its peak load as a share of what the
/// service can do.
fn runs(strategy: Strategy, seeds: impl IntoIterator<Item = u64>) -> Vec<(u64, Option<u64>, f64)> {
    let storm = Storm::standard();
    let back = (storm.outage_ms[1] / 1_000) as usize;
    let run = |seed| {
        let series = storm.run(strategy, seed);
        let peak = series.peak_load(back) as f64 / storm.capacity_per_second as f64;
        (seed, storm.recovered_after(&series), peak)
    };
    seeds.into_iter().map(run).collect()
}

/// Goal: with a budget and adaptive backoff the service is steady again within 35 s of being back,
/// of which it needs 20 to warm up, and is never asked for much more than it can do. Method: twenty
/// seeds.
#[test]
fn budget_and_adaptive_backoff_converge() {
    for (seed, recovered, peak) in runs(Strategy::BudgetAdaptive, SEEDS) {
        assert!(recovered.is_some_and(|after| after <= 35), "seed {seed}: {recovered:?}");
        assert!(peak <= 1.25, "seed {seed}: {peak}");
    }
}

/// Goal: with a budget alone it comes back too, if later. Method: twenty seeds.
#[test]
fn a_budget_converges() {
    for (seed, recovered, peak) in runs(Strategy::Budget, SEEDS) {
        assert!(recovered.is_some_and(|after| after <= 45), "seed {seed}: {recovered:?}");
        assert!(peak <= 2.0, "seed {seed}: {peak}");
    }
}

/// Goal: what jitter alone cannot do: seven attempts for each request keep the service where it
/// is. Method: twenty seeds of each; none recovers, and the load stays at several times what the
/// service can do.
#[test]
fn backoff_alone_never_converges() {
    for strategy in [Strategy::Exponential, Strategy::FullJitter] {
        for (seed, recovered, peak) in runs(strategy, SEEDS) {
            assert_eq!(recovered, None, "{strategy:?}, seed {seed}");
            assert!(peak >= 3.0, "{strategy:?}, seed {seed}: {peak}");
        }
    }
}

/// Goal: whoever retries at once never lets it come back, and asks for hundreds of times as much
/// as it can do. Method: one seed; the others take as long.
#[test]
fn retrying_at_once_never_converges() {
    for (seed, recovered, peak) in runs(Strategy::Immediate, [1]) {
        assert_eq!(recovered, None, "seed {seed}");
        assert!(peak >= 100.0, "seed {seed}: {peak}");
    }
}

/// Goal: adaptive backoff lowers the load at once, whatever is behind it: at its worst it is a
/// fraction of what the same jitter makes without. Method: twenty seeds, side by side.
#[test]
fn adaptive_backoff_lowers_the_peak() {
    let pairs = [
        (Strategy::FullJitter, Strategy::Adaptive, 0.5),
        (Strategy::Budget, Strategy::BudgetAdaptive, 0.95),
    ];
    for (without, with, share) in pairs {
        let (without, with) = (runs(without, SEEDS), runs(with, SEEDS));
        let sum =
            |runs: &[(u64, Option<u64>, f64)]| runs.iter().map(|(.., peak)| peak).sum::<f64>();
        assert!(sum(&with) <= share * sum(&without), "{with:?} against {without:?}");
    }
}

/// Goal: strategies are compared on the same requests, and a run is a function of its seed.
/// Method: first attempts of all strategies, and one run twice.
#[test]
fn runs_are_comparable_and_repeatable() {
    let storm = Storm { horizon_ms: 60_000, ..Storm::standard() };
    let firsts = |series: &Series| -> Vec<u64> {
        series.load.iter().zip(&series.retries).map(|(load, retries)| load - retries).collect()
    };
    let all = Strategy::ALL.map(|strategy| storm.run(strategy, 7));
    assert!(all.iter().all(|series| firsts(series) == firsts(&all[0])));
    assert_eq!(storm.run(Strategy::BudgetAdaptive, 7), all[5]);
    assert_ne!(storm.run(Strategy::BudgetAdaptive, 8), all[5]);
    for (strategy, series) in Strategy::ALL.iter().zip(&all) {
        // Nobody is answered twice or by magic.
        let answered: u64 = series.goodput.iter().sum();
        assert!(answered + series.given_up.iter().sum::<u64>() <= firsts(series).iter().sum());
        let done = series.goodput.iter().max().expect("seconds");
        assert!(*done <= storm.capacity_per_second, "{strategy:?} got {done} in a second");
        assert!(series.goodput[11..39].iter().all(|&count| count == 0), "the service is down");
    }
}

/// Goal: the plots of the documentation are what the command writes. Method: they are made anew,
/// from the seed that it takes by default.
#[test]
fn plots_are_those_of_the_documentation() {
    let storm = Storm::standard();
    let runs = Strategy::ALL.map(|strategy| (strategy, storm.run(strategy, 1)));
    let images = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/images");
    for (name, text) in plots(&storm, &runs) {
        let committed = std::fs::read_to_string(images.join(format!("{name}.svg")));
        let again = "cargo run -p oncegate-benches --bin storm -- docs/images";
        assert!(committed.is_ok_and(|committed| committed == text), "{name}: {again}");
    }
}
