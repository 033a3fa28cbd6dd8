//! What most people write: `SET key token NX PX`, then `SET` of the outcome, `GET` for duplicates.
//!
//! A holder whose claim has lapsed overwrites what its successor has stored, and nobody can tell.

use std::rc::Rc;

use redis::aio::MultiplexedConnection;
use redis::{Client, Cmd, Connection};

use super::{
    BATCH, Caller, Contender, Doing, LEASE, Node, OUTCOME, Promises, Task, WINDOW, key, ms,
};

const PROMISES: Promises =
    Promises { outcome: true, late_holder: false, fencing: false, payload: false, waits: false };

pub(super) const BLOCKING: Contender =
    Contender { name: "`SET NX`, `SET` by hand", promises: PROMISES, open: |url, _| calls(url, 1) };

pub(super) const BATCHES: Contender = Contender {
    name: "`SET NX`, `SET` by hand, pipelines of 128",
    promises: PROMISES,
    open: |url, _| calls(url, BATCH),
};

pub(super) const ASYNC: Contender = Contender {
    name: "`SET NX`, `SET` by hand, async",
    promises: PROMISES,
    open: |url, runtime| {
        let client = Client::open(url).expect("an address");
        let connection = runtime.block_on(client.get_multiplexed_async_connection());
        Node::Tasks(Rc::new(Awaits(connection.expect("the server runs"))))
    },
};

/// Each caller has a connection of its own.
fn calls(url: &str, batch: u64) -> Node {
    let client = Client::open(url).expect("an address");
    Node::Calls(Box::new(move || {
        let connection = client.get_connection().expect("the server runs");
        Box::new(Blocks { connection, batch })
    }))
}

fn name(number: u64) -> String {
    format!("hand:{}", key(number))
}

fn claim(number: u64) -> Cmd {
    let mut command = redis::cmd("SET");
    command.arg(name(number)).arg(format!("r{number:016x}")).arg("NX").arg("PX").arg(ms(LEASE));
    command
}

fn finish(number: u64) -> Cmd {
    let mut done = Vec::with_capacity(1 + OUTCOME.len());
    done.push(b'd');
    done.extend_from_slice(&OUTCOME);
    let mut command = redis::cmd("SET");
    command.arg(name(number)).arg(done).arg("PX").arg(ms(WINDOW));
    command
}

fn look(number: u64) -> Cmd {
    let mut command = redis::cmd("GET");
    command.arg(name(number));
    command
}

fn outcome(stored: Option<Vec<u8>>) -> Vec<u8> {
    match stored {
        Some(mut stored) if stored.first() == Some(&b'd') => stored.split_off(1),
        other => panic!("it has finished: {other:?}"),
    }
}

struct Blocks {
    connection: Connection,
    batch: u64,
}

impl Caller for Blocks {
    fn fresh(&mut self, number: u64) {
        if self.batch == 1 {
            let claimed: Option<String> = claim(number).query(&mut self.connection).expect("runs");
            assert!(claimed.is_some(), "it is new");
            return finish(number).exec(&mut self.connection).expect("runs");
        }
        let numbers = number..number + self.batch;
        let mut pipeline = redis::pipe();
        for number in numbers.clone() {
            pipeline.add_command(claim(number));
        }
        let claimed: Vec<Option<String>> = pipeline.query(&mut self.connection).expect("runs");
        assert!(claimed.iter().all(Option::is_some), "they are new");
        pipeline.clear();
        for number in numbers {
            pipeline.add_command(finish(number)).ignore();
        }
        pipeline.exec(&mut self.connection).expect("runs");
    }

    fn again(&mut self, number: u64, into: &mut Vec<u8>) {
        *into = outcome(look(number).query(&mut self.connection).expect("runs"));
    }

    fn batch(&self) -> u64 {
        self.batch
    }
}

struct Awaits(MultiplexedConnection);

impl Task for Awaits {
    fn fresh(&self, number: u64) -> Doing<'_, ()> {
        let mut connection = self.0.clone();
        Box::pin(async move {
            let claimed: Option<String> =
                claim(number).query_async(&mut connection).await.expect("runs");
            assert!(claimed.is_some(), "it is new");
            finish(number).exec_async(&mut connection).await.expect("runs");
        })
    }

    fn again(&self, number: u64) -> Doing<'_, Vec<u8>> {
        let mut connection = self.0.clone();
        Box::pin(
            async move { outcome(look(number).query_async(&mut connection).await.expect("runs")) },
        )
    }
}
