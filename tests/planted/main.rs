//! Plants every bug of the catalogue in turn, and tells whether its test notices.
//!
//! `make planted` runs this. Each bug's test must fail with the bug (a broken twin of a model
//! plants it itself, and must say that the model noticed), and must pass without it; what the
//! twins' models do without it is `make loom`.

mod catalogue;
mod suites;

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Mutex;

use oncegate::{Clock, PreciseClock};

use catalogue::{Kind, Row};
use suites::{Ended, How, Suites};

/// One run: a row's test with its bug, or a test without any.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Run {
    Planted(usize),
    Sound(usize),
}

fn main() -> ExitCode {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the root");
    let started = PreciseClock.now();
    let page = std::fs::read_to_string(root.join(catalogue::PAGE)).expect("the catalogue");
    let rows = catalogue::rows(&page);
    let suites = match Suites::build(root, &rows) {
        Ok(suites) => suites,
        Err(why) => {
            eprintln!("error: {why}");
            return ExitCode::FAILURE;
        }
    };
    let built = PreciseClock.now();
    let runs = run_all(&rows, &suites);
    let caught = print_table(&rows, &runs);
    let mut unsound = 0;
    for (run, ended) in &runs {
        if let Run::Sound(row) = run
            && ended.how != How::Passed
        {
            unsound += 1;
            println!("\n{} fails without any bug: {:?}", rows[*row].caught_by, ended.how);
            print_end(ended);
        }
    }
    let now = PreciseClock.now();
    let (building, running) = ((built - started).as_secs(), (now - built).as_secs());
    println!("\nbuilt in {building} s, {} runs in {running} s", runs.len());
    println!("{caught}/{} caught", rows.len());
    if caught == rows.len() && unsound == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs each row with its bug, and each of the tests without one, on every processor.
fn run_all(rows: &[Row], suites: &Suites) -> BTreeMap<Run, Ended> {
    let mut sound: BTreeMap<&str, usize> = BTreeMap::new();
    for (at, row) in rows.iter().enumerate().filter(|(_, row)| row.kind() == Kind::Ordinary) {
        sound.entry(&row.caught_by).or_insert(at);
    }
    let planted = (0..rows.len()).map(Run::Planted);
    let queue: VecDeque<Run> = sound.into_values().map(Run::Sound).chain(planted).collect();
    eprintln!("== {} bugs, {} runs", rows.len(), queue.len());
    let (queue, ended) = (Mutex::new(queue), Mutex::new(BTreeMap::new()));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, |count| count.get()) {
            scope.spawn(|| {
                let next = || queue.lock().expect("no panic").pop_front();
                while let Some(run) = next() {
                    let end = match run {
                        Run::Planted(row) => suites.run(&rows[row], true),
                        Run::Sound(row) => suites.run(&rows[row], false),
                    };
                    ended.lock().expect("no panic").insert(run, end);
                }
            });
        }
    });
    ended.into_inner().expect("no panic")
}

/// Prints what became of each bug, and gives how many were caught.
fn print_table(rows: &[Row], runs: &BTreeMap<Run, Ended>) -> usize {
    let width = |cell: fn(&Row) -> &str| rows.iter().map(|row| cell(row).len()).max().unwrap_or(0);
    let (bug, breaks) = (width(|row| &row.bug), width(|row| &row.breaks));
    let (promise, test) = (width(|row| &row.promise).max(7), width(|row| &row.caught_by));
    println!(
        "{:bug$}  {:breaks$}  {:promise$}  {:test$}  caught  seconds",
        "bug", "what it breaks", "promise", "test that catches it"
    );
    let mut caught = 0;
    for (at, row) in rows.iter().enumerate() {
        let ended = &runs[&Run::Planted(at)];
        let wanted = if row.kind() == Kind::Twin { How::Passed } else { How::Failed };
        let is_caught = ended.how == wanted;
        caught += usize::from(is_caught);
        println!(
            "{:bug$}  {:breaks$}  {:promise$}  {:test$}  {:6}  {:7.2}",
            row.bug,
            row.breaks,
            row.promise,
            row.caught_by,
            if is_caught { "yes" } else { "NO" },
            ended.took.as_secs_f64()
        );
        if !is_caught {
            println!("  it ended otherwise: {:?}", ended.how);
            print_end(ended);
        }
    }
    caught
}

/// The last lines of what a test said.
fn print_end(ended: &Ended) {
    let lines: Vec<&str> = ended.output.lines().collect();
    for line in &lines[lines.len().saturating_sub(12)..] {
        println!("  | {line}");
    }
}
