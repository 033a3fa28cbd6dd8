//! A TCP proxy with the faults of a network.

mod connection;
mod counts;
mod listener;
mod rule;
mod shared;
mod toxic;

use std::fmt;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

pub use self::counts::Counts;
use self::listener::Listener;
pub use self::rule::{Action, Close, Rule};
use self::shared::Shared;
pub use self::toxic::{Direction, Toxic};
use crate::Error;

/// A TCP proxy on a loopback port of its own, in front of one server.
///
/// It passes on everything unless told otherwise: [toxics](Toxic), in the vocabulary of toxiproxy,
/// spoil what goes in one direction; [rules](Rule) pick single requests of the Redis protocol, and
/// what they do is settled when the request arrives; [`down`](Self::down) and
/// [`refuse_new`](Self::refuse_new) are about connections. All of it may change while connections
/// run. Its threads and connections end with this value.
///
/// Traffic that is no Redis protocol, such as TLS, goes through as bytes: toxics work, rules and
/// the counts of requests and replies do not.
pub struct Proxy {
    shared: Arc<Shared>,
    listener: Arc<Listener>,
    accepting: Option<JoinHandle<()>>,
}

/// What jitter and slices are drawn from, unless something else is given.
const SEED: u64 = 1;

impl Proxy {
    /// A proxy in front of the server at `address`, which need not be there yet.
    ///
    /// # Errors
    ///
    /// It has no address, or there is no free port.
    pub fn to(address: impl ToSocketAddrs) -> Result<Self, Error> {
        Self::seeded(address, SEED)
    }

    /// The same, with a seed for what jitter and slices are drawn from. Each direction of each
    /// connection draws for itself, in the order in which connections were accepted.
    ///
    /// # Errors
    ///
    /// As with [`to`](Self::to).
    pub fn seeded(address: impl ToSocketAddrs, seed: u64) -> Result<Self, Error> {
        let addresses = address.to_socket_addrs();
        let server = addresses
            .map_err(|error| Error::of("the address of the server", &error))?
            .next()
            .ok_or_else(|| Error::new("the server has no address"))?;
        let listener = Arc::new(Listener::open()?);
        let shared = Arc::new(Shared::new(server, seed));
        let (theirs, ours) = ((Arc::clone(&shared), Arc::clone(&listener)), listener);
        let accepting = thread::Builder::new()
            .name("proxy".to_owned())
            .spawn(move || listener::accept(&theirs.0, &theirs.1))
            .map_err(|error| Error::of("a thread of the proxy", &error))?;
        Ok(Self { shared, listener: ours, accepting: Some(accepting) })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.listener.address()
    }

