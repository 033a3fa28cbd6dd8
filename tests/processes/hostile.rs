//! Words of a table that no step of the engine leads to: each call answers, and comes to an end.

use std::os::unix::fs::FileExt as _;
use std::sync::mpsc;
use std::time::Duration;

use oncegate::{
    Admission, Engine, EngineBuilder, ErrorCode, Failure, ManualClock, Outcome, Reach, Request,
    Resolution, Scope, Secret,
};

use crate::crew::Folder;

/// Where the words of a table lie that was made for 16 records and one process.
const KEYS: u64 = 26;
const LINES: u64 = 88 + 16;
const SLOTS: u64 = (LINES + 2 * 8).next_multiple_of(16);
const SLOT_WORDS: u64 = 16;
const ARBITRATION: u64 = 6;
const CONTROL: u64 = 4;
const DEADLINE: u64 = 5;
/// States, as control words have them.
const INSERTING: u64 = 2;
const RUNNING: u64 = 3;
const UNKNOWN: u64 = 7;
const LAST_FENCE: u64 = (1 << 44) - 1;
const LOW: u64 = (1 << 20) - 1;

/// A table and its file.
struct Table {
    folder: Folder,
    clock: ManualClock,
}

impl Table {
    fn new() -> Self {
        Self { folder: Folder::new(), clock: ManualClock::new() }
    }

    fn builder(&self) -> EngineBuilder {
        let builder = Engine::builder().capacity(16).max_processes(1).clock(self.clock.clone());
        builder.reach(Reach::Host(self.folder.table()))
    }

    fn open(&self) -> Engine {
        self.builder().build().expect("a table")
    }

    fn change(&self, at: u64, change: impl FnOnce(u64) -> u64) {
        let file = std::fs::File::options().read(true).write(true).open(self.folder.table());
        let (file, mut word) = (file.expect("own file"), [0; 8]);
        file.read_exact_at(&mut word, at * 8).expect("a word");
        let changed = change(u64::from_ne_bytes(word));
        file.write_all_at(&changed.to_ne_bytes(), at * 8).expect("a word");
    }

    /// The number of the one slot in `state`, and the word at which it begins.
    fn slot(&self, state: u64) -> (u64, u64) {
        let bytes = std::fs::read(self.folder.table()).expect("own file");
        let words: Vec<u64> =
            bytes.as_chunks().0.iter().map(|word| u64::from_ne_bytes(*word)).collect();
        let at = |slot: u64| SLOTS + slot * SLOT_WORDS;
        let in_state = |slot: &u64| words[(at(*slot) + CONTROL) as usize] >> 61 == state;
        let slot = (0..64).find(in_state).expect("a slot in that state");
        (slot, at(slot))
    }
}

fn request() -> Request<'static> {
    Request::new(Scope::single_tenant(), "POST /charges", "k").expect("valid")
}

/// What `call` answers, if it comes to an end.
fn in_time<T: Send + 'static>(call: impl FnOnce() -> T + Send + 'static) -> T {
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || tell.send(call()));
    told.recv_timeout(Duration::from_secs(60)).expect("it goes on for ever")
}

/// Goal: an attempt whose deadline is not its own ends in an answer. Method: one bit of the
/// deadline is changed, of a record that runs and of one that is unknown; both are finished.
#[test]
fn a_deadline_of_nobody() {
    let done = || Outcome::new(200, b"done");
    let table = Table::new();
    let engine = table.open();
    let Ok(Admission::Admitted(lease)) = engine.begin(&request()) else { panic!() };
    let token = lease.into_token();
    table.change(table.slot(RUNNING).1 + DEADLINE, |word| word ^ 2);
    let ended = in_time(move || engine.complete(&token, &done()).map_err(|error| error.code()));
    assert!(ended.is_err(), "{ended:?}");

    let table = Table::new();
    let engine = table.open();
    let Ok(Admission::Admitted(lease)) = engine.begin(&request()) else { panic!() };
    lease.fail(Failure::unknown()).expect("held");
    table.change(table.slot(UNKNOWN).1 + DEADLINE, |word| word ^ 2);
    let resolved = move || engine.resolve(&request(), Resolution::Succeeded(done()));
    assert!(in_time(resolved).is_err());
}

/// Goal: an insertion that is pending, and whose counter has come to its end, holds nobody up.
/// Method: such a slot and arbitration word, whose lease is over.
#[test]
fn a_pending_insertion_at_the_last_counter() {
    let table = Table::new();
    let engine = table.open();
    let Ok(Admission::Admitted(lease)) = engine.begin(&request()) else { panic!() };
    let _ = lease.into_token();
    let (slot, at) = table.slot(RUNNING);
    table.change(at + CONTROL, |_| INSERTING << 61 | 1 << 44 | LAST_FENCE);
    table.change(at + DEADLINE, |_| 1 << 24 | LOW);
    let pending = 1 << 49 | 1 << 48 | slot << 20 | LOW;
    table.change(LINES + slot / 32 * 8 + ARBITRATION, |_| pending);
    // Longer than its window, too.
    table.clock.advance(Duration::from_secs(48 * 3_600));
    let begun = in_time(move || engine.begin(&request()).map(drop).map_err(|e| e.code()));
    assert_eq!(begun, Err(ErrorCode::Exhausted));
}

/// Goal: a generation of the secrets that has come to its end is one like others. Method: the last
/// one, and a rotation.
#[test]
fn the_last_generation_of_secrets() {
    let table = Table::new();
    let engine = table.open();
    table.change(KEYS, |word| word | u64::from(u32::MAX) << 32);
    let rotated = engine.rotate_secret(Secret::generate().expect("entropy"));
    rotated.and_then(|()| engine.finish_rotation()).expect("as ever");
    assert!(matches!(engine.begin(&request()), Ok(Admission::Admitted(_))));
}
