//! The `oncegate` command as a library: what it reads can be tested without a process.
//!
//! | module | what it takes |
//! |---|---|
//! | [`cli`] | the argument vector |
//! | [`input`] | requests as newline-delimited JSON, plain or gzip |

// These macros panic when the stream is closed or full; see `print` and `warn`.
#![deny(clippy::print_stderr, clippy::print_stdout)]

mod bench;
pub mod cli;
mod crew;
pub mod input;
mod rng;
mod storm;
mod table;

use std::fmt;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use self::bench::BenchError;
use self::cli::{BenchArgs, Cli, Command, StormArgs};
use self::crew::CrewError;
use self::input::{Input, InputError};
use self::storm::outage::{MAX_DELIVERIES_IN_OUTAGE, Outage};
use self::storm::{MAX_DELIVERIES, Storm};
use self::table::{DlqArgs, DoctorArgs, TableError};

/// Carries out the command that the process was started with.
pub fn run() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Storm(args) if args.processes.is_some() => run_crew(&args),
        Command::Storm(args) if args.hosts.is_some() => run_hosts(&args),
        Command::Storm(args) if args.outage_ms.is_some() => run_outage(&args),
        Command::Storm(args) => run_storm(&args),
        Command::StormWorker(args) => crew::work(&args).map(|()| Exit::Done).map_err(Failure::from),
        Command::Bench(args) => run_bench(&args),
        Command::Inspect(args) => answer(table::inspect(&args), args.json),
        Command::Top(args) => table::top(&args).map(|()| Exit::Done),
        Command::Doctor(args) => run_doctor(&args),
        Command::Gc(args) => answer(table::gc(&args), args.json),
        Command::Dlq(args) => run_dlq(&args),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut cli::shown(), "oncegate", &mut script);
            print(&script).map(|()| Exit::Done)
        }
    };
    match result {
        Ok(exit) => ExitCode::from(exit as u8),
        // Whoever watched has left.
        Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            ExitCode::from(Exit::Done as u8)
        }
        Err(failure) => {
            warn(format_args!("{failure}"));
            ExitCode::from(Exit::Failed as u8)
        }
    }
}

/// The exit status; 2 is clap's, for wrong usage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Exit {
    /// Everything was done.
    Done = 0,
    /// The run failed, the engine broke its promise, or a table is damaged.
    Failed = 1,
    /// Done, but lines of the input were broken or refused.
    BrokenLines = 3,
}

