//! The world: time, chance, what is known, and the trace; shared by the simulation and the hooks
//! that engines call.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use oncegate::{Payload, Request, RetryBudget, Scope};

use crate::clock::VirtualClock;
use crate::kinds::{Kind, Kinds};
use crate::ledger::Ledger;
use crate::model::{Model, operation_of};
use crate::plan::{BUDGET, BUDGET_COST, BUDGET_SUCCESS, OPERATIONS, Plan, SCOPES};
use crate::random::Random;
use crate::trace::{Lines, Trace};

/// What all parts of one simulation share.
pub(crate) struct World {
    pub(crate) clock: VirtualClock,
    pub(crate) random: Random,
    pub(crate) plan: Plan,
    pub(crate) model: Model,
    pub(crate) ledger: Ledger,
    pub(crate) trace: Trace,
    pub(crate) kinds: Kinds,
    /// Whose call is under way that may undo steps.
    pub(crate) calling: Option<u32>,
    /// How many orders were given.
    pub(crate) orders: u64,
    /// Processes that have not heard of the secret that is in force.
    pub(crate) unlearned: BTreeSet<usize>,
    /// The faults are over: what was unknown is found out.
    pub(crate) calm: bool,
    /// Which secret is in force, and which one is retired.
    pub(crate) secret: u8,
    pub(crate) retiring: Option<u8>,
    /// What was found wrong first.
    pub(crate) broken: Option<String>,
    /// The budget of each process, and what it must have had at the least to grant what it granted.
    purses: BTreeMap<usize, (RetryBudget, f64)>,
    /// What all successes may have brought to one of them.
    earned: f64,
}

/// The world, for whoever calls an engine or is called by one. It is let go during each call.
#[derive(Clone)]
pub(crate) struct Shared(Arc<Mutex<World>>);

impl Shared {
    pub(crate) fn new(seed: u64, lines: Lines) -> Self {
        let mut random = Random::new(seed);
        let plan = Plan::draw(&mut random);
        let mut world = World {
            clock: VirtualClock::new(),
            model: Model::new(plan.clone()),
            random,
            ledger: Ledger::default(),
            trace: Trace::new(lines),
            kinds: Kinds::new(),
            calling: None,
            orders: 0,
            unlearned: BTreeSet::new(),
            calm: false,
            secret: 0,
            retiring: None,
            broken: None,
            purses: BTreeMap::new(),
            earned: 0.0,
            plan,
        };
        let plan = format!("seed {seed}: {:?}", world.plan);
        world.trace.add(plan);
        Self(Arc::new(Mutex::new(world)))
    }

    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One line of the trace, and what it is counted as.
    pub(crate) fn tell(&self, who: &str, line: &str) {
        self.world().tell(who, line);
    }

    pub(crate) fn count(&self, kind: Kind) {
        self.world().kinds.add(kind);
    }
}

impl World {
    pub(crate) fn now(&self) -> u64 {
        self.clock.ms()
    }

    pub(crate) fn tell(&mut self, who: &str, line: &str) {
        let line = format!("{:>13} {who}: {line}", self.now());
        self.trace.add(line);
    }

    /// Notes that something is wrong. The first counts.
    pub(crate) fn blame(&mut self, why: String) {
        self.tell("BROKEN", &why);
        self.broken.get_or_insert(why);
    }

    pub(crate) fn expect(&mut self, holds: bool, why: impl FnOnce() -> String) {
        if !holds {
            self.blame(why());
        }
    }

    /// Notes what a judgement came to, if it came to something.
    pub(crate) fn judge<T>(&mut self, id: u32, judged: Result<T, String>) -> Option<T> {
        judged.map_err(|why| self.blame(format!("request {id}: {why}"))).ok()
    }

    /// The budget of a process that has just begun.
    pub(crate) fn budget_of(&mut self, node: usize) -> RetryBudget {
        let budget = Plan::budget();
        self.purses.insert(node, (budget.clone(), 0.0));
        budget
    }

    /// The budget of `node` granted a retry of `id`.
    pub(crate) fn granted(&mut self, id: u32, node: usize) {
        if operation_of(id) == crate::plan::PAID
            && let Some((_, spent)) = self.purses.get_mut(&node)
        {
            *spent += BUDGET_COST;
            let (spent, most) = (*spent, BUDGET + self.earned);
            self.expect(spent <= most, || format!("a budget of {most} tokens gave {spent}"));
        }
        self.look_at_budgets();
    }

    /// An attempt of `id` succeeded, or one that was paid for never started.
    pub(crate) fn earned(&mut self, id: u32) {
        if operation_of(id) == crate::plan::PAID {
            self.earned += BUDGET_SUCCESS;
        }
        self.look_at_budgets();
    }

    fn look_at_budgets(&mut self) {
        let now = std::time::Duration::from_millis(self.now());
        let left: Vec<_> = self.purses.values().map(|(budget, _)| budget.left(now)).collect();
        let holds = left.iter().all(|left| (0.0..=BUDGET).contains(left));
        self.expect(holds, || format!("{left:?} tokens are left"));
    }
}

/// Calls `with` with request `id`, with one of two payloads.
pub(crate) fn with_request<T>(id: u32, payload: u8, with: impl FnOnce(&Request<'_>) -> T) -> T {
    let key = format!("request-{id}");
    let body = [payload; 16];
    let scope = Scope::new(SCOPES[id as usize % SCOPES.len()]).expect("a valid scope");
    let operation = OPERATIONS[operation_of(id)];
    let request = Request::new(scope, operation, &key).expect("a valid key");
    with(&request.payload(Payload::raw(&body)))
}

/// What a record needs to run again: it begins with the request's number, by which the simulation
/// knows it.
pub(crate) fn context_of(id: u32, random: &mut Random) -> Vec<u8> {
    let more = random.below(120);
    id.to_le_bytes().into_iter().chain((0..more).map(|_| random.next() as u8)).collect()
}

/// The request whose context, or whose step's result, this is.
pub(crate) fn request_of(bytes: &[u8]) -> Option<u32> {
    bytes.first_chunk().map(|number| u32::from_le_bytes(*number))
}
