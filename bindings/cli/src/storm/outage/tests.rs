use std::time::Duration;

use super::super::plan::{Plan, Shape as StormShape};
use super::report::Report;
use super::run::Run;
use super::shape::{Asked, Shape};
use super::{Outage, plot, report, svg};
use crate::input::{self, Input};

const MS: Duration = Duration::from_millis(1);
const ASKED: Asked = Asked { outage: Duration::from_millis(200), capacity: None };
/// So long that a machine which is busy elsewhere can be late.
const LONGER: Asked = Asked { outage: Duration::from_millis(500), capacity: None };

fn input(requests: usize) -> Input {
    let lines: String = (0..requests).map(|n| format!("{{\"key\":\"k{n}\"}}\n")).collect();
    input::read(lines.as_bytes()).expect("lines")
}

fn storm_shape(clients: usize, fail_rate: f64) -> StormShape {
    StormShape {
        clients,
        copies: 3,
        fail_rate,
        pause_rate: 0.0,
        seed: 5,
        work: 4 * MS,
        lease: 100 * MS,
    }
}

/// Goal: what is not said follows from what is, and every time is in its place. Method: the
/// capacity of a known number of deliveries, and one that is said; the order of the times.
#[test]
fn shapes_follow_from_the_options() {
    let input = input(40);
    let plan = Plan::new(&input.lines, storm_shape(2, 0.0)).expect("a plan");
    let shape = Shape::new(ASKED, &plan);
    // 120 calls of 4 ms in 600 ms are 0.8 at a time: 60 % of 1.33.
    assert_eq!((shape.capacity, shape.per_second()), (1, 250.0));
    let [down, up] = shape.outage;
    assert!(Duration::ZERO < down && up < shape.window && shape.window < shape.horizon);
    assert_eq!((shape.outage_time(), shape.comes_at(60, 120)), (200 * MS, 300 * MS));
    let shape = Shape::new(Asked { capacity: Some(7), ..ASKED }, &plan);
    assert_eq!((shape.capacity, shape.room), (7, 175));
    assert_eq!(shape.fate(3, 1), shape.fate(3, 1));
    assert_ne!(shape.fate(3, 1).0, shape.fate(3, 2).0);
}

/// Goal: whatever the clients, each request has one effect through the engine, all of it ends, and
/// nobody's promise is missed; alone, each delivery has one. Method: small storms of real threads,
/// one client and many, and calls that fail; the report's own sums.
#[test]
fn small_storms_keep_the_promise() {
    for (clients, fail_rate) in [(1, 0.0), (12, 0.2)] {
        let storm =
            Outage::storm(&input(30), storm_shape(clients, fail_rate), LONGER).expect("ran");
        let Report { at_once, backoff, engine, .. } = &storm.report;
        assert_eq!(storm.report.violations, Vec::<String>::new());
        assert_eq!((engine.effects, engine.duplicate_effects, engine.done), (30, 0, 30));
        assert_eq!((engine.answered, engine.unanswered), (90, 0));
        assert!(engine.finished_ms.is_some() && engine.dead_letters_left == 0, "{engine:?}");
        assert!(at_once.duplicate_effects > 30 && at_once.calls > 90, "{at_once:?}");
        for run in [at_once, backoff, engine] {
            assert_eq!(run.answered + run.given_up + run.unanswered, 90, "{run:?}");
            assert_eq!(run.calls_by_slice.iter().sum::<u64>(), run.calls);
            assert_eq!(run.done_by_slice.last(), Some(&run.done));
            assert!(run.done_by_slice.is_sorted() && run.refused > 0, "{run:?}");
        }
    }
}

/// Goal: what the retry budget does not pay for becomes a dead letter, and is redriven once the
/// downstream is back. Method: a budget of a few retries, which the outage uses up, since most
/// requests come in it.
#[test]
fn dead_letters_are_redriven() {
    let asked = Asked { outage: 600 * MS, capacity: Some(1) };
    let shape = StormShape { work: 20 * MS, copies: 1, ..storm_shape(40, 0.0) };
    let storm = Outage::storm(&input(40), shape, asked).expect("ran");
    let engine = &storm.report.engine;
    assert_eq!(storm.report.violations, Vec::<String>::new());
    assert!(engine.out_of_budget > 0, "{engine:?}");
    assert_eq!(engine.dead_letters, engine.out_of_attempts + engine.out_of_budget);
    assert!(engine.redriven >= engine.dead_letters, "{engine:?}");
    assert_eq!((engine.done, engine.effects, engine.dead_letters_left), (40, 40, 0));
}

/// A report with these calls in 128 slices of 10 ms.
fn drawn(runs: [Run; 3]) -> Report {
    let input = input(10);
    let plan = Plan::new(&input.lines, storm_shape(2, 0.0)).expect("a plan");
    let shape = Shape::new(ASKED, &plan);
    Report::new(&input, &plan, &shape, runs)
}

fn run(calls: u64) -> Run {
    Run {
        calls,
        calls_by_slice: vec![calls / 128; 128],
        done_by_slice: (0..128).map(|slice| slice / 13).collect(),
        ..Run::default()
    }
}

/// Goal: text fits a terminal, and the picture is one that can be read. Method: runs with huge
/// numbers and with none; widths, the parts of the picture, numbers that are none.
#[test]
fn reports_can_be_read() {
    let report = drawn([run(1_000_000_000), run(12_800), run(0)]);
    let text = [report::table(&report), plot::draw(&report), report::verdict(&report)].concat();
    let widest = text.lines().map(|line| line.chars().count()).max();
    assert!(widest.is_some_and(|width| width <= 100), "{widest:?}\n{text}");
    for name in ["retry at once", "backoff alone", "oncegate", " down ", "never"] {
        assert!(text.contains(name), "{name} is missing in {text}");
    }
    let picture = svg::draw(&report);
    assert!(picture.starts_with("<svg") && picture.ends_with("</svg>\n"));
    assert!(!picture.contains("NaN") && !picture.contains("inf"), "{picture}");
    assert_eq!(picture.matches("<polyline").count(), 6);
    for part in ["seconds", "calls in a second", "requests done", "what it can answer", "down"] {
        assert!(picture.contains(part), "{part}");
    }
    let pens: Vec<_> = picture.lines().filter_map(|line| line.split_once("y2=\"38\" ")).collect();
    assert_eq!(pens.len(), 3, "the legend names each line");
    assert!(pens.iter().all(|pen| pens.iter().filter(|other| other.1 == pen.1).count() == 1));
}

/// Goal: a broken promise is found. Method: an engine run with a second effect, and one in which
/// more is done than has effects.
#[test]
fn broken_promises_are_told() {
    let twice = Run { effects: 11, duplicate_effects: 1, done: 10, ..run(0) };
    let report = drawn([run(0), run(0), twice]);
    assert_eq!(report.violations, ["1 side effects beyond the first of a request"]);
    assert!(report::verdict(&report).contains("broke its promise"));
    let none = Run { effects: 9, done: 10, ..run(0) };
    assert_eq!(drawn([run(0), run(0), none]).violations, ["1 done requests without an effect"]);
}
