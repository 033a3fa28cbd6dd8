//! Measures the tier in Redis beside its peers. `--help` lists the arguments.

use std::process::ExitCode;

use oncegate_bench_tier::options::Options;
use oncegate_bench_tier::{Store, layouts, memory, rounds, traffic};

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(message) => {
            eprintln!("{message}");
            return ExitCode::from(2);
        }
    };
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("error: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), String> {
    let Some(store) = Store::start()? else {
        println!("SKIPPED: {}", oncegate_rig::MISSING);
        return Ok(());
    };
    // One thread for all tasks: on two processors, the server has the other one.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    println!(
        "Redis {}, nothing on a disk; {} rounds of {} ms; medians, with the least and the \
         greatest\n",
        store.version(),
        options.rounds,
        options.slice.as_millis()
    );
    if options.only.is_empty() {
        memory(&store, &runtime, options);
        layouts(&store, options);
        traffic(&store, &runtime, options);
    }
    rounds(&store, &runtime, options);
    Ok(())
}
