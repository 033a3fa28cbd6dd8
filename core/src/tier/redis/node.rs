//! One server: how a connection to it is opened, and what it says of itself.

use std::fmt;
use std::time::Duration;

use redis::{Client, Connection, ConnectionInfo, Value};

use super::fault::Fault;
use super::wire::pack;
use crate::clock::{Clock, PreciseClock};

/// Where a server is, and as whom one speaks to it.
#[derive(Clone)]
pub(super) struct Endpoint {
    pub(super) info: ConnectionInfo,
    #[cfg(feature = "redis-tls")]
    pub(super) tls: Option<redis::TlsCertificates>,
}

impl Endpoint {
    /// The same user at another address.
    pub(super) fn at(&self, host: &str, port: u16) -> Self {
        let addr = match self.info.addr().clone() {
            redis::ConnectionAddr::TcpTls { insecure, tls_params, .. } => {
                redis::ConnectionAddr::TcpTls { host: host.to_owned(), port, insecure, tls_params }
            }
            _ => redis::ConnectionAddr::Tcp(host.to_owned(), port),
        };
        let mut other = self.clone();
        other.info = other.info.set_addr(addr);
        other
    }

    /// A connection, by whoever is asked; nothing is said on it yet but who asks.
    pub(super) fn connect(&self, within: Duration) -> Result<Conn, Fault> {
        let refused = |error: redis::RedisError| Fault::connecting(&error);
        let client = self.client().map_err(refused)?;
        let within = within.max(Duration::from_millis(1));
        let connection = client.get_connection_with_timeout(within).map_err(refused)?;
        Ok(Conn { connection, limit: None, run: 0 })
    }

    /// A connection, and what the server says of itself.
    pub(super) fn open(&self, within: Duration) -> Result<(Conn, Greeting), Fault> {
        let deadline = PreciseClock.now() + within;
        let mut conn = self.connect(within)?;
        let mut hello = pack(&[b"INFO", b"server"]);
        hello.extend(pack(&[b"INFO", b"replication"]));
        let mut greeting = Greeting::default();
        for reply in conn.round(&hello, 2, deadline)? {
            match reply {
                Value::ServerError(error) => return Err(Fault::answered(&error)),
                reply => greeting.read(&reply),
            }
        }
        conn.run = greeting.run;
        Ok((conn, greeting))
    }

    fn client(&self) -> redis::RedisResult<Client> {
        #[cfg(feature = "redis-tls")]
        if let Some(tls) = &self.tls {
            return Client::build_with_tls(self.info.clone(), tls.clone());
        }
        Client::open(self.info.clone())
    }
}

impl fmt::Debug for Endpoint {
    /// The address alone: never as whom.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.info.addr())
    }
}

/// An open connection.
pub(super) struct Conn {
    connection: Connection,
    /// What its socket's time limits are set to.
    limit: Option<Duration>,
    /// Which run of a server it leads to.
    pub(super) run: u64,
}

impl Conn {
    /// Sends `bytes` and reads `count` replies.
    pub(super) fn round(
        &mut self,
        bytes: &[u8],
        count: usize,
        deadline: Duration,
    ) -> Result<Vec<Value>, Fault> {
        self.send(bytes, deadline)?;
        (0..count).map(|_| self.receive(deadline)).collect()
    }

    /// After an error nobody knows how much was sent: the connection is of no more use.
    pub(super) fn send(&mut self, bytes: &[u8], deadline: Duration) -> Result<(), Fault> {
        self.limit(deadline)?;
        let sent = self.connection.send_packed_command(bytes);
        sent.map_err(|_| Fault::lost("the connection broke while it was sent"))
    }

    /// After an error the next reply is not the next one's: the connection is of no more use.
    pub(super) fn receive(&mut self, deadline: Duration) -> Result<Value, Fault> {
        loop {
            self.limit(deadline)?;
            match self.connection.recv_response() {
                Ok(Value::Push { .. }) => {}
                Ok(value) => return Ok(value),
                Err(error) if error.is_timeout() => return Err(Fault::lost("no reply in time")),
                Err(_) => return Err(Fault::lost("the connection broke before the reply")),
            }
        }
    }

    pub(super) fn into_inner(self) -> Connection {
        self.connection
    }

    /// Sets the time limit of the socket, unless it is the same: that spares two calls to the
    /// kernel in almost every operation.
    fn limit(&mut self, deadline: Duration) -> Result<(), Fault> {
        let left = deadline.saturating_sub(PreciseClock.now());
        if left.is_zero() {
            return Err(Fault::lost("no reply in time"));
        }
        let left = coarse(left);
        if self.limit == Some(left) {
            return Ok(());
        }
        let set = self.connection.set_read_timeout(Some(left));
        set.and_then(|()| self.connection.set_write_timeout(Some(left)))
            .map_err(|_| Fault::lost("the connection broke"))?;
        self.limit = Some(left);
        Ok(())
    }
}

/// Rounded up by at most an eighth, so that neighbouring times are the same.
fn coarse(time: Duration) -> Duration {
    let ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX >> 1).saturating_add(1);
    let grain = (ms.next_power_of_two() >> 4).max(1);
    Duration::from_millis(ms.next_multiple_of(grain))
}

/// What a server says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Greeting {
    /// The first half of its run id, which is drawn anew at each start.
    pub(super) run: u64,
    /// Whose history it goes on with, if it was a replica before. The id of its own history would
    /// not do: a primary draws a new one when its first replica comes, and an hour after the last
    /// has gone, and has lost nothing.
    pub(super) past: u64,
    pub(super) replica: bool,
    pub(super) memory: u64,
    pub(super) memory_limit: u64,
    pub(super) policy: String,
    pub(super) persistent: bool,
}

impl Greeting {
    pub(super) const SECTIONS: [&[u8]; 4] = [b"server", b"replication", b"memory", b"persistence"];

    /// Whether it drops what it holds to make room.
    pub(super) fn evicts(&self) -> bool {
        self.memory_limit > 0 && !matches!(self.policy.as_str(), "noeviction" | "")
    }

    pub(super) fn read(&mut self, reply: &Value) {
        let text = match reply {
            Value::BulkString(bytes) => String::from_utf8_lossy(bytes),
            Value::VerbatimString { text, .. } => text.as_str().into(),
            _ => return,
        };
        for line in text.lines() {
            let Some((name, value)) = line.split_once(':') else { continue };
            let number = || value.parse().unwrap_or_default();
            match name {
                "run_id" => self.run = run_of(value),
                "master_replid2" => self.past = run_of(value),
                "role" => self.replica = value != "master",
                "used_memory" => self.memory = number(),
                "maxmemory" => self.memory_limit = number(),
                "maxmemory_policy" => value.clone_into(&mut self.policy),
                // Snapshots do not count: what came after the last one is forgotten.
                "aof_enabled" => self.persistent |= value == "1",
                _ => {}
            }
        }
    }
}

fn run_of(id: &str) -> u64 {
    id.get(..16).and_then(|half| u64::from_str_radix(half, 16).ok()).unwrap_or_default()
}
