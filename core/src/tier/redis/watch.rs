//! Notices: one connection that hears which records have changed, and one thread that reads it.
//!
//! A record lists the tables that were told that it runs or waits; whoever changes it publishes its
//! key to the channel of each. Nothing is published of a record that nobody watches. What a
//! connection misses while it is away is not told later: so after each start of listening everybody
//! is told that something may have been missed.

use std::sync::{Arc, Weak};
use std::thread;
use std::time::Duration;

use redis::{Connection, ProtocolVersion, PubSub};

use super::fault::Fault;
use super::keys::push_hex;
use super::link::Jitter;
use super::route::Routes;
use crate::clock::{Clock, PreciseClock};
use crate::sync::plain::AtomicBool;
use crate::sync::{Mutex, Ordering, Thread, current, lock, park};
use crate::tier::{TableId, TierError, TierErrorKind, TierKey, Watcher};

/// Who watches, and the thread that hears.
#[derive(Default)]
pub(super) struct Watch {
    state: Mutex<State>,
    ended: AtomicBool,
}

#[derive(Default)]
struct State {
    watchers: Vec<(TableId, Arc<dyn Watcher>)>,
    /// How many of them are listened for.
    heard: usize,
    thread: Option<Thread>,
    waiting: Vec<Thread>,
}

impl Watch {
    /// Adds a watcher; starts the thread, if it is the first. Waits for a moment until the store
    /// is listened to, and goes on without that if it cannot be reached yet.
    pub(super) fn add(
        self: &Arc<Self>,
        table: TableId,
        watcher: Arc<dyn Watcher>,
        routes: &Arc<Routes>,
        channels: &[u8],
    ) -> Result<(), TierError> {
        let mut state = lock(&self.state);
        state.watchers.push((table, watcher));
        let wanted = state.watchers.len();
        if state.thread.is_none() {
            let listener = Listener {
                watch: Arc::downgrade(self),
                routes: Arc::clone(routes),
                channels: channels.to_vec(),
            };
            let thread = thread::Builder::new().name("oncegate-watch".to_owned());
            let thread = thread.spawn(move || listener.run()).map_err(|_| {
                TierError::new(TierErrorKind::Unavailable, "no thread to listen with")
            })?;
            state.thread = Some(thread.thread().clone());
        }
        state.waiting.push(current());
        drop(state);
        let deadline = PreciseClock.now() + A_MOMENT;
        loop {
            let left = deadline.saturating_sub(PreciseClock.now());
            if lock(&self.state).heard >= wanted || left.is_zero() {
                return Ok(());
            }
            park(Some(left));
        }
    }

    /// No thread listens any more, soon.
    pub(super) fn end(&self) {
        // Relaxed: the thread looks now and then, and nothing else depends on it.
        self.ended.store(true, Ordering::Relaxed);
        if let Some(thread) = &lock(&self.state).thread {
            thread.unpark();
        }
    }

    fn tell(&self, channel: &[u8], key: &[u8]) {
        let Some(key) = <[u8; TierKey::BYTES]>::try_from(key).ok().map(TierKey::from_bytes) else {
            return;
        };
        // Not under the lock: a watcher may take its time.
        let watchers = lock(&self.state).watchers.clone();
        for (table, watcher) in watchers {
            if channel.ends_with(b"all") || channel.ends_with(&name(table)) {
                watcher.changed(key);
            }
        }
    }

    /// The first `heard` watchers are listened for, and may have missed something before.
    fn listens(&self, heard: usize) {
        let mut state = lock(&self.state);
        let new = state.watchers.get(state.heard..heard).unwrap_or_default().to_vec();
        state.heard = heard;
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        new.iter().for_each(|(_, watcher)| watcher.may_have_missed());
        waiting.iter().for_each(Thread::unpark);
    }
}

/// The thread's own.
struct Listener {
    watch: Weak<Watch>,
    routes: Arc<Routes>,
    channels: Vec<u8>,
}

