//! What is measured of whom, round by round.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tokio::runtime::Runtime;

use crate::callers::{Ask, numbers, tasks, threads};
use crate::options::Options;
use crate::peers::{Contender, Node, batches, singles};
use crate::server::{Store, Way};
use crate::table::{Spread, Table, digits};

/// Measures every contender in every round, in an order that is shuffled anew, and prints a table
/// for each thing that was asked.
pub fn rounds(store: &Store, runtime: &Runtime, options: &Options) {
    let mut hall =
        Hall { store, runtime, hosts: Vec::new(), groups: Vec::new(), cells: Vec::new() };
    hall.requests();
    hall.duplicates();
    hall.throughput();
    if !options.only.is_empty() {
        hall.cells.retain(|cell| options.only.iter().any(|name| name == cell.contender.name));
        (0..hall.cells.len()).for_each(|at| hall.cells[at].base = at);
    }
    let mut random = Random(options.seed | 1);
    for round in 0..=options.rounds {
        let mut turns: Vec<usize> = (0..hall.cells.len()).collect();
        random.shuffle(&mut turns);
        for turn in turns {
            // Round zero warms up, and is thrown away.
            let time = if round == 0 { options.slice / 4 } else { options.slice };
            let sample = hall.sample(&hall.cells[turn], time);
            if round > 0 {
                hall.cells[turn].samples.push(sample);
            }
        }
    }
    hall.report();
}

/// What a cell asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Work {
    Fresh,
    /// Duplicates on the host that ran them.
    Again,
    /// Duplicates on another host, each once.
    Elsewhere,
}

/// A row of a table.
struct Cell {
    group: usize,
    name: String,
    contender: Contender,
    way: Way,
    work: Work,
    callers: usize,
    hosts: usize,
    /// The cell that its time is divided by.
    base: usize,
    samples: Vec<Sample>,
}

/// Nanoseconds of one operation.
#[derive(Clone, Copy)]
struct Sample {
    wall: f64,
    /// Processor time of this process, all of its threads.
    here: f64,
    /// Processor time of the server.
    there: f64,
}

struct Hall<'h> {
    store: &'h Store,
    runtime: &'h Runtime,
    /// What is open: of whom, how reached, and which of two hosts.
    hosts: Vec<(&'static str, Way, usize, Node)>,
    groups: Vec<String>,
    cells: Vec<Cell>,
}

