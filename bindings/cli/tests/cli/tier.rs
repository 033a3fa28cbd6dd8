//! `oncegate doctor` on a store across machines.

use std::sync::Arc;

use oncegate_rig::{Certificates, Clients, Cluster, Fsync, Options, Sentinels, Server, present};
use serde_json::Value;

use crate::common::oncegate;

pub(crate) fn doctor(args: &[&str]) -> (Value, i32) {
    let output = oncegate(&[&["doctor", "--json"], args].concat(), b"");
    let text = String::from_utf8(output.stdout).expect("JSON is text");
    let json = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    (json, output.status.code().expect("no signal"))
}

fn codes(found: &Value) -> Vec<&str> {
    let all = found["findings"].as_array().expect("a list");
    all.iter().map(|finding| finding["code"].as_str().expect("text")).collect()
}

/// Goal: a store that may be relied on is told as such, and nothing of the check stays in it but
/// what an engine that joins leaves. Method: a server that keeps its log.
#[test]
fn a_sound_store_is_well() {
    if !present("doctor on a Redis server") {
        return;
    }
    let server = Server::with(Options::new().append_only(Fsync::Always)).expect("a server");
    let (found, status) = doctor(&[&server.url()]);
    assert_eq!((status, codes(&found)), (0, vec![]), "{found}");
    let records: Vec<String> = server.ask(&["KEYS", "*}:*"]).expect("it answers");
    assert!(records.is_empty(), "{records:?}");
}

/// Goal: each thing that endangers the promises has its finding, and its exit status. Method:
/// servers set up so: one that evicts, without a log, one that refuses the user, and none at all.
#[test]
fn each_danger_is_found() {
    if !present("doctor on a Redis server") {
        return;
    }
    let evicts = Options::new().line("maxmemory 100mb").line("maxmemory-policy allkeys-lru");
    let server = Server::with(evicts).expect("a server");
    let (found, status) = doctor(&[&server.url(), "--prefix", "shop:"]);
    assert_eq!((status, codes(&found)), (1, vec!["tier-evicts", "tier-not-persistent"]));
    let guards: Vec<String> = server.ask(&["KEYS", "shop:*"]).expect("it answers");
    assert!(!guards.is_empty(), "below the prefix that was given");

    let user = Options::new().user("app on >secret ~* &* +@all -evalsha");
    let server = Server::with(user).expect("a server");
    let url = format!("redis://app:secret@{}", server.address());
    let (found, status) = doctor(&[&url]);
    assert_eq!((status, codes(&found)), (1, vec!["tier-unsafe"]), "{found}");
    assert!(!found.to_string().contains("secret"), "{found}");

    let gone = server.address().to_string();
    drop(server);
    let (found, status) = doctor(&[&format!("redis://{gone}")]);
    assert_eq!((status, codes(&found)), (1, vec!["tier-unreachable"]), "{found}");
}

/// Goal: no store is removed by mistake. Method: the option that removes tables.
#[test]
fn a_store_is_not_removed() {
    let (found, status) = doctor(&["redis://127.0.0.1:1", "--recreate"]);
    assert_eq!((status, codes(&found)), (1, vec!["not-removed"]));
}

