//! The `oncegate` command: a storm of retried requests on real input, and a quick measurement.

use std::process::ExitCode;

fn main() -> ExitCode {
    oncegate_cli::run()
}
