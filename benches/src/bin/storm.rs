//! Runs the storm against a recovering service, prints what each way to retry came to, and writes
//! the plots into a folder: `storm FOLDER [SEED]`. The same seed gives the same bytes.

use std::path::Path;
use std::process::ExitCode;

use oncegate_benches::storm::{Series, Storm, Strategy, plots};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (folder, seed) = match arguments.as_slice() {
        [folder] => (folder, Ok(1)),
        [folder, seed] => (folder, seed.parse()),
        _ => {
            eprintln!("storm FOLDER [SEED]");
            return ExitCode::from(2);
        }
    };
    let Ok(seed) = seed else {
        eprintln!("the seed is no number");
        return ExitCode::from(2);
    };
    let storm = Storm::standard();
    let runs = Strategy::ALL.map(|strategy| (strategy, storm.run(strategy, seed)));
    println!("seed {seed}");
    runs.iter().for_each(|(strategy, series)| print(&storm, *strategy, series));
    for (name, text) in plots(&storm, &runs) {
        let path = Path::new(folder).join(format!("{name}.svg"));
        if let Err(error) = std::fs::write(&path, text) {
            eprintln!("{}: {error}", path.display());
            return ExitCode::FAILURE;
        }
        println!("wrote {}", path.display());
    }
    ExitCode::SUCCESS
}

fn print(storm: &Storm, strategy: Strategy, series: &Series) {
    let back = (storm.outage_ms[1] / 1_000) as usize;
    let recovered = match storm.recovered_after(series) {
        Some(seconds) => format!("steady {seconds} s after it is back"),
        None => "never steady again".to_owned(),
    };
    println!(
        "{:30} {recovered:30} peak load then {:6.2} of capacity, {:5} answered, {:5} given up",
        strategy.name(),
        series.peak_load(back) as f64 / storm.capacity_per_second as f64,
        series.goodput.iter().sum::<u64>(),
        series.given_up.iter().sum::<u64>(),
    );
}
