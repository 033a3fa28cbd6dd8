//! A program in Rust that takes part in a round: see `README.md` of the folder above.
#![cfg_attr(any(oncegate_loom, oncegate_shuttle), allow(unused))]

#[cfg(all(target_os = "linux", not(any(oncegate_loom, oncegate_shuttle))))]
mod effect;
#[cfg(all(target_os = "linux", not(any(oncegate_loom, oncegate_shuttle))))]
mod tries;

#[cfg(all(target_os = "linux", not(any(oncegate_loom, oncegate_shuttle))))]
fn main() -> std::process::ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match tries::serve(&arguments) {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            std::process::ExitCode::FAILURE
        }
    }
}

/// The model checkers build this too, and never run it.
#[cfg(not(all(target_os = "linux", not(any(oncegate_loom, oncegate_shuttle)))))]
fn main() {}
