//! Files that are refused, and why.

use std::os::unix::fs::{PermissionsExt as _, symlink};

use oncegate::{
    Admission, Engine, EngineBuilder, Error, ErrorCode, Failure, FileAccess, OnFull, Reach, Secret,
};

use crate::crew::{Folder, Worker};

const WORKER: &str = env!("CARGO_BIN_EXE_oncegate-worker");

fn open(
    folder: &Folder,
    change: impl FnOnce(EngineBuilder) -> EngineBuilder,
) -> Result<Engine, Error> {
    change(Engine::builder().capacity(1_000).reach(Reach::Host(folder.table()))).build()
}

#[track_caller]
fn refused(
    folder: &Folder,
    change: impl FnOnce(EngineBuilder) -> EngineBuilder,
    code: ErrorCode,
    part: &str,
) {
    let error = open(folder, change).expect_err("refused");
    assert_eq!(error.code(), code, "{error}");
    assert!(error.to_string().contains(part), "{error}");
}

/// Goal: a second opener with other options is told which one differs. Method: each shared option.
#[test]
fn other_options_are_named() {
    let folder = Folder::new();
    let _engine = open(&folder, |builder| builder).expect("made");
    let mismatch = ErrorCode::RegionMismatch;
    refused(&folder, |b| b.capacity(2_000), mismatch, "capacity: ");
    refused(&folder, |b| b.outcome_limit(1_000), mismatch, "outcome_limit: ");
    refused(&folder, |b| b.outcome_bytes(1 << 20), mismatch, "outcome_bytes: ");
    refused(&folder, |b| b.inline_outcome(200), mismatch, "inline_outcome: ");
    refused(&folder, |b| b.max_scopes(100), mismatch, "max_scopes: ");
    refused(&folder, |b| b.max_processes(3), mismatch, "max_processes: ");
    refused(&folder, |b| b.on_full(OnFull::Reject), mismatch, "on_full: ");
    let other = |b: EngineBuilder| b.fingerprint_mode(oncegate::FingerprintMode::FastTrusted);
    refused(&folder, other, mismatch, "fingerprint_mode: ");
    let quota = oncegate::Quota::unlimited().max_live(7);
    refused(&folder, |b| b.default_quota(quota), mismatch, "default_quota: ");
    let asked = "found no limit of live records in the region; limit: the same for all who share \
                 it; this process asks for 7 live records";
    refused(&folder, |b| b.default_quota(quota), mismatch, asked);
    refused(&folder, |b| b.on_full(OnFull::Reject), mismatch, "asks for Reject");
    refused(&folder, |b| b.inline_outcome(200), mismatch, "asks for 256 bytes");
    refused(&folder, |b| b.unauthenticated_quota(quota), mismatch, "unauthenticated_quota: ");
    open(&folder, |b| b.lease_duration(std::time::Duration::from_secs(7))).expect("a call's own");
}

/// Goal: the table and its key file are the owner's alone. Method: their permissions; wider ones
/// are refused, unless allowed.
#[test]
fn permissions_are_the_owners() {
    let folder = Folder::new();
    drop(open(&folder, |builder| builder).expect("made"));
    let key = folder.path().join("table.key");
    let mode = |path: &std::path::Path| {
        std::fs::metadata(path).expect("there").permissions().mode() & 0o7777
    };
    let chmod = |path: &std::path::Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("own file");
    };
    assert_eq!((mode(&folder.table()), mode(&key)), (0o600, 0o600));
    for path in [folder.table(), key] {
        for wide in [0o640, 0o604, 0o660, 0o666] {
            chmod(&path, wide);
            refused(&folder, |b| b, ErrorCode::FileRefused, "permissions");
        }
        chmod(&path, 0o660);
        open(&folder, |b| b.file_access(FileAccess::owner_only().group())).expect("allowed");
        chmod(&path, 0o600);
    }
}

/// Goal: nobody is led to another file. Method: a link to a table, a folder, a pipe.
#[test]
fn links_and_other_things_are_refused() {
    let (folder, other) = (Folder::new(), Folder::new());
    drop(open(&other, |builder| builder).expect("made"));
    symlink(other.table(), folder.table()).expect("a link");
    std::fs::copy(other.path().join("table.key"), folder.path().join("table.key")).expect("keys");
    refused(&folder, |b| b, ErrorCode::FileRefused, "a symbolic link");
    let allowed = FileAccess::owner_only().symlink(true);
    open(&folder, |b| b.file_access(allowed)).expect("allowed");
    std::fs::remove_file(folder.table()).expect("own link");
    std::fs::create_dir(folder.table()).expect("a folder");
    let error = open(&folder, |b| b).expect_err("a folder");
    assert!(matches!(error.code(), ErrorCode::FileRefused | ErrorCode::Os), "{error}");
    std::fs::remove_dir(folder.table()).expect("own folder");
    let made = std::process::Command::new("mkfifo").arg(folder.table()).status();
    assert!(made.expect("mkfifo").success());
    refused(&folder, |b| b, ErrorCode::FileRefused, "not a file");
}

