//! What goes to a tier, and what an engine with one shows.

use std::fmt::Debug;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use oncegate::tier::{
    Claim, Claimed, End, Ended, Ending, Fault, Hazard, Memory, Orphan, Renewal, Renewed, Session,
    Sighting, TableId, Tier, TierError, TierKey, TierOptions, Watcher,
};
use oncegate::{
    Admission, AttemptError, Engine, Failure, Outcome, Payload, Request, RetryContext, Scope,
};

use super::{CANARY, Shown, secret};
use crate::support::build;

/// A tier that writes down how everything looks that goes through it.
#[derive(Debug)]
struct Written {
    tier: Memory,
    texts: Arc<Mutex<Vec<String>>>,
}

impl Written {
    fn write<A: Debug, T: Debug>(&self, asked: &A, answer: T) -> T {
        self.texts.lock().unwrap().push(format!("{asked:?} {answer:?}"));
        answer
    }
}

impl Tier for Written {
    fn session(&self, within: Duration) -> Result<Session, TierError> {
        self.write(&"session", self.tier.session(within))
    }

    fn claim(&self, claim: &Claim, within: Duration) -> Result<Claimed, TierError> {
        self.write(claim, self.tier.claim(claim, within))
    }

    fn renew(&self, renewal: &Renewal, within: Duration) -> Result<Renewed, TierError> {
        self.write(renewal, self.tier.renew(renewal, within))
    }

    fn end(&self, ending: &Ending<'_>, within: Duration) -> Result<Ended, TierError> {
        self.write(ending, self.tier.end(ending, within))
    }

    fn settle(&self, key: TierKey, end: &End<'_>, within: Duration) -> Result<Ended, TierError> {
        self.write(&(key, end), self.tier.settle(key, end, within))
    }

    fn read(&self, key: TierKey, within: Duration) -> Result<Option<Sighting>, TierError> {
        self.write(&key, self.tier.read(key, within))
    }

    fn watch(&self, table: TableId, watcher: Arc<dyn Watcher>) -> Result<(), TierError> {
        self.write(&table, self.tier.watch(table, watcher))
    }

    fn beat(
        &self,
        table: TableId,
        lasts: Duration,
        within: Duration,
    ) -> Result<Vec<Hazard>, TierError> {
        self.write(&table, self.tier.beat(table, lasts, within))
    }

    fn orphans(&self, limit: usize, within: Duration) -> Result<Vec<Orphan>, TierError> {
        self.write(&limit, self.tier.orphans(limit, within))
    }
}

/// Every question and every answer of a tier, of records that hold content.
pub(super) fn show(shown: &mut Shown) {
    let texts = Arc::new(Mutex::new(Vec::new()));
    let memory = Memory::new();
    let tier = Written { tier: memory.clone(), texts: Arc::clone(&texts) };
    let builder = Engine::builder().capacity(64).secret(secret()).tier(tier);
    let (engine, _) = build(builder);
    let scope = Scope::new(CANARY).expect("short");
    let outcome = Outcome::new(200, CANARY).with_metadata("id", CANARY).expect("short");
    let names = ["", "done", "failed", "later", "unknown"].map(|name| format!("{CANARY}{name}"));
    let requests: Vec<_> =
        names.iter().map(|name| Request::new(scope, CANARY, name).expect("short")).collect();
    let payload = Payload::raw(CANARY.as_bytes());
    for (number, request) in requests[1..].iter().enumerate() {
        let request = request.payload(payload);
        let Ok(Admission::Admitted(mut lease)) = engine.begin(&request) else { panic!() };
        lease.renew(Duration::from_secs(60)).expect("held");
        match number {
            0 => drop(lease.complete(&outcome).expect("held")),
            1 => lease.fail(Failure::terminal(outcome.clone())).expect("held"),
            2 => {
                let context = RetryContext::new(CANARY, CANARY.as_bytes());
                let _ = lease.retry_later(&AttemptError::new(CANARY), &context).expect("room");
            }
            _ => lease.fail(Failure::unknown()).expect("held"),
        }
        let _ = engine.begin(&request.payload(Payload::raw(b"another")));
    }
    engine.flush_tier(Duration::from_secs(10)).expect("it answers");
    memory.fault(Fault::Refuse, 1);
    let refused = engine.begin(&requests[0]).expect_err("the store gives no answer");
    shown.error(&refused);
    shown.debug(&engine.tier_stats().expect("open").expect("a tier"));
    shown.debug(&memory);
    shown.debug(&TierOptions::new());
    let texts = texts.lock().unwrap();
    assert!(texts.len() > 10, "nothing came to the tier: {texts:?}");
    shown.texts.extend(texts.iter().cloned());
}
