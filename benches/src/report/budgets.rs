//! Budgets: what the engine must reach, what it aims at, and what it does.

use serde::Serialize;

use super::Ratio;
use crate::machine::Machine;
use crate::rounds::{Figures, Rates, Spread};
use crate::studies::{Found, Study};
use crate::suite::Task;

/// One line of the budget.
#[derive(Clone, Debug, Serialize)]
pub struct Budget {
    /// What is held against what.
    pub what: String,
    /// What came out: of ratios, the median round.
    pub measured: f64,
    /// The least and the greatest round, where there are rounds.
    pub spread: Option<(f64, f64)>,
    /// What it has to reach; infinite where nothing has to be.
    pub must: f64,
    /// What it is to reach one day.
    pub aim: f64,
    /// Whether more is better.
    pub more_is_better: bool,
    /// What is reached: `aim`, `must` or `missed`.
    pub met: &'static str,
}

/// The figures of one workload.
pub type Run = (Task, Vec<Figures>);

/// Every budget that this run can tell something about.
#[must_use]
pub fn all(runs: &[Run], found: &Found, machine: &Machine) -> Vec<Budget> {
    let mut list = List { runs, rates: &found.rates, budgets: Vec::new() };
    hot(&mut list);
    hits(&mut list);
    mix(&mut list);
    unique(&mut list);
    large(&mut list, machine);
    tails(&mut list);
    race(&mut list);
    against_idempotent(&mut list);
    kept(&mut list, &found.grids);
    on_a_host(&mut list);
    in_shared_memory(&mut list, found.grids.iter().find(|grid| grid.name == "shared-memory"));
    list.budgets
}

/// The engine, one request at a time; with strings, by the keyed hash.
pub(super) fn ours<'f>(figures: &[&'f Figures]) -> Option<&'f Figures> {
    figures.iter().find(|f| f.name == "oncegate").copied()
}

/// The fastest of the peers that `which` accepts, one request at a time.
pub(super) fn best<'f>(
    figures: &[&'f Figures],
    which: impl Fn(&Figures) -> bool,
) -> Option<&'f Figures> {
    // One that creates a key twice does less than what is asked for.
    let exact = |f: &Figures| f.name != "moka or_insert";
    let single = |f: &Figures| f.kind.batch == 1;
    let peers = figures.iter().filter(|f| !f.kind.ours && single(f) && exact(f) && which(f));
    peers.min_by(|a, b| a.median().total_cmp(&b.median())).copied()
}

fn any(_: &Figures) -> bool {
    true
}

fn bounded(figures: &Figures) -> bool {
    figures.kind.bounded
}

fn locks(figures: &Figures) -> bool {
    figures.kind.locks
}

struct List<'r> {
    runs: &'r [Run],
    rates: &'r [Rates],
    budgets: Vec<Budget>,
}

impl<'r> List<'r> {
    fn figures(&self, task: Task, threads: usize) -> Vec<&'r Figures> {
        let run = self.runs.iter().find(|(other, _)| *other == task);
        let all = run.map(|(_, figures)| figures.as_slice()).unwrap_or_default();
        all.iter().filter(|f| f.threads == threads).collect()
    }

    /// Nothing is added where nothing was measured.
    fn add(&mut self, what: String, measured: Option<f64>, [must, aim]: [f64; 2], more: bool) {
        let Some(measured) = measured else { return };
        let reaches = |goal: f64| if more { measured >= goal } else { measured <= goal };
        let met = match (reaches(aim), reaches(must)) {
            (true, true) => "aim",
            (_, true) => "must",
            _ => "missed",
        };
        let (spread, more_is_better) = (None, more);
        self.budgets.push(Budget { what, measured, spread, must, aim, more_is_better, met });
    }

    fn ratio(&mut self, what: String, ratio: Option<Ratio>, goals: [f64; 2]) {
        let Some(ratio) = ratio else { return };
        let what = format!("{what}: speed against {}", ratio.against);
        self.add(what, Some(ratio.median), goals, true);
        if let Some(added) = self.budgets.last_mut() {
            added.spread = Some((ratio.min, ratio.max));
        }
    }

    /// What one takes through what the other does.
    fn ratio_at_most(&mut self, what: String, ratio: Option<Ratio>, goals: [f64; 2]) {
        let Some(ratio) = ratio else { return };
        // How much faster the first one is, is what the second takes through what the first does.
        self.add(what, Some(ratio.median), goals, false);
        if let Some(added) = self.budgets.last_mut() {
            added.spread = Some((ratio.min, ratio.max));
        }
    }

    /// The engine against the fastest of some peers.
    fn speed(
        &mut self,
        (task, threads): (Task, usize),
        what: &str,
        which: impl Fn(&Figures) -> bool,
        goals: [f64; 2],
    ) {
        let figures = self.figures(task, threads);
        let ratio = ours(&figures).zip(best(&figures, which)).map(|(o, t)| Ratio::of(o, t));
        self.ratio(format!("{}, {}{what}", task.name(), on(threads)), ratio, goals);
    }

    /// Two contenders of a study, by their names.
    fn pair(&self, rates: &str, callers: usize, ours: &str, theirs: &str) -> Option<Ratio> {
        let figures = self.rates.iter().find(|other| other.name == rates)?.of(callers);
        let of = |name: &str| figures.iter().find(|figures| figures.name == name).copied();
        Some(Ratio::of(of(ours)?, of(theirs)?))
    }

    /// The engine in batches against the fastest peer, which has none.
    fn batch(&mut self, (task, threads): (Task, usize), size: usize, goals: [f64; 2]) {
        let figures = self.figures(task, threads);
        let ours = figures.iter().find(|f| f.kind.ours && f.kind.batch == size);
        let ratio = ours.zip(best(&figures, any)).map(|(o, t)| Ratio::of(o, t));
        let what = format!("{}, {}, batches of {size}", task.name(), on(threads));
        self.ratio(what, ratio, goals);
    }
}

