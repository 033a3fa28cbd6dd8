//! Dedup windows of processes that have different ones by default.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt as _;
use std::time::Duration;

use oncegate::{
    Admission, Engine, Failure, FileAccess, ManualClock, OnLapse, Reach, RegionFile, Request,
    Resolution, Scope,
};

use crate::crew::{Folder, Worker};

const DAY: Duration = Duration::from_secs(24 * 3600);
const LEASE: Duration = Duration::from_secs(1);

fn engine(folder: &Folder, clock: &ManualClock, window: Duration) -> Engine {
    let builder = Engine::builder().tiny().clock(clock.clone()).reach(Reach::Host(folder.table()));
    let builder = builder.lease_duration(LEASE).on_lapse(OnLapse::Failed);
    builder.dedup_window(window).build().expect("a table")
}

fn request(key: &str) -> Request<'_> {
    Request::new(Scope::single_tenant(), "POST /charges", key).expect("valid")
}

/// Goal: a window is not cut short by whoever notices a lapse or clears what nobody asks for, and
/// has a shorter one by default (a request ran again after that, or forgot how often it was tried).
/// Method: one process has windows of 300 days, the other one of a day, and opens the table before
/// or after; attempts that lapse, wait, and are resolved, and two days.
#[test]
fn the_longest_window_holds_for_all() {
    for long_first in [true, false] {
        let (folder, clock) = (Folder::new(), ManualClock::new());
        let windows = if long_first { [300, 1] } else { [1, 300] };
        let engines = windows.map(|days| engine(&folder, &clock, days * DAY));
        let [long, short] = if long_first { [0, 1] } else { [1, 0] }.map(|at| &engines[at]);
        let admitted = |key: &str| match long.begin(&request(key)) {
            Ok(Admission::Admitted(lease)) => lease,
            other => panic!("{key}: {other:?}"),
        };
        admitted("waits").fail(Failure::retryable()).expect("the holder");
        admitted("unknown").fail(Failure::unknown()).expect("the holder");
        let _ = admitted("lapses").into_token();
        clock.advance(2 * LEASE);
        assert_eq!(short.sweep(usize::MAX).expect("a part").lapsed, 1);
        let outcome = oncegate::Outcome::new(200, b"done");
        short.resolve(&request("unknown"), Resolution::Succeeded(outcome)).expect("unknown");
        clock.advance(2 * DAY);
        assert_eq!(short.sweep(usize::MAX).expect("a part").cleared, 0, "{long_first}");
        for key in ["lapses", "unknown"] {
            let answer = long.begin(&request(key));
            assert!(matches!(answer, Ok(Admission::Replayed(_))), "{key}: {answer:?}");
        }
        assert_eq!(admitted("waits").attempt(), 2);
        clock.advance(300 * DAY);
        assert!(short.sweep(usize::MAX).expect("a part").cleared >= 2, "windows have an end");
    }
}

/// When the window of the one failed record ends, in milliseconds since the table was made.
fn window_end(folder: &Folder) -> u64 {
    // Header 88 words, three processes of 16, two lines of 8; slots begin on a pair of lines.
    let slots = (88 + 3 * 16 + 2 * 8_usize).next_multiple_of(16);
    let bytes = std::fs::read(folder.table()).expect("own file");
    let word =
        |at: usize| u64::from_ne_bytes(bytes[at * 8..][..8].try_into().expect("eight bytes"));
    let slot = (0..64).find(|slot| word(slots + slot * 8 + 4) >> 61 == 6).expect("one failed");
    word(slots + slot * 8 + 5) >> 24
}

/// Goal: a collection gives what lapsed the window of those who use the table, and not an engine's
/// default; and no word of the file makes it longer than any may be. Method: a holder with a window
/// of 300 days is killed; the same with the largest word in the place of the longest window, and
/// with none, as in a table of before.
#[test]
fn a_collection_keeps_windows_as_long_as_they_are() {
    let days = |days: u64| days * DAY.as_millis() as u64;
    for (word, least, most) in [
        (None, days(300), days(301)),
        (Some(u64::MAX), days(3_653), days(3_654)),
        (Some(0), days(1), days(2)),
    ] {
        let folder = Folder::new();
        let window = days(300);
        let options = format!("tiny lease=3600000 lapse=failed window={window}");
        let mut holder = Worker::of(&folder, &options);
        holder.admitted("k");
        holder.kill();
        if let Some(word) = word {
            let file = OpenOptions::new().write(true).open(folder.table()).expect("own file");
            file.write_all_at(&u64::to_ne_bytes(word), 31 * 8).expect("own file");
        }
        RegionFile::collect(folder.table(), FileAccess::owner_only()).expect("a region");
        let end = window_end(&folder);
        assert!((least..most).contains(&end), "{word:?}: it ends after {} days", end / days(1));
    }
}