    /// The port of [`address`](Self::address).
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address().port()
    }

    /// `redis://127.0.0.1:PORT/`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://{}/", self.address())
    }

    /// Puts `toxic` into `direction`, in place of one of its kind. It holds for what is in the
    /// proxy already, too.
    pub fn add(&self, direction: Direction, toxic: Toxic) {
        self.shared.change(|settings| settings.toxics_mut(direction).add(toxic));
    }

    /// Takes all toxics out. What they held back goes on.
    pub fn heal(&self) {
        self.shared.change(|settings| {
            settings.toxics_mut(Direction::Upstream).clear();
            settings.toxics_mut(Direction::Downstream).clear();
        });
    }

    /// A peer that is gone without a word: nothing goes in either direction, no connection ends,
    /// and new ones open, but bring nothing. Until [`heal`](Self::heal); what was swallowed is
    /// lost.
    pub fn half_open(&self) {
        self.add(Direction::Upstream, Toxic::Swallow);
        self.add(Direction::Downstream, Toxic::Swallow);
    }

    /// Ends all connections, and refuses new ones.
    ///
    /// # Errors
    ///
    /// The system refuses it.
    pub fn down(&self) -> Result<(), Error> {
        self.refuse_new()?;
        self.cut(Close::Fin);
        Ok(())
    }

    /// Takes connections again.
    ///
    /// # Errors
    ///
    /// The system refuses it.
    pub fn up(&self) -> Result<(), Error> {
        self.listener.listen()?;
        self.shared.change(|settings| settings.listening = true);
        Ok(())
    }

    /// Refuses new connections until [`up`](Self::up); those that run go on.
    ///
    /// # Errors
    ///
    /// The system refuses it.
    pub fn refuse_new(&self) -> Result<(), Error> {
        self.shared.change(|settings| settings.listening = false);
        self.listener.refuse()
    }

    /// Ends all connections, at their clients as `close` says.
    pub fn cut(&self, close: Close) {
        for connection in self.shared.connections() {
            connection.close(&self.shared, close);
        }
    }

    /// Adds a rule. Of several that ask for one request, the first that was added decides.
    pub fn rule(&self, rule: Rule) {
        self.shared.change(|settings| settings.rules.push(rule));
    }

    /// Takes all rules away. What they had settled for requests that are under way stays so.
    pub fn clear_rules(&self) {
        self.shared.change(|settings| settings.rules.clear());
    }

    /// The `nth` request from now on, 1 being the next one, is executed, and its reply lost: the
    /// connection is reset instead.
    pub fn drop_reply(&self, nth: u64) {
        self.rule(Rule::new(Action::DropReply(Close::Reset)).nth(nth));
    }

    /// The same for the `nth` request that begins with the words of `command`.
    pub fn drop_reply_to(&self, command: &str, nth: u64) {
        self.rule(Rule::new(Action::DropReply(Close::Reset)).command(command).nth(nth));
    }

    /// The `nth` request from now on never reaches the server: the connection is reset instead.
    pub fn drop_request(&self, nth: u64) {
        self.rule(Rule::new(Action::DropRequest(Close::Reset)).nth(nth));
    }

    /// The same for the `nth` request that begins with the words of `command`.
    pub fn drop_request_to(&self, command: &str, nth: u64) {
        self.rule(Rule::new(Action::DropRequest(Close::Reset)).command(command).nth(nth));
    }

    /// The `nth` request from now on that begins with the words of `command` is executed, and its
    /// reply kept in the proxy until [`release`](Self::release).
    pub fn hold_reply_to(&self, command: &str, nth: u64) {
        self.rule(Rule::new(Action::HoldReply).command(command).nth(nth));
    }

    /// The same, but it is the request that is kept, and not executed before.
    pub fn hold_request_to(&self, command: &str, nth: u64) {
        self.rule(Rule::new(Action::HoldRequest).command(command).nth(nth));
    }

    /// Lets go on what rules hold in the proxy now.
    pub fn release(&self) {
        self.shared.change(|settings| settings.released = settings.held);
    }

    /// What has gone through.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.shared.counts()
    }

    /// Waits until the counts are as `enough` wants them.
    ///
    /// # Errors
    ///
    /// They are not within [`PATIENCE`](crate::PATIENCE).
    pub fn wait_for(&self, enough: impl Fn(&Counts) -> bool) -> Result<Counts, Error> {
        self.shared.wait_for(enough)
    }

    /// Waits until the proxy has seen `requests` requests since it began.
    ///
    /// # Errors
    ///
    /// As with [`wait_for`](Self::wait_for).
    pub fn wait_requests(&self, requests: u64) -> Result<Counts, Error> {
        self.wait_for(|counts| counts.requests >= requests)
    }

    /// Waits until the server has answered `replies` requests since the proxy began, whatever
    /// became of the replies.
    ///
    /// # Errors
    ///
    /// As with [`wait_for`](Self::wait_for).
    pub fn wait_replies(&self, replies: u64) -> Result<Counts, Error> {
        self.wait_for(|counts| counts.replies >= replies)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.change(|settings| settings.ended = true);
        // A thread that waits for a connection wakes up and finds that it has ended.
        let _ = self.listener.refuse();
        self.cut(Close::Fin);
        if let Some(accepting) = self.accepting.take() {
            // What panics in there has failed a test already, by what it did not do.
            let _ = accepting.join();
        }
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (address, counts) = (self.address(), self.counts());
        f.debug_struct("Proxy").field("address", &address).field("counts", &counts).finish()
    }
}
