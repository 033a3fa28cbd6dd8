//! A plan is the seed's alone, and it overlaps what it should.

use super::*;
use crate::input;

fn shape(seed: u64) -> Shape {
    Shape {
        clients: 8,
        copies: 4,
        fail_rate: 0.3,
        pause_rate: 0.2,
        seed,
        work: Duration::from_millis(4),
        lease: Duration::from_millis(100),
    }
}

fn lines(text: &str) -> Vec<Line> {
    input::read(text.as_bytes()).unwrap().lines
}

fn planned(lines: &[Line], shape: Shape) -> Plan {
    Plan::new(lines, shape).expect("these lines can be compared")
}

fn many(n: usize) -> Vec<Line> {
    lines(&(0..n).map(|i| format!("{{\"key\":\"k{i}\"}}\n")).collect::<String>())
}

/// Goal: both runs of a comparison meet the same storm. Method: plan twice with one seed, once
/// with another.
#[test]
fn the_seed_decides_everything() {
    let lines = many(50);
    let (a, b) = (planned(&lines, shape(1)), planned(&lines, shape(1)));
    assert_eq!(a.order, b.order);
    assert_eq!(a.planned_trouble(), b.planned_trouble());
    assert_eq!(a.fate(7, 3), b.fate(7, 3));
    let other = planned(&lines, shape(2));
    assert_ne!(a.order, other.order);
    assert_ne!(a.planned_trouble(), other.planned_trouble());
}

/// Goal: every line is delivered `copies` times. Method: count deliveries by line.
#[test]
fn each_line_has_its_copies() {
    let plan = planned(&many(50), shape(1));
    let mut counts = vec![0; 50];
    plan.order.iter().for_each(|d| counts[d.line as usize] += 1);
    assert!(counts.iter().all(|&n| n == 4), "{counts:?}");
    assert_eq!((plan.deliveries(), plan.distinct()), (200, 50));
}

/// Goal: copies overlap without being neighbours in lockstep. Method: the farthest two copies of a
/// request lie within the window, and deliveries of other requests lie between them.
#[test]
fn copies_of_a_request_lie_close_together() {
    let plan = planned(&many(200), shape(3));
    let mut mixed = 0;
    for request in 0..200 {
        let places: Vec<_> =
            (0..plan.order.len()).filter(|&i| plan.order[i].request == request).collect();
        let spread = places[3] - places[0];
        assert!(spread < 40, "request {request} is spread over {spread} deliveries");
        mixed += usize::from(spread > 3);
    }
    assert!(mixed > 150, "only {mixed} of 200 requests are mixed with others");
}

/// Goal: a second payload under one key is a conflict, and the first line is the original.
/// Method: the same key with the same payload, another payload, and in another scope.
#[test]
fn conflicting_lines_are_held_back() {
    let lines = lines(concat!(
        "{\"key\":\"a\",\"payload\":{\"x\":1,\"y\":2}}\n",
        "{\"key\":\"a\",\"payload\":{\"y\":2.0,\"x\":1}}\n",
        "{\"key\":\"a\",\"payload\":{\"x\":2}}\n",
        "{\"key\":\"a\",\"scope\":\"other\",\"payload\":{\"x\":2}}\n",
    ));
    let plan = planned(&lines, shape(1));
    assert_eq!((plan.distinct(), plan.deliveries()), (2, 16));
    assert_eq!(plan.originals, [0, 3]);
    assert_eq!((plan.held[0].len(), plan.held[1].len()), (4, 0));
    assert!(plan.held[0].iter().all(|d| d.conflicting && d.line == 2));
    assert!(plan.order.iter().all(|d| !d.conflicting));
    // Another spelling is the original's payload; a conflicting line brings its own.
    assert!(plan.order.iter().all(|&d| plan.payload_of(d) == plan.originals[d.request as usize]));
    assert!(plan.held[0].iter().all(|&d| plan.payload_of(d) == 2));
}

/// Goal: rates mean what they say, and every request ends. Method: count ends over many
/// executions; then look past the last one that may be troubled, at the highest rates.
#[test]
fn rates_hold_and_trouble_ends() {
    let plan = planned(&many(1_000), shape(5));
    let ends: Vec<_> = (0..1_000)
        .flat_map(|r| (0..10).map(move |e| (r, e)))
        .map(|(r, e)| plan.fate(r, e).end)
        .collect();
    let share = |end| ends.iter().filter(|&&e| e == end).count() as f64 / ends.len() as f64;
    assert!((share(End::Fail) + share(End::Panic) - 0.3).abs() < 0.02);
    assert!((share(End::Pause) - 0.7 * 0.2).abs() < 0.02);
    assert!(share(End::Panic) > 0.05);

    let worst = Shape { fail_rate: MAX_RATE, pause_rate: MAX_RATE, ..shape(5) };
    let plan = planned(&many(10), worst);
    assert!((0..10).all(|r| plan.fate(r, MAX_TROUBLED).end == End::Commit));
    assert_eq!(plan.fate(0, 0).work.as_micros() / 6_001, 0, "at most one and a half of 4 ms");
}
