//! Team: processes that work on one table at the same time.
//!
//! The program runs itself again for each team; that process is the leader, and forks the others
//! before anything else has happened in it. All of them sleep at the end of a pipe until there is
//! work, and start at the same time by the clock that all processes share.

use std::io::{BufRead, BufReader, PipeReader, PipeWriter, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitCode, Stdio};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use super::fork::{Forked, Process, fork};
use super::orders::{Done, Member, Order, Task, finish};
use super::{HostStore, Site, Visitor, everyone};
use crate::pin;

/// The first argument of a process that leads a team.
pub const TEAM: &str = "--team";

/// A team that waits for orders. It ends with this value.
#[derive(Debug)]
pub struct Team {
    child: Child,
    to: Option<ChildStdin>,
    from: BufReader<ChildStdout>,
}

impl Team {
    /// `members` processes on the store of that name, by the program that answers [`TEAM`].
    ///
    /// # Errors
    ///
    /// They did not start; says why, or that they said why on the standard error.
    pub fn start(program: &Path, name: &str, members: usize, site: &Site) -> Result<Self, String> {
        let mut command = Command::new(program);
        command.arg(TEAM).arg(name).arg(members.to_string()).args(site.words());
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(|error| error.to_string())?;
        let to = child.stdin.take();
        let from = BufReader::new(child.stdout.take().ok_or("no pipe")?);
        let mut team = Self { child, to, from };
        let said = team.answer()?;
        if said == READY { Ok(team) } else { Err(format!("{name}: {said}")) }
    }

    /// Carries an order out.
    ///
    /// # Errors
    ///
    /// A member of the team is gone.
    pub fn work(&mut self, order: &Order) -> Result<Done, String> {
        let to = self.to.as_mut().ok_or("the team has ended")?;
        writeln!(to, "{}", order.line()).map_err(|error| error.to_string())?;
        let line = self.answer()?;
        Done::parse(&line).ok_or(line)
    }

    fn answer(&mut self) -> Result<String, String> {
        let mut line = String::new();
        match self.from.read_line(&mut line) {
            Ok(0) => Err("a member of the team has ended".to_owned()),
            Ok(_) => Ok(line.trim_end().to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }
}

impl Drop for Team {
    fn drop(&mut self) {
        // The end of its orders is the end of the leader, and with it of all.
        drop(self.to.take());
        let _ = self.child.wait();
    }
}

/// Leads a team, until there are no more orders: what the program does after [`TEAM`].
#[must_use]
pub fn answer(words: &[String]) -> ExitCode {
    let [name, members, rest @ ..] = words else { return ExitCode::from(2) };
    let (Ok(members), Some(site)) = (members.parse(), Site::parse(rest)) else {
        return ExitCode::from(2);
    };
    let mut led = Led { name, members, site, result: Err(format!("no store {name}")) };
    everyone(&mut led);
    match led.result {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            println!("{reason}");
            ExitCode::FAILURE
        }
    }
}

struct Led<'w> {
    name: &'w str,
    members: usize,
    site: Site,
    result: Result<(), String>,
}

impl Visitor for Led<'_> {
    fn visit<S: HostStore>(&mut self) {
        if S::NAME == self.name {
            self.result = lead::<S>(&self.site, self.members);
        }
    }
}

fn lead<S: HostStore>(site: &Site, members: usize) -> Result<(), String> {
    let before = S::before(site)?;
    let crew = Crew { site };
    if S::THREADS {
        return crew.threads::<S>(&before, members);
    }
    let mut others = Vec::new();
    for place in 1..members {
        match crew.another::<S>(&before, place)? {
            Some(other) => others.push(other),
            None => std::process::exit(0),
        }
    }
    crew.processes::<S>(&before, others)
}

/// A process at the end of two pipes.
struct Other {
    process: Process,
    to: PipeWriter,
    from: BufReader<PipeReader>,
}

impl Other {
    fn answer(&mut self) -> Result<String, String> {
        let mut line = String::new();
        match self.from.read_line(&mut line) {
            Ok(0) => Err("a member of the team has ended".to_owned()),
            Ok(_) => Ok(line.trim_end().to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }
}

#[derive(Clone, Copy)]
struct Crew<'s> {
    site: &'s Site,
}

impl Crew<'_> {
    /// Whether each of the callers has a processor of its own.
    fn alone<S: HostStore>(&self, order: &Order) -> bool {
        !S::SERVED && order.members <= self.site.processors.len()
    }

    fn pin<S: HostStore>(&self, place: usize) {
        if S::PINNED {
            pin::pin(&self.site.processors, place);
        }
    }