impl Listener {
    fn run(self) {
        let mut jitter = Jitter::new();
        let mut pause = FIRST_PAUSE;
        while self.watch().is_some() {
            if let Ok(mut connection) = self.connect() {
                pause = FIRST_PAUSE;
                // Whatever ends it: the next connection is another one.
                let _ = self.listen(&mut connection.as_pubsub());
                if let Some(watch) = self.watch() {
                    lock(&watch.state).heard = 0;
                }
            } else {
                // The server that was known may not be the one any more.
                let deadline = PreciseClock.now() + A_MOMENT;
                let _ = self
                    .routes
                    .map(deadline)
                    .and_then(|old| self.routes.look(Some(&old), deadline));
            }
            if self.watch().is_some() {
                park(Some(jitter.half_to_all(pause)));
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Nothing: nobody wants to hear anything any more.
    fn watch(&self) -> Option<Arc<Watch>> {
        // Relaxed: see `end`.
        self.watch.upgrade().filter(|watch| !watch.ended.load(Ordering::Relaxed))
    }

    fn connect(&self) -> Result<Connection, Fault> {
        let map = self.routes.map(PreciseClock.now() + A_MOMENT)?;
        let mut last = Fault::nobody();
        // Any node of a Cluster hears what is published at any other.
        for link in &map.links {
            let mut endpoint = link.endpoint.clone();
            let plain = endpoint.info.redis_settings().clone();
            let plain = plain.set_protocol(ProtocolVersion::RESP2);
            endpoint.info = endpoint.info.set_redis_settings(plain);
            match endpoint.subscriber(A_MOMENT) {
                Ok(connection) => return Ok(connection),
                Err(fault) => last = fault,
            }
        }
        Err(last)
    }

    /// Reads until the connection ends, or nobody watches.
    fn listen(&self, hearing: &mut PubSub<'_>) -> redis::RedisResult<()> {
        hearing.set_read_timeout(Some(A_MOMENT))?;
        hearing.subscribe(self.channel(b"all"))?;
        let (mut subscribed, mut last_heard) = (0, PreciseClock.now());
        while let Some(watch) = self.watch() {
            let watchers = lock(&watch.state).watchers.clone();
            for (table, _) in watchers.iter().skip(subscribed) {
                hearing.set_read_timeout(Some(A_MOMENT))?;
                hearing.subscribe(self.channel(&name(*table)))?;
            }
            if watchers.len() > subscribed {
                subscribed = watchers.len();
                watch.listens(subscribed);
            }
            // What is blocked in a read holds nothing that keeps the tier alive.
            drop((watch, watchers));
            hearing.set_read_timeout(Some(LOOK_EVERY))?;
            match hearing.get_message() {
                Ok(message) => {
                    last_heard = PreciseClock.now();
                    if let Some(watch) = self.watch() {
                        watch.tell(
                            message.get_channel_name().as_bytes(),
                            message.get_payload_bytes(),
                        );
                    }
                }
                Err(error) if !error.is_timeout() => return Err(error),
                Err(_) if PreciseClock.now() - last_heard < SILENCE => {}
                Err(_) => {
                    // A peer that is gone without a word is silent, too.
                    hearing.set_read_timeout(Some(A_MOMENT))?;
                    hearing.ping::<redis::Value>()?;
                    last_heard = PreciseClock.now();
                }
            }
        }
        Ok(())
    }

    fn channel(&self, name: &[u8]) -> Vec<u8> {
        [self.channels.as_slice(), name].concat()
    }
}

fn name(table: TableId) -> Vec<u8> {
    let mut name = Vec::with_capacity(32);
    push_hex(&mut name, &table.0.to_be_bytes());
    name
}

/// How long one waits for the store where nothing else says.
const A_MOMENT: Duration = Duration::from_secs(1);
/// How soon the thread notices that it is not needed any more, or that more tables watch.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// After how much silence the store is asked whether it is there.
const SILENCE: Duration = Duration::from_secs(5);
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
