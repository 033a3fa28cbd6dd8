//! Queues and bells, one step after the other, without threads.

use std::sync::atomic::AtomicUsize;

use super::*;
use crate::region::{Geometry, Identity};

/// A region that other processes could share, and this process's queues.
fn shared() -> (Arc<Region>, Arc<WaitQueue>) {
    let geometry = Geometry::new(8, 0, 1, 1, 8, 3, 0).expect("small");
    let identity = Identity { geometry, options: [0; crate::region::header::SHARED_OPTIONS.len()] };
    let region = Region::inherited(&identity, false, |_| Ok(())).expect("some pages");
    assert!(!region.join(0).expect("an entry").used);
    let region = Arc::new(region);
    (Arc::clone(&region), Arc::new(WaitQueue::new(9, region)))
}

/// Counts how often it was woken.
#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        // Relaxed: one thread.
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn word(region: &Region, process: usize, word: usize) -> u64 {
    // Relaxed: one thread.
    region.process(process)[word].load(Ordering::Relaxed)
}

fn enter(queue: &Arc<WaitQueue>, slot: usize, woken: &Arc<Woken>) -> Ticket {
    let waker = Waker::from(Arc::clone(woken));
    queue.enter(slot, 7, 100, waker, || true).expect("room")
}

/// Goal: whoever changes a record rings at each other process in whose queue somebody waits, and
/// at no other. Method: entries with the mark of that queue, of another one, and with none.
#[test]
fn others_who_wait_are_rung() {
    let (region, queue) = shared();
    // Relaxed, all: one thread.
    region.header(crate::region::header::PROCESSES_USED).store(3, Ordering::Relaxed);
    region.process(2)[WAITING].store(1 << 5, Ordering::Relaxed);
    region.process(3)[WAITING].store(1 << 6, Ordering::Relaxed);
    let rung =
        || [1, 2, 3].map(|process| (word(&region, process, BELL), word(&region, process, MAIL)));
    queue.wake_all(5);
    assert_eq!(rung(), [(0, 0), (1, 1 << 5), (0, 0)]);
    assert!(!queue.wake_one(6 + BUCKETS));
    assert_eq!(rung(), [(0, 0), (1, 1 << 5), (1, 1 << 6)]);
    queue.wake_sooner(5, 1);
    assert_eq!(rung(), [(0, 0), (2, 1 << 5), (1, 1 << 6)]);
}

/// Goal: a queue is marked before its waiter announces itself, and until nobody waits in it.
/// Method: look in the announcement; leave, and deliver.
#[test]
fn queues_are_marked_while_somebody_waits() {
    let (region, queue) = shared();
    let waker = Waker::noop().clone();
    let seen = queue.enter(3, 7, 100, waker, || word(&region, 1, WAITING) == 1 << 3);
    let ticket = seen.expect("the mark is there");
    assert!(queue.deliver(true, |_| News::None));
    assert_eq!(word(&region, 1, WAITING), 1 << 3);
    drop(ticket);
    assert!(!queue.deliver(true, |_| News::None));
    assert_eq!(word(&region, 1, WAITING), 0);
}

/// Goal: mail is for the queues that it names, and wakes as many as it says. Method: two waiters of
/// one record and one of another, in two queues; each kind of news.
#[test]
fn news_wake_whom_they_concern() {
    let (region, queue) = shared();
    let woken: [Arc<Woken>; 3] = Default::default();
    let _tickets: Vec<Ticket> =
        woken.iter().zip([4, 4, 9]).map(|(woken, slot)| enter(&queue, slot, woken)).collect();
    // Relaxed, here and below: one thread.
    let counts = || woken.each_ref().map(|woken| woken.0.load(Ordering::Relaxed));
    let mail = |bits: u64| region.process(1)[MAIL].store(bits, Ordering::Relaxed);
    assert!(queue.deliver(false, |_| News::ForAll));
    assert_eq!(counts(), [0, 0, 0], "without mail there are no news");
    mail(1 << 9);
    assert!(queue.deliver(false, |_| News::None));
    assert_eq!((counts(), word(&region, 1, MAIL)), ([0, 0, 0], 0));
    mail(1 << 4);
    queue.deliver(false, |waiter| {
        assert_eq!((waiter.slot, waiter.identity, waiter.until_ms), (4, 7, 100));
        News::ForOne
    });
    assert_eq!(counts(), [1, 0, 0]);
    queue.deliver(true, |_| News::ForAll);
    assert_eq!(counts(), [1, 1, 1]);
    assert!(!queue.deliver(true, |_| News::ForAll), "nobody is left");
}
