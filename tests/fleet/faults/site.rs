//! The site: a server that keeps its log, and two hosts that reach it by a proxy each.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use oncegate::tier::{OnOutage, Redis, TierOptions};
use oncegate::{Admission, Engine, Error, Lease, Outcome, Payload, Request, Scope, Secret};
use oncegate_rig::{Fsync, Options, Proxy, Server, until};

/// A server, two hosts, and what has taken effect.
#[derive(Debug)]
pub(super) struct Site {
    server: Mutex<Server>,
    pub(super) hosts: [Host; 2],
    effects: Mutex<Vec<(String, usize, u64)>>,
}

/// A host, and its way to the server.
#[derive(Debug)]
pub(super) struct Host {
    pub(super) engine: Engine,
    pub(super) proxy: Proxy,
    number: usize,
}

impl Site {
    pub(super) fn new() -> Self {
        let options = Options::new().append_only(Fsync::Always);
        let server = Server::with(options).expect("a server starts");
        let host = |number| {
            let proxy = Proxy::to(server.address()).expect("a proxy");
            Host { engine: engine(&proxy), proxy, number }
        };
        let hosts = [host(0), host(1)];
        let site = Self { server: Mutex::new(server), hosts, effects: Mutex::default() };
        // Both have joined the store, and have told it that they are there.
        for host in &site.hosts {
            site.run(host, "first");
            host.engine.flush_tier(PATIENCE).expect("the server answers");
        }
        site
    }

    pub(super) fn server(&self) -> MutexGuard<'_, Server> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The handler has taken effect on `host`, under this lease.
    pub(super) fn effect(&self, key: &str, host: &Host, lease: &Lease<'_>) {
        let effect = (key.to_owned(), host.number, lease.fencing_token().get());
        self.effects.lock().unwrap().push(effect);
    }

    pub(super) fn effects(&self, key: &str) -> Vec<(usize, u64)> {
        let effects = self.effects.lock().unwrap();
        let of_key = effects.iter().filter(|(of, ..)| of == key);
        of_key.map(|(_, host, fence)| (*host, *fence)).collect()
    }

    /// One try of a client at `host`. The outcome, if there is one by then.
    pub(super) fn begin(&self, host: &Host, key: &str) -> Result<Option<Outcome>, Error> {
        match host.engine.begin(&request(key))? {
            Admission::Admitted(lease) => {
                self.effect(key, host, &lease);
                // Whether the tier hears of it now or later.
                let _ = lease.complete(&outcome(key));
                Ok(None)
            }
            Admission::Replayed(outcome) => Ok(Some(outcome)),
            _ => Ok(None),
        }
    }

    /// The same by whom a refusal does not surprise.
    pub(super) fn run(&self, host: &Host, key: &str) -> Option<Outcome> {
        self.begin(host, key).ok().flatten()
    }

    /// A client tries on `host` until it gets an outcome.
    pub(super) fn settle_one(&self, host: &Host, key: &str) {
        until(key, || self.run(host, key)).unwrap_or_else(|error| panic!("{error}"));
    }

    /// Clients try on both hosts, until both replay the same. Fails if they never do.
    pub(super) fn settle(&self, key: &str, what: &str) {
        for host in [&self.hosts[1], &self.hosts[0]] {
            let left =
                until(what, || self.run(host, key)).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(left, outcome(key), "{what}");
        }
    }
}

fn engine(proxy: &Proxy) -> Engine {
    let redis = Redis::builder(&proxy.url()).connect_within(DEADLINE).build();
    let options = TierOptions::new()
        .deadline(DEADLINE)
        .on_outage(OnOutage::Refuse)
        // Of the leases that were lost, none is renewed here: what was forgotten is what ran.
        .quarantine(Duration::from_millis(200));
    Engine::builder()
        .capacity(1_000)
        .secret(Secret::from_bytes(&[7; 32]).expect("32 bytes"))
        .lease_duration(Duration::from_secs(20))
        .tier(redis.expect("settings"))
        .tier_options(options)
        .build()
        .expect("opens")
}

pub(super) fn request(key: &str) -> Request<'_> {
    let request = Request::new(Scope::new("acme").expect("short"), "POST /charges", key);
    request.expect("valid").payload(Payload::raw(b"100"))
}

pub(super) fn outcome(key: &str) -> Outcome {
    Outcome::new(201, key)
}

/// How long one call of the tier may take.
pub(super) const DEADLINE: Duration = Duration::from_millis(250);
pub(super) const PATIENCE: Duration = Duration::from_secs(20);
