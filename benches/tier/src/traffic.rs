//! Requests and server time of one operation, counted.

use tokio::runtime::Runtime;

use crate::callers::numbers;
use crate::options::Options;
use crate::peers::{Contender, Node, Promises, batches, singles};
use crate::server::Store;
use crate::table::{Table, digits};

/// Counts what each contender asks of the server, through a proxy and by the server's own count,
/// and prints it with what each promises.
pub fn traffic(store: &Store, runtime: &Runtime, options: &Options) {
    let mut promised = Table::new(
        "What each promises while the server loses nothing",
        &[
            "",
            "outcome kept",
            "late holder refused",
            "fencing token",
            "other payload noticed",
            "duplicates can wait",
        ],
    );
    let mut counted = Table::new(
        "Requests of clients, and commands that the server ran for a new request, with those that \
         scripts call",
        &["", "requests, new", "requests, duplicate", "commands × µs each"],
    );
    for contender in singles().into_iter().chain(batches()) {
        let Promises { outcome, late_holder, fencing, payload, waits } = contender.promises;
        let said = [outcome, late_holder, fencing, payload, waits];
        let said = said.map(|promise| if promise { "yes" } else { "no" }.to_owned());
        promised.row([contender.name.to_owned()].into_iter().chain(said));
        counted.row(count(store, runtime, &contender, options.count.min(MOST)));
    }
    promised.print();
    counted.print();
}

fn count(store: &Store, runtime: &Runtime, contender: &Contender, operations: u64) -> [String; 4] {
    let proxy = store.proxy();
    let node = (contender.open)(&proxy.url(), runtime);
    let mut ask = asker(&node, runtime);
    // Connections are made, scripts loaded, sessions joined.
    let first = ask(true, numbers(WARM), WARM);
    let (requests, before) = (proxy.counts().requests, store.commands());
    let done = ask(true, numbers(operations.next_multiple_of(WARM)), operations);
    let (after, commands) = (proxy.counts().requests, store.commands());
    let each = |number: u64| number as f64 / done as f64;
    let mut ran = Vec::new();
    for (name, (calls, usec)) in &commands {
        let (calls_before, usec_before) = before.get(name).copied().unwrap_or_default();
        let calls = calls - calls_before;
        // What tables do by themselves now and then, and the questions of this count, are rare.
        if each(calls) >= 0.05 {
            let time = (usec - usec_before) as f64 / calls as f64;
            ran.push(format!("`{}` {} × {time:.1}", name.to_uppercase(), digits(each(calls))));
        }
    }
    let again = if contender.promises.outcome && first == WARM {
        let asked = proxy.counts().requests;
        let number = numbers(WARM);
        ask(true, number, WARM);
        let new = proxy.counts().requests - asked;
        let asked = proxy.counts().requests;
        ask(false, number, WARM);
        let duplicates = proxy.counts().requests - asked;
        debug_assert!(new >= duplicates, "a duplicate costs less");
        digits(duplicates as f64 / WARM as f64)
    } else {
        String::from("–")
    };
    [contender.name.to_owned(), digits(each(after - requests)), again, ran.join(", ")]
}

/// Asks for `count` requests from a number on, new ones or duplicates, and says for how many.
fn asker<'a>(node: &'a Node, runtime: &'a Runtime) -> impl FnMut(bool, u64, u64) -> u64 + 'a {
    let mut caller = match node {
        Node::Calls(open) => Some(open()),
        Node::Tasks(_) => None,
    };
    move |new, first, count| {
        let mut done = 0;
        while done < count {
            let number = first + done;
            match (node, &mut caller) {
                (Node::Tasks(node), _) if new => runtime.block_on(node.fresh(number)),
                (Node::Tasks(node), _) => drop(runtime.block_on(node.again(number))),
                (_, Some(caller)) if new => caller.fresh(number),
                (_, Some(caller)) => caller.again(number, &mut Vec::new()),
                (Node::Calls(_), None) => unreachable!("a caller was made"),
            }
            done += match (node, &caller) {
                (Node::Tasks(node), _) => node.batch(),
                (_, Some(caller)) => caller.batch(),
                (Node::Calls(_), None) => 1,
            };
        }
        done
    }
}

/// A count needs no more.
const MOST: u64 = 2_048;
const WARM: u64 = 128;