    /// Forks another member. `None`: this is that member, and its work is over.
    fn another<S: HostStore>(
        &self,
        before: &S::Before,
        place: usize,
    ) -> Result<Option<Other>, String> {
        let pipe = || std::io::pipe().map_err(|error| error.to_string());
        let ((orders, to), (from, answers)) = (pipe()?, pipe()?);
        match fork().map_err(|error| error.to_string())? {
            Forked::Parent(process) => Ok(Some(Other { process, to, from: BufReader::new(from) })),
            Forked::Child => {
                drop((to, from));
                self.follow::<S>(before, place, BufReader::new(orders), answers)?;
                Ok(None)
            }
        }
    }

    /// What a forked member does: it works from the stated time on, until its pipe ends.
    fn follow<S: HostStore>(
        &self,
        before: &S::Before,
        place: usize,
        orders: BufReader<PipeReader>,
        mut answers: PipeWriter,
    ) -> Result<(), String> {
        self.pin::<S>(place);
        let store = S::open(before, self.site)?;
        let mut member = Member::new(place, self.site);
        let mut say = |line: &str| writeln!(answers, "{line}").map_err(|error| error.to_string());
        say(READY)?;
        for line in orders.lines() {
            let line = line.map_err(|error| error.to_string())?;
            let (start, order) = line.split_once(' ').ok_or("no order")?;
            let start = start.parse().map_err(|_| "no time")?;
            let order = Order::parse(order).ok_or("no order")?;
            member.start(&order);
            wait_until(start);
            say(&member.work(&store, &order, self.alone::<S>(&order)).line())?;
        }
        Ok(())
    }

    /// What the leader of processes does.
    fn processes<S: HostStore>(
        &self,
        before: &S::Before,
        mut others: Vec<Other>,
    ) -> Result<(), String> {
        self.pin::<S>(0);
        let store = S::open(before, self.site)?;
        for other in &mut others {
            let said = other.answer()?;
            if said != READY {
                return Err(said);
            }
        }
        let mut member = Member::new(0, self.site);
        obey(|order| {
            prepare(&store, order);
            member.start(order);
            let start = now_ns() + HEAD_START_NS;
            for other in others.iter_mut().take(order.members - 1) {
                let sent = writeln!(other.to, "{start} {}", order.line());
                sent.map_err(|error| error.to_string())?;
            }
            wait_until(start);
            let mut done = member.work(&store, order, self.alone::<S>(order));
            for other in others.iter_mut().take(order.members - 1) {
                let line = other.answer()?;
                done = done.and(Done::parse(&line).ok_or(line)?);
            }
            Ok(done)
        })?;
        for Other { process, to, from } in others {
            drop((to, from));
            if !process.ended() {
                return Err("a member of the team failed".to_owned());
            }
        }
        Ok(())
    }

    /// What the only process does where members are threads.
    fn threads<S: HostStore>(&self, before: &S::Before, members: usize) -> Result<(), String> {
        let store = S::open(before, self.site)?;
        let mut crew: Vec<Member> =
            (0..members).map(|place| Member::new(place, self.site)).collect();
        obey(|order| {
            prepare(&store, order);
            let start = now_ns() + HEAD_START_NS;
            let one = |member: &mut Member| {
                self.pin::<S>(member.place as usize);
                let store = S::open(before, self.site)?;
                member.start(order);
                wait_until(start);
                Ok(member.work(&store, order, self.alone::<S>(order)))
            };
            std::thread::scope(|scope| {
                let working = crew.iter_mut().take(order.members);
                let threads: Vec<_> = working.map(|member| scope.spawn(|| one(member))).collect();
                let parts = threads.into_iter().map(|part| part.join().expect("no panic"));
                parts.collect::<Result<Vec<_>, String>>()
            })
            .map(|parts| parts.into_iter().fold(Done::default(), Done::and))
        })
    }
}

/// Carries out the orders of the standard input, one line each.
fn obey(mut carry_out: impl FnMut(&Order) -> Result<Done, String>) -> Result<(), String> {
    println!("{READY}");
    for line in std::io::stdin().lines() {
        let line = line.map_err(|error| error.to_string())?;
        let order = Order::parse(&line).ok_or(format!("no order: {line}"))?;
        println!("{}", carry_out(&order)?.line());
    }
    Ok(())
}

/// Sees to what has to be there before a slice, and is not measured.
fn prepare<S: HostStore>(store: &S, order: &Order) {
    store.forget();
    if order.task == Task::Replays {
        finish(store);
    }
}

/// Turns until that time: whoever slept would start late.
fn wait_until(start_ns: u64) {
    while now_ns() < start_ns {
        std::hint::spin_loop();
    }
}

/// The clock that is the same in all processes.
fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    let now = Duration::new(now.tv_sec.cast_unsigned(), now.tv_nsec as u32);
    now.as_nanos() as u64
}

const READY: &str = "ready";
/// Longer than a process takes to wake up.
const HEAD_START_NS: u64 = 2_000_000;
