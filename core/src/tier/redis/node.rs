//! One server: how a connection to it is opened, and what it says of itself.

use std::fmt;
use std::io::Write;
use std::time::Duration;

use redis::{Client, Connection, ConnectionInfo, Parser, Value};

use super::fault::Fault;
use super::stream::Stream;
#[cfg(feature = "redis-tls")]
use super::stream::Tls;
use super::wire::pack;
use crate::clock::{Clock, PreciseClock};

/// Where a server is, and as whom one speaks to it.
#[derive(Clone)]
pub(super) struct Endpoint {
    pub(super) info: ConnectionInfo,
    #[cfg(feature = "redis-tls")]
    pub(super) certificates: Option<redis::TlsCertificates>,
    #[cfg(feature = "redis-tls")]
    pub(super) tls: Option<Tls>,
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
        let deadline = PreciseClock.now() + within.max(Duration::from_millis(1));
        let stream = self.stream(deadline).map_err(|error| Fault::connecting_to(&error))?;
        let mut conn = Conn { stream, parser: Parser::new(), run: 0 };
        let said = self.who_asks();
        let bytes: Vec<u8> = said.iter().flat_map(|(command, _)| command).copied().collect();
        let replies = conn.round(&bytes, said.len(), deadline).map_err(Fault::not_greeted)?;
        for (reply, (_, refusal)) in replies.into_iter().zip(said) {
            if let Value::ServerError(error) = reply {
                return Err(Fault::greeted(&error, refusal));
            }
        }
        Ok(conn)
    }

    fn stream(&self, deadline: Duration) -> std::io::Result<Stream> {
        #[cfg(feature = "redis-tls")]
        if let Some(tls) = &self.tls {
            return tls.connect(self.info.addr(), deadline);
        }
        Stream::clear(self.info.addr(), deadline)
    }

    /// Who asks, in which form of the protocol, and for which database: a command each, and what it
    /// means that the server refuses it.
    fn who_asks(&self) -> Vec<(Vec<u8>, &'static str)> {
        let as_whom = self.info.redis_settings();
        let (name, password) = (as_whom.username(), as_whom.password().map(str::as_bytes));
        let mut said = Vec::new();
        match (as_whom.protocol().supports_resp3(), password) {
            (true, Some(password)) => {
                let name = name.unwrap_or("default").as_bytes();
                said.push((pack(&[b"HELLO", b"3", b"AUTH", name, password]), NO_SUCH_USER));
            }
            (true, None) => said.push((pack(&[b"HELLO", b"3"]), "the server does not speak RESP3")),
            (false, Some(password)) => {
                let auth = match name {
                    Some(name) => pack(&[b"AUTH", name.as_bytes(), password]),
                    None => pack(&[b"AUTH", password]),
                };
                said.push((auth, NO_SUCH_USER));
            }
            (false, None) => {}
        }
        if as_whom.db() != 0 {
            let select = pack(&[b"SELECT", as_whom.db().to_string().as_bytes()]);
            said.push((select, "the server has no such database"));
        }
        said
    }

    /// A connection that is read as what is published comes.
    pub(super) fn subscriber(&self, within: Duration) -> Result<Connection, Fault> {
        let refused = |error: redis::RedisError| Fault::connecting(&error);
        let client = self.client().map_err(refused)?;
        client.get_connection_with_timeout(within).map_err(refused)
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
        if let Some(certificates) = &self.certificates {
            return Client::build_with_tls(self.info.clone(), certificates.clone());
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
    stream: Stream,
    parser: Parser,
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
        self.stream.until(deadline);
        let sent = self.stream.write_all(bytes).and_then(|()| self.stream.flush());
        sent.map_err(|_| Fault::lost("the connection broke while it was sent"))
    }

    /// After an error the next reply is not the next one's: the connection is of no more use.
    pub(super) fn receive(&mut self, deadline: Duration) -> Result<Value, Fault> {
        self.stream.until(deadline);
        loop {
            match self.parser.parse_value(&mut self.stream) {
                Ok(Value::Push { .. }) => {}
                Ok(value) => return Ok(value),
                Err(error) if error.is_timeout() => return Err(Fault::lost("no reply in time")),
                Err(_) => return Err(Fault::lost("the connection broke before the reply")),
            }
        }
    }
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

pub(super) const NO_SUCH_USER: &str = "the server refuses this user";
