//! `idempotent` with its store in Valkey or Redis: the nearest crate in purpose.
//!
//! One connection, which all tasks share. Its fencing tokens are a run of the server and a counter:
//! they are compared, and do not grow across a restart. A Cluster refuses its claims, which write
//! two keys.

use std::rc::Rc;

use bytes::Bytes;
use idempotent::entry::ExistingEntry;
use idempotent::valkey::ValkeyStore;
use idempotent::{
    CachedResponse, FencedOutcome, Fingerprint, IdempotencyEntry, IdempotencyKey, IdempotencyStore,
    InsertResult, Metadata,
};

use super::{Contender, Doing, LEASE, Node, OUTCOME, Promises, Task, WINDOW, key};

pub(super) const ASYNC: Contender = Contender {
    name: "idempotent, async",
    promises: Promises {
        outcome: true,
        late_holder: true,
        fencing: true,
        payload: true,
        waits: false,
    },
    open: |url, runtime| {
        let store = runtime.block_on(ValkeyStore::with_url(url).prefix("idem").try_build());
        Node::Tasks(Rc::new(Awaits(store.expect("the server runs"))))
    },
};

struct Awaits(ValkeyStore);

impl Awaits {
    async fn claim(&self, key: &IdempotencyKey) -> InsertResult {
        let entry = IdempotencyEntry::new(PAYLOAD, LEASE);
        self.0.try_insert(key, entry).await.expect("runs")
    }
}

impl Task for Awaits {
    fn fresh(&self, number: u64) -> Doing<'_, ()> {
        Box::pin(async move {
            let key = IdempotencyKey::new(key(number)).expect("a valid key");
            let InsertResult::Claimed { fencing_token } = self.claim(&key).await else {
                panic!("it is new")
            };
            let response = CachedResponse::new(200, Metadata::new(), Bytes::from_static(&OUTCOME));
            let entry = IdempotencyEntry::new(PAYLOAD, LEASE).complete(response, WINDOW);
            let done = self.0.complete(&key, entry, fencing_token).await.expect("runs");
            assert!(matches!(done, FencedOutcome::Applied), "it is held");
        })
    }

    fn again(&self, number: u64) -> Doing<'_, Vec<u8>> {
        Box::pin(async move {
            let key = IdempotencyKey::new(key(number)).expect("a valid key");
            match self.claim(&key).await {
                InsertResult::Exists(ExistingEntry::Completed(done)) => {
                    done.into_response().body.into()
                }
                _ => panic!("it has finished"),
            }
        })
    }
}

/// Its fingerprint is a hash of the payload, which is the same for every request.
const PAYLOAD: Fingerprint = Fingerprint::new(1999);
