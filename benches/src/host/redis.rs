//! Redis on the same machine, by its Unix socket or by loopback TCP.
//!
//! Each call is one script, so that it is atomic. A record is one string; a lease or a window ends
//! when the server lets the key expire. The server's clock gives the fencing tokens, which so grow
//! across expiry too.

use std::cell::RefCell;

use redis::{Cmd, Connection, Value};
use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_setaffinity};

use super::{Answer, Asked, HostStore, Site};

/// One connection of one process: `UNIX` by the socket, otherwise by TCP. `BESIDE`: the server is
/// tied to the processor of the first caller, so that neither has to wake another one up; that is
/// its best case where it has one caller. Otherwise the system chooses where they run.
pub struct Redis<const UNIX: bool, const BESIDE: bool> {
    connection: RefCell<Connection>,
    server: Pid,
    /// The processors that the server may use.
    processors: CpuSet,
    begin: String,
    complete: String,
    lease_ms: u64,
    window_ms: u64,
}

/// A key that was claimed.
#[derive(Debug, PartialEq, Eq)]
pub struct Claim {
    key: [u8; 16],
    fence: Vec<u8>,
}

impl<const UNIX: bool, const BESIDE: bool> Redis<UNIX, BESIDE> {
    fn claim(&self, asked: &Asked) -> Cmd {
        let mut command = redis::cmd("EVALSHA");
        command.arg(&self.begin).arg(1).arg(&asked.bytes()[..]);
        command.arg(&asked.digest.to_le_bytes()[..]).arg(self.lease_ms);
        command
    }

    fn finish(&self, claim: &Claim, outcome: &[u8; 64]) -> Cmd {
        let mut command = redis::cmd("EVALSHA");
        command.arg(&self.complete).arg(1).arg(&claim.key[..]);
        command.arg(&claim.fence).arg(&outcome[..]).arg(self.window_ms);
        command
    }

    fn query<T: redis::FromRedisValue>(&self, command: &Cmd) -> T {
        command.query(&mut self.connection.borrow_mut()).expect("the server runs")
    }
}

impl<const UNIX: bool, const BESIDE: bool> HostStore for Redis<UNIX, BESIDE> {
    type Before = ();
    type Lease<'s> = Claim;
    type Outcome = [u8; 64];
    const NAME: &'static str = match (UNIX, BESIDE) {
        (true, false) => "redis, unix socket",
        (true, true) => "redis, unix socket, same processor",
        (false, false) => "redis, tcp",
        (false, true) => "redis, tcp, same processor",
    };
    const NOTE: &'static str = if BESIDE {
        "The same, and the server is tied to the processor of its first caller."
    } else {
        "One script a call; nothing is written to a disk. Its batches are pipelines. The system \
         chooses where the server and its callers run."
    };
    const BATCHES: bool = true;
    const SERVED: bool = true;
    const PINNED: bool = BESIDE;

    fn before(_: &Site) -> Result<(), String> {
        Ok(())
    }

    fn open((): &(), site: &Site) -> Result<Self, String> {
        let (port, pid) = site.redis.ok_or("no Redis server runs")?;
        let server = Pid::from_raw(pid).ok_or("no process")?;
        let mut processors = CpuSet::new();
        let many = if BESIDE { 1 } else { usize::MAX };
        site.processors.iter().take(many).for_each(|&processor| processors.set(processor));
        let address = if UNIX {
            format!("redis+unix://{}", site.redis_socket().display())
        } else {
            format!("redis://127.0.0.1:{port}/")
        };
        let open = || {
            let mut connection = redis::Client::open(address)?.get_connection()?;
            let mut load = |script: &str| {
                redis::cmd("SCRIPT").arg("LOAD").arg(script).query::<String>(&mut connection)
            };
            let (begin, complete) = (load(BEGIN)?, load(COMPLETE)?);
            Ok(Self {
                connection: RefCell::new(connection),
                server,
                processors,
                begin,
                complete,
                lease_ms: site.lease.as_millis() as u64,
                window_ms: site.window.as_millis() as u64,
            })
        };
        open().map_err(|error: redis::RedisError| error.to_string())
    }

    fn outcome(fill: u8) -> [u8; 64] {
        [fill; 64]
    }

    fn bytes(outcome: &[u8; 64]) -> &[u8] {
        outcome
    }

    fn begin(&self, asked: &Asked, into: &mut [u8; 64]) -> Answer<Claim> {
        answer(asked, self.query::<Vec<u8>>(&self.claim(asked)), into)
    }

    fn complete(&self, lease: Claim, outcome: &[u8; 64]) -> bool {
        self.query(&self.finish(&lease, outcome))
    }

    fn fence(lease: &Claim) -> u64 {
        let text = std::str::from_utf8(&lease.fence).expect("digits");
        text.parse().expect("digits")
    }

    fn batch(&self, asked: &[Asked], outcome: &[u8; 64], into: &mut [u8; 64]) -> u64 {
        let mut connection = self.connection.borrow_mut();
        let mut pipeline = redis::pipe();
        for asked in asked {
            pipeline.add_command(self.claim(asked));
        }
        let answers: Vec<Vec<u8>> = pipeline.query(&mut *connection).expect("the server runs");
        pipeline.clear();
        let mut created = 0;
        for (asked, said) in asked.iter().zip(answers) {
            if let Answer::Created(claim) = answer(asked, said, into) {
                pipeline.add_command(self.finish(&claim, outcome));
                created += 1;
            }
        }
        if created > 0 {
            let done: Vec<bool> = pipeline.query(&mut *connection).expect("the server runs");
            assert!(done.into_iter().all(|done| done), "the leases last");
        }
        created
    }

    fn forget(&self) {
        // One server serves all in turn. Where it may not be moved, it runs where it likes.
        let _ = sched_setaffinity(Some(self.server), &self.processors);
        self.query::<Value>(&redis::cmd("FLUSHDB"));
    }
}

fn answer(asked: &Asked, said: Vec<u8>, into: &mut [u8; 64]) -> Answer<Claim> {
    match said.split_first() {
        Some((b'c', fence)) => Answer::Created(Claim { key: asked.bytes(), fence: fence.to_vec() }),
        Some((b'd', outcome)) => {
            into.copy_from_slice(outcome);
            Answer::Replayed
        }
        Some((b'r', _)) => Answer::InProgress,
        Some((b'm', _)) => Answer::Mismatched,
        other => unreachable!("no script answers {other:?}"),
    }
}

/// A record: `r` or `d`, 8 bytes of digest, 16 digits of fence, and the outcome.
const BEGIN: &str = "
local record = redis.call('GET', KEYS[1])
if record then
  if string.sub(record, 2, 9) ~= ARGV[1] then return 'm' end
  if string.byte(record) == 100 then return 'd' .. string.sub(record, 26) end
  return 'r'
end
local time = redis.call('TIME')
local fence = string.format('%016.0f', time[1] * 1000000 + time[2])
redis.call('SET', KEYS[1], 'r' .. ARGV[1] .. fence, 'PX', ARGV[2])
return 'c' .. fence";
const COMPLETE: &str = "
local record = redis.call('GET', KEYS[1])
if not record or string.byte(record) ~= 114 or string.sub(record, 10, 25) ~= ARGV[1] then
  return 0
end
redis.call('SET', KEYS[1], 'd' .. string.sub(record, 2, 25) .. ARGV[2], 'PX', ARGV[3])
return 1";
