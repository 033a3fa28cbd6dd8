//! The machine is started anew: the clock begins again, and the wall has moved on.

use std::os::unix::fs::FileExt as _;
use std::time::Duration;

use oncegate::{Admission, Clock, Engine, ManualClock, OnLapse, Outcome, Reach, Request, Scope};

use crate::crew::{Folder, Worker};

const WORKER: &str = env!("CARGO_BIN_EXE_oncegate-worker");
const HOUR: Duration = Duration::from_secs(3_600);
/// Where the header says which boot it was.
const BOOT_AT: u64 = 48 * 8;

/// A clock that was started anew: it shows zero, and the wall shows what it showed before and more.
#[derive(Clone, Debug)]
struct Anew {
    since_boot: ManualClock,
    wall_at_boot: Duration,
}

impl Clock for Anew {
    fn now(&self) -> Duration {
        self.since_boot.now()
    }

    fn unix_time(&self) -> Duration {
        self.wall_at_boot + self.since_boot.now()
    }
}

impl Anew {
    fn at(wall_at_boot: Duration) -> Self {
        Self { since_boot: ManualClock::new(), wall_at_boot }
    }
}

fn open(folder: &Folder, clock: &Anew, lapse: OnLapse) -> Engine {
    Engine::builder()
        .capacity(1_000)
        .reach(Reach::Host(folder.table()))
        .clock(clock.clone())
        .lease_duration(HOUR)
        .dedup_window(24 * HOUR)
        .on_lapse(lapse)
        .build()
        .expect("the table")
}

fn request(key: &str) -> Request<'_> {
    Request::new(Scope::single_tenant(), "POST /charges", key).expect("valid")
}

/// Makes the file say that it was used in another boot.
fn another_boot(folder: &Folder) {
    let file = std::fs::OpenOptions::new().write(true).open(folder.table());
    file.expect("own file").write_all_at(&[0xb0; 16], BOOT_AT).expect("room");
}

/// The word of the header that says when the region's time began.
const ORIGIN: u64 = 27;

fn write(folder: &Folder, word: u64, value: u64) {
    let file = std::fs::OpenOptions::new().write(true).open(folder.table()).expect("own file");
    file.write_all_at(&value.to_ne_bytes(), word * 8).expect("room");
}

const WALL: Duration = Duration::from_secs(1_700_000_000);

/// A table in which `done` was completed, and `held` runs, and whose machine was then started anew
/// after `off`; with the token that `held` had.
fn after(off: Duration, lapse: OnLapse) -> (Folder, Engine, Anew, oncegate::LeaseToken) {
    let folder = Folder::new();
    let clock = Anew::at(WALL);
    clock.since_boot.advance(5 * HOUR);
    let engine = open(&folder, &clock, lapse);
    let Ok(Admission::Admitted(lease)) = engine.begin(&request("done")) else { panic!() };
    lease.complete(&Outcome::new(200, b"done")).expect("the holder");
    let Ok(Admission::Admitted(lease)) = engine.begin(&request("held")) else { panic!() };
    let token = lease.into_token();
    clock.since_boot.advance(Duration::from_secs(2));
    // Its time is noted when somebody sweeps.
    engine.sweep(usize::MAX).expect("own");
    let wall = clock.unix_time();
    drop(engine);
    another_boot(&folder);
    let clock = Anew::at(wall + off);
    let engine = open(&folder, &clock, lapse);
    (folder, engine, clock, token)
}

/// Goal: a window ends when it was to end, by the wall. Method: off for less than the window, and
/// for more; then the rest of the window passes.
#[test]
fn windows_end_by_the_wall() {
    let (_folder, engine, clock, _) = after(20 * HOUR, OnLapse::Reclaim);
    assert!(matches!(engine.begin(&request("done")), Ok(Admission::Replayed(_))));
    clock.since_boot.advance(3 * HOUR);
    assert!(matches!(engine.begin(&request("done")), Ok(Admission::Replayed(_))));
    clock.since_boot.advance(HOUR);
    assert!(matches!(engine.begin(&request("done")), Ok(Admission::Admitted(_))));
    let (_folder, engine, ..) = after(25 * HOUR, OnLapse::Reclaim);
    assert!(matches!(engine.begin(&request("done")), Ok(Admission::Admitted(_))));
}

/// Goal: what ran follows its policy, since nobody runs it any more; its token is stale, and the
/// next one is higher. Method: each policy, a moment after the machine came up.
#[test]
fn what_ran_follows_its_policy() {
    let moment = Duration::from_secs(1);
    let (_folder, engine, _, old) = after(moment, OnLapse::Reclaim);
    let stale = engine.complete(&old, &Outcome::new(200, b"late")).expect_err("stale");
    assert!(stale.is_fenced());
    let Ok(Admission::Admitted(lease)) = engine.begin(&request("held")) else { panic!() };
    assert_eq!(lease.attempt(), 2);
    assert!(lease.fencing_token() > old.fencing_token());
    drop(lease);
    let (_folder, engine, ..) = after(moment, OnLapse::Unknown);
    assert!(matches!(engine.begin(&request("held")), Ok(Admission::Unresolved)));
    let (_folder, engine, ..) = after(moment, OnLapse::Failed);
    assert!(matches!(engine.begin(&request("held")), Ok(Admission::Replayed(_))));
}

/// A table in which one request was done, 23 hours ago.
fn done_long_ago(folder: &Folder, clock: &Anew, lapse: OnLapse) -> Engine {
    let engine = open(folder, clock, lapse);
    let Ok(Admission::Admitted(lease)) = engine.begin(&request("done")) else { panic!() };
    lease.complete(&Outcome::new(200, b"done")).expect("the holder");
    clock.since_boot.advance(23 * HOUR);
    engine.sweep(usize::MAX).expect("own");
    engine
}

