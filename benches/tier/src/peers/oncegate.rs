//! The engine with its tier in Redis.

use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use oncegate::tier::Redis;
use oncegate::{Admission, BeginOptions, Engine, OnFull, Outcome, Payload, Request, Scope, Secret};

use super::{BATCH, Caller, Contender, Doing, LEASE, Node, OUTCOME, Promises, Task, WINDOW, key};

const PROMISES: Promises =
    Promises { outcome: true, late_holder: true, fencing: true, payload: true, waits: true };

pub(super) const BLOCKING: Contender = Contender {
    name: "oncegate",
    promises: PROMISES,
    open: |url, _| {
        let engine = Arc::new(engine(url));
        Node::Calls(Box::new(move || Box::new(Blocks(Arc::clone(&engine)))))
    },
};

pub(super) const ASYNC: Contender = Contender {
    name: "oncegate, async",
    promises: PROMISES,
    open: |url, _| Node::Tasks(Rc::new(Awaits { engine: engine(url), batch: 1 })),
};

pub(super) const BATCHES: Contender = Contender {
    name: "oncegate, `begin_batch` of 128",
    promises: PROMISES,
    open: |url, _| Node::Tasks(Rc::new(Awaits { engine: engine(url), batch: BATCH })),
};

/// A host of its own: it shares nothing with others but the server.
fn engine(url: &str) -> Engine {
    let builder = Engine::builder()
        .capacity(1 << 16)
        .on_full(OnFull::EvictLru)
        .secret(Secret::from_bytes(&[7; 32]).expect("32 bytes"))
        .lease_duration(LEASE)
        .dedup_window(WINDOW)
        .tier(Redis::connect(url).expect("the server runs"));
    builder.build().expect("it opens")
}

fn request(key: &str) -> Request<'_> {
    let scope = Scope::new("acme").expect("short");
    Request::new(scope, "POST /charges", key).expect("valid").payload(Payload::raw(b"1999"))
}

fn body(answer: Result<Admission<'_>, oncegate::Error>) -> Outcome {
    match answer {
        Ok(Admission::Replayed(outcome)) => outcome,
        other => panic!("it has finished: {other:?}"),
    }
}

struct Blocks(Arc<Engine>);

impl Caller for Blocks {
    fn fresh(&mut self, number: u64) {
        match self.0.begin(&request(&key(number))) {
            Ok(Admission::Admitted(lease)) => {
                lease.complete(&Outcome::new(200, OUTCOME)).expect("it is held");
            }
            other => panic!("it is new: {other:?}"),
        }
    }

    fn again(&mut self, number: u64, outcome: &mut Vec<u8>) {
        outcome.clear();
        outcome.extend_from_slice(body(self.0.begin(&request(&key(number)))).body());
    }
}

struct Awaits {
    engine: Engine,
    batch: u64,
}

impl Awaits {
    async fn one(&self, number: u64) {
        let key = key(number);
        match self.engine.begin_async(&request(&key), &BeginOptions::new()).await {
            Ok(Admission::Admitted(lease)) => {
                lease.complete_async(&Outcome::new(200, OUTCOME)).await.expect("it is held");
            }
            other => panic!("it is new: {other:?}"),
        }
    }

    async fn many(&self, number: u64) {
        let keys: Vec<String> = (number..number + self.batch).map(key).collect();
        let requests: Vec<Request<'_>> = keys.iter().map(|key| request(key)).collect();
        let prepared = |it| self.engine.prepare(it).expect("valid");
        let batch: Vec<_> = requests.iter().map(prepared).collect();
        let mut leases = Vec::new();
        let mut buffer = Outcome::default();
        self.engine.begin_batch(
            &batch,
            &BeginOptions::new(),
            &mut buffer,
            |_, answer| match answer {
                Ok(Admission::Admitted(lease)) => leases.push(lease),
                other => panic!("it is new: {other:?}"),
            },
        );
        let outcome = Outcome::new(200, OUTCOME);
        let ends = leases.into_iter().map(|lease| Box::pin(lease.complete_async(&outcome)));
        let mut ends: Vec<_> = ends.collect();
        poll_fn(|context| {
            ends.retain_mut(|end| match end.as_mut().poll(context) {
                Poll::Ready(done) => {
                    done.expect("it is held");
                    false
                }
                Poll::Pending => true,
            });
            if ends.is_empty() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

impl Task for Awaits {
    fn fresh(&self, number: u64) -> Doing<'_, ()> {
        if self.batch == 1 { Box::pin(self.one(number)) } else { Box::pin(self.many(number)) }
    }

    fn again(&self, number: u64) -> Doing<'_, Vec<u8>> {
        Box::pin(async move {
            let key = key(number);
            body(self.engine.begin_async(&request(&key), &BeginOptions::new()).await).body().into()
        })
    }

    fn batch(&self) -> u64 {
        self.batch
    }
}