/// Goal: what is no region is told so, and left alone. Method: an empty file, text, a region cut
/// short, grown, and with each word of its header changed.
#[test]
fn damaged_files_are_refused_and_left_alone() {
    use std::os::unix::fs::FileExt as _;
    let folder = Folder::new();
    drop(open(&folder, |builder| builder).expect("made"));
    let whole = std::fs::read(folder.table()).expect("own file");
    let invalid = ErrorCode::RegionInvalid;
    let put = |bytes: &[u8]| {
        let file = std::fs::OpenOptions::new().write(true).truncate(true).open(folder.table());
        file.expect("own file").write_all_at(bytes, 0).expect("room");
    };
    put(b"");
    refused(&folder, |b| b, invalid, "an empty file");
    put(&[b'x'; 4_096]);
    refused(&folder, |b| b, invalid, "another kind of file");
    put(&whole[..whole.len() - 1]);
    refused(&folder, |b| b, invalid, "shorter or longer");
    put(&[&whole[..], &[0; 4_096]].concat());
    refused(&folder, |b| b, invalid, "shorter or longer");
    for word in 0..24 {
        let mut changed = whole.clone();
        changed[word * 8 + 3] ^= 0x10;
        put(&changed);
        refused(&folder, |b| b, invalid, "");
        assert_eq!(std::fs::read(folder.table()).expect("own file"), changed, "it was changed");
    }
    put(&whole);
    open(&folder, |b| b).expect("whole again");
}

/// Goal: a table belongs to its secret. Method: another secret, none, and a key file that is gone
/// or unreadable.
#[test]
fn another_secret_is_refused() {
    let folder = Folder::new();
    drop(open(&folder, |builder| builder).expect("made"));
    let wrong = ErrorCode::WrongSecret;
    let other = || Secret::from_bytes(&[9; 32]).expect("32 bytes");
    refused(&folder, |b| b.secret(other()), wrong, "other than the region's");
    let key = folder.path().join("table.key");
    let kept = std::fs::read(&key).expect("own file");
    std::fs::write(&key, "oncegate secrets 1\n0 zz\n").expect("own file");
    refused(&folder, |b| b, wrong, "cannot be read");
    std::fs::write(&key, [0xff; 40]).expect("own file");
    refused(&folder, |b| b, wrong, "cannot be read");
    std::fs::remove_file(&key).expect("own file");
    refused(&folder, |b| b, wrong, "neither a secret nor the key file");
    assert!(!key.exists(), "a new one would belong to no table");
    std::fs::write(&key, kept).expect("own folder");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).expect("own file");
    open(&folder, |b| b).expect("the key file again");
}

/// Goal: a folder that is not there is an error that says so. Method: a path in one, and none.
#[test]
fn a_missing_folder_is_an_error() {
    let folder = Folder::new();
    let at = |path: std::path::PathBuf| {
        Engine::builder().capacity(1_000).reach(Reach::Host(path)).build().expect_err("no place")
    };
    let error = at(folder.path().join("missing").join("table"));
    assert_eq!((error.code(), error.field()), (ErrorCode::Os, "reach"), "{error}");
    assert!(error.to_string().contains("the engine makes no folder"), "{error}");
    let error = at(std::path::PathBuf::new());
    assert_eq!((error.code(), error.field()), (ErrorCode::InvalidConfig, "reach"), "{error}");
}

/// Goal: a table is made on no file system that is not known to be this machine's own. Method: a
/// folder of one; where that is allowed, the system itself refuses.
#[test]
fn other_file_systems_are_refused() {
    let on = |access: FileAccess| {
        let reach = Reach::Host("/sys/kernel/table".into());
        let builder = Engine::builder().capacity(1_000).file_access(access).reach(reach);
        builder.build().expect_err("no place for a table")
    };
    let error = on(FileAccess::owner_only());
    assert_eq!((error.code(), error.field()), (ErrorCode::FileRefused, "reach"), "{error}");
    assert!(error.to_string().contains("(type 0x62656572)"), "{error}");
    let error = on(FileAccess::owner_only().any_file_system(true));
    assert_eq!(error.code(), ErrorCode::Os, "{error}");
}

/// Goal: a link whose table is not there yet leads to a new one, and to one key file for all.
/// Method: where links are allowed, a link into a folder that was emptied; the table is opened by
/// the link and by its own name, and a link in the place of a key file is refused in time.
#[test]
fn a_link_that_leads_nowhere_yet() {
    let folder = Folder::new();
    let link = folder.path().join("link");
    symlink("table", &link).expect("own folder");
    let by = |path: &std::path::Path| {
        let access = FileAccess::owner_only().symlink(true);
        let builder = Engine::builder().capacity(1_000).file_access(access);
        builder.reach(Reach::Host(path.to_owned())).build()
    };
    let (one, two) = (by(&link).expect("a new table"), by(&folder.table()).expect("the same"));
    assert_eq!(one.bury_dead().and(two.bury_dead()), Ok(0));
    assert!(std::fs::symlink_metadata(folder.table()).expect("made").is_file());
    assert_eq!(entries(&folder), ["link", "table", "table.key"]);
    let other = folder.path().join("other");
    symlink("nowhere", folder.path().join("other.key")).expect("own folder");
    let error = by(&other).expect_err("no key file can be made there");
    assert_eq!((error.code(), error.field()), (ErrorCode::Os, "secret"), "{error}");
}