/// Why a command could not be carried out.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Input(#[from] InputError),
    #[error("copies: {found} deliveries; limit: {limit}")]
    TooManyDeliveries { found: usize, limit: usize },
    #[error("svg: {}: {reason}", path.display())]
    Picture { path: PathBuf, reason: io::Error },
    #[error("engine: {0}")]
    Engine(#[from] oncegate::Error),
    #[error(transparent)]
    Crew(#[from] CrewError),
    #[error(transparent)]
    Table(#[from] TableError),
    #[error(transparent)]
    Bench(#[from] BenchError),
    #[error("output: {0}")]
    Output(#[from] io::Error),
}

/// The input, and whether no line of it was skipped.
fn load(args: &StormArgs, most: usize) -> Result<Input, Failure> {
    let input = input::load(&args.input)?;
    for skipped in &input.skipped {
        warn(format_args!("line {}: skipped: {}", skipped.number, skipped.reason));
    }
    match input.lines.len() * usize::from(args.copies) {
        found if found > most => Err(Failure::TooManyDeliveries { found, limit: most }),
        _ => Ok(input),
    }
}

fn run_storm(args: &StormArgs) -> Result<Exit, Failure> {
    let input = load(args, MAX_DELIVERIES)?;
    let shape = args.shape();
    let mut storms = Vec::new();
    if args.baseline || args.compare {
        storms.push(Storm::baseline(&input, shape)?);
    }
    if !args.baseline {
        storms.push(Storm::engine(&input, shape)?);
    }
    for (line, reason) in storms.iter().flat_map(|storm| &storm.refused) {
        warn(format_args!("line {line}: refused by the engine: {reason}"));
    }
    for violation in storms.iter().flat_map(|storm| &storm.report.violations) {
        warn(format_args!("promise broken: {violation}"));
    }
    print(show(args, &storms)?.as_bytes())?;
    let is_broken = !input.skipped.is_empty() || storms.iter().any(|s| !s.refused.is_empty());
    Ok(match storms.iter().all(Storm::kept_promise) {
        false => Exit::Failed,
        true if is_broken => Exit::BrokenLines,
        true => Exit::Done,
    })
}

fn run_crew(args: &StormArgs) -> Result<Exit, Failure> {
    let crew = crew::storm(args)?;
    for (number, reason) in &crew.skipped {
        warn(format_args!("line {number}: skipped: {reason}"));
    }
    for violation in &crew.report.violations {
        warn(format_args!("promise broken: {violation}"));
    }
    let text = if args.json {
        serde_json::to_string(&crew.report).map_err(io::Error::from)? + "\n"
    } else {
        crew.report.to_string()
    };
    print(text.as_bytes())?;
    Ok(match crew.report.violations.is_empty() {
        false => Exit::Failed,
        true if !crew.skipped.is_empty() => Exit::BrokenLines,
        true => Exit::Done,
    })
}

fn run_hosts(args: &StormArgs) -> Result<Exit, Failure> {
    let fleet = crew::hosts::storm(args)?;
    for (number, reason) in &fleet.skipped {
        warn(format_args!("line {number}: skipped: {reason}"));
    }
    for violation in fleet.report.violations() {
        warn(format_args!("promise broken: {violation}"));
    }
    let text = if args.json {
        serde_json::to_string(&fleet.report).map_err(io::Error::from)? + "\n"
    } else {
        fleet.report.to_string()
    };
    print(text.as_bytes())?;
    Ok(match fleet.report.violations().is_empty() {
        false => Exit::Failed,
        true if !fleet.skipped.is_empty() => Exit::BrokenLines,
        true => Exit::Done,
    })
}

fn run_outage(args: &StormArgs) -> Result<Exit, Failure> {
    let (input, Some(asked)) = (load(args, MAX_DELIVERIES_IN_OUTAGE)?, args.outage()) else {
        return Ok(Exit::Done);
    };
    let outage = Outage::storm(&input, args.shape(), asked)?;
    for violation in &outage.report.violations {
        warn(format_args!("promise broken: {violation}"));
    }
    let mut text = if args.json {
        serde_json::to_string(&outage.report).map_err(io::Error::from)? + "\n"
    } else {
        outage.render()
    };
    if let Some(path) = &args.svg {
        let written = std::fs::write(path, outage.svg());
        written.map_err(|reason| Failure::Picture { path: path.clone(), reason })?;
        if !args.json {
            text.push_str(&format!("wrote {}\n", path.display()));
        }
    }
    print(text.as_bytes())?;
    Ok(match outage.kept_promise() {
        false => Exit::Failed,
        true if !input.skipped.is_empty() => Exit::BrokenLines,
        true => Exit::Done,
    })
}

/// The storms as one JSON object, or as text for people.
fn show(args: &StormArgs, storms: &[Storm]) -> Result<String, Failure> {
    if !args.json {
        return Ok(storm::render(&storms.iter().collect::<Vec<_>>()));
    }
    let json = match storms {
        [baseline, engine] => {
            let both = serde_json::json!({ "baseline": baseline.report, "engine": engine.report });
            serde_json::to_string(&both)
        }
        _ => serde_json::to_string(&storms[0].report),
    };
    Ok(json.map_err(io::Error::from)? + "\n")
}

fn run_bench(args: &BenchArgs) -> Result<Exit, Failure> {
    let table = bench::run(usize::from(args.rounds))?;
    let text = if args.json {
        serde_json::to_string(&table).map_err(io::Error::from)? + "\n"
    } else {
        table.to_string()
    };
    print(text.as_bytes())?;
    Ok(Exit::Done)
}

fn run_doctor(args: &DoctorArgs) -> Result<Exit, Failure> {
    let diagnosis = table::doctor(args);
    print(diagnosis.text.as_bytes())?;
    Ok(if diagnosis.is_well { Exit::Done } else { Exit::Failed })
}

fn run_dlq(args: &DlqArgs) -> Result<Exit, Failure> {
    let answered = table::dlq(args);
    let is_whole = answered.as_ref().is_ok_and(|answered| answered.is_whole);
    let exit = answer(answered.map(|answered| answered.text), args.command.is_json())?;
    Ok(if is_whole { exit } else { Exit::Failed })
}

/// Prints what a command found, or why it found nothing: as JSON on standard output, if that was
/// asked for.
fn answer(found: Result<String, TableError>, is_json: bool) -> Result<Exit, Failure> {
    match found {
        Ok(text) => print(text.as_bytes()).map(|()| Exit::Done),
        Err(error) if is_json => print(error.to_json().as_bytes()).map(|()| Exit::Failed),
        Err(error) => Err(error.into()),
    }
}

/// Says something on standard error. When nobody can read it there, the work goes on all the same.
fn warn(message: fmt::Arguments<'_>) {
    // One write a line: lines of commands that share the stream do not mix.
    let _ = io::stderr().write_all(format!("oncegate: {message}\n").as_bytes());
}

/// Writes to standard output; `print!` would panic when the reader of a pipe has gone. What it
/// wanted, it has; the exit status is for others.
fn print(text: &[u8]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => Ok(other?),
    }
}
