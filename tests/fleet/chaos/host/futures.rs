//! Futures without a runtime.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use oncegate::{Clock as _, PreciseClock};

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// What `future` comes to, if it does within `limit`; else it is dropped.
pub(crate) fn wait_for<F: Future>(future: F, limit: Duration) -> Option<F::Output> {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let (mut future, end) = (pin!(future), PreciseClock.now() + limit);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return Some(output);
        }
        let left = end.saturating_sub(PreciseClock.now());
        if left.is_zero() {
            return None;
        }
        // Polled now and then besides: a future notices a lapsed lease when it is polled.
        thread::park_timeout(left.min(POLL));
    }
}

const POLL: Duration = Duration::from_millis(50);
