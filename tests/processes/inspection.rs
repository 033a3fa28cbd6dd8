//! A table is looked at from outside: what it says, and that nobody notices.

use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::path::Path;
use std::time::Duration;

use oncegate::{
    Admission, Engine, FileAccess, Inspection, Outcome, ProcessState, ProcessStatus, Quota, Reach,
    RegionFile, Request, Scope, Severity,
};

use crate::crew::{Folder, Worker};

pub(crate) fn look(path: &Path) -> RegionFile {
    RegionFile::open(path, FileAccess::owner_only()).expect("a file of this test")
}

fn inspect(folder: &Folder) -> Inspection {
    look(&folder.table()).inspect().expect("a region")
}

fn states(seen: &Inspection) -> Vec<(u8, ProcessState, u64)> {
    let tell = |process: &ProcessStatus| (process.index, process.state, process.leases);
    seen.processes.iter().map(tell).collect()
}

/// Goal: an inspection counts what there is, by state, lease and process. Method: two workers, with
/// records that run, wait, succeeded and are unknown; one worker is killed, then the other leaves.
#[test]
fn records_leases_and_processes_are_counted() {
    let folder = Folder::new();
    let mut one = Worker::of(&folder, "lease=3600000");
    let mut two = Worker::of(&folder, "lease=3600000");
    one.admitted("a");
    one.ask("complete a done");
    one.admitted("b");
    one.admitted("c");
    two.admitted("d");
    two.admitted("e");
    two.ask("fail e after=3600000");
    let seen = inspect(&folder);
    let records = seen.records;
    assert_eq!((records.running, records.waiting, records.succeeded), (3, 1, 1));
    assert_eq!((seen.half_done, records.total(), seen.unlimited_records), (0, 5, 5));
    assert_eq!((seen.leases.held, seen.leases.of_dead, seen.leases.lapsed), (3, 0, 0));
    let next = seen.leases.next_lapse_ms.expect("three leases last");
    assert!((3_000_000..=3_600_000).contains(&next), "{next}");
    assert_eq!(states(&seen), [(1, ProcessState::Alive, 2), (2, ProcessState::Alive, 1)]);
    assert!(seen.same_boot && seen.now_ms > 0, "{seen:?}");
    assert!(seen.processes.iter().all(|process| process.pid != 0), "{seen:?}");
    assert!((seen.fill - 5.0 / 65_536.0).abs() < 1e-9);

    one.kill();
    two.ask("drop");
    let seen = inspect(&folder);
    assert_eq!(states(&seen), [(1, ProcessState::Dead, 2), (2, ProcessState::Left, 1)]);
    assert_eq!((seen.leases.held, seen.leases.of_dead), (0, 3));
}

/// Goal: what a table was made for can be read without its options. Method: an engine with options
/// of its own.
#[test]
fn the_geometry_is_told() {
    let folder = Folder::new();
    let _engine = Engine::builder()
        .capacity(1_000)
        .inline_outcome(128)
        .outcome_limit(2_000)
        .outcome_bytes(1 << 20)
        .max_processes(7)
        .max_scopes(9)
        .on_full(oncegate::OnFull::Reject)
        .reach(Reach::Host(folder.table()))
        .build()
        .expect("made");
    let seen = inspect(&folder);
    assert_eq!((seen.format, seen.capacity, seen.inline_outcome), (2, 1_000, 128));
    assert_eq!((seen.outcome_limit, seen.max_processes, seen.max_scopes), (2_000, 7, 9));
    assert_eq!((seen.slots, seen.on_full), (seen.sets * 32, oncegate::OnFull::Reject));
    assert!((900_000..=1 << 20).contains(&(seen.chunks.total * seen.chunks.bytes_each)));
    assert_eq!(seen.bytes, std::fs::metadata(folder.table()).expect("there").len());
    assert_eq!((seen.keys.generation, seen.keys.is_rotating, seen.buried), (0, false, 0));
}

/// Goal: a lapsed lease shows how long it has been over. Method: a lease of a millisecond, looked
/// at until the clock has gone on.
#[test]
fn lapsed_leases_are_told() {
    let folder = Folder::new();
    let mut one = Worker::of(&folder, "lease=1");
    one.admitted("a");
    let seen = loop {
        let seen = inspect(&folder);
        if seen.leases.lapsed > 0 {
            break seen;
        }
    };
    assert_eq!((seen.leases.held, seen.records.running), (0, 1));
    assert!(seen.leases.longest_lapsed_ms.is_some() && seen.leases.next_lapse_ms.is_none());
}

