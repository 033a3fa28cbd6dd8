//! The commands of a program that counts.

use std::process::ExitCode;

use crate::baseline::Baseline;
use crate::count;

/// The program of these paths, which are run by `run`.
#[must_use]
pub fn program(names: &[&str], run: impl Fn(&str, usize)) -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words[..] {
        ["list"] => {
            names.iter().for_each(|name| println!("{name}"));
            Ok(())
        }
        ["run", name] if names.contains(&name) => {
            run(name, count::ITERATIONS);
            Ok(())
        }
        ["run", name] => Err(format!("no path is called {name}")),
        ["check", file] => check(names, file),
        ["update", file] => update(names, file),
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

fn check(names: &[&str], file: &str) -> Result<(), String> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))?;
    let before = Baseline::parse(&text)?;
    let now = count::all(names)?;
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

fn update(names: &[&str], file: &str) -> Result<(), String> {
    let now = count::all(names)?;
    print!("{}", now.table());
    std::fs::write(file, now.write()).map_err(|error| format!("{file}: {error}"))
}
