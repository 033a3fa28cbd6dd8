//! A primary, its replica, and the Sentinels that watch them.

use std::net::SocketAddr;

use redis::Value;

use crate::{Error, Options, Proxy, Server, until};

/// Two servers, one of which is the primary and the other its replica, and three Sentinels, which
/// agree by two.
///
/// They take a primary that is silent for a second for dead, but only while a fail-over is waited
/// for: on a busy machine a live one may be silent for as long, and would be replaced unasked.
///
/// ```no_run
/// use oncegate_rig::Sentinels;
///
/// let mut all = Sentinels::start()?;
/// let old = all.primary()?;
/// let new = all.fail_over_by_kill()?;
/// assert_ne!(old, new);
/// all.server_mut(old).restart()?;
/// all.settle()?;
/// # Ok::<(), oncegate_rig::Error>(())
/// ```
#[derive(Debug)]
pub struct Sentinels {
    servers: Vec<Server>,
    proxies: Vec<Proxy>,
    sentinels: Vec<Server>,
}

/// As what the Sentinels know the primary.
const NAME: &str = "main";
const SENTINELS: usize = 3;

/// How long a server is silent before it is taken for dead, where a fail-over is waited for.
const ALERT_MS: u64 = 1_000;
/// How long otherwise: longer than anything is waited for.
pub(crate) const CALM_MS: u64 = 120_000;

impl Sentinels {
    /// Two servers with their default options.
    ///
    /// # Errors
    ///
    /// One of the five does not start, or they do not find together.
    pub fn start() -> Result<Self, Error> {
        Self::with(Options::new(), false)
    }

    /// Two servers with these options; if `proxied`, each behind a proxy through which everybody
    /// reaches it: clients, Sentinels and its replica. A proxy that is [`down`](Proxy::down) then
    /// cuts a primary off that goes on by itself.
    ///
    /// # Errors
    ///
    /// As with [`start`](Self::start).
    pub fn with(options: Options, proxied: bool) -> Result<Self, Error> {
        let mut all = Self { servers: Vec::new(), proxies: Vec::new(), sentinels: Vec::new() };
        for _ in 0..2 {
            let mut server = Server::with(options.clone().replicating())?;
            if proxied {
                let proxy = Proxy::to(server.address())?;
                server.announce(proxy.port())?;
                all.proxies.push(proxy);
            }
            all.servers.push(server);
        }
        let port = all.address(0).port().to_string();
        all.servers[1].ask::<()>(&["REPLICAOF", "127.0.0.1", &port])?;
        until("the replica is in step", || all.follows(1).then_some(()))?;
        for _ in 0..SENTINELS {
            let sentinel = options.sentinel_of(NAME, all.address(0).port());
            all.sentinels.push(Server::with(sentinel)?);
        }
        for sentinel in &all.sentinels {
            // Redis 7 and newer know this. They look at servers once a second, not every ten; and
            // where a busy machine holds them up, they do not stop judging for half a minute, after
            // which no replica is good enough for them.
            let hurry = ["INFO-PERIOD", "1000", "TILT-TRIGGER", "600000"];
            let _ = sentinel.ask::<()>(&[&["SENTINEL", "DEBUG"][..], &hurry[..]].concat());
        }
        all.settle()?;
        Ok(all)
    }

