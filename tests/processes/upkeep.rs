//! A table is looked after: what a check finds, what a collection clears, what a removal refuses.

use std::fs::{File, OpenOptions, Permissions};
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use oncegate::{Engine, ErrorCode, FileAccess, Finding, ProcessState, Reach, RegionFile, Severity};

use crate::crew::{Folder, Worker};
use crate::inspection::look;

/// The codes of what a check finds, except what is only worth knowing.
fn found(path: &Path) -> Vec<&'static str> {
    let findings = look(path).check().expect("it can be read");
    let serious = findings.iter().filter(|finding| finding.severity > Severity::Info);
    serious.map(|finding| finding.code).collect()
}

fn is_damaged(path: &Path) -> bool {
    look(path).check().expect("it can be read").iter().any(Finding::is_damage)
}

fn collect(folder: &Folder) -> oncegate::Collected {
    RegionFile::collect(folder.table(), FileAccess::owner_only()).expect("a region")
}

fn change(path: &Path, word: u64, to: impl FnOnce(u64) -> u64) -> u64 {
    let file = OpenOptions::new().read(true).write(true).open(path).expect("own file");
    let mut bytes = [0; 8];
    file.read_exact_at(&mut bytes, word * 8).expect("long enough");
    let was = u64::from_ne_bytes(bytes);
    file.write_all_at(&to(was).to_ne_bytes(), word * 8).expect("own file");
    was
}

/// Where lines and slots of a tiny table begin: behind a header of 88 words and three processes;
/// slots begin on a pair of lines.
const LINES: u64 = 88 + 3 * 16;
const SLOTS: u64 = (LINES + 2 * 8).next_multiple_of(16);

/// The words of a table that holds one finished record: of its slot, and of its set's line.
fn one_record(folder: &Folder) -> (u64, u64) {
    let mut worker = Worker::of(folder, "tiny");
    worker.admitted("a");
    worker.ask("complete a done");
    worker.ask("exit");
    assert_eq!(worker.ended(), None);
    let (lines, slots) = (LINES, SLOTS);
    let bytes = std::fs::read(folder.table()).expect("own file");
    let word = |at: u64| {
        let at = at as usize * 8;
        u64::from_ne_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
    };
    let slot = (0..64).find(|slot| word(slots + slot * 8 + 4) >> 61 == 5).expect("one succeeded");
    (slots + slot * 8, lines + slot / 32 * 8)
}

/// Goal: each thing that no step of the engine leads to is found and named, and nothing else is.
/// Method: in a table of one record, one word after the other is spoilt and mended again.
#[test]
fn impossible_words_are_found() {
    let folder = Folder::new();
    let (slot, line) = one_record(&folder);
    let path = folder.table();
    assert_eq!(found(&path), [""; 0]);
    // The geometry of a tiny table: 18 scopes behind 64 slots, nothing that is retried, then
    // four chunks' entries.
    let directory = (slot - slot % 8) / 8 * 8;
    let scopes = SLOTS + 64 * 8;
    let chunks = scopes + 18 * 8;
    assert!(directory < scopes && chunks > slot);
    for (word, mask, code) in [
        // The fencing counter, the scope, the writer and the first word of the fingerprint.
        (slot + 4, 1 << 40, "slots-impossible"),
        (slot + 3, 0xff00 << 16, "slots-impossible"),
        (slot + 4, 0xff << 52, "slots-impossible"),
        // Vacant, while its tag is not.
        (slot + 4, 5 << 61, "tags-wrong"),
        (slot + 1, 0x55 << 56, "tags-wrong"),
        (line + 6, 1 << 48 | 0xfff << 30, "sets-impossible"),
        (line + 7, 1 << 50, "sets-impossible"),
        (chunks, 0x3_ffff, "chunks-impossible"),
        (chunks, 0xff << 26, "chunks-impossible"),
    ] {
        let was = change(&path, word, |was| was ^ mask);
        assert_eq!(found(&path), [code], "word {word}, {mask:x}");
        assert!(is_damaged(&path), "{code}");
        change(&path, word, |_| was);
        assert!(!is_damaged(&path) && found(&path).is_empty(), "word {word}");
    }
}

