//! The hot paths of the engine, counted in instructions.
//!
//! ```text
//! paths list                 the names of the paths
//! paths run NAME             runs one path, for callgrind
//! paths check BASELINE       counts them all, and fails where one costs more than it did
//! paths update BASELINE      counts them all, and writes the baseline anew
//! ```
//!
//! Counts do not depend on the machine's load: they are a gate where times are not. Everything
//! that could make two runs differ is given: the clock, the secret, the keys. This crate depends
//! on the engine alone, so that it builds quickly.

mod baseline;
mod count;
mod path;

use std::process::ExitCode;

use baseline::Baseline;
use path::Path;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words[..] {
        ["list"] => {
            Path::ALL.iter().for_each(|path| println!("{}", path.name()));
            Ok(())
        }
        ["run", name] => run(name),
        ["check", file] => check(file),
        ["update", file] => update(file),
        _ => Err("usage: paths list | run NAME | check BASELINE | update BASELINE".to_owned()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("error: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn run(name: &str) -> Result<(), String> {
    let path = Path::ALL.into_iter().find(|path| path.name() == name);
    path.ok_or_else(|| format!("no path is called {name}"))?.run(count::ITERATIONS);
    Ok(())
}

fn check(file: &str) -> Result<(), String> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))?;
    let before = Baseline::parse(&text)?;
    let now = count::all()?;
    let verdict = before.compare(&now);
    print!("{}", verdict.text);
    match verdict.worse {
        0 => Ok(()),
        worse => Err(format!(
            "{worse} of {} paths differ from {file}; if that is wanted: make instructions UPDATE=1",
            now.counts.len()
        )),
    }
}

fn update(file: &str) -> Result<(), String> {
    let now = count::all()?;
    print!("{}", now.table());
    std::fs::write(file, now.write()).map_err(|error| format!("{file}: {error}"))
}
