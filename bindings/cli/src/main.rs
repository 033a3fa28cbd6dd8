//! The `oncegate` command: storms of retried requests, a measurement, and shared tables.

use std::process::ExitCode;

fn main() -> ExitCode {
    oncegate_cli::run()
}