/// Goal: scopes with limits are listed by what they use, and a name leads to its hash. Method:
/// three scopes, two of them limited; large outcomes fill chunks.
#[test]
fn scopes_and_chunks_are_told() {
    let folder = Folder::new();
    let engine = Engine::builder().capacity(1_000).reach(Reach::Host(folder.table()));
    let engine = engine.build().expect("made");
    let [small, large, free] = ["small", "large", "free"].map(|s| Scope::new(s).expect("a name"));
    engine.set_quota(small, Quota::unlimited().max_live(10).rate(50.0, 10)).expect("a quota");
    engine.set_quota(large, Quota::unlimited().max_live(100)).expect("a quota");
    for (scope, count) in [(small, 2), (large, 20), (free, 5)] {
        for number in 0..count {
            let key = format!("key-{number}");
            let request = Request::new(scope, "op", key.as_str()).expect("a request");
            let Admission::Admitted(lease) = engine.begin(&request).expect("room") else {
                panic!("a new request is admitted")
            };
            lease.complete(&Outcome::new(200, [b'x'; 500])).expect("stored");
        }
    }
    let seen = inspect(&folder);
    let hash = |scope: Scope<'_>| look(&folder.table()).scope_hash(scope).expect("a region");
    let told = |scope: Scope<'_>| {
        let scopes = &seen.scopes;
        scopes.iter().find(|status| status.hash == hash(scope)).copied().expect("listed")
    };
    assert_eq!(seen.scopes[0].hash, hash(large), "the most records come first");
    let (small, large) = (told(small), told(large));
    assert_eq!((small.records, small.charged, small.max_live), (2, 2, Some(10)));
    assert_eq!((large.records, large.max_live, large.per_second), (20, Some(100), None));
    assert!((small.per_second.expect("a rate") - 50.0).abs() < 0.01);
    assert!(small.by_name && !small.is_guest && seen.unlimited_records == 5, "{seen:?}");
    let chunks = seen.chunks;
    assert!(chunks.open >= 1 && chunks.live >= 1 && chunks.filled_bytes >= 27 * 500, "{chunks:?}");
    assert_eq!(chunks.total, chunks.unused + chunks.open + chunks.recycling + chunks.torn);
}

/// Goal: new records are counted, without a counter that all of them share. Method: some thousand
/// insertions of two processes between two counts; replays count for nothing.
#[test]
fn insertions_are_counted() {
    let folder = Folder::new();
    let (mut one, mut two) = (Worker::of(&folder, ""), Worker::of(&folder, ""));
    one.ask("mass 0 100 x");
    let file = look(&folder.table());
    let before = file.insertions().expect("a region");
    one.ask("mass 100 2000 x");
    two.ask("mass 2000 3000 x");
    two.ask("mass 0 3000 x");
    assert_eq!(file.insertions().expect("a region").since(&before), 2_900);
}

/// Goal: looking changes nothing, and needs no right to write. Method: the bytes of a file that may
/// only be read, before and after; the registry has no entry more.
#[test]
fn looking_changes_nothing() {
    let folder = Folder::new();
    let mut one = Worker::of(&folder, "");
    one.ask("mass 0 100 x");
    let only_read = std::fs::Permissions::from_mode(0o400);
    std::fs::set_permissions(folder.table(), only_read).expect("own file");
    let before = std::fs::read(folder.table()).expect("own file");
    let file = look(&folder.table());
    let seen = file.inspect().expect("a region");
    let findings = file.check().expect("a region");
    assert!(findings.iter().all(|finding| finding.severity == Severity::Info), "{findings:?}");
    file.insertions().expect("a region");
    assert_eq!(seen.processes.len(), 1);
    assert!(std::fs::read(folder.table()).expect("own file") == before, "it was changed");
}

/// Goal: a table at work is never taken for a broken one. Method: three workers that insert, finish
/// and evict in a small table, looked at again and again while they do.
#[test]
fn a_table_at_work_looks_sound() {
    let folder = Folder::new();
    let mut crew: Vec<Worker> = (0..3).map(|_| Worker::of(&folder, "capacity=500")).collect();
    for (worker, from) in crew.iter_mut().zip([0, 1_000, 40_000]) {
        worker.tell(&format!("mass {from} 60000 {}", "x".repeat(100)));
    }
    let file = look(&folder.table());
    let mut looks = 0;
    while !crew.iter_mut().all(|worker| worker.is_ready(Duration::ZERO)) {
        let findings = file.check().expect("a region");
        let worst = findings.iter().find(|finding| finding.severity == Severity::Error);
        assert_eq!(worst, None, "look {looks}");
        let seen = file.inspect().expect("a region");
        assert!(seen.leases.held <= 3, "{seen:?}");
        looks += 1;
    }
    println!("{looks} looks");
}

/// Goal: whatever bytes a file has, they give numbers or a typed error. Method: words of a real
/// table, each round some more of them at random, the header's as well in the end.
#[test]
fn any_bytes_give_an_answer() {
    let folder = Folder::new();
    let mut one = Worker::of(&folder, "capacity=200");
    one.ask("mass 0 200 x");
    one.ask("exit");
    let seed = std::env::var("ONCEGATE_SEED").ok().and_then(|seed| seed.parse().ok());
    let mut dice: u64 = seed.unwrap_or(0x5eed_0002);
    println!("seed {dice}");
    let file = std::fs::OpenOptions::new().write(true).open(folder.table()).expect("own file");
    let words = file.metadata().expect("own file").len() / 8;
    let mut roll = move || {
        // Marsaglia's xorshift.
        dice ^= dice << 13;
        dice ^= dice >> 7;
        dice ^= dice << 17;
        dice
    };
    for round in 0..60 {
        // The words that say where everything lies come last.
        let first = if round < 50 { 24 } else { 0 };
        for _ in 0..500 {
            let at = first + roll() % (words - first);
            let word = if roll().is_multiple_of(4) { u64::MAX } else { roll() };
            file.write_all_at(&word.to_ne_bytes(), at * 8).expect("own file");
        }
        let image = look(&folder.table());
        assert_eq!(image.inspect().is_ok(), round < 50 || image.insertions().is_ok());
        let findings = image.check().expect("it can be read");
        assert!(findings.iter().any(|finding| finding.severity == Severity::Error));
    }
    file.set_len(1_000).expect("own file");
    assert!(look(&folder.table()).inspect().is_err());
}
