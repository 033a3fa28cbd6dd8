//! A Redis server as the conformance suite needs it: behind a proxy, and with time that can be
//! moved.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use oncegate::tier::conformance::{Rig, Trouble};
use oncegate::tier::{Letter, Redis, RedisBuilder, Tier};
use oncegate_rig::{Fsync, Options, Proxy, Server};

/// One server, which keeps its log in a file: it is killed and started again without loss, since
/// the kernel has what was not written to the disk yet.
#[derive(Debug)]
pub(super) struct OneServer {
    server: Mutex<Server>,
    proxy: Proxy,
    settings: fn(RedisBuilder) -> RedisBuilder,
    too_large: Option<usize>,
    /// Whether tiers go through the proxy. Otherwise they use the server's socket, and nothing is
    /// lost on the way.
    is_proxied: bool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Those of this case, whose time goes on together.
    tiers: Vec<Redis>,
    ahead: Duration,
    back: Duration,
    remembered: Option<Vec<Kept>>,
}

/// A key, its value, and the milliseconds that it has left.
type Kept = (Vec<u8>, Vec<u8>, i64);

impl OneServer {
    /// Tiers are built with `settings`; a body of `too_large` bytes does not fit.
    pub(super) fn new(
        settings: fn(RedisBuilder) -> RedisBuilder,
        too_large: Option<usize>,
        is_proxied: bool,
    ) -> Self {
        let server =
            Server::with(Options::new().append_only(Fsync::EverySecond)).expect("a server starts");
        let proxy = Proxy::to(server.address()).expect("a proxy");
        let server = Mutex::new(server);
        Self { server, proxy, settings, too_large, is_proxied, state: Mutex::default() }
    }

    fn connection(&self) -> redis::Connection {
        let url = self.server.lock().unwrap().unix_url();
        let client = redis::Client::open(url).expect("an address");
        client.get_connection().expect("the server answers")
    }

    fn everything(&self) -> Vec<Kept> {
        let mut connection = self.connection();
        let keys: Vec<Vec<u8>> = redis::cmd("KEYS").arg("*").query(&mut connection).expect("keys");
        let mut all = Vec::new();
        for key in keys {
            let ask = |command: &str| redis::cmd(command).arg(&key).to_owned();
            let value: Option<Vec<u8>> = ask("DUMP").query(&mut connection).expect("a value");
            let left: i64 = ask("PTTL").query(&mut connection).expect("its time");
            if let Some(value) = value {
                all.push((key, value, left.max(0)));
            }
        }
        all
    }

    /// Another server has taken over, which lacked what came after `before`.
    fn go_back(&self, before: Vec<Kept>) {
        self.server.lock().unwrap().restart_empty().expect("it starts again");
        let mut connection = self.connection();
        for (key, value, left) in before {
            let mut restore = redis::cmd("RESTORE");
            restore.arg(key).arg(left).arg(value);
            restore.exec(&mut connection).expect("it takes the value");
        }
    }
}

impl Rig for OneServer {
    fn fresh(&self) {
        self.proxy.clear_rules();
        self.server.lock().unwrap().flush_all().expect("it empties");
        *self.state.lock().unwrap() = State::default();
    }

    fn tier(&self) -> Arc<dyn Tier> {
        let url = match self.is_proxied {
            true => self.proxy.url(),
            false => self.server.lock().unwrap().unix_url(),
        };
        let builder = Redis::builder(&url).dead_letters(MOST_LETTERS);
        let tier = (self.settings)(builder).build().expect("settings");
        let mut state = self.state.lock().unwrap();
        tier.advance(state.ahead);
        tier.set_back(state.back);
        state.tiers.push(tier.clone());
        Arc::new(tier)
    }

    fn advance(&self, by: Duration) {
        let mut state = self.state.lock().unwrap();
        state.ahead += by;
        state.tiers.iter().for_each(|tier| tier.advance(by));
    }

    fn outcome_bytes(&self) -> usize {
        MAX_OUTCOME - 64
    }

    fn too_large(&self) -> Option<usize> {
        self.too_large
    }

    fn most_letters(&self) -> usize {
        MOST_LETTERS
    }

    fn letters(&self) -> Option<Vec<Letter>> {
        Some(super::letters::read(&self.server.lock().unwrap(), "oncegate:"))
    }

    fn trouble(&self, trouble: Trouble) -> bool {
        match trouble {
            Trouble::Refuse | Trouble::LoseReply if !self.is_proxied => return false,
            Trouble::Refuse => self.proxy.drop_request_to("EVALSHA", 1),
            Trouble::LoseReply => self.proxy.drop_reply_to("EVALSHA", 1),
            Trouble::Empty => self.server.lock().unwrap().flush_all().expect("it empties"),
            Trouble::Restart => self.server.lock().unwrap().restart().expect("it starts again"),
            Trouble::Remember => {
                self.state.lock().unwrap().remembered = Some(self.everything());
            }
            Trouble::GoBack => {
                let before = self.state.lock().unwrap().remembered.take();
                let Some(before) = before else { return false };
                self.go_back(before);
            }
            Trouble::ClockBack(by) => {
                let mut state = self.state.lock().unwrap();
                state.back += by;
                state.tiers.iter().for_each(|tier| tier.set_back(by));
            }
            _ => return false,
        }
        true
    }
}

/// The largest outcome that the tiers store, unless they are told otherwise.
pub(super) const MAX_OUTCOME: usize = 64 * 1024;
const MOST_LETTERS: usize = 8;