fn on(threads: usize) -> String {
    format!("{threads} {}", if threads == 1 { "thread" } else { "threads" })
}

fn hot(list: &mut List<'_>) {
    for threads in [1, 2, 4] {
        let papaya = |f: &Figures| f.name == "papaya";
        list.speed((Task::Hot, threads), "", papaya, [0.97, 1.15]);
    }
    list.speed((Task::Hot, 2), ", of those that lock", locks, [2.2, 2.2]);
    let alone = ours(&list.figures(Task::Hot, 1)).map(Figures::median);
    for threads in [2, 4] {
        let together = ours(&list.figures(Task::Hot, threads)).map(Figures::median);
        let flat = alone.zip(together).map(|(alone, together)| together / alone);
        let what = format!("hot: core time on {} through that on one", on(threads));
        list.add(what, flat, [1.10, 1.10], false);
    }
}

fn hits(list: &mut List<'_>) {
    list.speed((Task::Hits64k, 1), "", any, [1.1, 1.3]);
    list.speed((Task::Hits64k, 2), "", any, [1.4, 1.7]);
    for threads in [1, 2] {
        list.batch((Task::Hits64k, threads), 16, [1.8, 2.5]);
    }
}

fn mix(list: &mut List<'_>) {
    list.speed((Task::Mix, 1), "", any, [0.85, 1.0]);
    list.speed((Task::Mix, 2), "", any, [1.2, 1.4]);
    list.batch((Task::Mix, 1), 16, [1.9, 2.8]);
}

fn unique(list: &mut List<'_>) {
    list.speed((Task::Unique, 1), ", of those that evict", bounded, [1.2, 1.6]);
    list.speed((Task::Unique, 2), ", of those that evict", bounded, [1.5, 2.0]);
    list.speed((Task::Unique, 1), "", any, [1.0, 1.3]);
    list.speed((Task::Unique, 2), "", any, [1.2, 1.5]);
    for threads in [1, 2] {
        list.batch((Task::Unique, threads), 16, [3.0, 4.5]);
    }
}

fn large(list: &mut List<'_>, machine: &Machine) {
    for threads in [1, 2] {
        list.speed((Task::Hits16m, threads), "", any, [1.3, 1.5]);
    }
    let figures = list.figures(Task::Hits16m, 1);
    let median = ours(&figures).and_then(|f| f.latency.as_ref());
    let accesses = median.map(|l| l.value_at_quantile(0.5) as f64 / machine.dependent_access_ns);
    list.add("hits16m: p50 in accesses to memory".to_owned(), accesses, [1.35, 1.35], false);
    list.batch((Task::Hits16m, 1), 32, [6.0, 8.0]);
    let batch = figures.iter().find(|f| f.kind.ours && f.kind.batch == 32);
    let lines = batch.map(|f| f.median() / machine.independent_access_ns);
    let what = "hits16m, batches of 32: in independent accesses to memory".to_owned();
    list.add(what, lines, [3.0, 3.0], false);
}

fn tails(list: &mut List<'_>) {
    for task in [Task::Hot, Task::Hits64k, Task::Mix, Task::Unique, Task::Hits16m] {
        let figures = list.figures(task, 1);
        let at = |f: &Figures, share| {
            f.latency.as_ref().map(|latency| latency.value_at_quantile(share) as f64)
        };
        let peers = figures.iter().filter(|f| !f.kind.ours).filter_map(|f| at(f, 0.999));
        let (best, ours) = (peers.min_by(f64::total_cmp), ours(&figures));
        let ratio = ours.and_then(|f| at(f, 0.999)).zip(best).map(|(ours, best)| ours / best);
        let what = format!("{}, 1 thread: p99.9 through the best peer's", task.name());
        list.add(what, ratio, [1.1, 1.0], false);
        let pause = ours.and_then(|f| at(f, 0.9999)).map(|ns| ns / 1e3);
        let what = format!("{}, 1 thread: p99.99, \u{b5}s", task.name());
        list.add(what, pause, [10.0, 10.0], false);
    }
}

