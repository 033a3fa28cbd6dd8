//! What `doctor` calls damage, what it removes, and that its advice helps whoever follows it.
#![cfg(target_os = "linux")]

use std::fs::{OpenOptions, Permissions};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Stdio};

use oncegate::{Admission, Engine, EngineBuilder, Reach, Request, Scope, Secret};
use serde_json::Value;

use crate::common::Folder;
use crate::shared_tables::{Holder, codes, engine, finish, json, run};

fn open(folder: &Folder, build: impl Fn(EngineBuilder) -> EngineBuilder) -> Result<Engine, String> {
    let builder = Engine::builder().capacity(1_000).reach(Reach::Host(folder.table().into()));
    build(builder).build().map_err(|error| error.code().name().to_owned() + " " + error.field())
}

fn is_replayed(engine: &Engine, key: &str) -> bool {
    let scope = Scope::new("s").expect("a scope");
    let request = Request::new(scope, "op", key).expect("a request");
    matches!(engine.begin(&request), Ok(Admission::Replayed(_)))
}

/// The finding of this code, which must be there.
fn finding(found: &Value, code: &str) -> Value {
    let all = found["findings"].as_array().expect("a list");
    let of_code = all.iter().find(|finding| finding["code"] == code);
    of_code.unwrap_or_else(|| panic!("no {code} in {found}")).clone()
}

/// Runs the `oncegate doctor` command that stands in `advice`, on the table in `folder`.
fn follow(advice: &Value, folder: &Folder) -> (String, i32, String) {
    let advice = advice.as_str().expect("text");
    let mut commands = advice.split('`').filter(|part| part.starts_with("oncegate doctor"));
    let command = commands.next().unwrap_or_else(|| panic!("no command in {advice}"));
    let table = folder.table();
    let words = command.split(' ').skip(1);
    let args: Vec<&str> = words.map(|word| if word == "PATH" { &table } else { word }).collect();
    assert!(args.contains(&table.as_str()), "{advice}");
    run(&args)
}

fn chmod(path: &str, mode: u32) {
    std::fs::set_permissions(path, Permissions::from_mode(mode)).expect("own file");
}

