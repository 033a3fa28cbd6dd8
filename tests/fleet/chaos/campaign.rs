//! A campaign: rounds of one fleet, each with a trouble, each judged by itself.

use std::fs;
use std::path::{Path, PathBuf};

use oncegate_rig::{Error, Folder, until};

use super::crew::{Crew, Habits, THREADS, VISITS, Work, now};
use super::history::History;
use super::judge::{Loss, Tally, Terms, Wrong, judge};
use super::nemesis::{Trouble, is_call, strike};
use super::store::Store;

/// What a campaign is like.
pub(crate) struct Plan {
    pub(crate) name: &'static str,
    pub(crate) habits: Habits,
    /// What the store has acknowledged outlasts what happens to its servers.
    pub(crate) keeps: bool,
    /// Leases outlast everything that happens, and no attempt fails: there is one effect a key.
    pub(crate) once: bool,
    /// Each comes once, or, in a long run, again and again.
    pub(crate) troubles: Vec<Trouble>,
    pub(crate) keys: usize,
}

/// A fleet, its store, and what has been looked at so far.
struct Campaign<'p> {
    plan: &'p Plan,
    store: Store,
    crew: Crew,
    folder: Folder,
    seed: u64,
    rounds: usize,
    tally: Tally,
}

/// Runs `plan` on `store` with so many hosts.
pub(crate) fn run(plan: &Plan, store: Store, hosts: usize, seed: u64) -> Tally {
    println!("chaos: {}: SEED={seed}", plan.name);
    let folder = Folder::new().expect("a folder");
    let ways = (0..hosts).map(|host| store.words(host)).collect();
    let crew = Crew::new(plan.habits.clone(), folder.path(), ways);
    // All have joined the store, and have asked for leases: they know what may be lost.
    let rounds = 0;
    let tally = Tally::default();
    let mut campaign = Campaign { plan, store, crew, folder, seed, rounds, tally };
    campaign.round(Trouble::None);
    let end = seconds().map(|seconds| now() + seconds * 1_000_000_000);
    let mut dice = seed;
    let mut left: Vec<Trouble> = Vec::new();
    loop {
        if left.is_empty() {
            let first_time = campaign.rounds == 1;
            if !first_time && end.is_none_or(|end| now() >= end) {
                break;
            }
            left.clone_from(&plan.troubles);
        }
        dice = dice.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        let trouble = left.swap_remove((dice >> 33) as usize % left.len());
        campaign.round(trouble);
        if end.is_some_and(|end| now() >= end) && campaign.rounds > plan.troubles.len() {
            break;
        }
    }
    campaign.report(hosts)
}

impl Campaign<'_> {
    fn round(&mut self, trouble: Trouble) {
        let name = format!("round-{}", self.rounds);
        self.rounds += 1;
        let folder = self.folder.path().join(&name);
        fs::create_dir(&folder).expect("a folder");
        let seed = self.seed.wrapping_add((self.rounds as u64).wrapping_mul(0x9e37_79b9));
        let work = Work { folder, seed, keys: self.plan.keys };
        self.store.settle();
        self.crew.begin(&work);
        // Of the calls that there are at least, some have been made.
        let least = self.crew.len() * THREADS * VISITS * self.plan.keys;
        let some = least * (2 + seed as usize % 30) / 100;
        let begun = until("the hosts work", || {
            let made = self.crew.lines(&work, is_call);
            (made >= some || self.crew.are_ready()).then_some(())
        });
        begun.unwrap_or_else(|error| panic!("{error}"));
        let lost = strike(trouble, &mut self.store, &mut self.crew, &work);
        let ended = self.end();
        // What was written until then is judged also where not all came to an end.
        let history = History::read(&work.folder, &self.crew.hosts);
        let quarantine = self.plan.habits.lease * 1_000_000;
        let loss = lost.filter(|_| !self.plan.keeps);
        let loss = loss.map(|(from, to)| Loss { from, to, quarantine });
        match judge(&history, Terms { loss, once: self.plan.once && ended.is_ok() }) {
            Ok(tally) => self.tally += tally,
            Err(wrong) => self.fail(&history, &wrong, trouble, &work.folder),
        }
        if let Err(error) = ended {
            let kept = self.keep(&work.folder);
            panic!("{}, SEED={}, {trouble:?}: {error}; kept: {kept}", self.plan.name, self.seed);
        }
        fs::remove_dir_all(&work.folder).expect("a folder");
    }

    /// Waits until all work is done, and everybody has an outcome for every key.
    fn end(&mut self) -> Result<(), Error> {
        until("all work is done", || self.crew.are_ready().then_some(()))?;
        (0..self.crew.len()).for_each(|host| self.crew.tell(host, "settle"));
        until("all have an outcome", || self.crew.are_ready().then_some(()))
    }

    /// Keeps what was written, and says what is wrong, by the shortest history that shows it.
    fn fail(&self, history: &History, wrong: &[Wrong], trouble: Trouble, written: &Path) -> ! {
        let Plan { name, .. } = self.plan;
        let Self { seed, rounds, .. } = self;
        let kept = self.keep(written);
        let all: Vec<String> =
            wrong.iter().map(|wrong| format!("key {}: {}", wrong.key, wrong.what)).collect();
        let shortest = &wrong[0];
        panic!(
            "{name}, SEED={seed}, round {rounds}, {trouble:?}:\n{}\n\n{}: {}\nkept: {kept}",
            all.join("\n"),
            shortest.what,
            history.draw(&shortest.key)
        );
    }

    /// Copies what the hosts wrote to where builds leave their files.
    fn keep(&self, written: &Path) -> String {
        let name = format!("{}-{}-{}", self.plan.name, self.seed, self.rounds);
        let to = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("chaos").join(name);
        let copy = || -> std::io::Result<()> {
            fs::create_dir_all(&to)?;
            for entry in fs::read_dir(written)?.flatten() {
                fs::copy(entry.path(), to.join(entry.file_name()))?;
            }
            Ok(())
        };
        copy().unwrap_or_else(|error| println!("not kept: {error}"));
        to.display().to_string()
    }

    fn report(&self, hosts: usize) -> Tally {
        let Tally {
            keys,
            calls,
            attempts,
            effects,
            replays,
            refused,
            unknown,
            told_later,
            fenced,
            kept_out,
            lost,
            ordered,
            left_out,
        } = self.tally;
        println!(
            "chaos: {}: {hosts} hosts, {} rounds with a trouble each, {keys} keys, {calls} calls, \
             {attempts} attempts, {effects} effects, {replays} replays; {refused} refused, \
             {unknown} unknown, {told_later} told later, {fenced} fenced, {kept_out} effects of \
             former holders; {ordered} histories in order ({left_out} calls left out), {lost} \
             outcomes lost by the store; nothing wrong",
            self.plan.name,
            self.rounds - 1
        );
        self.tally
    }
}

/// How long a campaign goes on, in a long run.
fn seconds() -> Option<u64> {
    number("ONCEGATE_CHAOS_SECONDS")
}

/// The seed that was asked for, or a fresh one, short enough to be read aloud.
pub(crate) fn seed(name: &str) -> u64 {
    use std::hash::{BuildHasher as _, RandomState};
    number("ONCEGATE_CHAOS_SEED").unwrap_or_else(|| RandomState::new().hash_one(name) >> 40)
}

fn number(variable: &str) -> Option<u64> {
    let value = std::env::var(variable).ok().filter(|value| !value.is_empty())?;
    Some(value.parse().unwrap_or_else(|_| panic!("{variable} is no number: {value}")))
}