fn race(list: &mut List<'_>) {
    for threads in [2, 4] {
        let figures = list.figures(Task::Race, threads);
        let Some(ours) = ours(&figures) else { continue };
        let created = ours.created as f64 / ours.operations.max(1) as f64;
        let what = format!("race, {}: creations beyond one, for each key", on(threads));
        list.add(what, Some((created - 1.0).abs()), [0.0, 0.0], false);
        let mutexes = figures.iter().find(|f| f.name == "64 mutexes, hashbrown");
        let rounds = mutexes.map(|theirs| {
            let rounds = ours.ns.iter().zip(&theirs.ns).map(|(ours, theirs)| ours / theirs);
            Spread::of(&rounds.collect::<Vec<_>>()).median
        });
        let what = format!("race, {}: time through that of 64 mutexes", on(threads));
        list.add(what, rounds, [2.2, 1.25], false);
    }
}

fn against_idempotent(list: &mut List<'_>) {
    let idempotent = |f: &Figures| f.name == "idempotent";
    list.speed((Task::UniqueText, 1), ", keyed hash included", idempotent, [10.0, 15.0]);
}

/// Processes that share a table, against the store that a host takes for that today.
fn on_a_host(list: &mut List<'_>) {
    for members in [1, 2] {
        let on = if members == 1 { "1 process" } else { "2 processes" };
        for (batch, goals) in
            [("", [400.0, 600.0]), (", batches of 16", [20.0, 20.0]), (BATCHES, [20.0, 20.0])]
        {
            for table in ["", ", default capacity"] {
                let ours = format!("oncegate{table}{batch}");
                let ratio = list.pair("host-new", members, &ours, &format!("{REDIS}{batch}"));
                list.ratio(format!("host-new, {on}{table}"), ratio, goals);
            }
        }
    }
    let race = list.rates.iter().find(|rates| rates.name == "host-race");
    if let Some(ours) = race.and_then(|race| ours(&race.of(2))) {
        let created = ours.created as f64 / ours.operations.max(1) as f64;
        let what = "host-race, 2 processes: creations beyond one, for each key".to_owned();
        list.add(what, Some((created - 1.0).abs()), [0.0, 0.0], false);
    }
}

/// Shared memory against memory of the process, both with pages of one size.
fn in_shared_memory(list: &mut List<'_>, pages: Option<&Study>) {
    let huge = |name: &str, workload: usize| {
        let row = pages?.rows.iter().find(|row| row.name == name)?;
        row.figures.get(workload).copied().flatten()
    };
    let names = ["memory-hot", "memory-hits64k", "memory-unique", "memory-hits1m"];
    for (workload, rates) in names.into_iter().enumerate() {
        for kind in ["inherited", "file"] {
            for small in ["", ", small pages"] {
                let (shared, own) =
                    (format!("oncegate, {kind}{small}"), format!("oncegate{small}"));
                // Where the kernel gives huge pages to one of them alone, it is the pages that
                // would be compared.
                let same = huge(&shared, workload).zip(huge(&own, workload));
                if same.is_none_or(|(shared, own)| (shared - own).abs() > SAME_PAGES) {
                    continue;
                }
                for threads in [1, 2] {
                    let ratio = list.pair(rates, threads, &own, &shared);
                    let what = format!("{rates}, {}: time of {kind}{small}", on(threads));
                    list.ratio_at_most(what, ratio, [1.1, 1.0]);
                }
            }
        }
    }
}

/// Points of a hundred.
const SAME_PAGES: f64 = 10.0;
const REDIS: &str = "redis, unix socket";
const BATCHES: &str = ", batches of 32";

/// What studies say: records that are kept, and what they cost.
fn kept(list: &mut List<'_>, studies: &[Study]) {
    let study = |name: &str| studies.iter().find(|study| study.name == name);
    if let Some(study) = study("retention") {
        for (at, must) in [(0.8, 0.0), (0.9, f64::INFINITY)] {
            let what = format!("retries that run again at {at} of the capacity, %");
            list.add(what, study.figure("oncegate", at), [must, 0.0], false);
        }
    }
    if let Some(study) = study("early-evictions") {
        for (at, must) in [(0.8, 0.02), (0.9, f64::INFINITY)] {
            let what = format!("evictions inside the window at {at} of the capacity, of 100");
            list.add(what, study.figure("oncegate", at), [must, 0.02], false);
        }
    }
    if let Some(study) = study("hit-rate") {
        let points = study.columns.iter().filter_map(|&capacity| {
            Some(study.figure("oncegate", capacity)? - study.figure("exact LRU", capacity)?)
        });
        let worst = points.min_by(f64::total_cmp);
        let what = "hit rate: points above exact LRU, at the worst capacity".to_owned();
        list.add(what, worst, [-0.5, 0.0], true);
    }
    if let Some(study) = study("memory") {
        let row = study.rows.iter().find(|row| row.name == "oncegate");
        let figures = row.map(|row| row.figures.iter().flatten().copied());
        let worst = figures.and_then(|figures| figures.max_by(f64::total_cmp));
        let what = "resident bytes of a record, at the worst size".to_owned();
        list.add(what, worst, [155.0, 145.0], false);
    }
}