    /// The name of the primary, which clients ask the Sentinels for.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        NAME
    }

    /// The two servers.
    #[must_use]
    pub fn servers(&self) -> &[Server] {
        &self.servers
    }

    /// One server, to be killed or started again.
    ///
    /// # Panics
    ///
    /// There is no such server.
    pub fn server_mut(&mut self, index: usize) -> &mut Server {
        &mut self.servers[index]
    }

    /// The proxies in front of the servers, in the same order; none where none were asked for.
    #[must_use]
    pub fn proxies(&self) -> &[Proxy] {
        &self.proxies
    }

    /// The Sentinels.
    #[must_use]
    pub fn sentinels(&self) -> &[Server] {
        &self.sentinels
    }

    /// One Sentinel, to be killed or started again.
    ///
    /// # Panics
    ///
    /// There is no such Sentinel.
    pub fn sentinel_mut(&mut self, index: usize) -> &mut Server {
        &mut self.sentinels[index]
    }

    /// Where clients find the Sentinels.
    #[must_use]
    pub fn urls(&self) -> Vec<String> {
        self.sentinels.iter().map(Server::url).collect()
    }

    /// Where a server is found: itself, or its proxy.
    ///
    /// # Panics
    ///
    /// There is no such server.
    #[must_use]
    pub fn address(&self, index: usize) -> SocketAddr {
        self.proxies.get(index).map_or_else(|| self.servers[index].address(), Proxy::address)
    }

    /// Which server all Sentinels that run take for the primary, and which says so itself; waited
    /// for, since they may be about to change their minds.
    ///
    /// # Errors
    ///
    /// They do not agree within [`PATIENCE`](crate::PATIENCE).
    pub fn primary(&self) -> Result<usize, Error> {
        self.until("the Sentinels agree on a primary", || self.agreed())
    }

    /// Kills the primary by SIGKILL, and waits until the other server has taken its place: which
    /// one that is. The one that was killed is started again by [`server_mut`](Self::server_mut);
    /// it takes itself for a primary then, until the Sentinels tell it.
    ///
    /// # Errors
    ///
    /// The other server does not run, or does not take its place in time.
    pub fn fail_over_by_kill(&mut self) -> Result<usize, Error> {
        let old = self.primary()?;
        self.servers[old].kill();
        self.wait_until_primary_is(1 - old)
    }

    /// Asks the Sentinels for another primary, as an operator does, and waits until the other
    /// server is: which one that is. For some seconds the old one takes itself for a primary, too.
    ///
    /// # Errors
    ///
    /// As with [`fail_over_by_kill`](Self::fail_over_by_kill).
    pub fn fail_over(&self) -> Result<usize, Error> {
        let old = self.primary()?;
        let sentinel = self.running().next().ok_or_else(|| Error::new("no Sentinel runs"))?;
        let port = self.address(old).port();
        self.until("another server is the primary", || {
            let agreed = self.agreed().filter(|agreed| *agreed != old);
            // It refuses while it is not sure that the replica is in step, and gives up on one
            // that is slow; but nobody must ask again once it has another primary.
            if agreed.is_none() && named(sentinel) == Some(port) {
                let _ = sentinel.ask::<()>(&["SENTINEL", "FAILOVER", NAME]);
            }
            agreed
        })
    }

    /// Waits until all that run agree on this server as the primary. Meanwhile they replace one
    /// that is silent.
    ///
    /// # Errors
    ///
    /// They do not within [`PATIENCE`](crate::PATIENCE), or one does not answer.
    pub fn wait_until_primary_is(&self, index: usize) -> Result<usize, Error> {
        self.take_for_dead_after(ALERT_MS)?;
        let found = self.until("another server is the primary", || {
            self.agreed().filter(|agreed| *agreed == index)
        });
        self.take_for_dead_after(CALM_MS)?;
        found
    }

    /// Waits until all is well: all Sentinels run, know each other and agree, and the server that
    /// is not the primary follows it, as all have seen. After a fail-over that takes about ten
    /// seconds.
    ///
    /// # Errors
    ///
    /// They do not within [`PATIENCE`](crate::PATIENCE).
    pub fn settle(&self) -> Result<(), Error> {
        let known = |sentinel: &Server| {
            let state = state(sentinel)?;
            let count = |name: &str| field(&state, name)?.parse::<usize>().ok();
            let others = count("num-other-sentinels")? == SENTINELS - 1;
            let well = field(&state, "flags")? == "master" && count("num-slaves")? == 1;
            // One that has not yet seen it follow tells it to, even when it has been promoted.
            let replica = replica(sentinel)?;
            let seen = field(&replica, "role-reported")? == "slave"
                && field(&replica, "master-link-status")? == "ok";
            (others && well && seen).then_some(())
        };
        self.until("Sentinels and servers have settled", || {
            let primary = self.agreed()?;
            self.sentinels.iter().try_for_each(known)?;
            self.follows(1 - primary).then_some(())
        })
    }

    /// Waits, and says what all had to say where that was in vain.
    fn until<T>(&self, what: &str, ask: impl FnMut() -> Option<T>) -> Result<T, Error> {
        until(what, ask).map_err(|error| {
            let mut said = error.to_string();
            for one in self.servers.iter().chain(&self.sentinels) {
                said.push_str(&format!("\n{}:\n{}", one.address(), one.log()));
            }
            Error::new(said)
        })
    }

    fn take_for_dead_after(&self, silence_ms: u64) -> Result<(), Error> {
        let silence = silence_ms.to_string();
        let ask = ["SENTINEL", "SET", NAME, "down-after-milliseconds", &silence];
        self.running().try_for_each(|sentinel| sentinel.ask(&ask))
    }

    fn running(&self) -> impl Iterator<Item = &Server> {
        self.sentinels.iter().filter(|sentinel| sentinel.is_running())
    }

    fn agreed(&self) -> Option<usize> {
        let mut ports = self.running().map(named);
        let port = ports.next()??;
        if !ports.all(|other| other == Some(port)) {
            return None;
        }
        let index = (0..self.servers.len()).find(|index| self.address(*index).port() == port)?;
        (self.servers[index].info("role").ok()? == "master").then_some(index)
    }

    /// Whether a server is a replica in step with its primary.
    fn follows(&self, index: usize) -> bool {
        self.servers[index].info("master_link_status").is_ok_and(|status| status == "up")
    }
}

/// The port of the primary, as a Sentinel knows it.
fn named(sentinel: &Server) -> Option<u16> {
    let ask = ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", NAME];
    sentinel.ask::<(String, u16)>(&ask).ok().map(|(_, port)| port)
}

/// What a Sentinel knows of the primary: names and values in turn.
fn state(sentinel: &Server) -> Option<Vec<String>> {
    flat(sentinel.ask(&["SENTINEL", "MASTER", NAME]).ok()?)
}

/// What a Sentinel knows of the only replica, in the same way.
fn replica(sentinel: &Server) -> Option<Vec<String>> {
    let mut all: Vec<Value> = sentinel.ask(&["SENTINEL", "REPLICAS", NAME]).ok()?;
    all.pop().and_then(flat)
}

fn flat(state: Value) -> Option<Vec<String>> {
    matches!(state, Value::Array(_)).then(|| redis::from_redis_value(state).ok())?
}

fn field<'a>(state: &'a [String], name: &str) -> Option<&'a str> {
    let mut pairs = state.chunks_exact(2);
    pairs.find(|pair| pair[0] == name).map(|pair| pair[1].as_str())
}
