//! The hosts of a fleet: processes of their own, started, told, stopped and killed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use oncegate::{Clock as _, PreciseClock};
use oncegate_rig::{Error, Program};

use super::history;

/// How the hosts of a fleet open their engines.
#[derive(Clone, Debug)]
pub(crate) struct Habits {
    /// Milliseconds, as all times here.
    pub(crate) lease: u64,
    /// Of every other host.
    pub(crate) slice: Option<u64>,
    pub(crate) quarantine: Option<u64>,
    /// The first two hosts are processes of one machine, and share a table.
    pub(crate) shares: bool,
    /// Attempts fail, are dropped, and outlast their leases.
    pub(crate) rash: bool,
}

/// One host.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) program: Program,
    /// Which process of this host it is.
    generation: usize,
    table: usize,
    /// Whether it has answered what it was told last.
    ready: bool,
}

/// All of them.
#[derive(Debug)]
pub(crate) struct Crew {
    habits: Habits,
    folder: PathBuf,
    /// How each host reaches the store.
    ways: Vec<String>,
    members: Vec<Member>,
    tables: usize,
    /// Who has taken part in this round, those that were killed included.
    pub(crate) hosts: Vec<history::Host>,
}

/// What each host does in a round.
#[derive(Clone, Debug)]
pub(crate) struct Work {
    pub(crate) folder: PathBuf,
    pub(crate) seed: u64,
    pub(crate) keys: usize,
}

/// How often each thread of a host visits a key, and how many there are.
pub(crate) const VISITS: usize = 2;
pub(crate) const THREADS: usize = 2;

impl Crew {
    /// As many hosts as there are `ways`; tables that are shared lie in `folder`.
    pub(crate) fn new(habits: Habits, folder: &Path, ways: Vec<String>) -> Self {
        let folder = folder.to_owned();
        let mut crew =
            Self { habits, folder, ways, members: Vec::new(), tables: 0, hosts: Vec::new() };
        for host in 0..crew.ways.len() {
            let member = crew.start(host, 0);
            crew.members.push(member);
        }
        crew
    }

    pub(crate) fn len(&self) -> usize {
        self.members.len()
    }

    pub(crate) fn member(&self, host: usize) -> &Member {
        &self.members[host]
    }

    fn start(&mut self, host: usize, generation: usize) -> Member {
        let shared = self.habits.shares && host < 2;
        let Habits { lease, slice, quarantine, .. } = self.habits;
        let mut words = format!("open {} lease={lease} deadline={DEADLINE}", self.ways[host]);
        if let Some(slice) = slice.filter(|_| host % 2 == 1) {
            words.push_str(&format!(" slice={slice}"));
        }
        if let Some(quarantine) = quarantine {
            words.push_str(&format!(" quarantine={quarantine}"));
        }
        if shared {
            words.push_str(&format!(" table={}", self.folder.join("table").display()));
        }
        let table = if shared { SHARED } else { self.next_table() };
        let mut command = Command::new(env!("CARGO_BIN_EXE_oncegate-chaos-host"));
        let mut program = Program::start(&mut command).expect("a host starts");
        let opened = program.ask(&words).expect("it answers");
        assert_eq!(opened, "open", "{words}");
        Member { program, generation, table, ready: true }
    }

    fn next_table(&mut self) -> usize {
        self.tables += 1;
        self.tables
    }

    /// A round begins: every host has this work.
    pub(crate) fn begin(&mut self, work: &Work) {
        self.hosts.clear();
        (0..self.len()).for_each(|host| self.give(host, work));
    }

    fn give(&mut self, host: usize, work: &Work) {
        let Member { generation, table, .. } = self.members[host];
        let name = format!("host-{host}-{generation}");
        let (folder, seed) = (work.folder.display(), work.seed ^ (host + generation * 16) as u64);
        let how = if self.habits.rash { "rash" } else { "calm" };
        let keys = work.keys;
        self.tell(host, &format!("work {folder} {name} {seed} {keys} {VISITS} {THREADS} {how}"));
        self.hosts.push(history::Host { name, table, killed: None });
    }

    /// Tells a host something that takes it a while.
    pub(crate) fn tell(&mut self, host: usize, line: &str) {
        let member = &mut self.members[host];
        member.ready = false;
        member.program.tell(line).expect("it reads");
    }

    /// Whether `host` has done what it was told.
    pub(crate) fn is_ready(&mut self, host: usize) -> bool {
        let member = &mut self.members[host];
        if !member.ready
            && let Some(answer) = member.program.answer_now()
        {
            assert!(!answer.starts_with("error"), "host {host}: {answer}");
            member.ready = true;
        }
        member.ready
    }

    pub(crate) fn are_ready(&mut self) -> bool {
        (0..self.len()).all(|host| self.is_ready(host))
    }

    /// Whether all but `host` have done what they were told.
    pub(crate) fn others_are_ready(&mut self, host: usize) -> bool {
        (0..self.len()).all(|other| other == host || self.is_ready(other))
    }

    /// Whether each host was admitted to something after `then`, or has done all its work.
    pub(crate) fn all_run_since(&mut self, work: &Work, then: u64) -> bool {
        let runs = |text: String| {
            text.lines().rev().any(|line| {
                let mut words = line.split(' ');
                let is_told = words.next() == Some("told");
                let at = words.nth(1).and_then(|at| at.parse::<u64>().ok());
                is_told && at.is_some_and(|at| at > then) && words.next() == Some("admitted")
            })
        };
        (0..self.len()).all(|host| {
            let name = format!("host-{host}-{}.calls", self.members[host].generation);
            let written = fs::read_to_string(work.folder.join(name)).unwrap_or_default();
            self.is_ready(host) || runs(written)
        })
    }

    /// Kills a host by SIGKILL; another process takes its place, with the same work.
    pub(crate) fn replace(&mut self, host: usize, work: &Work) {
        let generation = self.members[host].generation + 1;
        // Before it dies: from then on others may know.
        let killed = Some(now());
        let place = self
            .hosts
            .iter_mut()
            .rev()
            .find(|known| known.name == format!("host-{host}-{}", generation - 1));
        place.expect("it takes part").killed = killed;
        let member = self.members.remove(host);
        member.program.kill();
        let member = self.start(host, generation);
        self.members.insert(host, member);
        self.give(host, work);
    }

    /// How many lines all hosts have written in this round of which this holds.
    pub(crate) fn lines(&self, work: &Work, is_meant: impl Fn(&str) -> bool) -> usize {
        let read = |host: &history::Host| {
            let path = work.folder.join(format!("{}.calls", host.name));
            fs::read_to_string(path).unwrap_or_default()
        };
        let count = |text: String| text.lines().filter(|line| is_meant(line)).count();
        self.hosts.iter().map(|host| count(read(host))).sum()
    }
}

impl Member {
    pub(crate) fn pause(&self) -> Result<(), Error> {
        self.program.pause()
    }

    pub(crate) fn resume(&self) -> Result<(), Error> {
        self.program.resume()
    }
}

/// Nanoseconds of the clock that all processes of the machine have in common.
pub(crate) fn now() -> u64 {
    u64::try_from(PreciseClock.now().as_nanos()).expect("the machine was started not long ago")
}

/// The table that processes of one machine share.
const SHARED: usize = 0;
/// How long one call of the tier may take.
const DEADLINE: u64 = 250;