/// Goal: whatever is wrong with a URL, nothing that is printed has a secret of it; what is shown is
/// where the store is. Method: URLs with a password wherever it may stand or be misplaced, of
/// servers that are not there, as text, as JSON and with the option that removes; what is shown of
/// each.
#[test]
fn no_secret_of_a_url_is_shown() {
    let shown_of = [
        ("redis://app:hunter2@127.0.0.1:1/0", "redis://127.0.0.1:1/0"),
        ("REDIS://app:hunter2@127.0.0.1:1", "redis://127.0.0.1:1"),
        ("rediss://:hunter2@127.0.0.1:1/0#insecure", "rediss://127.0.0.1:1/0"),
        ("valkey://app:hunter2@127.0.0.1:1", "valkey://127.0.0.1:1"),
        ("Valkeys://app:hunter2@[::1]:1/0?x=y", "valkeys://[::1]:1/0"),
        ("unix:///no/redis.sock?user=app&pass=hunter2", "unix:///no/redis.sock"),
        ("redis+unix:///no/redis.sock?pass=hunter2&db=1", "redis+unix:///no/redis.sock"),
        ("valkey+unix:///no/redis.sock?pass=hunter2", "valkey+unix:///no/redis.sock"),
        ("unix:/no/redis.sock?pass=hunter2", "unix:///no/redis.sock"),
        (" redis://app:hunter2@127.0.0.1:1", "redis://127.0.0.1:1"),
        ("re\ndis://app:hunter2@127.0.0.1:1", "redis://127.0.0.1:1"),
        ("redis://app:a@hunter2@127.0.0.1:1", "redis://127.0.0.1:1"),
        // Misplaced: nobody can say what is the password.
        ("redis://app:a/hunter2@127.0.0.1:1", "redis://…"),
        ("redis://app:a?hunter2@127.0.0.1:1", "redis://…"),
        ("redis://app:hunter2#a@127.0.0.1:1", "redis://…"),
        ("redis://app:hunter2", "redis://…"),
        ("redis://127.0.0.1:1/hunter2", "redis://…"),
        ("unix:///no/app:hunter2@redis.sock", "unix://…"),
        ("redis:hunter2@127.0.0.1", "redis://127.0.0.1"),
        ("redsi://app:hunter2@127.0.0.1:1", "…"),
        ("http://app:hunter2@127.0.0.1:1", "…"),
    ];
    for (url, shown) in shown_of {
        for options in [&[][..], &["--recreate"][..]] {
            let (found, status) = doctor(&[&[url], options].concat());
            assert_eq!((status, found["url"].as_str()), (1, Some(shown)), "{url:?}: {found}");
            assert!(!found.to_string().contains("hunter2"), "{found}");
            let output = oncegate(&[&["doctor", url], options].concat(), b"");
            let text = [output.stdout, output.stderr].concat();
            let text = String::from_utf8(text).expect("text");
            assert!(text.starts_with(&format!("{shown}\n")), "{url:?}: {text}");
            assert!(!text.contains("hunter2"), "{text}");
        }
    }
}

/// Goal: a store is joined as an engine joins it: by TLS with an authority of one's own and a
/// certificate, as a Cluster, and by its Sentinels. Method: real ones, each well with its options
/// and not without; a file that is not there.
#[test]
fn a_store_is_joined_as_an_engine_joins_it() {
    if !present("doctor on TLS, a Cluster and Sentinels") {
        return;
    }
    let made = Arc::new(Certificates::new().expect("certificates"));
    let options = Options::new().append_only(Fsync::Always).tls(&made, Clients::Certified);
    let server = Server::with(options).expect("a server");
    let files = [made.authority(), made.client(), made.client_key()];
    let [root, certificate, key] = files.each_ref().map(|file| file.to_str().expect("text"));
    let url = server.url();
    let all = [&url, "--tls-root", root, "--tls-certificate", certificate, "--tls-key", key];
    let (found, status) = doctor(&all);
    assert_eq!((status, codes(&found)), (0, vec![]), "{found}");
    for fewer in [&all[..1], &all[..3]] {
        let (found, status) = doctor(fewer);
        assert_eq!((status, codes(&found)), (1, vec!["tier-unreachable"]), "{found}");
    }
    let (found, status) = doctor(&[&url, "--tls-root", "/no/file"]);
    assert_eq!((status, codes(&found)), (1, vec!["tier-file-unreadable"]), "{found}");

    let cluster = Cluster::start().expect("a Cluster");
    let (found, _) = doctor(&[&cluster.urls()[0], "--cluster"]);
    assert!(!codes(&found).iter().any(|code| FATAL.contains(code)), "{found}");
    let (found, _) = doctor(&[&cluster.urls()[0]]);
    assert!(codes(&found).iter().any(|code| FATAL.contains(code)), "{found}");

    let sentinels = Sentinels::start().expect("Sentinels");
    let (urls, gone) = (sentinels.urls(), "redis://127.0.0.1:1");
    let (found, _) = doctor(&[gone, "--sentinel-name", sentinels.name(), "--sentinel", &urls[0]]);
    assert!(!codes(&found).iter().any(|code| FATAL.contains(code)), "{found}");
}

const FATAL: [&str; 2] = ["tier-unreachable", "tier-unsafe"];
