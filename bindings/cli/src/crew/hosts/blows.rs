//! What befalls the hosts and their store: each is killed once, in the middle of the work.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use super::super::CrewError;
use super::super::captain::{Berth, Captain, Trouble};
use super::super::ledger::{Kind, Ledger, Record};
use super::super::orders::Orders;
use super::server::Server;
use crate::rng::SplitMix64;

/// Kills a host when a third of the requests have an effect, and the store when two thirds have.
pub(super) struct Blows<'b> {
    ledger: &'b Ledger,
    server: &'b mut Server,
    distinct: usize,
    dice: SplitMix64,
    stage: Stage,
    /// When the ledger is looked at again: reading it takes its time.
    next: Instant,
    /// How often the store was killed, and started again.
    pub(super) restarts: u64,
}

enum Stage {
    /// Nothing has happened.
    Calm,
    /// A host was killed, and this is the process in its place.
    Killed(u32),
    /// The store is down, until then.
    Down(Instant),
    /// Nothing more happens.
    Over,
}

impl<'b> Blows<'b> {
    pub(super) fn new(
        orders: &Orders,
        distinct: usize,
        ledger: &'b Ledger,
        server: &'b mut Server,
    ) -> Self {
        let dice = SplitMix64::at(orders.seed, [u64::MAX, BLOWS]);
        let next = Instant::now();
        Self { ledger, server, distinct, dice, stage: Stage::Calm, next, restarts: 0 }
    }

    fn records(&self) -> Result<Vec<Record>, CrewError> {
        self.ledger.read().map_err(CrewError::Ledger)
    }

    /// Whether so many thirds of the requests have an effect.
    fn have_effects(&self, records: &[Record], thirds: usize) -> bool {
        let effects = records.iter().filter(|record| record.kind == Kind::Effect);
        let requests: HashSet<u32> = effects.map(|effect| effect.request).collect();
        3 * requests.len() >= thirds * self.distinct
    }
}

impl Trouble for Blows<'_> {
    fn look(&mut self, captain: &mut Captain<'_>, crew: &mut [Berth]) -> Result<(), CrewError> {
        let now = Instant::now();
        if now < self.next {
            return Ok(());
        }
        self.next = now + LOOKS_EVERY;
        self.stage = match self.stage {
            Stage::Calm if self.have_effects(&self.records()?, 1) => {
                match captain.kill_one(crew, &mut self.dice)? {
                    Some(successor) => Stage::Killed(successor),
                    None => Stage::Calm,
                }
            }
            Stage::Killed(successor) => {
                let records = self.records()?;
                // Once the one in its place is at work: it joins a store that is there.
                let is_back = records.iter().any(|record| record.instance == successor);
                if !is_back || !self.have_effects(&records, 2) {
                    return Ok(());
                }
                self.server.kill();
                Stage::Down(now + DOWN)
            }
            Stage::Down(until) if now >= until => {
                self.server.launch()?;
                self.restarts += 1;
                Stage::Over
            }
            _ => return Ok(()),
        };
        Ok(())
    }
}

/// How long the store is down.
pub(super) const DOWN: Duration = Duration::from_millis(300);
const LOOKS_EVERY: Duration = Duration::from_millis(20);
/// The place of the victim among all that a seed decides.
const BLOWS: u64 = 2;
