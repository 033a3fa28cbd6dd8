//! `rslock`, a client of the Redlock algorithm, on one server: its cheapest use, since the
//! algorithm asks for five.
//!
//! A lock remembers nothing: what has run is kept by the caller, who looks before he runs and
//! stores after it, both under the lock.

use std::rc::Rc;

use redis::Client;
use redis::aio::MultiplexedConnection;
use rslock::LockManager;
use tokio::runtime::Runtime;

use super::{Contender, Doing, LEASE, Node, OUTCOME, Promises, Task, WINDOW, key, ms};

pub(super) const ALONE: Contender = Contender {
    name: "rslock, no outcome",
    promises: Promises {
        outcome: false,
        late_holder: false,
        fencing: false,
        payload: false,
        waits: false,
    },
    open: |url, runtime| open(url, runtime, false),
};

pub(super) const WITH_OUTCOME: Contender = Contender {
    name: "rslock, `GET` and `SET` under it",
    // A caller may wait for the lock, by trying again now and then.
    promises: Promises {
        outcome: true,
        late_holder: false,
        fencing: false,
        payload: false,
        waits: true,
    },
    open: |url, runtime| open(url, runtime, true),
};

fn open(url: &str, runtime: &Runtime, stores: bool) -> Node {
    let client = Client::open(url).expect("an address");
    let connection = runtime.block_on(client.get_multiplexed_async_connection());
    let connection = connection.expect("the server runs");
    Node::Tasks(Rc::new(Awaits {
        locks: LockManager::from_clients(vec![client]),
        connection,
        stores,
    }))
}

struct Awaits {
    locks: LockManager,
    connection: MultiplexedConnection,
    stores: bool,
}

impl Awaits {
    async fn stored(&self, name: &str) -> Option<Vec<u8>> {
        let mut get = redis::cmd("GET");
        get.arg(name).query_async(&mut self.connection.clone()).await.expect("runs")
    }
}

impl Task for Awaits {
    fn fresh(&self, number: u64) -> Doing<'_, ()> {
        Box::pin(async move {
            let key = key(number);
            let resource = format!("lock:{key}");
            let lock = self.locks.lock(resource.as_bytes(), LEASE).await.expect("it is free");
            if self.stores {
                let name = format!("done:{key}");
                assert!(self.stored(&name).await.is_none(), "it is new");
                let mut set = redis::cmd("SET");
                set.arg(name).arg(&OUTCOME[..]).arg("PX").arg(ms(WINDOW));
                set.exec_async(&mut self.connection.clone()).await.expect("runs");
            }
            self.locks.unlock(&lock).await;
        })
    }

    fn again(&self, number: u64) -> Doing<'_, Vec<u8>> {
        Box::pin(async move {
            self.stored(&format!("done:{}", key(number))).await.expect("it has finished")
        })
    }
}
