//! Measures the engine beside its peers, and prints what came out. `--help` lists the arguments.

use std::process::ExitCode;

use oncegate_benches::huge_pages;
use oncegate_benches::options::Options;
use oncegate_benches::report::plain;
use oncegate_benches::suite::Sizes;

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(message) => {
            eprintln!("{message}");
            return ExitCode::from(2);
        }
    };
    if let Err(reason) = huge_pages::ensure() {
        eprintln!("the peers get no huge pages: {reason}");
    }
    for task in options.tasks {
        let figures = task.run(&Sizes::FULL, &options.filter, &options.settings);
        println!("{}", plain::table(task, &figures));
    }
    ExitCode::SUCCESS
}