/// Goal: a wall clock that is wrong does limited harm: time never goes back, and no further than a
/// year at once. Method: a wall that was set back by years, and one that was set forward.
#[test]
fn a_wrong_wall_does_limited_harm() {
    let folder = Folder::new();
    let clock = Anew::at(WALL);
    let engine = done_long_ago(&folder, &clock, OnLapse::Reclaim);
    let highest = {
        let Ok(Admission::Admitted(lease)) = engine.begin(&request("x")) else { panic!() };
        lease.fencing_token()
    };
    drop(engine);
    another_boot(&folder);
    let back = Anew::at(WALL - 10_000 * HOUR);
    let engine = open(&folder, &back, OnLapse::Reclaim);
    assert!(matches!(engine.begin(&request("done")), Ok(Admission::Replayed(_))));
    let Ok(Admission::Admitted(lease)) = engine.begin(&request("y")) else { panic!() };
    assert!(lease.fencing_token() > highest, "tokens rise whatever the wall says");
    drop(lease);
    back.since_boot.advance(HOUR);
    assert!(matches!(engine.begin(&request("done")), Ok(Admission::Admitted(_))));
    drop(engine);
    another_boot(&folder);
    let forward = Anew::at(WALL + 100_000 * HOUR);
    let engine = open(&folder, &forward, OnLapse::Reclaim);
    assert!(matches!(engine.begin(&request("new")), Ok(Admission::Admitted(_))));
}

/// Goal: whoever is shown another boot than the processes that use the table, as some containers
/// are, shares it: a lock that is seen is one of this kernel. Whose clock shows another time is
/// refused. Method: a live process; a file that says that it is of another boot, and then that its
/// time began later.
#[test]
fn a_boot_of_its_own_is_no_restart_while_somebody_is_there() {
    let folder = Folder::new();
    let mut worker = Worker::of(&folder, "lease=3600000");
    worker.admitted("k");
    another_boot(&folder);
    let mut other = Worker::of(&folder, "lease=3600000");
    assert_eq!(other.ask("begin k"), "in-progress 1");
    other.admitted("mine");
    assert_eq!(worker.ask("begin mine"), "in-progress 1");
    write(&folder, ORIGIN, 1 << 50);
    let mut late = Worker::start(&mut std::process::Command::new(WORKER));
    let refused = late.ask(&format!("open {}", folder.table().display()));
    assert_eq!(refused, "error RegionInvalid region");
}

/// Goal: where the system does not say which boot it is, as for a unit without that part of
/// `/proc`, a restart is told by the clock alone. Method: a file that names no boot, with a clock
/// that goes on, and one that went back behind what the table has come to.
#[test]
fn a_boot_that_is_not_told_is_no_restart() {
    let folder = Folder::new();
    let clock = Anew::at(WALL);
    let engine = done_long_ago(&folder, &clock, OnLapse::Unknown);
    drop(engine);
    write(&folder, BOOT_AT / 8, 0);
    write(&folder, BOOT_AT / 8 + 1, 0);
    // By the wall two hours have passed; the clock knows of none.
    let on = Anew { since_boot: clock.since_boot.clone(), wall_at_boot: WALL + 2 * HOUR };
    let engine = open(&folder, &on, OnLapse::Unknown);
    assert!(matches!(engine.begin(&request("done")), Ok(Admission::Replayed(_))));
    drop(engine);
    let back = Anew::at(WALL + 25 * HOUR);
    back.since_boot.advance(HOUR);
    let engine = open(&folder, &back, OnLapse::Unknown);
    assert!(matches!(engine.begin(&request("done")), Ok(Admission::Admitted(_))));
}

/// Goal: a process that dies while it moves the table's time on leaves it right for the next one.
/// Method: of the words that it writes, in their order, more and more are those of after, and the
/// rest those of before; ten hours have passed of a window of 24.
#[test]
fn a_death_in_between_counts_the_time_once() {
    // The header's words: last, wall, first, origin, epoch.
    const ORDER: [usize; 5] = [51, 50, 28, 27, 24];
    let image = |folder: &Folder| std::fs::read(folder.table()).expect("own file");
    for written in 0..=ORDER.len() {
        let (folder, engine, clock, _) = after(10 * HOUR, OnLapse::Reclaim);
        drop(engine);
        let whole = image(&folder);
        // The same again, from what there was before.
        another_boot(&folder);
        let again = Anew::at(clock.wall_at_boot);
        let mut before = image(&folder);
        for word in ORDER.into_iter().skip(written) {
            let at = word * 8..word * 8 + 8;
            let old = match word {
                51 => 2_001_u64,
                50 => wall_ms(WALL + 5 * HOUR),
                28 => 1,
                27 => 5 * HOUR.as_millis() as u64,
                _ => u64::from_ne_bytes(whole[at.clone()].try_into().expect("a word")) >> 1,
            };
            before[at].copy_from_slice(&old.to_ne_bytes());
        }
        std::fs::write(folder.table(), &before).expect("own file");
        let engine = open(&folder, &again, OnLapse::Reclaim);
        again.since_boot.advance(13 * HOUR);
        let inside = engine.begin(&request("done"));
        assert!(matches!(inside, Ok(Admission::Replayed(_))), "{written} words: {inside:?}");
        again.since_boot.advance(HOUR);
        let over = engine.begin(&request("done"));
        assert!(matches!(over, Ok(Admission::Admitted(_))), "{written} words: {over:?}");
    }
}

/// Milliseconds since 2020.
fn wall_ms(since_1970: Duration) -> u64 {
    (since_1970 - Duration::from_secs(1_577_836_800)).as_millis() as u64
}