/// Goal: whatever is wrong with the key file, a table that is sound stays, with its records, until
/// --force asks for its removal. Method: each finding about key files.
#[test]
fn a_key_file_alone_costs_no_table() {
    let (folder, other) = (Folder::new(), Folder::new());
    finish(&engine(&folder), "s", 0, 10);
    drop(engine(&other));
    let (table, key) = (folder.table(), folder.table() + ".key");
    let kept = std::fs::read(&key).expect("own file");
    let put = |bytes: &[u8]| {
        std::fs::write(&key, bytes).expect("own folder");
        chmod(&key, 0o600);
    };
    let others = std::fs::read(other.table() + ".key").expect("own file");
    type Spoil<'s> = &'s dyn Fn();
    let cases: [(&str, Spoil<'_>); 5] = [
        ("key-file-refused", &|| chmod(&key, 0o644)),
        ("key-file-damaged", &|| put(b"oncegate secrets 1\n0 zz\n")),
        ("key-file-damaged", &|| put(b"\xff\xfe")),
        ("key-file-wrong", &|| put(&others)),
        ("key-file-missing", &|| std::fs::remove_file(&key).expect("own file")),
    ];
    for (code, spoil) in cases {
        spoil();
        let (found, exit) = json(&["doctor", &table, "--json", "--recreate"]);
        assert_eq!((exit, &found["removed"], codes(&found)), (1, &false.into(), vec![code]));
        let why = found["not_removed"].as_str().expect("refused");
        assert!(why.contains("--force"), "{why}");
        put(&kept);
        assert!(is_replayed(&engine(&folder), "secret-key-3"), "{code} cost a record");
    }
    chmod(&key, 0o644);
    assert_eq!(run(&["doctor", &table, "--recreate", "--force"]).1, 0);
    assert!(!Path::new(&table).exists() && Path::new(&key).exists());
}

/// Goal: a key file that may not be read is a finding that says so, and not the end of the check.
/// Method: a socket in its place, which nobody can open, whoever the user is.
#[test]
fn a_key_file_that_cannot_be_opened_is_a_finding() {
    let folder = Folder::new();
    drop(engine(&folder));
    let key = folder.table() + ".key";
    std::fs::remove_file(&key).expect("own file");
    let _socket = UnixListener::bind(&key).expect("a socket");
    let (found, exit) = json(&["doctor", &folder.table(), "--json"]);
    assert_eq!((exit, codes(&found)), (1, vec!["key-file-refused"]));
    let text = finding(&found, "key-file-refused")["text"].to_string();
    assert!(text.contains("key file") && text.contains("socket"), "{text}");
}

/// Goal: a key file of an earlier table does not make a table with a given secret sick. Method:
/// one is left behind by a table that was removed; the advice is followed.
#[test]
fn an_old_key_file_beside_a_given_secret_is_no_error() {
    let folder = Folder::new();
    drop(engine(&folder));
    assert_eq!(run(&["doctor", &folder.table(), "--recreate", "--force"]).1, 0);
    let given = |b: EngineBuilder| b.secret(Secret::from_bytes(&[7; 32]).expect("32 bytes"));
    finish(&open(&folder, given).expect("a new table"), "s", 0, 1);
    let (found, exit) = json(&["doctor", &folder.table(), "--json"]);
    assert_eq!((exit, &found["healthy"], codes(&found)), (0, &true.into(), vec!["key-file-wrong"]));
    let wrong = finding(&found, "key-file-wrong");
    assert_eq!(wrong["severity"], "warning");
    let text = wrong["text"].as_str().expect("text");
    assert!(text.contains("given the secret are not affected"), "{text}");
    assert_eq!(open(&folder, |b| b).expect_err("refused"), "WrongSecret secret");
    assert!(wrong["advice"].as_str().expect("text").contains("move the key file away"));
    std::fs::rename(folder.table() + ".key", folder.path().join("old")).expect("own file");
    let (found, exit) = json(&["doctor", &folder.table(), "--json"]);
    assert_eq!((exit, codes(&found)), (0, vec!["key-file-missing"]));
    assert!(is_replayed(&open(&folder, given).expect("opened"), "secret-key-0"));
}

/// Goal: the way out that the advice names is one. Method: a key file that is gone, another
/// table's, damaged; the command of the advice, and then the next process.
#[test]
fn the_way_out_leads_out() {
    for (code, bytes) in [
        ("key-file-missing", None),
        ("key-file-damaged", Some(b"oncegate secrets 1\n0 zz\n".to_vec())),
        ("key-file-wrong", Some(format!("oncegate secrets 1\n0 {}\n", "5a".repeat(32)).into())),
    ] {
        let folder = Folder::new();
        drop(engine(&folder));
        let key = folder.table() + ".key";
        match &bytes {
            None => std::fs::remove_file(&key).expect("own file"),
            Some(bytes) => std::fs::write(&key, bytes).expect("own file"),
        }
        assert_eq!(open(&folder, |b| b).expect_err(code), "WrongSecret secret");
        let (found, _) = json(&["doctor", &folder.table(), "--json"]);
        let advice = &finding(&found, code)["advice"];
        let is_damaged = code == "key-file-damaged";
        let says_so = advice.as_str().expect("text").contains("move the key file away, and");
        assert_eq!(says_so, is_damaged, "{advice}");
        let (text, exit, _) = follow(advice, &folder);
        assert!(exit == 0 && text.contains("\nremoved"), "{text}");
        assert_eq!(text.contains("the key file stays"), bytes.is_some(), "{text}");
        if is_damaged {
            assert_eq!(open(&folder, |b| b).expect_err("as the advice says"), "WrongSecret secret");
            std::fs::rename(&key, folder.path().join("aside")).expect("own file");
        }
        open(&folder, |b| b).unwrap_or_else(|error| panic!("{code}: {error}"));
        assert_eq!(run(&["doctor", &folder.table()]).1, 0, "{code}");
    }
}

/// Goal: whoever needs a higher setting gets there by the advice, and a process that was left
/// behind says which setting differs. Method: a registry for one process; a table that is full.
#[test]
fn a_setting_is_changed_as_the_advice_says() {
    let folder = Folder::new();
    let small = |b: EngineBuilder| b.capacity(100).max_processes(1);
    let old = open(&folder, small).expect("made");
    finish(&old, "s", 0, 100);
    let (found, exit) = json(&["doctor", &folder.table(), "--json"]);
    assert_eq!((exit, codes(&found)), (0, vec!["registry-full", "nearly-full"]));
    let (full, nearly) = (finding(&found, "registry-full"), finding(&found, "nearly-full"));
    let (_, exit, _) = follow(&full["advice"], &folder);
    assert!(exit == 1 && Path::new(&folder.table()).exists(), "it is in use");
    let (done, exit) = json(&["gc", &folder.table(), "--json"]);
    assert_eq!((exit, &done["error"]["code"]), (1, &"registry-full".into()), "{done}");
    drop(old);
    let (text, exit, _) = follow(&nearly["advice"], &folder);
    assert!(exit == 0 && text.contains("\nremoved"), "{text}");
    let new = open(&folder, |b| b.capacity(5_000).max_processes(2)).expect("made anew");
    assert!(!is_replayed(&new, "secret-key-3"), "its records are lost");
    let both = [("capacity", open(&folder, |b| b.capacity(100).max_processes(2)))];
    let also = [("max_processes", open(&folder, |b| b.capacity(5_000).max_processes(1)))];
    for (setting, refused) in both.into_iter().chain(also) {
        assert_eq!(refused.expect_err("another setting"), format!("RegionMismatch {setting}"));
    }
    assert_eq!(run(&["doctor", &folder.table()]).1, 0);
}

/// Goal: whoever automates a removal can repeat it; a missing folder is told. Method: no table,
/// with and without --recreate.
#[test]
fn a_removal_can_be_repeated() {
    let folder = Folder::new();
    let missing = folder.path().join("no").join("table");
    for path in [folder.table().as_str(), missing.to_str().expect("text")] {
        let (found, exit) = json(&["doctor", path, "--json"]);
        assert_eq!((exit, codes(&found)), (1, vec!["file-missing"]));
        for options in [&["--recreate"][..], &["--recreate", "--force"]] {
            let args = [&["doctor", path, "--json"], options].concat();
            let (found, exit) = json(&args);
            assert_eq!((exit, &found["removed"]), (0, &false.into()), "{found}");
            assert_eq!(found["not_removed"], "there is no table");
        }
        assert!(run(&["doctor", path, "--recreate"]).0.contains("there is no table"));
    }
    let (text, ..) = run(&["doctor", missing.to_str().expect("text")]);
    assert!(text.contains("no folder") && text.contains("make the folder"), "{text}");
}

/// Goal: the verdict does not depend on who reads it. Method: a closed pipe, an error and none.
#[test]
fn the_verdict_outlives_its_reader() {
    let folder = Folder::new();
    let doctor = || {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let mut command = Command::new(env!("CARGO_BIN_EXE_oncegate"));
        let command = command.args(["doctor", &folder.table()]).stdout(writer);
        command.stdin(Stdio::null()).status().expect("it was built with this test").code()
    };
    assert_eq!(doctor(), Some(1), "there is no table");
    drop(engine(&folder));
    assert_eq!(doctor(), Some(0));
}

/// Goal: after an update, nobody's table is taken for a damaged one. Method: the version in the
/// header is the next one; --recreate refuses, and the advice leads out.
#[test]
fn a_table_of_another_version_is_not_damaged() {
    let folder = Folder::new();
    drop(engine(&folder));
    let file = OpenOptions::new().write(true).open(folder.table()).expect("own file");
    let (seen, _) = json(&["inspect", &folder.table(), "--json"]);
    let next = seen["format"].as_u64().expect("a number") as u32 + 1;
    // The upper half of the second word.
    file.write_all_at(&next.to_ne_bytes(), 12).expect("own file");
    let (found, exit) = json(&["doctor", &folder.table(), "--json", "--recreate"]);
    assert_eq!((exit, codes(&found)), (1, vec!["other-version"]));
    assert!(Path::new(&folder.table()).exists());
    let (text, exit, _) = follow(&finding(&found, "other-version")["advice"], &folder);
    assert!(exit == 0 && text.contains("\nremoved"), "{text}");
    drop(engine(&folder));
}

/// Goal: a key file is never taken for a damaged table, though it begins with the engine's name.
/// Method: its path instead of the table's; one of many secrets.
#[test]
fn a_key_file_is_no_damaged_table() {
    let folder = Folder::new();
    drop(engine(&folder));
    let key = folder.table() + ".key";
    for lines in [1, 10] {
        let secrets = format!("0 {}\n", "5a".repeat(32)).repeat(lines);
        std::fs::write(&key, format!("oncegate secrets 1\n{secrets}")).expect("own file");
        let (found, exit) = json(&["doctor", &key, "--json", "--recreate"]);
        assert_eq!((exit, codes(&found)), (1, vec!["not-oncegate"]));
        assert!(finding(&found, "not-oncegate")["text"].to_string().contains("a key file"));
        assert!(Path::new(&key).exists());
    }
}

/// Goal: `gc` and `doctor` tell of drafts where there is no table yet. Method: an old draft and a
/// young one beside the path of none.
#[test]
fn drafts_without_a_table_are_cleared() {
    let folder = Folder::new();
    let draft = |number: u32, is_old: bool| {
        let path = folder.path().join(format!(".table.{number:016x}.draft"));
        let file = std::fs::File::create(&path).expect("own folder");
        if is_old {
            let old = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1 << 30);
            file.set_modified(old).expect("own file");
        }
        path
    };
    let (old, young) = (draft(1, true), draft(2, false));
    let (found, exit) = json(&["doctor", &folder.table(), "--json"]);
    assert_eq!((exit, codes(&found)), (1, vec!["file-missing", "drafts"]));
    let (done, exit) = json(&["gc", &folder.table(), "--json"]);
    assert_eq!(
        (exit, &done["drafts"], &done["error"]["code"]),
        (1, &1.into(), &"file-missing".into())
    );
    assert!(!old.exists() && young.exists());
    draft(3, true);
    let (stdout, exit, stderr) = run(&["gc", &folder.table()]);
    assert_eq!((exit, stdout.as_str()), (1, ""));
    assert!(stderr.contains("there is no table; drafts that were removed: 1"), "{stderr}");
}

/// Goal: collections come to nothing. Method: several, after a killed process and among live ones.
#[test]
fn collections_come_to_zero() {
    let folder = Folder::new();
    Holder::of(&folder, 2).kill();
    let _alive = Holder::of(&folder, 1);
    let gc = || json(&["gc", &folder.table(), "--json"]).0["buried"].clone();
    assert_eq!([gc(), gc(), gc()], [1, 0, 0].map(Value::from));
    drop(engine(&folder));
    assert_eq!(gc(), 0, "it left in an orderly way");
    Holder::of(&folder, 1).kill();
    assert_eq!([gc(), gc()], [1, 0].map(Value::from));
}
