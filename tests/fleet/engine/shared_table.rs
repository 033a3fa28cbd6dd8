//! Processes of one host that share a table, and the tier beyond it. Two engines on one file stand
//! for two processes: each has an entry of its own.

use std::sync::Arc;

use oncegate::tier::{Memory, TierOptions};
use oncegate::{Admission, Engine, ManualClock, Outcome, Reach, Secret};

use super::{LEASE, admitted, host, prepare, request};

/// A table in a file of the test's own.
struct Folder(std::path::PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("oncegate-{name}-{}", std::process::id()));
        std::fs::create_dir(&path).expect("a folder of this test's own");
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).expect("it is still there");
    }
}

/// Goal: the processes of a host are one to the fleet: one claim for all of them, none for what
/// another of them runs or has finished. Method: two engines on one file, of which one is cut off
/// from the store; a third on another host.
#[test]
fn a_host_claims_once() {
    let (clock, memory) = (ManualClock::new(), Memory::new());
    let folder = Folder::new("fleet-host");
    let links = [(), ()].map(|()| Arc::new(memory.clone()));
    let process = |link| {
        let reach = Reach::Host(folder.0.join("table"));
        let builder = Engine::builder().capacity(1_000).reach(reach).lease_duration(LEASE);
        let secret = Secret::from_bytes(&[7; 32]).expect("32 bytes");
        builder.secret(secret).tier(Arc::clone(link)).build().expect("opens")
    };
    let [one, same] = [process(&links[0]), process(&links[1])];
    let elsewhere = host(&clock, &Arc::new(memory.clone())).build().expect("opens");
    prepare(&same);
    links[1].cut_off(true);
    let lease = admitted(&one, &request("key"));
    assert!(matches!(same.begin(&request("key")), Ok(Admission::InProgress { .. })));
    assert!(matches!(elsewhere.begin(&request("key")), Ok(Admission::InProgress { .. })));
    lease.complete(&Outcome::new(200, b"done")).expect("held");
    assert!(matches!(same.begin(&request("key")), Ok(Admission::Replayed(_))));
    assert!(matches!(elsewhere.begin(&request("key")), Ok(Admission::Replayed(_))));
    assert!(same.begin(&request("new")).is_err(), "what is new it may not run");
}

/// Goal: what one process of a host leaves another one takes over at once, in the whole fleet, and
/// under a token that grows; a token that crossed processes ends the attempt. Method: an engine
/// that is dropped with a lease, and one whose token another completes.
#[test]
fn a_lost_process_leaves_its_host_nothing_to_wait_for() {
    let memory = Memory::new();
    let folder = Folder::new("fleet-death");
    let process = || {
        let reach = Reach::Host(folder.0.join("table"));
        let builder = Engine::builder().capacity(1_000).reach(reach).lease_duration(LEASE);
        let secret = Secret::from_bytes(&[7; 32]).expect("32 bytes");
        let options = TierOptions::new();
        let builder = builder.secret(secret).tier(memory.clone()).tier_options(options);
        builder.build().expect("opens")
    };
    let one = process();
    let first = admitted(&one, &request("key"));
    let (fence, token) = (first.fencing_token(), first.into_token());
    let other = process();
    drop(one);
    let next = admitted(&other, &request("key"));
    assert_eq!(next.attempt(), 2, "its lease of half a minute is over");
    assert!(next.fencing_token() > fence);
    assert!(other.complete(&token, &Outcome::new(200, b"late")).unwrap_err().is_fenced());
    let bytes = next.into_token().to_bytes();
    let third = process();
    let token = oncegate::LeaseToken::from_bytes(&bytes).expect("sound");
    assert_eq!((token.attempt(), token.fencing_token() > fence), (2, true));
    third.complete(&token, &Outcome::new(200, b"by another")).expect("held");
    let again = other.begin(&request("key"));
    assert!(matches!(&again, Ok(Admission::Replayed(left)) if left.body() == b"by another"));
}
