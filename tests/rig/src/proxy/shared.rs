//! What all threads of a proxy share: settings, counts, and who is connected.

use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use super::connection::Connection;
use super::counts::Counts;
use super::rule::{Action, Rule};
use super::toxic::{Direction, Toxics};
use crate::{Error, PATIENCE};

/// How long a port that cannot accept is left alone.
const MOMENT: Duration = Duration::from_millis(5);

/// What a test sets, and what wakes whoever waits for it to change.
#[derive(Debug)]
pub(super) struct Settings {
    upstream: Toxics,
    downstream: Toxics,
    pub(super) rules: Vec<Rule>,
    pub(super) listening: bool,
    pub(super) ended: bool,
    /// The last number that was given to something that a rule holds.
    pub(super) held: u64,
    /// What is held goes on up to this number.
    pub(super) released: u64,
    connections: Vec<Weak<Connection>>,
}

impl Settings {
    pub(super) const fn toxics(&self, direction: Direction) -> &Toxics {
        match direction {
            Direction::Upstream => &self.upstream,
            Direction::Downstream => &self.downstream,
        }
    }

    pub(super) const fn toxics_mut(&mut self, direction: Direction) -> &mut Toxics {
        match direction {
            Direction::Upstream => &mut self.upstream,
            Direction::Downstream => &mut self.downstream,
        }
    }

    /// What the rules want of a request.
    pub(super) fn action(&mut self, frame: &[u8]) -> Option<Action> {
        // Every rule counts every request.
        let asked: Vec<_> = self.rules.iter_mut().filter_map(|rule| rule.asks(frame)).collect();
        asked.first().copied()
    }

    /// A number for something that is held from now on.
    pub(super) const fn hold(&mut self) -> u64 {
        self.held += 1;
        self.held
    }
}

pub(super) struct Shared {
    server: SocketAddr,
    seed: u64,
    settings: Mutex<Settings>,
    changed: Condvar,
    counts: Mutex<Counts>,
    counted: Condvar,
}

impl Shared {
    pub(super) fn new(server: SocketAddr, seed: u64) -> Self {
        let settings = Settings {
            upstream: Toxics::default(),
            downstream: Toxics::default(),
            rules: Vec::new(),
            listening: true,
            ended: false,
            held: 0,
            released: 0,
            connections: Vec::new(),
        };
        Self {
            server,
            seed,
            settings: Mutex::new(settings),
            changed: Condvar::new(),
            counts: Mutex::new(Counts::default()),
            counted: Condvar::new(),
        }
    }

    pub(super) const fn server(&self) -> SocketAddr {
        self.server
    }

    pub(super) const fn seed(&self) -> u64 {
        self.seed
    }

    pub(super) fn settings(&self) -> MutexGuard<'_, Settings> {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes a setting, and wakes who waits for that.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut Settings) -> T) -> T {
        let done = change(&mut self.settings());
        self.changed.notify_all();
        done
    }

    /// Waits for a change, for at most `limit` if there is one.
    pub(super) fn wait<'a>(
        &self,
        settings: MutexGuard<'a, Settings>,
        limit: Option<Duration>,
    ) -> MutexGuard<'a, Settings> {
        match limit {
            None => self.changed.wait(settings).unwrap_or_else(PoisonError::into_inner),
            Some(limit) => {
                let woken = self.changed.wait_timeout(settings, limit);
                woken.unwrap_or_else(PoisonError::into_inner).0
            }
        }
    }

    /// Waits until connections may be accepted; `false`: the proxy has ended.
    pub(super) fn wait_until_listening(&self) -> bool {
        let mut settings = self.settings();
        while !settings.listening && !settings.ended {
            settings = self.wait(settings, None);
        }
        !settings.ended
    }

    /// Waits for a change, but not for long.
    pub(super) fn wait_a_moment(&self) {
        let settings = self.settings();
        if settings.listening && !settings.ended {
            drop(self.wait(settings, Some(MOMENT)));
        }
    }

    /// Takes a connection in; `false`: the proxy has ended, or takes none.
    pub(super) fn enter(&self, connection: &Arc<Connection>) -> bool {
        let mut settings = self.settings();
        settings.connections.retain(|other| other.strong_count() > 0);
        settings.connections.push(Arc::downgrade(connection));
        !settings.ended && settings.listening
    }

    pub(super) fn connections(&self) -> Vec<Arc<Connection>> {
        self.settings().connections.iter().filter_map(Weak::upgrade).collect()
    }

    pub(super) fn counts(&self) -> Counts {
        *self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn count<T>(&self, count: impl FnOnce(&mut Counts) -> T) -> T {
        let done = count(&mut self.counts.lock().unwrap_or_else(PoisonError::into_inner));
        self.counted.notify_all();
        done
    }

    pub(super) fn wait_for(&self, enough: impl Fn(&Counts) -> bool) -> Result<Counts, Error> {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let (counts, waited) = self
            .counted
            .wait_timeout_while(counts, PATIENCE, |counts| !enough(counts))
            .unwrap_or_else(PoisonError::into_inner);
        if waited.timed_out() {
            return Err(Error::new(format!("it did not come to that: {counts:?}")));
        }
        Ok(*counts)
    }
}
