//! Measures the engine beside its peers. `--help` lists the arguments.

use std::process::ExitCode;

use oncegate_benches::machine::Machine;
use oncegate_benches::options::Options;
use oncegate_benches::report::budgets::{self, Run};
use oncegate_benches::report::{Report, lines, of_rates, plain};
use oncegate_benches::studies::{self, Found};
use oncegate_benches::suite::{Extent, Sizes, Task};
use oncegate_benches::{host, huge_pages, process};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some((process::PROBE, question)) = arguments.split_first().map(|(f, q)| (f.as_str(), q))
    {
        return answer(question);
    }
    if let Some((host::TEAM, words)) = arguments.split_first().map(|(f, w)| (f.as_str(), w)) {
        return host::answer(words);
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
    let machine = Machine::look(match options.extent {
        Extent::Tiny => 1 << 12,
        Extent::Quick => 1 << 20,
        Extent::Full => 1 << 23,
    });
    println!(
        "{} processors, memory {:.0} ns dependent, {:.1} ns independent; {} rounds of {} ms\n",
        machine.processors,
        machine.dependent_access_ns,
        machine.independent_access_ns,
        options.settings.rounds,
        options.settings.slice.as_millis()
    );
    let sizes = Sizes::of(options.extent);
    let mut runs: Vec<Run> = Vec::new();
    for &task in &options.tasks {
        let mut settings = options.settings.clone();
        if task == Task::Hits16m {
            // Filling takes most of the time.
            settings.rounds = settings.rounds.min(3);
        }
        let figures = task.run(&sizes, &options.filter, &settings);
        println!("{}", plain::table(task, &sizes, &figures));
        runs.push((task, figures));
    }
    let mut all = Found::default();
    for subject in &options.subjects {
        let found = subject.make(options.extent, &options.settings)?;
        found.grids.iter().for_each(|study| println!("{}", plain::grid(study)));
        found.rates.iter().for_each(|rates| println!("{}", plain::rates(rates)));
        all.grids.extend(found.grids);
        all.rates.extend(found.rates);
    }
    write(options, machine, &runs, all)
}

fn write(options: &Options, machine: Machine, runs: &[Run], found: Found) -> Result<(), String> {
    let sizes = Sizes::of(options.extent);
    let workloads = runs.iter().flat_map(|(task, figures)| lines(*task, &sizes, figures));
    let report = Report {
        extent: format!("{:?}", options.extent).to_lowercase(),
        rounds: options.settings.rounds,
        slice_ms: options.settings.slice.as_millis() as u64,
        seed: options.settings.seed,
        budgets: budgets::all(runs, &found, &machine),
        machine,
        workloads: workloads.chain(found.rates.iter().flat_map(of_rates)).collect(),
        studies: found.grids,
    };
    for budget in &report.budgets {
        println!("{:<7} {:>9.3}  {}", budget.met, budget.measured, budget.what);
    }
    if let Some(folder) = &options.report {
        report.write(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        println!("\nwrote {}", folder.join("report.md").display());
    }
    Ok(())
}

/// Answers one question about a process in which nothing has happened yet.
fn answer(question: &[String]) -> ExitCode {
    let words: Vec<&str> = question.iter().map(String::as_str).collect();
    let Some(numbers) = studies::answer(&words) else { return ExitCode::from(2) };
    let words: Vec<String> = numbers.iter().map(f64::to_string).collect();
    println!("{}", words.join(" "));
    ExitCode::SUCCESS
}
