//! When a store is the one that it was.

use std::sync::Arc;

use super::{History, Known, Sessions};

fn known(runs: &[u64], pasts: &[(u64, u64)]) -> Known {
    Known { runs: runs.into(), pasts: pasts.into(), ..Known::default() }
}

/// Goal: a server that was a replica in between ends the session, and what it forgets of its past
/// later does not. Method: two servers, of which one is promoted, and both forget in turn.
#[test]
fn a_past_ends_the_session_once() {
    let (sessions, history) = (Sessions::default(), History::default());
    let join = |pasts: &[(u64, u64)]| {
        let known = sessions.begin(known(&[1, 2], pasts));
        (known.id, history.note(&known))
    };
    let (first, lost) = join(&[(1, 7)]);
    assert!(!lost, "there was none before");
    assert_eq!(join(&[(1, 7)]), (first, false));
    let (second, lost) = join(&[(1, 7), (2, 8)]);
    assert!(lost && second != first);
    for forgotten in [&[(1, 7)][..], &[(2, 8)], &[]] {
        assert_eq!(join(forgotten), (second, false), "{forgotten:?}");
    }
    let (third, lost) = join(&[(1, 9)]);
    assert!(lost && third != second);
    let others = sessions.begin(known(&[3], &[]));
    assert!(others.pasts.is_empty(), "theirs are no concern of another server");
    assert!(history.note(&others));
}

/// Goal: a forked child, which remembers nothing that a server has forgotten, takes the store for
/// the one that its parent knew; a server that was promoted meanwhile it does not. Method: the
/// parent's history, and sessions of the child's own.
#[test]
fn a_child_knows_the_store_of_its_parent() {
    let history = History::default();
    assert!(!history.note(&Sessions::default().begin(known(&[1], &[(1, 7)]))));
    let child: Arc<Known> = Sessions::default().begin(known(&[1], &[]));
    assert!(!history.note(&child), "it has only forgotten");
    assert!(history.note(&Sessions::default().begin(known(&[1], &[(1, 8)]))));
    assert!(history.note(&Sessions::default().begin(known(&[2], &[]))), "another run");
}
