//! Everything that an engine offers, at once, on real threads: for the sanitizers.
//!
//! Threads make calls that they draw from a seed, for a bounded number of steps, and book what
//! came of them in the ledger of `tests/schedules/`, outside the engine. They hand nothing to each
//! other but through the engine and through atomics of their own, since a sanitizer cannot see
//! into the locks and channels of a standard library that was built without it.
//!
//! `--plant` runs nothing but one deliberate error: a sanitizer that does not report it proves
//! nothing by its silence.

mod arguments;
mod callers;
mod crowd;
mod forks;
#[path = "../../schedules/ledger.rs"]
mod ledger;
mod planted;
#[allow(dead_code, reason = "the schedules use all of it")]
#[path = "../../schedules/site.rs"]
mod site;
#[cfg(oncegate_tsan)]
mod tsan;

use arguments::Arguments;

fn main() {
    let arguments = match Arguments::parse(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(wrong) => {
            eprintln!("oncegate-stress: {wrong}\n{}", arguments::USAGE);
            std::process::exit(2);
        }
    };
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        report(panic);
        // The others would wait for this thread for ever.
        std::process::abort();
    }));
    match arguments.plant {
        Some(plant) => planted::run(plant),
        None => crowd::run(&arguments),
    }
}