/// Goal: a damaged header is told from another kind of file, and both are findings, not errors; and
/// of a table that was cut short nobody says that it is empty. Method: words of the header, its
/// version among them; some of its bytes; text; nothing; another boot.
#[test]
fn headers_are_judged() {
    let folder = Folder::new();
    one_record(&folder);
    let path = folder.table();
    change(&path, 48, |boot| boot ^ 1);
    let findings = look(&path).check().expect("readable");
    assert!(findings.iter().any(|finding| finding.code == "other-boot"), "{findings:?}");
    change(&path, 48, |boot| boot ^ 1);
    change(&path, 5, |chunks| chunks + 1);
    assert_eq!(found(&path), ["header-invalid"]);
    change(&path, 5, |chunks| chunks - 1);
    change(&path, 1, |format| format + (1 << 32));
    assert!(found(&path) == ["other-version"] && !is_damaged(&path), "it may be as sound as ever");
    change(&path, 1, |format| format - (1 << 32));
    let file = OpenOptions::new().write(true).open(&path).expect("own file");
    file.set_len(64 << 10 >> 1).expect("own file");
    assert_eq!(found(&path), ["header-invalid"]);
    assert!(is_damaged(&path));
    file.set_len(100).expect("own file");
    assert!(is_damaged(&path), "it begins as a table does");
    assert!(text(&path).contains("a table of which 100 bytes are left"), "{}", text(&path));
    for (bytes, kind) in [(&b"a letter to somebody"[..], "another kind"), (b"", "an empty file")] {
        std::fs::write(&path, bytes).expect("own file");
        assert!(found(&path) == ["not-oncegate"] && !is_damaged(&path));
        assert!(text(&path).contains(kind), "{}", text(&path));
    }
}

/// What the worst finding says.
fn text(path: &Path) -> String {
    look(path).check().expect("it can be read").swap_remove(0).text
}

/// Goal: whoever has no secret learns before opening whether the key file will do. Method: it is
/// open to others, another table's, damaged, gone.
#[test]
fn key_files_are_judged() {
    let (folder, other) = (Folder::new(), Folder::new());
    one_record(&folder);
    one_record(&other);
    let (table, key) = (folder.table(), folder.path().join("table.key"));
    std::fs::set_permissions(&key, Permissions::from_mode(0o644)).expect("own file");
    assert_eq!(found(&table), ["key-file-refused"]);
    std::fs::set_permissions(&key, Permissions::from_mode(0o600)).expect("own file");
    std::fs::copy(other.path().join("table.key"), &key).expect("own file");
    assert_eq!(found(&table), ["key-file-wrong"]);
    std::fs::write(&key, "oncegate secrets 1\n0 zz\n").expect("own file");
    assert_eq!(found(&table), ["key-file-damaged"]);
    assert!(!is_damaged(&table), "the table is sound");
    std::fs::remove_file(&key).expect("own file");
    let findings = look(&table).check().expect("readable");
    let codes: Vec<_> = findings.iter().map(|finding| finding.code).collect();
    assert!(codes.contains(&"key-file-missing"), "{codes:?}");
    assert_eq!(found(&table), [""; 0], "whoever gives a secret needs none");
}

/// Goal: what killed processes left is told, and a collection clears it: leases end, entries are
/// free, quotas are right; it lets nothing begin. Method: three holders are killed, one is alive.
#[test]
fn the_dead_are_found_and_cleared() {
    let folder = Folder::new();
    let mut alive = Worker::of(&folder, "lease=3600000");
    let kept = alive.admitted("kept");
    for number in 0..3 {
        let mut worker = Worker::of(&folder, "lease=3600000");
        worker.admitted(&format!("lost-{number}"));
        worker.kill();
    }
    assert_eq!(found(&folder.table()), ["dead-leftovers"]);
    let done = collect(&folder);
    assert_eq!((done.buried, done.cleared, done.drafts), (3, 0, 0), "{done:?}");
    assert!(done.recovered >= 3, "{done:?}");
    assert_eq!(found(&folder.table()), [""; 0]);
    let seen = look(&folder.table()).inspect().expect("a region");
    let of_alive = seen.processes.iter().find(|process| process.index == 1).expect("alive");
    assert_eq!((of_alive.state, of_alive.leases), (ProcessState::Alive, 1));
    assert!(seen.processes.iter().all(|process| process.state != ProcessState::Dead), "{seen:?}");
    assert_eq!((seen.records.running, seen.leases.held), (4, 1));
    for number in 0..3 {
        assert_eq!(alive.admitted(&format!("lost-{number}")).number, 2);
    }
    assert_eq!(alive.ask("complete kept done"), "stored", "{kept:?}");
}

/// Goal: a collection clears what is over, whatever the secret is, and needs no key file. Method: a
/// table under a given secret, windows that are over by the time that is looked at.
#[test]
fn a_collection_needs_no_secret() {
    let folder = Folder::new();
    let mut worker = Worker::of(&folder, "secret=7 lease=1");
    worker.ask("mass 0 100 x");
    worker.kill();
    assert!(!folder.path().join("table.key").exists());
    let done = collect(&folder);
    assert_eq!((done.buried, done.cleared), (1, 0), "{done:?}");
    assert!(!folder.path().join("table.key").exists(), "it makes none");
    let mut worker = Worker::of(&folder, "secret=7");
    assert_eq!(worker.ask("mass 0 100 y"), "admitted 0", "finished records stay");
}

