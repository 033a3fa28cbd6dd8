//! Host: processes that share a table, beside a server and files that could do the same.

use std::path::PathBuf;

use super::Found;
use crate::contender::Kind;
use crate::host::{
    Folder, HostStore, MISSING, Order, RedisServer, Site, Task, Team, Visitor, everyone,
};
use crate::rng::Rng;
use crate::rounds::{Figures, Rates, Settings};

/// New requests, duplicates and races of one and two processes, on every store that a host can
/// share: all of them in one run, in an order that is shuffled anew in each round.
///
/// # Errors
///
/// A process failed, or the Redis server did not start.
pub(super) fn host(capacity: usize, settings: &Settings) -> Result<Found, String> {
    let folder = Folder::new()?;
    let mut site = Site::new(&folder, capacity);
    let server = RedisServer::start(&mut site)?;
    if server.is_none() {
        eprintln!("host: the rows of Redis are SKIPPED: {MISSING}");
    }
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut hall = Hall { program, site, teams: Vec::new(), seats: Vec::new(), failed: None };
    everyone(&mut hall);
    if let Some(reason) = hall.failed {
        return Err(reason);
    }
    hall.rounds(settings)?;
    let redis = server.map_or(format!("{MISSING}: its rows are skipped"), |server| {
        format!("Redis {} on this machine, nothing on a disk", server.version())
    });
    let rates = [Task::New, Task::Replays, Task::Race].map(|task| Rates {
        name: task.name(),
        about: about(task, capacity, &redis),
        caller: "process",
        figures: hall.figures(task),
    });
    Ok(Found { grids: Vec::new(), rates: rates.into() })
}

fn about(task: Task, capacity: usize, redis: &str) -> String {
    let what = match task {
        Task::New => {
            format!("every request is new: begun and completed, in a table of {capacity} records")
        }
        Task::Replays => "every request is a duplicate of one of 1000 finished ones".to_owned(),
        Task::Race => "all processes begin the same new keys".to_owned(),
    };
    format!(
        "{what}. Callers are processes that share one table; ns are what a caller waits for one \
         operation, also while a server works or another caller has the lock. {redis}"
    )
}

/// A row of a table.
struct Seat {
    team: usize,
    order: Order,
    figures: Figures,
}

struct Hall {
    program: PathBuf,
    site: Site,
    teams: Vec<Team>,
    seats: Vec<Seat>,
    failed: Option<String>,
}

impl Visitor for Hall {
    fn visit<S: HostStore>(&mut self) {
        if self.failed.is_some() || (S::SERVED && self.site.redis.is_none()) {
            return;
        }
        match Team::start(&self.program, S::NAME, MEMBERS, &self.site) {
            Ok(team) => {
                self.teams.push(team);
                self.seats::<S>();
            }
            Err(reason) => self.failed = Some(reason),
        }
    }
}

impl Hall {
    fn seats<S: HostStore>(&mut self) {
        let team = self.teams.len() - 1;
        for task in [Task::New, Task::Replays, Task::Race] {
            let batches: &[usize] =
                if S::BATCHES && task != Task::Race { &[1, 16, 32] } else { &[1] };
            let least = if task == Task::Race { MEMBERS } else { 1 };
            for (&batch, members) in
                batches.iter().flat_map(|batch| (least..=MEMBERS).map(move |count| (batch, count)))
            {
                let name = match batch {
                    1 => S::NAME.to_owned(),
                    _ => format!("{}, batches of {batch}", S::NAME),
                };
                let kind = Kind {
                    ours: S::NAME.starts_with("oncegate"),
                    batch,
                    // Nothing is removed for any of them.
                    bounded: true,
                    locks: !S::NAME.starts_with("oncegate"),
                    threads: MEMBERS,
                };
                let time = std::time::Duration::ZERO;
                let order = Order { task, batch, members, time };
                self.seats.push(Seat { team, order, figures: Figures::new(name, kind, members) });
            }
        }
    }

    /// Round zero warms up, and is thrown away.
    fn rounds(&mut self, settings: &Settings) -> Result<(), String> {
        let mut rng = Rng::new(settings.seed);
        for round in 0..=settings.rounds {
            let mut turns: Vec<usize> = (0..self.seats.len()).collect();
            rng.shuffle(&mut turns);
            for turn in turns {
                let seat = &mut self.seats[turn];
                let time = if round == 0 { settings.slice / 4 } else { settings.slice };
                let done = self.teams[seat.team].work(&Order { time, ..seat.order })?;
                if round > 0 {
                    let keys =
                        if seat.order.task == Task::Race { done.furthest } else { done.operations };
                    seat.figures.ns.push(done.ns as f64 / done.operations.max(1) as f64);
                    seat.figures.created += done.created;
                    seat.figures.operations += keys;
                }
            }
        }
        Ok(())
    }

    fn figures(&self, task: Task) -> Vec<Figures> {
        let of_task = self.seats.iter().filter(|seat| seat.order.task == task);
        of_task.map(|seat| seat.figures.clone()).collect()
    }
}

/// Processes that share each store.
const MEMBERS: usize = 2;
