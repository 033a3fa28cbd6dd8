//! A storm of hosts: processes with a table each, which share a Redis server.
//!
//! | file | what it is |
//! |---|---|
//! | `server` | the Redis server, started and killed by the storm |
//! | `blows` | a host is killed, and then the server |
//! | `lock` | the same by hand, with `SET NX PX` |
//! | `tally` | what the ledger counts, with and without the engine |
//! | `report` | both side by side |

mod blows;
mod lock;
mod report;
mod server;
mod tally;

use std::fs;
use std::path::Path;
use std::time::Instant;

use self::blows::Blows;
pub(super) use self::lock::Lock;
use self::report::Report;
use self::server::Server;
use self::tally::Tally;
use super::captain;
use super::folder::Folder;
use super::ledger::Ledger;
use super::orders::{Hosts, Orders};
use super::verdict::{Evidence, Verdict};
use super::{CrewError, INPUT, LEDGER, ORDERS};
use crate::cli::StormArgs;
use crate::input::{self, Input};
use crate::storm::{MAX_DELIVERIES, Plan};

/// A storm of hosts, run by hand and by the engine.
pub(crate) struct Fleet {
    pub(crate) report: Report,
    /// Lines of the input that are broken, each with its reason.
    pub(crate) skipped: Vec<(u64, String)>,
}

/// Runs the storm that `args` ask for, twice.
pub(crate) fn storm(args: &StormArgs) -> Result<Fleet, CrewError> {
    let folder = Folder::new().map_err(CrewError::Folder)?;
    let input = input::load_through(&args.input, &folder.path().join(INPUT))?;
    let found = input.lines.len() * usize::from(args.copies);
    if found > MAX_DELIVERIES {
        return Err(CrewError::TooManyDeliveries { found });
    }
    let orders = Orders::new(args);
    let by_hand = Run { orders: &orders, input: &input, home: folder.path() }.run(true)?;
    let engine = Run { orders: &orders, input: &input, home: folder.path() }.run(false)?;
    let report = Report::new(&orders, by_hand, engine);
    let skipped = input.skipped.iter().map(|line| (line.number, line.reason.to_string()));
    Ok(Fleet { report, skipped: skipped.collect() })
}

/// One of the two.
#[derive(Clone, Copy)]
struct Run<'r> {
    orders: &'r Orders,
    input: &'r Input,
    home: &'r Path,
}

impl Run<'_> {
    fn run(self, by_hand: bool) -> Result<Tally, CrewError> {
        let folder = self.home.join(if by_hand { "by-hand" } else { "engine" });
        fs::create_dir(&folder).map_err(CrewError::Folder)?;
        let link = fs::hard_link(self.home.join(INPUT), folder.join(INPUT));
        link.map_err(CrewError::Folder)?;
        let mut server = Server::start(&folder)?;
        let hosts = Some(Hosts { url: server.url(), by_hand });
        let orders = Orders { hosts, ..self.orders.clone() };
        orders.write(&folder.join(ORDERS)).map_err(CrewError::Orders)?;
        let plan = Plan::new(&self.input.lines, orders.shape())?;
        let ledger = Ledger::open(&folder.join(LEDGER)).map_err(CrewError::Ledger)?;
        let mut blows = Blows::new(&orders, plan.distinct(), &ledger, &mut server);
        let began = Instant::now();
        let flight = captain::fly(&orders, &folder, None, &ledger, &mut blows)?;
        let elapsed = began.elapsed();
        let restarts = blows.restarts;
        let records = ledger.read().map_err(CrewError::Ledger)?;
        let mut tally = Tally::of(&plan, &records, &flight.killed, restarts, elapsed);
        if !by_hand {
            // A host that has run none of it asks for all.
            let engine = orders.engine(&folder.join("table-of-another"), plan.distinct())?;
            let finals = captain::ask_again(&orders, &engine, self.input, &plan)?;
            let verdict = Verdict::of(&Evidence {
                plan: &plan,
                lines: &self.input.lines,
                records: &records,
                killed: &flight.killed,
                finals: &finals,
                leases_lapse: true,
            });
            tally.judge(&finals, verdict);
        }
        Ok(tally)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crew::ledger::{Kind, Record};

    /// A plan of so many requests.
    pub(super) fn plan(requests: u32) -> Plan {
        let lines: String = (0..requests).map(|i| format!("{{\"key\":{i}}}\n")).collect();
        let input = input::read(lines.as_bytes()).unwrap();
        let shape = crate::storm::Shape {
            clients: 1,
            copies: 1,
            fail_rate: 0.0,
            pause_rate: 0.0,
            seed: 1,
            work: std::time::Duration::ZERO,
            lease: std::time::Duration::from_secs(1),
        };
        Plan::new(&input.lines, shape).unwrap()
    }

    /// A record of process 1.
    pub(super) fn record(kind: Kind, request: u32, attempt: u32, token: u64) -> Record {
        Record { request, attempt, token, ..Record::new(kind, 1) }
    }
}
