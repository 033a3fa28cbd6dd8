//! What services write by hand: `SET key value NX PX time`, the work, and a release by whoever
//! holds it. It says that nobody else is at work, and not whether the work was done.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use redis::{Client, Connection, RedisResult};

use super::super::CrewError;
use super::super::ledger::Kind;
use super::super::share::Numbered;
use super::super::worker::Worker;
use crate::storm::End;

/// The locks of one host.
pub(crate) struct Lock {
    client: Client,
    idle: Mutex<Vec<Connection>>,
    /// The host; the upper half of each value that it locks with.
    instance: u32,
    values: AtomicU32,
    /// By request: executions on this host.
    executions: Vec<AtomicU32>,
}

impl Lock {
    pub(crate) fn new(url: &str, instance: u32, distinct: usize) -> Result<Self, CrewError> {
        let client = Client::open(url).map_err(|error| CrewError::Server(error.to_string()))?;
        let executions = (0..distinct).map(|_| AtomicU32::new(0)).collect();
        let (idle, values) = (Mutex::new(Vec::new()), AtomicU32::new(1));
        Ok(Self { client, idle, instance, values, executions })
    }

    /// A value that nobody else locks with.
    fn value(&self) -> u64 {
        // Relaxed: each number is given out once, and says nothing else.
        u64::from(self.instance) << 32 | u64::from(self.values.fetch_add(1, Ordering::Relaxed))
    }

    fn acquire(&self, request: u32, value: u64, time: Duration) -> RedisResult<bool> {
        self.with(|connection| {
            let mut set = redis::cmd("SET");
            set.arg(key(request)).arg(value).arg("NX").arg("PX").arg(time.as_millis() as u64);
            let set: Option<String> = set.query(connection)?;
            Ok(set.is_some())
        })
    }

    /// Takes it away, if it is this one still.
    fn release(&self, request: u32, value: u64) -> RedisResult<()> {
        self.with(|connection| {
            redis::cmd("EVAL").arg(RELEASE).arg(1).arg(key(request)).arg(value).query(connection)
        })
    }

    fn with<T>(&self, ask: impl Fn(&mut Connection) -> RedisResult<T>) -> RedisResult<T> {
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = idle().pop();
        let mut connection = match taken {
            Some(connection) => connection,
            None => self.client.get_connection_with_timeout(PATIENCE)?,
        };
        let answer = ask(&mut connection)?;
        // One that has failed is not used again.
        idle().push(connection);
        Ok(answer)
    }
}

impl Worker<'_> {
    /// Brings one delivery to its handler, under a lock. Its answer is what the handler answers:
    /// no other one is kept.
    pub(crate) fn deliver_by_hand(&self, lock: &Lock, one: Numbered) -> Result<(), CrewError> {
        let request = one.delivery.request;
        loop {
            let value = lock.value();
            match lock.acquire(request, value, self.orders.lease()) {
                Ok(true) => {}
                // Somebody else has it, or the server is gone: later.
                Ok(false) | Err(_) => {
                    thread::sleep(ASKS_EVERY);
                    continue;
                }
            }
            self.note(Kind::Started, one, 1, value)?;
            // Relaxed: as in `value`.
            let execution = lock.executions[request as usize].fetch_add(1, Ordering::Relaxed);
            let fate = self.plan.fate(request, execution);
            thread::sleep(fate.work);
            if matches!(fate.end, End::Fail | End::Panic) {
                self.note(Kind::Failed, one, 1, value)?;
                let _ = lock.release(request, value);
                continue;
            }
            self.note(Kind::Effect, one, 1, value)?;
            thread::sleep(fate.work / 8);
            // Where the server is gone, it lapses.
            let _ = lock.release(request, value);
            self.note(Kind::Completed, one, 1, value)?;
            return self.note(Kind::Answered, one, 1, value);
        }
    }
}

fn key(request: u32) -> String {
    format!("lock:{request}")
}

const RELEASE: &str = "\
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0";
const PATIENCE: Duration = Duration::from_millis(500);
const ASKS_EVERY: Duration = Duration::from_millis(20);
