//! Orders: what the processes of a team are told to do, and what they did.

use std::time::{Duration, Instant};

use super::{Answer, Asked, HostStore, Site};
use crate::process;
use crate::rng::Rng;
use crate::workloads::FIRST_NEW;

/// Which requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// Every request is new, and is begun and completed.
    New,
    /// Every request is a duplicate of one that another process may have finished.
    Replays,
    /// All processes begin the same new keys in the same order.
    Race,
}

impl Task {
    const ALL: [Self; 3] = [Self::New, Self::Replays, Self::Race];

    /// Its name in orders and reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::New => "host-new",
            Self::Replays => "host-replays",
            Self::Race => "host-race",
        }
    }
}

/// One slice of work for a team.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    /// Which requests.
    pub task: Task,
    /// How many are begun at once.
    pub batch: usize,
    /// How many members of the team work.
    pub members: usize,
    /// For how long.
    pub time: Duration,
}

impl Order {
    pub(super) fn line(&self) -> String {
        let (task, ms) = (self.task.name(), self.time.as_millis());
        format!("{task} {} {} {ms}", self.batch, self.members)
    }

    pub(super) fn parse(line: &str) -> Option<Self> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [task, batch, members, ms] = words[..] else { return None };
        let task = Task::ALL.into_iter().find(|other| other.name() == task)?;
        let time = Duration::from_millis(ms.parse().ok()?);
        Some(Self { task, batch: batch.parse().ok()?, members: members.parse().ok()?, time })
    }
}

/// What members of a team did, one or all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// Operations.
    pub operations: u64,
    /// Operations of the member that came furthest: of a race, its keys.
    pub furthest: u64,
    /// Records that were created.
    pub created: u64,
    /// Nanoseconds of each member together.
    pub ns: u64,
}

impl Done {
    pub(super) fn line(&self) -> String {
        format!("{} {} {} {}", self.operations, self.furthest, self.created, self.ns)
    }

    pub(super) fn parse(line: &str) -> Option<Self> {
        let numbers: Vec<u64> =
            line.split_whitespace().map(str::parse).collect::<Result<_, _>>().ok()?;
        let [operations, furthest, created, ns] = numbers[..] else { return None };
        Some(Self { operations, furthest, created, ns })
    }

    pub(super) fn and(self, other: Self) -> Self {
        Self {
            operations: self.operations + other.operations,
            furthest: self.furthest.max(other.furthest),
            created: self.created + other.created,
            ns: self.ns + other.ns,
        }
    }
}

/// One member of a team.
pub(super) struct Member {
    /// Its place in the team.
    pub(super) place: u64,
    /// New requests that it has made.
    pub(super) made: u64,
    /// Keys that races have used up, the same for all members.
    pub(super) raced: u64,
    /// Of a race, the most keys in one slice: so few that the engine keeps them all.
    pub(super) race_keys: u64,
}

impl Member {
    pub(super) fn new(place: usize, site: &Site) -> Self {
        let race_keys = (site.capacity as u64 / 2).clamp(1, MOST_RACED);
        Self { place: place as u64, made: 0, raced: 0, race_keys }
    }

