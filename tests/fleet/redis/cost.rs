//! What requests cost on a real server: its commands as it has counted them, and round trips as a
//! proxy has seen them.

use std::time::Duration;

use oncegate::tier::{Redis, TierOptions};
use oncegate::{
    Admission, BeginOptions, Engine, ManualClock, Outcome, Payload, Request, Scope, Secret,
};
use oncegate_rig::{Proxy, Server, present};

use super::steps::WITHIN;
use crate::engine::{admitted, prepare, request};

/// A server, and hosts behind a proxy. Their clock stands still, so that nothing is asked but what
/// these tests ask for.
struct Site {
    server: Server,
    proxy: Proxy,
    clock: ManualClock,
}

/// What was asked of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cost {
    /// Requests of clients, of any kind.
    requests: u64,
    /// Scripts that the server has run.
    scripts: u64,
}

impl Cost {
    /// So many round trips, each of one script.
    const fn scripts(count: u64) -> Self {
        Self { requests: count, scripts: count }
    }
}

impl Site {
    fn new() -> Self {
        let server = Server::start().expect("a server starts");
        let proxy = Proxy::to(server.address()).expect("a proxy");
        Self { server, proxy, clock: ManualClock::new() }
    }

    /// A host that has joined the store, and does nothing there by itself.
    fn host(&self) -> Engine {
        let redis = Redis::builder(&self.proxy.url()).connect_within(WITHIN).build();
        let builder = Engine::builder()
            .capacity(1_000)
            .secret(Secret::from_bytes(&[7; 32]).expect("32 bytes"))
            .clock(self.clock.clone())
            .lease_duration(Duration::from_secs(600))
            .tier(redis.expect("settings"))
            .tier_options(TierOptions::new().deadline(WITHIN));
        let engine = builder.build().expect("it opens");
        prepare(&engine);
        engine
    }

    fn counted(&self) -> Cost {
        let evalsha = self.server.info("cmdstat_evalsha").expect("scripts have run");
        let calls = evalsha.strip_prefix("calls=").and_then(|rest| rest.split(',').next());
        let scripts = calls.and_then(|calls| calls.parse().ok()).expect("a count");
        Cost { requests: self.proxy.counts().requests, scripts }
    }

    /// What `act` costs.
    fn cost(&self, act: impl FnOnce()) -> Cost {
        let before = self.counted();
        act();
        let after = self.counted();
        Cost { requests: after.requests - before.requests, scripts: after.scripts - before.scripts }
    }
}

#[track_caller]
fn replayed(engine: &Engine, request: &Request<'_>) {
    let answer = engine.begin(request).expect("an answer");
    assert!(matches!(&answer, Admission::Replayed(left) if left.body() == b"done"), "{answer:?}");
}

/// Goal: a new request costs one round trip for its claim and one for its end, a duplicate on its
/// host none, a duplicate on another host one, once. Method: the requests that a proxy has seen,
/// and the scripts that the server has run.
#[test]
fn requests_cost_the_round_trips_that_are_promised() {
    if !present("the cost of requests") {
        return;
    }
    let site = Site::new();
    let (one, other) = (site.host(), site.host());
    for key in ["a", "b", "c"] {
        let request = request(key);
        let mut lease = None;
        let claim = site.cost(|| lease = Some(admitted(&one, &request)));
        assert_eq!(claim, Cost::scripts(1), "a claim");
        let end = site.cost(|| {
            let lease = lease.expect("admitted");
            lease.complete(&Outcome::new(200, b"done")).expect("held");
        });
        assert_eq!(end, Cost::scripts(1), "an end");
        assert_eq!(site.cost(|| replayed(&one, &request)), Cost::scripts(0), "a duplicate here");
        assert_eq!(site.cost(|| replayed(&other, &request)), Cost::scripts(1), "and elsewhere");
        assert_eq!(site.cost(|| replayed(&other, &request)), Cost::scripts(0), "and once more");
        let different = request.payload(Payload::raw(b"200"));
        let refused = site.cost(|| {
            let answer = other.begin(&different).expect("an answer");
            assert!(matches!(answer, Admission::Mismatched), "{answer:?}");
        });
        assert_eq!(refused, Cost::scripts(0), "another payload of what is known here");
    }
}

/// Goal: a future costs as many round trips as a call that blocks. Method: as above.
#[test]
fn futures_cost_as_much() {
    if !present("the cost of futures") {
        return;
    }
    let site = Site::new();
    let engine = site.host();
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let options = BeginOptions::new();
    for key in ["a", "b", "c"] {
        let request = request(key);
        let cost = site.cost(|| {
            runtime.block_on(async {
                let answer = engine.begin_async(&request, &options).await.expect("an answer");
                let Admission::Admitted(lease) = answer else { panic!("{answer:?}") };
                lease.complete_async(&Outcome::new(200, b"done")).await.expect("held");
            });
        });
        assert_eq!(cost, Cost::scripts(2), "a new request");
        let again = site.cost(|| {
            let answer = runtime.block_on(engine.begin_async(&request, &options));
            let answer = answer.expect("an answer");
            assert!(matches!(answer, Admission::Replayed(_)), "{answer:?}");
        });
        assert_eq!(again, Cost::scripts(0), "a duplicate");
    }
}

/// Goal: 128 claims of a batch are one round trip. Method: the first reply is held back: all claims
/// arrive before any is answered.
#[test]
fn a_batch_of_claims_is_one_round_trip() {
    if !present("the cost of a batch") {
        return;
    }
    let site = Site::new();
    let engine = site.host();
    let keys: Vec<String> = (0..128).map(|number| format!("key {number}")).collect();
    let scope = Scope::new("acme").expect("short");
    let requests: Vec<Request<'_>> = keys
        .iter()
        .map(|key| Request::new(scope, "POST /charges", key.as_str()).expect("valid"))
        .collect();
    let batch: Vec<_> = requests.iter().map(|it| engine.prepare(it).expect("valid")).collect();
    let mut leases = Vec::new();
    let before = site.counted();
    site.proxy.hold_reply_to("EVALSHA", 1);
    let arrived = std::thread::scope(|threads| {
        let leases = &mut leases;
        let batch = &batch;
        let engine = &engine;
        threads.spawn(move || {
            let mut buffer = Outcome::default();
            engine.begin_batch(batch, &BeginOptions::new(), &mut buffer, |_, answer| match answer
                .expect("an answer")
            {
                Admission::Admitted(lease) => leases.push(lease),
                other => panic!("{other:?}"),
            });
        });
        let all = before.requests + 128;
        let arrived = site.proxy.wait_for(|counts| counts.requests >= all && counts.held == 1);
        site.proxy.release();
        arrived
    });
    let arrived = arrived.expect("they all arrive while none is answered");
    assert_eq!((arrived.held, leases.len()), (1, 128));
    let after = site.counted();
    assert_eq!(after.requests - before.requests, 128);
    assert_eq!(after.scripts - before.scripts, 128);
}