impl Hall<'_> {
    fn group(&mut self, title: String) {
        self.groups.push(title);
    }

    /// The cell's base is the first of this group whose callers block as its own do.
    fn cell(
        &mut self,
        name: String,
        contender: Contender,
        (way, work): (Way, Work),
        shape: (usize, usize),
    ) {
        for host in 0..shape.1 {
            self.host(contender, way, host);
        }
        let (group, base) = (self.groups.len() - 1, self.cells.len());
        let cell = Cell {
            group,
            name,
            contender,
            way,
            work,
            callers: shape.0,
            hosts: shape.1,
            base,
            samples: Vec::new(),
        };
        self.cells.push(cell);
    }

    fn host(&mut self, contender: Contender, way: Way, number: usize) {
        if self.find(&contender, way, number).is_none() {
            let node = (contender.open)(&self.store.url(way), self.runtime);
            self.hosts.push((contender.name, way, number, node));
        }
    }

    fn find(&self, contender: &Contender, way: Way, number: usize) -> Option<&Node> {
        let found = |host: &&(&str, Way, usize, Node)| {
            (host.0, host.1, host.2) == (contender.name, way, number)
        };
        self.hosts.iter().find(found).map(|host| &host.3)
    }

    /// Divides by what the one of that name needs, in the last group.
    fn divide_by(&mut self, base: &str, of: impl Fn(&Cell) -> bool) {
        let group = self.groups.len() - 1;
        let mine = |cell: &Cell| cell.group == group && of(cell);
        let Some(base) =
            self.cells.iter().position(|cell| mine(cell) && cell.contender.name == base)
        else {
            return;
        };
        self.cells.iter_mut().filter(|cell| mine(cell)).for_each(|cell| cell.base = base);
    }

    /// New requests, one caller.
    fn requests(&mut self) {
        for way in Way::ALL {
            self.group(format!("A new request, begun and completed: one caller, {}", way.name()));
            for contender in singles() {
                self.cell(contender.name.to_owned(), contender, (way, Work::Fresh), (1, 1));
            }
            self.divide_by(HAND, |cell| !is_async(&cell.contender));
            self.divide_by(HAND_ASYNC, |cell| is_async(&cell.contender));
        }
    }

    /// Duplicates, one caller.
    fn duplicates(&mut self) {
        for way in Way::ALL {
            self.group(format!("A duplicate of a finished request: one caller, {}", way.name()));
            for contender in singles().into_iter().filter(|one| one.promises.outcome) {
                self.cell(contender.name.to_owned(), contender, (way, Work::Again), (1, 1));
                if contender.name == OURS {
                    let name = format!("{OURS}, the first on another host");
                    self.cell(name, contender, (way, Work::Elsewhere), (1, 2));
                }
            }
            self.divide_by(OURS, |_| true);
        }
    }

    /// New requests, many callers.
    fn throughput(&mut self) {
        for (hosts, callers) in [(1, 1), (1, 8), (1, 64), (2, 8), (2, 64)] {
            let (them, s) = (hosts, if hosts == 1 { "" } else { "s" });
            let many = if callers == 1 { "caller" } else { "callers" };
            self.group(format!("New requests: {callers} {many}, {them} host{s}, Unix socket"));
            let work = (Way::Unix, Work::Fresh);
            for contender in singles() {
                self.cell(contender.name.to_owned(), contender, work, (callers, hosts));
            }
            if callers == 1 {
                for contender in batches() {
                    self.cell(contender.name.to_owned(), contender, work, (1, 1));
                }
            }
            self.divide_by(HAND, |cell| !is_async(&cell.contender));
            self.divide_by(HAND_ASYNC, |cell| is_async(&cell.contender));
            self.divide_by(PIPELINES, |cell| cell.contender.name.ends_with("of 128"));
        }
    }

    fn sample(&self, cell: &Cell, time: Duration) -> Sample {
        let nodes: Vec<&Node> = (0..cell.hosts)
            .filter_map(|number| self.find(&cell.contender, cell.way, number))
            .collect();
        let ask = match cell.work {
            Work::Fresh => Ask::Fresh,
            Work::Again => Ask::Again { first: self.finish(nodes[0]), count: FINISHED },
            Work::Elsewhere => Ask::Once { first: self.finish(nodes[0]), count: FINISHED },
        };
        let nodes = if cell.work == Work::Elsewhere { &nodes[1..] } else { &nodes[..] };
        let mut callers = Vec::new();
        let mut shared = Vec::new();
        for number in 0..cell.callers {
            match nodes[number % nodes.len()] {
                Node::Calls(open) => callers.push(open()),
                Node::Tasks(node) => shared.push(std::rc::Rc::clone(node)),
            }
        }
        let before = (cpu(), self.store.cpu());
        let (operations, wall) = if callers.is_empty() {
            tasks(self.runtime, &shared, cell.callers, ask, time)
        } else {
            threads(&mut callers, ask, time)
        };
        let after = (cpu(), self.store.cpu());
        let each = |time: Duration| time.as_nanos() as f64 / operations.max(1) as f64;
        Sample { wall: each(wall), here: each(after.0 - before.0), there: each(after.1 - before.1) }
    }

    /// Finishes some requests, and gives the number of the first.
    fn finish(&self, node: &Node) -> u64 {
        let first = numbers(FINISHED);
        match node {
            Node::Calls(open) => {
                let mut caller = open();
                (first..first + FINISHED).for_each(|number| caller.fresh(number));
            }
            Node::Tasks(node) => self.runtime.block_on(async {
                for number in first..first + FINISHED {
                    node.fresh(number).await;
                }
            }),
        }
        first
    }

    fn report(&self) {
        for (group, title) in self.groups.iter().enumerate() {
            let mut table = Table::new(
                title,
                &[
                    "",
                    "µs each",
                    "each second",
                    "times its base",
                    "processor here, µs",
                    "processor of the server, µs",
                ],
            );
            for cell in self.cells.iter().filter(|cell| cell.group == group) {
                let base = &self.cells[cell.base].samples;
                let ratio = |of: fn(&Sample) -> f64| {
                    let pairs = cell.samples.iter().zip(base);
                    Spread::of(pairs.map(|(mine, base)| of(mine) / of(base))).words()
                };
                let us = |of: fn(&Sample) -> f64| {
                    Spread::of(cell.samples.iter().map(|sample| of(sample) / 1e3))
                };
                let wall = us(|sample| sample.wall);
                table.row([
                    cell.name.clone(),
                    wall.words(),
                    digits(1e6 / wall.median),
                    ratio(|sample| sample.wall),
                    // Both sides: what other programs take from the machine is not in it.
                    ratio(|sample| sample.here + sample.there),
                    digits(us(|sample| sample.here).median),
                    digits(us(|sample| sample.there).median),
                ]);
            }
            table.print();
        }
    }
}

fn is_async(contender: &Contender) -> bool {
    !matches!(contender.name, OURS | HAND | "a lock in Lua")
}

/// The processor time of this process.
fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Xorshift (Marsaglia, 2003): an order is all that it chooses.
struct Random(u64);

impl Random {
    fn shuffle<T>(&mut self, items: &mut [T]) {
        for at in (1..items.len()).rev() {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            items.swap(at, (self.0 % (at as u64 + 1)) as usize);
        }
    }
}

const OURS: &str = "oncegate";
const HAND: &str = "`SET NX`, `SET` by hand";
const HAND_ASYNC: &str = "`SET NX`, `SET` by hand, async";
const PIPELINES: &str = "`SET NX`, `SET` by hand, pipelines of 128";
/// How many finished requests there are duplicates of.
const FINISHED: u64 = 256;
