//! What careful people write: a script that claims or answers, and one that stores the outcome only
//! for who still holds the claim.
//!
//! Tokens are random: they tell holders apart, but not which of two came later.

use std::rc::Rc;

use redis::aio::MultiplexedConnection;
use redis::{Client, Connection, Script, ScriptInvocation};
use tokio::runtime::Runtime;

use super::{Caller, Contender, Doing, LEASE, Node, OUTCOME, Promises, Task, WINDOW, key, ms};

const PROMISES: Promises =
    Promises { outcome: true, late_holder: true, fencing: false, payload: false, waits: false };

pub(super) const BLOCKING: Contender = Contender {
    name: "a lock in Lua",
    promises: PROMISES,
    open: |url, _| {
        let client = Client::open(url).expect("an address");
        Node::Calls(Box::new(move || {
            let connection = client.get_connection().expect("the server runs");
            Box::new(Blocks { connection, scripts: Scripts::new() })
        }))
    },
};

pub(super) const ASYNC: Contender = Contender {
    name: "a lock in Lua, async",
    promises: PROMISES,
    open: |url, runtime: &Runtime| {
        let client = Client::open(url).expect("an address");
        let connection = runtime.block_on(client.get_multiplexed_async_connection());
        let connection = connection.expect("the server runs");
        Node::Tasks(Rc::new(Awaits { connection, scripts: Scripts::new() }))
    },
};

struct Scripts {
    claim: Script,
    finish: Script,
}

impl Scripts {
    fn new() -> Self {
        Self { claim: Script::new(CLAIM), finish: Script::new(FINISH) }
    }

    fn claim(&self, number: u64) -> ScriptInvocation<'_> {
        let mut script = self.claim.key(format!("lua:{}", key(number)));
        script.arg(token(number)).arg(ms(LEASE));
        script
    }

    fn finish(&self, number: u64) -> ScriptInvocation<'_> {
        let mut script = self.finish.key(format!("lua:{}", key(number)));
        script.arg(token(number)).arg(&OUTCOME[..]).arg(ms(WINDOW));
        script
    }
}

/// As long as a random one of 128 bits; what it costs to draw is left out.
fn token(number: u64) -> String {
    format!("{number:032x}")
}

fn claimed(said: Option<Vec<u8>>) {
    assert!(said.is_none(), "it is new");
}

fn outcome(said: Option<Vec<u8>>) -> Vec<u8> {
    match said {
        Some(mut said) if said.first() == Some(&b'd') => said.split_off(1),
        other => panic!("it has finished: {other:?}"),
    }
}

struct Blocks {
    connection: Connection,
    scripts: Scripts,
}

impl Caller for Blocks {
    fn fresh(&mut self, number: u64) {
        claimed(self.scripts.claim(number).invoke(&mut self.connection).expect("runs"));
        let done: bool = self.scripts.finish(number).invoke(&mut self.connection).expect("runs");
        assert!(done, "it is held");
    }

    fn again(&mut self, number: u64, into: &mut Vec<u8>) {
        *into = outcome(self.scripts.claim(number).invoke(&mut self.connection).expect("runs"));
    }
}

struct Awaits {
    connection: MultiplexedConnection,
    scripts: Scripts,
}

impl Task for Awaits {
    fn fresh(&self, number: u64) -> Doing<'_, ()> {
        let mut connection = self.connection.clone();
        Box::pin(async move {
            let claim = self.scripts.claim(number);
            claimed(claim.invoke_async(&mut connection).await.expect("runs"));
            let finish = self.scripts.finish(number);
            let done: bool = finish.invoke_async(&mut connection).await.expect("runs");
            assert!(done, "it is held");
        })
    }

    fn again(&self, number: u64) -> Doing<'_, Vec<u8>> {
        let mut connection = self.connection.clone();
        Box::pin(async move {
            let claim = self.scripts.claim(number);
            outcome(claim.invoke_async(&mut connection).await.expect("runs"))
        })
    }
}

const CLAIM: &str = "
local found = redis.call('GET', KEYS[1])
if found then return found end
redis.call('SET', KEYS[1], 'r' .. ARGV[1], 'PX', ARGV[2])
return false";
const FINISH: &str = "
if redis.call('GET', KEYS[1]) ~= 'r' .. ARGV[1] then return 0 end
redis.call('SET', KEYS[1], 'd' .. ARGV[2], 'PX', ARGV[3])
return 1";
