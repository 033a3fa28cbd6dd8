//! Node: one simulated process, which opens the table, and ends as processes do.
//!
//! Its life is a future that is polled with one order at a time: so it owns its engine, and leases
//! that borrow from it, and dies in between. What it leased when it crashed is forgotten and not
//! given back, and its engine's entry in the table's registry is free, as that of a dead process.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::path::Path;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use oncegate::{Engine, Error, Lease, LeaseToken, Reach, Secret};

use crate::attempt;
use crate::client;
use crate::driver;
use crate::hooks;
use crate::job::{Job, Jobs};
use crate::kinds::Kind;
use crate::operator;
use crate::worker;
use crate::world::Shared;

/// What a process is to do next.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Order {
    /// A client asks it for something.
    Serve { client: u32 },
    /// Somebody asks for something new that is done at once.
    Noise,
    /// A worker asks for an attempt.
    Work,
    /// Somebody goes on with an attempt.
    GoOn { job: u32 },
    /// Somebody looks after what is due.
    Drive,
    /// The operator does something.
    Operate,
    /// It hears of the secret that is in force.
    Learn,
    /// The faults are over: it does what is to be done.
    Settle,
    /// A client comes back for whatever is not done.
    Resend,
    /// Somebody asks whether request `id`, which the engine looked after, has ended.
    AskAfter { id: u32 },
    /// The same for every request.
    AskAll,
    /// The operator resolves what is unknown.
    ResolveAll,
    /// The operator retires the old secret.
    FinishRotation,
    /// The operator takes all quotas back.
    LiftQuotas,
    /// It is looked at, now that all is done.
    Inspect,
    /// It ends in order.
    Leave,
    /// It is killed.
    Crash,
}

/// An attempt in the hands of a process: with its guard, or as plain data.
pub(crate) enum Holding<'e> {
    Guard(Lease<'e>),
    Token(LeaseToken),
}

/// A process that is alive, as its parts see it.
pub(crate) struct Site<'e> {
    pub(crate) shared: Shared,
    pub(crate) engine: &'e Engine,
    pub(crate) index: usize,
    pub(crate) life: u64,
    pub(crate) jobs: Jobs,
    /// By job.
    pub(crate) held: BTreeMap<u32, Holding<'e>>,
}

/// The mailbox of a process.
type Orders = Rc<RefCell<Option<Order>>>;

/// One life of one process.
pub(crate) struct Node {
    life: Pin<Box<dyn Future<Output = ()>>>,
    orders: Orders,
}

impl Node {
    /// Starts a process.
    pub(crate) fn start(
        shared: &Shared,
        jobs: &Jobs,
        path: Option<&Path>,
        index: usize,
        life: u64,
    ) -> Result<Self, Error> {
        let engine = open(shared, path, index, life)?;
        let orders = Orders::default();
        let (mailbox, shared, jobs) = (Rc::clone(&orders), shared.clone(), jobs.clone());
        let life = Box::pin(live(engine, mailbox, shared, jobs, (index, life)));
        Ok(Self { life, orders })
    }

    /// Has it carry out `order`. False: it is no more.
    pub(crate) fn obey(&mut self, order: Order) -> bool {
        *self.orders.borrow_mut() = Some(order);
        let ended = self.life.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        ended == Poll::Pending
    }
}

async fn live(
    engine: Engine,
    mailbox: Orders,
    shared: Shared,
    jobs: Jobs,
    (index, life): (usize, u64),
) {
    // Declared after the engine, so that its leases go first.
    let mut site = Site { shared, engine: &engine, index, life, jobs, held: BTreeMap::new() };
    loop {
        let order = poll_fn(|_| mailbox.borrow_mut().take().map_or(Poll::Pending, Poll::Ready));
        match order.await {
            Order::Serve { client } => client::serve(&mut site, client),
            Order::Noise => client::make_noise(&mut site),
            Order::Work => worker::look(&mut site),
            Order::GoOn { job } => attempt::go_on(&mut site, job),
            Order::Drive => driver::drive(&mut site),
            Order::Operate => operator::operate(&mut site),
            Order::Learn => operator::learn(&mut site),
            Order::Settle => driver::settle(&mut site),
            Order::Resend => client::resend(&mut site),
            Order::AskAfter { id } => client::ask_after(&mut site, id),
            Order::AskAll => client::ask_all(&mut site),
            Order::ResolveAll => operator::resolve_all(&mut site),
            Order::FinishRotation => operator::finish_rotation(&mut site),
            Order::LiftQuotas => operator::lift_quotas(&mut site),
            Order::Inspect => driver::inspect(&mut site),
            Order::Leave => return site.leave(),
            Order::Crash => return site.crash(),
        }
    }
}

impl Site<'_> {
    /// How it is called in the trace.
    pub(crate) fn name(&self) -> String {
        format!("node {}.{}", self.index, self.life)
    }

    pub(crate) fn tell(&self, line: &str) {
        self.shared.tell(&self.name(), line);
    }

    /// What is held by `job`, and what is known of it.
    pub(crate) fn job(&self, job: u32) -> Option<Job> {
        self.jobs.borrow().get(job)
    }

    /// Ends in order: guards give their attempts back, and tokens are lost with it.
    fn leave(&mut self) {
        self.shared.count(Kind::NodeLeft);
        self.count_evictions();
        while let Some((job, holding)) = self.held.pop_first() {
            match holding {
                Holding::Guard(lease) => attempt::drop_guard(self, job, lease),
                Holding::Token(_) => self.tell(&format!("job {job} is lost")),
            }
            self.jobs.borrow_mut().end(job);
        }
        self.note_death();
    }

    fn crash(&mut self) {
        self.shared.count(Kind::NodeCrashed);
        self.count_evictions();
        while let Some((job, holding)) = self.held.pop_first() {
            if let Holding::Guard(lease) = holding {
                let _lost = lease.into_token();
            }
            self.tell(&format!("job {job} dies"));
            self.jobs.borrow_mut().end(job);
        }
        self.note_death();
    }

    /// What it still leases is a dead process's.
    fn note_death(&mut self) {
        let mut world = self.shared.world();
        let now = world.now();
        let home = (self.index, self.life);
        world.model.died.insert(home, now);
        let leases = world.model.leases_of(home);
        world.ledger.died(leases.into_iter(), now);
    }

    /// The counters go with the process.
    fn count_evictions(&mut self) {
        let stats = self.engine.stats().expect("not forked");
        let mut world = self.shared.world();
        let may = world.model.allow_evictions(stats.evicted_early);
        world.expect(may, || format!("{} evictions under `Reject`", stats.evicted_early));
    }
}

fn open(shared: &Shared, path: Option<&Path>, index: usize, life: u64) -> Result<Engine, Error> {
    let world = shared.world();
    let seed = index as u64 * 1_000 + life;
    let mut builder = world.plan.builder(seed).clock(world.clock.clone());
    builder = builder.secret(secret(world.secret));
    if let Some(old) = world.retiring {
        builder = builder.retiring_secret(secret(old));
    }
    if let Some(path) = path {
        builder = builder.reach(Reach::Host(path.to_owned()));
    }
    drop(world);
    let engine = hooks::watch(builder, shared, index).build()?;
    hooks::set(&engine, shared, index)?;
    Ok(engine)
}

/// The secret of number `number`.
pub(crate) fn secret(number: u8) -> Secret {
    Secret::from_bytes(&[number + 1; 32]).expect("long enough")
}
