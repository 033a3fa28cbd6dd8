//! A storm of processes: real ones, which share one table, are killed, and start again.
//!
//! | file | what it is |
//! |---|---|
//! | `orders` | what every process of the storm has to know |
//! | `share` | who delivers what |
//! | `ledger` | effects and answers, outside the engine |
//! | `worker` | one process: it delivers its share |
//! | `captain` | the one that starts, kills and counts |
//! | `verdict` | what the ledger proves |
//! | `report` | the numbers |
//! | `hosts` | the same with a table for each process, and a store that they share |

mod captain;
mod folder;
pub(crate) mod hosts;
mod ledger;
mod orders;
mod report;
mod share;
mod verdict;
mod worker;

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Instant;

use self::captain::Kills;
use self::folder::Folder;
use self::ledger::Ledger;
use self::orders::Orders;
pub(crate) use self::orders::{MOST as MOST_PROCESSES, MOST_HOSTS};
use self::report::Report;
use self::verdict::{Evidence, Verdict};
pub(crate) use self::worker::work;
use crate::cli::StormArgs;
use crate::input::{self, InputError};
use crate::storm::{MAX_DELIVERIES, Plan};

/// Why a storm of processes could not be carried out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CrewError {
    #[error(transparent)]
    Input(#[from] InputError),
    #[error("copies: {found} deliveries; limit: {MAX_DELIVERIES}")]
    TooManyDeliveries { found: usize },
    #[error("engine: {0}")]
    Engine(#[from] oncegate::Error),
    #[error("store: {0}")]
    Store(#[from] oncegate::tier::TierError),
    #[error("redis-server: {0}")]
    Server(String),
    #[error("table {}: {source}", path.display())]
    Table { path: PathBuf, source: oncegate::Error },
    #[error("a folder for the storm: {0}")]
    Folder(#[source] io::Error),
    #[error("the ledger: {0}")]
    Ledger(#[source] io::Error),
    #[error("the orders of a process: {0}")]
    Orders(#[source] io::Error),
    #[error("a process of the storm: {0}")]
    Process(#[source] io::Error),
    #[error("process {index} of the storm ended by itself: {status}")]
    Ended { index: usize, status: ExitStatus },
    #[error("the storm was interrupted; its processes are ended")]
    Interrupted,
}

/// A storm, run and judged.
pub(crate) struct Crew {
    pub(crate) report: Report,
    /// Lines of the input that are broken, each with its reason.
    pub(crate) skipped: Vec<(u64, String)>,
}

/// Runs the storm that `args` ask for.
pub(crate) fn storm(args: &StormArgs) -> Result<Crew, CrewError> {
    let folder = Folder::new().map_err(CrewError::Folder)?;
    let table = args.path.clone().unwrap_or_else(|| folder.path().join("table"));
    let input = input::load_through(&args.input, &folder.path().join(INPUT))?;
    let found = input.lines.len() * usize::from(args.copies);
    if found > MAX_DELIVERIES {
        return Err(CrewError::TooManyDeliveries { found });
    }
    let orders = Orders::new(args);
    orders.write(&folder.path().join(ORDERS)).map_err(CrewError::Orders)?;
    let plan = Plan::new(&input.lines, orders.shape())?;
    let ledger = Ledger::open(&folder.path().join(LEDGER)).map_err(CrewError::Ledger)?;
    // Made before any process is started: what is wrong with it is told once.
    let engine = orders.engine(&table, plan.distinct())?;
    if io::stderr().is_terminal() {
        let path = table.display();
        crate::warn(format_args!("watch it meanwhile: oncegate top {path}"));
    }
    let began = Instant::now();
    let mut kills = Kills::new(&orders);
    let flight = captain::fly(&orders, folder.path(), Some(&table), &ledger, &mut kills)?;
    let elapsed = began.elapsed();
    let finals = captain::ask_again(&orders, &engine, &input, &plan)?;
    let records = ledger.read().map_err(CrewError::Ledger)?;
    let verdict = Verdict::of(&Evidence {
        plan: &plan,
        lines: &input.lines,
        records: &records,
        killed: &flight.killed,
        finals: &finals,
        leases_lapse: false,
    });
    let report = Report::new(&orders, &plan, &flight, verdict, elapsed);
    let skipped = input.skipped.iter().map(|line| (line.number, line.reason.to_string()));
    Ok(Crew { report, skipped: skipped.collect() })
}

/// Where the ledger of the storm in `folder` lies.
fn ledger_of(folder: &Path) -> PathBuf {
    folder.join(LEDGER)
}

/// The most kills a second: more, and no process comes to its work.
pub(crate) const MAX_KILL_RATE: f64 = 100.0;
const INPUT: &str = "input";
const ORDERS: &str = "orders.json";
const LEDGER: &str = "ledger";
