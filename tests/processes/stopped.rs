//! A process is stopped, which is not dead.

use std::time::Duration;

use oncegate::{Clock, PreciseClock};

use crate::crew::{Attempt, Folder, Worker};

/// Goal: a stopped holder keeps its lease until it lapses; then it is followed, and when it goes on
/// it is fenced and changes nothing. Method: SIGSTOP, a lease of 300 ms, SIGCONT.
#[test]
fn a_stopped_holder_is_fenced_when_it_goes_on() {
    let folder = Folder::new();
    let options = "lease=300";
    let (mut one, mut two) = (Worker::of(&folder, options), Worker::of(&folder, options));
    let first = one.admitted("k");
    let began = PreciseClock.now();
    one.signal(libc::SIGSTOP);
    let second = loop {
        let answer = two.ask("begin k");
        if let Some(second) = Attempt::parse(&answer) {
            break second;
        }
        assert_eq!(answer, "in-progress 1");
    };
    assert!(PreciseClock.now() - began >= Duration::from_millis(290), "it was taken for dead");
    assert!(second.fence > first.fence && second.number == 2);
    one.signal(libc::SIGCONT);
    assert_eq!(one.ask("complete k late"), "error Fenced lease");
    assert_eq!(one.ask("renew k 1000"), "error Fenced lease");
    assert_eq!(two.ask("complete k done"), "stored");
    assert_eq!(one.ask("begin k"), "replayed done");
}
