//! The server, and what it says of itself.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use oncegate_rig::{Proxy, Server};
use redis::Connection;

/// One server of this run's own. It writes nothing to a disk: everybody's best case.
pub struct Store {
    server: Server,
    admin: RefCell<Connection>,
}

/// How a contender reaches the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// By its socket in the file system.
    Unix,
    /// By loopback TCP.
    Tcp,
}

impl Way {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Unix, Self::Tcp];

    /// Its name in tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unix => "Unix socket",
            Self::Tcp => "loopback TCP",
        }
    }
}

impl Store {
    /// Starts a server. `None`: none is installed.
    ///
    /// # Errors
    ///
    /// It does not start; or none is installed, and `ONCEGATE_REQUIRE_ALL=1` asks for it.
    pub fn start() -> Result<Option<Self>, String> {
        let words = |error: oncegate_rig::Error| error.to_string();
        if oncegate_rig::version().map_err(words)?.is_none() {
            return Ok(None);
        }
        let server = Server::start().map_err(words)?;
        let client = redis::Client::open(server.unix_url()).map_err(|error| error.to_string())?;
        let admin = client.get_connection().map_err(|error| error.to_string())?;
        Ok(Some(Self { server, admin: RefCell::new(admin) }))
    }

    /// Its version.
    ///
    /// # Panics
    ///
    /// The server is gone.
    #[must_use]
    pub fn version(&self) -> String {
        self.server.info("redis_version").expect("the server runs")
    }

    /// Where it is found on `way`.
    #[must_use]
    pub fn url(&self, way: Way) -> String {
        match way {
            Way::Unix => self.server.unix_url(),
            Way::Tcp => self.server.url(),
        }
    }

    /// A proxy before it, which counts requests.
    ///
    /// # Panics
    ///
    /// It does not start.
    #[must_use]
    pub fn proxy(&self) -> Proxy {
        Proxy::to(self.server.address()).expect("a proxy")
    }

    /// What the server answers to a command.
    pub(crate) fn ask<T: redis::FromRedisValue>(&self, words: &[&str]) -> T {
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]);
        command.query(&mut self.admin.borrow_mut()).expect("the server runs")
    }

    fn section(&self, name: &str) -> BTreeMap<String, String> {
        let text: String = self.ask(&["INFO", name]);
        let fields = text.lines().filter_map(|line| line.split_once(':'));
        fields.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    /// The processor time that it has used.
    pub(crate) fn cpu(&self) -> Duration {
        let cpu = self.section("cpu");
        let of = |name: &str| cpu[name].parse::<f64>().expect("seconds");
        Duration::from_secs_f64(of("used_cpu_user") + of("used_cpu_sys"))
    }

    /// The memory that its data take, once it is at rest.
    pub(crate) fn used_memory(&self) -> u64 {
        self.section("memory")["used_memory"].parse().expect("bytes")
    }

    /// How often it has run each command, and for how many microseconds, those that scripts call
    /// included.
    pub(crate) fn commands(&self) -> BTreeMap<String, (u64, u64)> {
        let read = |text: &str, name: &str| -> u64 {
            let field = text.split(',').find_map(|field| field.strip_prefix(name));
            field.and_then(|number| number.parse().ok()).expect("a number")
        };
        let commands = self.section("commandstats").into_iter();
        let named = commands.filter_map(|(name, stats)| {
            let name = name.strip_prefix("cmdstat_")?.to_owned();
            Some((name, (read(&stats, "calls="), read(&stats, "usec="))))
        });
        named.collect()
    }
}