/// Goal: a collection removes drafts that nobody finished, and none that somebody may be working
/// on; where there is no table, they are told of and can be removed all the same. Method: drafts of
/// both files, old and young, and names that only look like one; the table goes.
#[test]
fn old_drafts_are_removed() {
    let folder = Folder::new();
    one_record(&folder);
    let old = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    let make = |name: &str, is_old: bool| {
        let file = File::create(folder.path().join(name)).expect("own folder");
        if is_old {
            file.set_modified(old).expect("own file");
        }
    };
    make(".table.0123456789abcdef.draft", true);
    make(".table.key.0123456789abcdef.draft", true);
    make(".table.fedcba9876543210.draft", false);
    make(".other.0123456789abcdef.draft", true);
    assert_eq!(found(&folder.table()), ["drafts"]);
    assert_eq!(collect(&folder).drafts, 2);
    assert_eq!(found(&folder.table()), [""; 0]);
    let names = [".table.fedcba9876543210.draft", ".other.0123456789abcdef.draft"];
    assert!(names.iter().all(|name| folder.path().join(name).exists()));
    std::fs::remove_file(folder.table()).expect("own file");
    make(".table.0123456789abcdef.draft", true);
    let findings = RegionFile::diagnose(folder.table(), FileAccess::owner_only());
    let codes: Vec<_> = findings.iter().map(|finding| finding.code).collect();
    assert!(codes == ["file-missing", "drafts"] && findings[0].is_absence(), "{codes:?}");
    assert_eq!([(); 2].map(|()| RegionFile::remove_drafts(folder.table())), [Ok(1), Ok(0)]);
}

/// Goal: what a collection leaves behind is not news to the next one. Method: a killed process, one
/// that left in an orderly way, one that left with a lease; each is followed by two collections.
#[test]
fn collections_come_to_nothing() {
    let folder = Folder::new();
    let buried = || [(); 2].map(|()| collect(&folder).buried);
    let mut worker = Worker::of(&folder, "lease=3600000");
    worker.admitted("a");
    worker.kill();
    assert_eq!(buried(), [1, 0]);
    for (lease, count) in [(false, 0), (true, 1)] {
        let mut worker = Worker::of(&folder, "lease=3600000");
        if lease {
            worker.admitted("b");
        }
        worker.ask("drop");
        assert_eq!(buried(), [count, 0], "with a lease: {lease}");
    }
    assert_eq!(found(&folder.table()), [""; 0]);
}

/// Goal: a table goes only when nobody uses it, and another file only when that was asked for.
/// Method: a live process, a killed one; text under the table's name; the key file stays.
#[test]
fn a_table_in_use_is_not_removed() {
    let folder = Folder::new();
    let (path, access) = (folder.table(), FileAccess::owner_only());
    let worker = Worker::of(&folder, "");
    for remove in [RegionFile::remove, RegionFile::remove_whatever_it_is] {
        let error = remove(path.clone(), access).expect_err("it is used");
        assert_eq!(error.code(), ErrorCode::RegionInUse, "{error}");
    }
    assert!(path.exists());
    worker.kill();
    RegionFile::remove(&path, access).expect("nobody uses it");
    assert!(!path.exists() && folder.path().join("table.key").exists());
    std::fs::write(&path, b"a letter to somebody").expect("own folder");
    std::fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("own file");
    let error = RegionFile::remove(&path, access).expect_err("it is no table");
    assert_eq!(error.code(), ErrorCode::RegionInvalid, "{error}");
    RegionFile::remove_whatever_it_is(&path, access).expect("that was asked for");
    let error = RegionFile::remove(&path, access).expect_err("there is none");
    assert_eq!(error.code(), ErrorCode::Os, "{error}");
}

/// Goal: whoever has opened a table has the one that the next process finds, though it is removed
/// again and again: nobody is alone with a file without a name. Method: one thread opens, another
/// removes; while the table is open, its file is the one under the path.
#[test]
fn nobody_opens_a_table_that_is_removed() {
    let folder = Folder::new();
    let (path, access) = (folder.table(), FileAccess::owner_only());
    let (mut opened, mut refused) = (0, 0);
    let is_done = AtomicBool::new(false);
    let (removed, wrong) = std::thread::scope(|scope| {
        let remover = scope.spawn(|| {
            let mut removed = 0;
            // Relaxed: it stands alone.
            while !is_done.load(Ordering::Relaxed) {
                removed += u64::from(RegionFile::remove(&path, access).is_ok());
            }
            removed
        });
        let mut wrong = None;
        for _ in 0..1_000 {
            match Engine::builder().tiny().reach(Reach::Host(path.clone())).build() {
                Ok(engine) => {
                    opened += 1;
                    if !path.exists() {
                        wrong = Some(format!("the table that was opened as number {opened}"));
                    }
                    drop(engine);
                }
                Err(error) => {
                    refused += 1;
                    let codes = [ErrorCode::RegionInUse, ErrorCode::RegistryFull];
                    if !codes.contains(&error.code()) {
                        wrong = Some(error.to_string());
                    }
                }
            }
        }
        // Relaxed: as above.
        is_done.store(true, Ordering::Relaxed);
        let removed = remover.join().expect("it does not panic");
        (removed, wrong)
    });
    println!("opened {opened}, refused {refused}, removed {removed}");
    assert_eq!(wrong, None);
    assert!(opened > 0 && removed > 0);
}