fn entries(folder: &Folder) -> Vec<String> {
    let all = std::fs::read_dir(folder.path()).expect("own folder").flatten();
    let mut names: Vec<_> =
        all.map(|entry| entry.file_name().into_string().expect("ASCII")).collect();
    names.sort();
    names
}

/// Goal: what is said of the key file names the key file. Method: one that others may read.
#[test]
fn the_key_file_is_named() {
    let folder = Folder::new();
    drop(open(&folder, |builder| builder).expect("made"));
    let key = folder.path().join("table.key");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).expect("own file");
    let error = open(&folder, |builder| builder).expect_err("open to others");
    assert_eq!((error.code(), error.field()), (ErrorCode::FileRefused, "secret"));
    assert!(error.to_string().contains("the key file beside the table: permissions 0644"));
}

/// Goal: a process that goes to another folder keeps its table, whose path was told from where it
/// was. Method: a worker that opens by a name alone, goes to the root, and makes a record more than
/// a second later; another process has the same table.
#[test]
fn a_path_holds_wherever_the_process_goes() {
    let folder = Folder::new();
    let mut worker = Worker::start(&mut std::process::Command::new(WORKER));
    assert_eq!(worker.ask(&format!("go {}", folder.path().display())), "there");
    assert_eq!(worker.ask("open table lease=3600000"), "open");
    worker.admitted("before");
    assert_eq!(worker.ask("go /"), "there");
    assert_eq!(worker.ask("pass 1100"), "passed");
    worker.admitted("after");
    let mut other = Worker::of(&folder, "");
    assert_eq!(other.ask("begin after"), "in-progress 1");
}

/// Goal: two processes of which one reads the precise clock and the other the coarse one share a
/// table from its first moment on. Method: open it by both, many times.
#[test]
fn either_clock_opens_a_new_table() {
    for _ in 0..50 {
        let folder = Folder::new();
        let precise = open(&folder, |b| b.precise_clock()).expect("made");
        let coarse = open(&folder, |b| b).expect("the same table");
        let request = oncegate::Request::new(oncegate::Scope::single_tenant(), "op", "k");
        let request = request.expect("valid");
        let held = precise.begin(&request);
        assert!(matches!(held, Ok(Admission::Admitted(_))));
        assert!(matches!(coarse.begin(&request), Ok(Admission::InProgress { .. })));
    }
}

/// Goal: a process that comes in the middle of a rotation gets in. Method: one thread rotates over
/// and over; another opens the table, whose secrets are in the key file.
#[test]
fn newcomers_come_in_during_rotations() {
    let folder = Folder::new();
    let rotating = open(&folder, |builder| builder).expect("made");
    let (opened, end) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for _ in 0..100 {
                let secret = Secret::generate().expect("entropy");
                rotating.rotate_secret(secret).expect("none under way");
                rotating.finish_rotation().expect("no record is left");
                if end.try_recv().is_ok() {
                    return;
                }
            }
        });
        for _ in 0..100 {
            drop(open(&folder, |builder| builder).expect("in spite of the rotation"));
        }
        let _ = opened.send(());
    });
}

/// Goal: two tables for one path are noticed: whoever has the old one open runs nothing new any
/// more. Method: the file is removed, or moved, or replaced; the first new request after a second
/// looks for it, in each process.
#[test]
fn a_table_that_is_gone_is_noticed() {
    for way in ["removed", "moved", "replaced"] {
        let folder = Folder::new();
        let clock = oncegate::ManualClock::new();
        let build = || open(&folder, |builder| builder.clock(clock.clone())).expect("a table");
        let (old, also) = (build(), build());
        let request = |key| {
            let request = oncegate::Request::new(oncegate::Scope::single_tenant(), "op", key);
            request.expect("valid")
        };
        let Ok(Admission::Admitted(before)) = old.begin(&request("before")) else { panic!() };
        before.fail(Failure::retryable()).expect("held");
        let aside = folder.path().join("aside");
        match way {
            "removed" => std::fs::remove_file(folder.table()),
            _ => std::fs::rename(folder.table(), &aside),
        }
        .expect("own file");
        let new = (way == "replaced").then(build);
        clock.advance(std::time::Duration::from_secs(1));
        // A new request, and one whose turn comes again.
        for (engine, key) in [(&old, "before"), (&also, "k")] {
            let refused = engine.begin(&request(key)).expect_err(way);
            assert_eq!((refused.code(), refused.field()), (ErrorCode::RegionInvalid, "region"));
        }
        assert!(new.unwrap_or_else(build).begin(&request("k")).is_ok());
    }
}
