//! What a finished record with an outcome of 64 bytes takes in the server.

use tokio::runtime::Runtime;

use crate::callers::numbers;
use crate::options::Options;
use crate::peers::{Contender, Node, singles};
use crate::server::{Store, Way};
use crate::table::Table;

/// Weighs records of each contender in an empty server, and prints it.
pub fn memory(store: &Store, runtime: &Runtime, options: &Options) {
    let mut table = Table::new(
        "Memory of the server for a finished record with an outcome of 64 bytes",
        &["", "bytes, `used_memory`", "bytes, `MEMORY USAGE`"],
    );
    // Twins that are asked in another way keep the same.
    let both = |one: &Contender| !one.name.contains("async") || one.name.contains("idempotent");
    for contender in singles().into_iter().filter(|one| one.promises.outcome && both(one)) {
        store.ask::<()>(&["FLUSHALL"]);
        let node = (contender.open)(&store.url(Way::Unix), runtime);
        let count = options.count.min(MOST);
        let fill = |count: u64| {
            let first = numbers(count);
            match &node {
                Node::Calls(open) => {
                    let mut caller = open();
                    (first..first + count).for_each(|number| caller.fresh(number));
                }
                Node::Tasks(node) => {
                    for number in first..first + count {
                        runtime.block_on(node.fresh(number));
                    }
                }
            }
        };
        fill(16);
        let before = store.used_memory();
        fill(count);
        let used = store.used_memory().saturating_sub(before);
        let each = used as f64 / count as f64;
        table.row([contender.name.to_owned(), format!("{each:.0}"), record(store).to_string()]);
    }
    store.ask::<()>(&["FLUSHALL"]);
    table.print();
}

/// Any record: only records expire soon.
fn record(store: &Store) -> u64 {
    loop {
        let name: String = store.ask(&["RANDOMKEY"]);
        let left: i64 = store.ask(&["PTTL", &name]);
        let expires = (1..=crate::peers::WINDOW.as_millis() as i64).contains(&left);
        if expires {
            return store.ask(&["MEMORY", "USAGE", &name]);
        }
    }
}

/// No more than are finished before the first of them expires.
const MOST: u64 = 5_000;
