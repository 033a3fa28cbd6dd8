//! Tables that a host shares: each contender keeps the promise that it is measured for.

use std::path::Path;
use std::time::Duration;

use oncegate_benches::host::{
    Answer, Asked, Folder, HostStore, Lmdb, Named, Order, Private, Redis, RedisServer, Site,
    Sqlite, Task, Team, Visitor, everyone,
};

/// Opens the store in this process alone, with leases of that length.
fn opened<S: HostStore>(site: &Site, lease: Duration) -> S {
    let site = Site { lease, ..site.clone() };
    let before = S::before(&site).expect("it can be made");
    S::open(&before, &site).expect("it opens")
}

/// A site, and its server if one is installed.
fn site() -> (Site, Folder, Option<RedisServer>) {
    let folder = Folder::new().expect("a folder");
    let mut site = Site::new(&folder, 2_000);
    let server = RedisServer::start(&mut site).expect("it starts, or is not installed");
    (site, folder, server)
}

fn claimed<'s, S: HostStore>(store: &'s S, asked: &Asked) -> S::Lease<'s> {
    match store.begin(asked, &mut S::outcome(0)) {
        Answer::Created(lease) => lease,
        other => panic!("{}: {}", S::NAME, said(&other)),
    }
}

fn said<L>(answer: &Answer<L>) -> &'static str {
    match answer {
        Answer::Created(_) => "created",
        Answer::Replayed => "replayed",
        Answer::InProgress => "in progress",
        Answer::Mismatched => "mismatched",
    }
}

fn runs_once<S: HostStore>(site: &Site) {
    let store: S = opened(site, Duration::from_secs(60));
    // One server holds what its other connection did.
    store.forget();
    let mut buffer = S::outcome(0);
    let (asked, other) = (Asked::of(1), Asked { digest: Asked::of(2).digest, ..Asked::of(1) });
    let lease = claimed(&store, &asked);
    assert_eq!(said(&store.begin(&asked, &mut buffer)), "in progress", "{}", S::NAME);
    assert_eq!(said(&store.begin(&other, &mut buffer)), "mismatched", "{}", S::NAME);
    assert!(store.complete(lease, &S::outcome(9)), "{}", S::NAME);
    assert_eq!(said(&store.begin(&asked, &mut buffer)), "replayed", "{}", S::NAME);
    assert_eq!(S::bytes(&buffer), [9; 64], "{}", S::NAME);
    assert_eq!(said(&store.begin(&other, &mut buffer)), "mismatched", "{}", S::NAME);

    // Of a batch, one is finished already, and one comes twice.
    let batch = [1, 3, 4, 3].map(Asked::of);
    assert_eq!(store.batch(&batch, &S::outcome(8), &mut buffer), 2, "{}", S::NAME);
    assert_eq!(said(&store.begin(&Asked::of(4), &mut buffer)), "replayed", "{}", S::NAME);
    assert_eq!(S::bytes(&buffer), [8; 64], "{}", S::NAME);
}

fn refuses_the_stale<S: HostStore>(site: &Site) {
    let store: S = opened(site, Duration::from_millis(1));
    let (asked, mut buffer) = (Asked::of(77), S::outcome(0));
    let first = claimed(&store, &asked);
    // However long the machine takes: the lease lapses some time.
    let second = loop {
        match store.begin(&asked, &mut buffer) {
            Answer::Created(lease) => break lease,
            Answer::InProgress => std::thread::yield_now(),
            other => panic!("{}: {}", S::NAME, said(&other)),
        }
    };
    assert!(S::fence(&second) > S::fence(&first), "{}", S::NAME);
    assert!(!store.complete(first, &S::outcome(1)), "{}", S::NAME);
    let answer = store.begin(&asked, &mut buffer);
    assert_ne!(said(&answer), "replayed", "{}: a stale holder finished it", S::NAME);
}

/// What is asked of each store.
struct Exam<'s> {
    site: &'s Site,
    names: Vec<&'static str>,
}

impl Visitor for Exam<'_> {
    fn visit<S: HostStore>(&mut self) {
        // Not installed: `RedisServer::start` fails where it has to be.
        if S::SERVED && self.site.redis.is_none() {
            return;
        }
        runs_once::<S>(self.site);
        self.names.push(S::NAME);
    }
}

/// Goal: every contender does what it is measured for: one creation, an answer while it runs,
/// another one for another payload, the same bytes afterwards; and its batches do the same.
/// Method: one process, one request after the other.
#[test]
fn every_store_runs_a_request_once() {
    let (site, _folder, server) = site();
    let mut exam = Exam { site: &site, names: Vec::new() };
    everyone(&mut exam);
    let redis = if server.is_some() { 3 } else { 0 };
    assert_eq!(exam.names.len(), 7 + redis, "{:?}", exam.names);
}

/// Goal: a holder whose lease has lapsed cannot finish what its successor runs, and tokens grow.
/// Method: leases of a millisecond; the second attempt begins when the first is over.
#[test]
fn no_store_takes_a_stale_fence() {
    let (site, _folder, server) = site();
    refuses_the_stale::<Named<false>>(&site);
    refuses_the_stale::<Private>(&site);
    refuses_the_stale::<Sqlite<true>>(&site);
    refuses_the_stale::<Lmdb>(&site);
    if server.is_some() {
        refuses_the_stale::<Redis<true, false>>(&site);
    }
}

/// Two processes on one store.
struct Pair<'s> {
    site: &'s Site,
    teams: usize,
}

impl Visitor for Pair<'_> {
    fn visit<S: HostStore>(&mut self) {
        if S::SERVED && self.site.redis.is_none() {
            return;
        }
        let program = Path::new(env!("CARGO_BIN_EXE_compare"));
        let mut team = Team::start(program, S::NAME, 2, self.site).expect("it starts");
        let order = Order { task: Task::New, batch: 1, members: 2, time: Duration::from_millis(5) };
        let new = team.work(&order).expect("it works");
        assert_eq!(new.created, new.operations, "{}", S::NAME);
        assert!(new.furthest < new.operations && new.ns > 0, "{}: {new:?}", S::NAME);
        for batch in [1, 16] {
            let order = Order { task: Task::Replays, batch, ..order };
            let replays = team.work(&order).expect("it works");
            assert_eq!(replays.created, 0, "{}", S::NAME);
        }
        for _ in 0..3 {
            let race = team.work(&Order { task: Task::Race, ..order }).expect("it works");
            assert_eq!(race.created, race.furthest, "{}: {race:?}", S::NAME);
        }
        self.teams += 1;
    }
}

/// Goal: two processes share each table: what one finished the other replays, and of both that
/// begin the same new keys one gets each. Method: teams of two, a few milliseconds each; three
/// races, and creations against keys.
#[test]
fn two_processes_share_every_store() {
    let (site, _folder, server) = site();
    let mut pair = Pair { site: &site, teams: 0 };
    everyone(&mut pair);
    assert_eq!(pair.teams, if server.is_some() { 10 } else { 7 });
}

/// Goal: a store that does not exist is an error, and no team that never answers. Method: its
/// name.
#[test]
fn unknown_stores_are_refused() {
    let (site, _folder, _server) = site();
    let program = Path::new(env!("CARGO_BIN_EXE_compare"));
    let error = Team::start(program, "paper", 2, &site).expect_err("there is none");
    assert!(error.contains("no store paper"), "{error}");
}