    /// Carries an order out. `alone`: nobody of the team needs this member's processor, so that its
    /// waiting for one is the work of another program, and does not count. Where a server answers,
    /// it may be the server's.
    pub(super) fn work<S: HostStore>(&mut self, store: &S, order: &Order, alone: bool) -> Done {
        let mut done = Done::default();
        let (outcome, mut buffer) = (S::outcome(7), S::outcome(0));
        let mut rng = Rng::new(self.place + 1 + self.made);
        let mut batch = Vec::with_capacity(order.batch);
        let (began, waited) = (Instant::now(), process::waited());
        while done.operations == 0 || began.elapsed() < order.time {
            for _ in 0..BLOCK.div_ceil(order.batch) {
                if order.batch > 1 {
                    batch.clear();
                    batch.extend((0..order.batch).map(|_| self.next(order.task, &mut rng)));
                    done.created += store.batch(&batch, &outcome, &mut buffer);
                } else {
                    let asked = self.next(order.task, &mut rng);
                    if let Answer::Created(lease) = store.begin(&asked, &mut buffer) {
                        done.created += u64::from(store.complete(lease, &outcome));
                    }
                }
                std::hint::black_box(&buffer);
                done.operations += order.batch as u64;
            }
            if order.task == Task::Race && done.operations >= self.race_keys {
                break;
            }
        }
        let (spent, others) = (began.elapsed(), process::waited().saturating_sub(waited));
        let spent = if alone { spent.saturating_sub(others) } else { spent };
        done.ns = spent.as_nanos() as u64;
        done.furthest = done.operations;
        done
    }

    /// In a race every member starts at the same key, wherever it came to in the last one.
    pub(super) fn start(&mut self, order: &Order) {
        if order.task == Task::Race {
            self.raced = (self.raced / RACE_STRIDE + 1) * RACE_STRIDE;
        }
    }

    #[inline]
    fn next(&mut self, task: Task, rng: &mut Rng) -> Asked {
        match task {
            Task::New => {
                self.made += 1;
                Asked::of(FIRST_NEW + (self.place << 44) + self.made)
            }
            Task::Replays => Asked::of(rng.below(FINISHED)),
            Task::Race => {
                self.raced += 1;
                Asked::of(RACE_FIRST + self.raced)
            }
        }
    }
}

/// Finishes the requests whose duplicates are measured.
pub(super) fn finish<S: HostStore>(store: &S) {
    let (outcome, mut buffer) = (S::outcome(7), S::outcome(0));
    for number in 0..FINISHED {
        if let Answer::Created(lease) = store.begin(&Asked::of(number), &mut buffer) {
            assert!(store.complete(lease, &outcome), "nobody else asks for it");
        }
    }
}

/// Requests between two looks at the clock.
const BLOCK: usize = 64;
/// Finished requests that duplicates ask for.
const FINISHED: u64 = 1_000;
/// Half of what the engine keeps when nothing is said.
const MOST_RACED: u64 = 32_768;
/// Numbers that no other task uses.
const RACE_FIRST: u64 = 1 << 60;
/// More keys than a race has time for.
const RACE_STRIDE: u64 = 1 << 32;

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: orders and results come through a pipe as they were. Method: there and back.
    #[test]
    fn lines_are_read_back() {
        for task in Task::ALL {
            let order = Order { task, batch: 32, members: 2, time: Duration::from_millis(30) };
            assert_eq!(Order::parse(&order.line()), Some(order));
        }
        let done = Done { operations: 7, furthest: 4, created: 3, ns: 1 };
        assert_eq!(Done::parse(&done.line()), Some(done));
        assert_eq!(Order::parse("rest 1 1 1"), None);
        assert_eq!(Done::parse("1 2 3"), None);
    }

    /// Goal: members of a race begin the same keys, also when one of them came further last time.
    /// Method: two that fell apart, before the next race.
    #[test]
    fn racers_start_together() {
        let folder = super::super::Folder::new().expect("a folder");
        let site = Site::new(&folder, 100);
        let order = Order { task: Task::Race, batch: 1, members: 2, time: Duration::ZERO };
        let mut racers = [Member::new(0, &site), Member::new(1, &site)];
        let mut rng = Rng::new(7);
        for steps in [3, 900] {
            racers.iter_mut().for_each(|racer| racer.start(&order));
            let [first, second] = racers.each_mut().map(|racer| racer.next(Task::Race, &mut rng));
            assert_eq!(first, second);
            (0..steps).for_each(|_| _ = racers[0].next(Task::Race, &mut rng));
        }
        let [first, second] = racers.each_mut().map(|racer| racer.next(Task::New, &mut rng));
        assert_ne!(first, second);
    }
}
