//! Servers: started, ended, killed, paused, started again.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use oncegate_rig::{Fsync, Options, Server, present, until};

use crate::client::Client;

/// Whether a process is there and not only waited for.
fn lives(id: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat"));
    stat.is_ok_and(|stat| !stat.rsplit(')').next().unwrap_or("").trim().starts_with('Z'))
}

/// Goal: a server answers as soon as it is there, by TCP and by its socket, and nothing of it is
/// left when its value goes. Method: both addresses; its process and its folder afterwards.
#[test]
fn a_server_answers_and_leaves_nothing() {
    if !present("servers") {
        return;
    }
    let server = Server::start().expect("it starts");
    let id = server.pid().expect("it runs");
    let folder = server.folder().to_owned();
    for url in [server.url(), server.unix_url()] {
        let client = redis::Client::open(url).expect("an address");
        let mut connection = client.get_connection().expect("it accepts");
        let pong: String = redis::cmd("PING").query(&mut connection).expect("it answers");
        assert_eq!(pong, "PONG");
    }
    assert_eq!(server.info("process_id").expect("it answers"), id.to_string());
    assert!(lives(id) && folder.is_dir());
    drop(server);
    assert!(!lives(id) && !folder.exists());
}

/// Goal: a server is ended also when its test panics. Method: panic in a thread that has one.
#[test]
fn a_panic_ends_its_server() {
    if !present("servers") {
        return;
    }
    let (say, hear) = std::sync::mpsc::channel();
    let ended = std::thread::spawn(move || {
        let server = Server::start().expect("it starts");
        say.send((server.pid().expect("it runs"), server.folder().to_owned())).expect("heard");
        panic!("on purpose");
    })
    .join();
    assert!(ended.is_err());
    let (id, folder) = hear.recv().expect("said");
    assert!(!lives(id) && !folder.exists());
}

/// Goal: a server that does not start says why. Method: a line of configuration that is none.
#[test]
fn a_server_that_cannot_start_says_why() {
    if !present("servers") {
        return;
    }
    let refused = Server::with(Options::new().line("no-such-option yes"));
    let why = refused.expect_err("not a line of its configuration").to_string();
    assert!(why.contains("no-such-option"), "{why}");
}

/// Goal: after SIGKILL a server comes back on its port, with what was written before it answered,
/// or with nothing, as asked. Method: a key; kill; both ways of starting again.
#[test]
fn a_killed_server_comes_back_with_its_disk_or_without() {
    if !present("servers") {
        return;
    }
    let options = Options::new().append_only(Fsync::Always);
    let mut server = Server::with(options).expect("it starts");
    let (port, run) = (server.port(), server.info("run_id").expect("it answers"));
    server.ask::<()>(&["SET", "key", "value"]).expect("it answers");
    server.kill();
    assert!(server.pid().is_none() && !server.is_running() && server.flush_all().is_err());
    server.restart().expect("it starts again");
    assert_eq!(server.port(), port);
    assert_ne!(server.info("run_id").expect("it answers"), run);
    assert_eq!(server.ask::<String>(&["GET", "key"]).expect("it answers"), "value");
    server.restart_empty().expect("it starts again");
    assert_eq!(server.ask::<i64>(&["DBSIZE"]).expect("it answers"), 0);
}

/// Goal: a server without a disk forgets; `flush_all` empties it. Method: a key; `flush_all`;
/// another one; kill and start again.
#[test]
fn a_server_without_a_disk_forgets() {
    if !present("servers") {
        return;
    }
    let mut server = Server::start().expect("it starts");
    let size = |server: &Server| server.ask::<i64>(&["DBSIZE"]).expect("it answers");
    server.ask::<()>(&["SET", "key", "value"]).expect("it answers");
    assert_eq!(size(&server), 1);
    server.flush_all().expect("it answers");
    assert_eq!(size(&server), 0);
    server.ask::<()>(&["SET", "key", "value"]).expect("it answers");
    server.restart().expect("it starts again");
    assert_eq!(size(&server), 0);
}

/// Goal: a paused server is connected to and sent to, and answers when it goes on. Method: its
/// state as the kernel has it, while a client connects and asks.
#[test]
fn a_paused_server_answers_when_it_goes_on() {
    if !present("servers") {
        return;
    }
    let server = Server::start().expect("it starts");
    let id = server.pid().expect("it runs");
    let state = || {
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).expect("it is there");
        stat.rsplit(") ").next().and_then(|rest| rest.chars().next()).expect("a state")
    };
    for round in 0..10 {
        server.pause().expect("it runs");
        assert_eq!(state(), 'T', "{round}");
        let mut client = Client::to(server.address());
        client.send(&["PING"]);
        assert_eq!(state(), 'T', "{round}");
        assert!(!server.is_running() && server.flush_all().is_err(), "{round}");
        server.resume().expect("it runs");
        assert_eq!(client.reply().expect("a reply"), "+PONG\r\n", "{round}");
    }
}

/// Goal: where there are users, only they get in, and the rig still speaks with its server.
/// Method: no user, a wrong and a right password, and a command that the user may not run.
#[test]
fn only_users_get_in() {
    if !present("servers") {
        return;
    }
    let options = Options::new().user("app on >secret ~og:* +get +set +ping");
    let server = Server::with(options).expect("it starts");
    let ask = |who: &str, words: &[&str]| -> redis::RedisResult<redis::Value> {
        let url = format!("redis://{who}{}/", server.address());
        let mut connection = redis::Client::open(url)?.get_connection()?;
        redis::cmd(words[0]).arg(&words[1..]).query(&mut connection)
    };
    assert!(ask("", &["GET", "og:1"]).is_err());
    assert!(ask("app:wrong@", &["GET", "og:1"]).is_err());
    assert_eq!(ask("app:secret@", &["GET", "og:1"]).expect("allowed"), redis::Value::Nil);
    assert!(ask("app:secret@", &["GET", "other"]).is_err());
    assert!(ask("app:secret@", &["FLUSHALL"]).is_err());
    server.flush_all().expect("the rig may do anything");
}

/// Goal: a program that is killed leaves no server and no folder. Method: this very program
/// again, which starts a server and then aborts; and once more, killed with its whole group.
#[test]
fn a_killed_program_leaves_nothing() {
    const TOLD: &str = "ONCEGATE_RIG_DIE";
    if !present("servers") {
        return;
    }
    if let Ok(told) = std::env::var(TOLD) {
        let server = Server::start().expect("it starts");
        let id = server.pid().expect("it runs");
        println!("\nserver {id} {}", server.folder().display());
        if told == "group" {
            let _ = Command::new("sh").args(["-c", "kill -9 0"]).status();
        }
        std::process::abort();
    }
    for how in ["alone", "group"] {
        let run = Command::new(std::env::current_exe().expect("a program"))
            .args(["--exact", "server::a_killed_program_leaves_nothing", "--nocapture"])
            .env(TOLD, how)
            .process_group(0)
            .output()
            .expect("it runs");
        let said = String::from_utf8_lossy(&run.stdout).into_owned();
        let line = said.lines().find_map(|line| line.strip_prefix("server ")).expect("it said");
        let (id, folder) = line.split_once(' ').expect("two words");
        let id: u32 = id.parse().expect("a number");
        let folder = Path::new(folder).parent().expect("that of the program");
        assert!(folder.to_string_lossy().contains("oncegate-rig-"));
        // The guard is another process.
        until("the guard has cleaned up", || (!lives(id) && !folder.exists()).then_some(()))
            .unwrap_or_else(|error| panic!("{how}: {error}"));
    }
}
