//! Measures the engine beside its peers. `--help` lists the arguments.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use oncegate_benches::machine::Machine;
use oncegate_benches::options::{Mode, Options};
use oncegate_benches::report::budgets::{self, Run};
use oncegate_benches::report::{Report, lines, plain};
use oncegate_benches::rounds::Settings;
use oncegate_benches::studies::{self, Study};
use oncegate_benches::suite::{Sizes, Task};
use oncegate_benches::{huge_pages, process};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some((process::PROBE, question)) = arguments.split_first().map(|(f, q)| (f.as_str(), q))
    {
        return answer(question);
    }
    let options = match Options::parse(arguments.into_iter()) {
        Ok(options) => options,
        Err(message) => {
            eprintln!("{message}");
            return ExitCode::from(2);
        }
    };
    if let Err(reason) = huge_pages::ensure() {
        eprintln!("the peers get no huge pages: {reason}");
    }
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("error: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), String> {
    let quick = options.mode == Mode::Quick;
    let machine = Machine::look(if quick { 1 << 20 } else { 1 << 23 });
    println!(
        "{} processors, memory {:.0} ns dependent, {:.1} ns independent; {} rounds of {} ms\n",
        machine.processors,
        machine.dependent_access_ns,
        machine.independent_access_ns,
        options.settings.rounds,
        options.settings.slice.as_millis()
    );
    let sizes = if quick { Sizes::QUICK } else { Sizes::FULL };
    let mut runs: Vec<Run> = Vec::new();
    for &task in &options.tasks {
        let mut settings = options.settings.clone();
        if task == Task::Hits16m {
            // Filling takes most of the time.
            settings.rounds = settings.rounds.min(3);
        }
        let figures = task.run(&sizes, &options.filter, &settings);
        println!("{}", plain::table(task, &figures));
        runs.push((task, figures));
    }
    let Some(folder) = &options.report else { return Ok(()) };
    let studies = studies(options)?;
    write(options, folder, machine, &runs, studies)
}

/// All studies; smaller ones in a quick run.
fn studies(options: &Options) -> Result<Vec<Study>, String> {
    let quick = options.mode == Mode::Quick;
    let k = 1_000;
    let (requests, capacities): (usize, &[usize]) =
        if quick { (k * k, &[10_000, 100_000]) } else { (4 * k * k, HIT_RATE_CAPACITIES) };
    let (kept, retries) = if quick { (20 * k, 40_000) } else { (100 * k, 400_000) };
    let records: &[usize] = if quick { &[1_000_000] } else { &[1_000_000, 3_600_000, 4_190_000] };
    let opened: &[usize] =
        if quick { &[10_000, 1_000_000] } else { &[10_000, 100_000, 1_000_000, 10_000_000] };
    let grown: &[usize] = if quick { &GROWTH[..3] } else { &GROWTH };
    let (rounds, slice) = if quick { (2, 20) } else { (3, 100) };
    let slice = Duration::from_millis(slice);
    let settings = Settings { rounds, slice, ..options.settings.clone() };
    let evicting = if quick { 1 << 15 } else { 1 << 18 };
    let studies = vec![
        studies::hit_rate(requests, capacities),
        studies::retention(kept, retries, &[0.1, 0.5, 0.8, 0.9, 0.95, 1.0]),
        studies::early_evictions(evicting, 3, &[0.5, 0.7, 0.8, 0.9, 0.95, 1.0, 1.05, 1.1]),
        studies::memory(records)?,
        studies::opening(opened)?,
        studies::growth(grown, &settings),
    ];
    Ok(studies)
}

fn write(
    options: &Options,
    folder: &Path,
    machine: Machine,
    runs: &[Run],
    studies: Vec<Study>,
) -> Result<(), String> {
    let report = Report {
        mode: format!("{:?}", options.mode).to_lowercase(),
        rounds: options.settings.rounds,
        slice_ms: options.settings.slice.as_millis() as u64,
        seed: options.settings.seed,
        budgets: budgets::all(runs, &studies, &machine),
        machine,
        workloads: runs.iter().flat_map(|(task, figures)| lines(*task, figures)).collect(),
        studies,
    };
    report.write(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    for budget in &report.budgets {
        println!("{:<7} {:>9.3}  {}", budget.met, budget.measured, budget.what);
    }
    println!("\nwrote {}", folder.join("report.md").display());
    Ok(())
}

/// Answers one question about a process in which nothing has happened yet.
fn answer(question: &[String]) -> ExitCode {
    let words: Vec<&str> = question.iter().map(String::as_str).collect();
    let number = |word: &str| word.parse().unwrap_or_default();
    let numbers = match words[..] {
        ["memory", name, records] => studies::memory::answer(name, number(records))
            .map(|bytes| bytes.map(|b| b as f64).to_vec()),
        ["opening", capacity] => Some(studies::opening::answer(number(capacity)).to_vec()),
        _ => None,
    };
    let Some(numbers) = numbers else { return ExitCode::from(2) };
    let words: Vec<String> = numbers.iter().map(f64::to_string).collect();
    println!("{}", words.join(" "));
    ExitCode::SUCCESS
}

const HIT_RATE_CAPACITIES: &[usize] = &[10_000, 50_000, 100_000, 250_000];
/// The last one is for the engine without outcomes.
const GROWTH: [usize; 5] = [10_000, 100_000, 1_000_000, 10_000_000, 100_000_000];
