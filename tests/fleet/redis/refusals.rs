//! Servers that are there, and do not do what they are asked.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use oncegate::Outcome;
use oncegate::tier::{
    Claim, End, Ended, Ending, Holder, Redis, TableId, Tier, TierError, TierErrorKind,
};
use oncegate_rig::{Options, Proxy, Server, present};

use super::steps::{HOUR, WITHIN, grant, join, key, outcome, succeed};

/// Goal: a server that takes no writes grants nothing, ends nothing, and is said to have done
/// neither; what it has is still read, and all goes on when it takes writes again. Method: full
/// memory, too few replicas by its own rule, and a primary that was made a replica.
#[test]
fn who_takes_no_writes_changes_nothing() {
    if !present("the Redis tier") {
        return;
    }
    let nobody = oncegate_rig::Server::start().expect("it starts");
    let port = nobody.address().port().to_string();
    let states: [(&str, &[&str], &[&str]); 3] = [
        ("full", &["CONFIG", "SET", "maxmemory", "1"], &["CONFIG", "SET", "maxmemory", "0"]),
        (
            "without replicas",
            &["CONFIG", "SET", "min-replicas-to-write", "1"],
            &["CONFIG", "SET", "min-replicas-to-write", "0"],
        ),
        ("a replica", &["REPLICAOF", "127.0.0.1", &port], &["REPLICAOF", "NO", "ONE"]),
    ];
    // One that is cut off from its primary keeps what it has.
    drop(nobody);
    for (what, ill, well) in states {
        let server = Server::start().expect("it starts");
        let tier = Redis::connect(&server.url()).expect("it connects");
        let (claim, _) = join(&tier).expect("a session");
        grant(&tier, &claim);
        let finished = Claim { key: key(1), ..claim };
        grant(&tier, &finished);
        succeed(&tier, &finished, &Outcome::new(200, b"done"));
        server.ask::<()>(ill).expect("it takes it");
        let new = Claim { key: key(2), ..claim };
        let refused = tier.claim(&new, SHORT).expect_err(what);
        assert_eq!(refused.kind(), TierErrorKind::Unavailable, "{what}: {refused}");
        let refused = end(&tier, &claim).expect_err(what);
        assert_eq!(refused.kind(), TierErrorKind::Unavailable, "{what}: {refused}");
        server.ask::<()>(well).expect("it takes it");
        let again = oncegate_rig::until("it takes writes", || tier.read(new.key, WITHIN).ok());
        assert_eq!(again.expect("in time"), None, "{what}");
        // Whoever was refused may have claimed under a session that a new role ended.
        let (now, _) = join(&tier).expect("a session");
        grant(&tier, &Claim { session: now.session, ..new });
        assert_eq!(end(&tier, &claim).expect("an answer"), Ended::Done, "{what}");
        let finished = Claim { session: now.session, ..finished };
        assert_eq!(outcome(&tier, &finished), Some(Outcome::new(200, b"done")), "{what}");
    }
}

/// Goal: a server that is busy with a script of somebody else is asked again, and answers when it
/// is not. Method: an endless script, which is killed once the claim was put off.
#[test]
fn who_is_busy_is_asked_again() {
    if !present("the Redis tier") {
        return;
    }
    let server = Server::with(Options::new().line("lua-time-limit 1")).expect("it starts");
    let proxy = Proxy::to(server.address()).expect("it starts");
    let tier = Redis::connect(&proxy.url()).expect("it connects");
    let (claim, _) = join(&tier).expect("a session");
    grant(&tier, &claim);
    std::thread::scope(|scope| {
        // It ends by being killed: that is its error.
        scope.spawn(|| server.ask::<()>(&["EVAL", "while true do end", "0"]).expect_err("killed"));
        oncegate_rig::until("it is busy", || server.ask::<()>(&["PING"]).err()).expect("in time");
        let replies = proxy.counts().replies;
        let claims = scope.spawn(|| tier.claim(&Claim { key: key(1), ..claim }, WITHIN));
        proxy.wait_replies(replies + 3).expect("it was put off");
        server.ask::<()>(&["SCRIPT", "KILL"]).expect("it kills");
        claims.join().expect("no panic").expect("granted in the end");
    });
}

/// Goal: what too few replicas have is not granted, and an end that too few have is not known; both
/// are told as that, and leave nothing that stands in the way. Method: a server without a replica.
#[test]
fn what_too_few_replicas_have_is_given_back() {
    if !present("the Redis tier") {
        return;
    }
    let server = Server::start().expect("it starts");
    let builder = Redis::builder(&server.url()).wait_replicas(1, Duration::from_millis(1));
    let waits = builder.build().expect("settings");
    let plain = Redis::connect(&server.url()).expect("it connects");
    let (claim, _) = join(&waits).expect("a session");
    let several = [claim, Claim { key: key(1), ..claim }];
    let told = |error: TierError| match error.kind() {
        // The deadline came while it was given back: who asks again is told.
        TierErrorKind::Unknown => None,
        kind => Some(kind),
    };
    for claims in [&several[..1], &several[..]] {
        let kinds = oncegate_rig::until("all are refused", || {
            let refused = waits.claim_all(claims, SHORT).into_iter();
            refused.map(|one| told(one.expect_err("too few"))).collect::<Option<Vec<_>>>()
        });
        let kinds = kinds.expect("in time");
        assert!(kinds.iter().all(|kind| *kind == TierErrorKind::Unavailable), "{kinds:?}");
    }
    let refused = oncegate_rig::until("it is refused", || {
        told(waits.claim(&claim, SHORT).expect_err("too few"))
    });
    assert_eq!(refused.expect("in time"), TierErrorKind::Unavailable);
    let (there, _) = join(&plain).expect("a session");
    let there = Claim { holder: Holder { table: TableId(3), counter: 1 }, ..there };
    let granted = grant(&plain, &there);
    assert_eq!(granted.attempt, 1, "those that were given back never ran");
    let unknown = end(&waits, &there).expect_err("too few");
    assert_eq!(unknown.kind(), TierErrorKind::Unknown, "{unknown}");
    assert_eq!(outcome(&plain, &there), Some(Outcome::new(200, b"done")));
}

fn end(tier: &Redis, claim: &Claim) -> Result<Ended, TierError> {
    let ending = Ending {
        key: claim.key,
        holder: claim.holder,
        restores: false,
        fence: 0,
        attempt: 1,
        digest: claim.digest,
        end: End::Succeeded { outcome: &Outcome::new(200, b"done"), window: HOUR },
    };
    tier.end(&ending, SHORT)
}

/// Long enough for a server that answers; that one does not is waited for.
const SHORT: Duration = Duration::from_millis(500);

/// Goal: a server that has just started again, and is still reading what it kept, is waited for,
/// and has what it kept. Method: one that reads slowly until it was asked several times.
#[test]
fn who_still_loads_is_waited_for() {
    if !present("the Redis tier") {
        return;
    }
    let slowly = Options::new().line("key-load-delay 500");
    let slowly = slowly.line("loading-process-events-interval-bytes 1024");
    let mut server = Server::with(slowly).expect("it starts");
    let proxy = Proxy::to(server.address()).expect("it starts");
    let tier = Redis::connect(&proxy.url()).expect("it connects");
    let (claim, _) = join(&tier).expect("a session");
    grant(&tier, &claim);
    succeed(&tier, &claim, &Outcome::new(200, b"done"));
    server.ask::<()>(&["EVAL", FILL, "1", "filler"]).expect("it fills");
    server.ask::<()>(&["SAVE"]).expect("it saves");
    let address = server.address();
    server.kill();
    std::thread::scope(|scope| {
        let restart = scope.spawn(|| server.restart());
        oncegate_rig::until("it loads", || {
            said(address, "PING").filter(|it| it.contains("LOADING"))
        })
        .expect("in time");
        let replies = proxy.counts().replies;
        let joins = scope.spawn(|| join(&tier));
        proxy.wait_replies(replies + 5).expect("it was put off");
        let hurried = said(address, "CONFIG SET key-load-delay 0").expect("it listens");
        assert!(hurried.starts_with("+OK"), "{hurried}");
        let (now, lost) = joins.join().expect("no panic").expect("a session in the end");
        assert!(lost, "another run of the server may lack something");
        assert_eq!(outcome(&tier, &now), Some(Outcome::new(200, b"done")));
        restart.join().expect("no panic").expect("it starts");
    });
}

/// Goal: a server that does not say which run it is may not be used: nobody could see what it loses
/// when it starts again. Method: one that says nothing of it, or nothing but noughts, as proxies
/// and imitations do, and takes every command.
#[test]
fn who_does_not_say_which_run_it_is_is_refused() {
    for says in ["redis_version:7.2.0", "run_id:0000000000000000000000000000000000000000"] {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("redis://{}", listener.local_addr().expect("it has one"));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let (stream, _) = listener.accept().expect("a client");
                imitate(stream, says);
            });
            let tier = Redis::builder(&url).connections(1).build().expect("settings");
            let refused = tier.session(WITHIN).expect_err(says);
            assert_eq!(refused.kind(), TierErrorKind::Unsafe, "{refused}");
            assert!(refused.what().contains("run_id"), "{refused}");
        });
    }
}

/// Answers each command until the client goes, `INFO` with what the server `says` of itself.
fn imitate(stream: TcpStream, says: &str) {
    let mut answers = stream.try_clone().expect("a second handle");
    let mut commands = BufReader::new(stream);
    while let Some(name) = next_command(&mut commands) {
        let answer = match name.as_slice() {
            b"INFO" => format!("${}\r\n{says}\r\n", says.len()),
            _ => "+OK\r\n".to_owned(),
        };
        if answers.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

/// The first word of the next command.
fn next_command(from: &mut impl BufRead) -> Option<Vec<u8>> {
    let words = (0..number(from, '*')?).map(|_| {
        let mut word = vec![0; number(from, '$')? + 2];
        from.read_exact(&mut word).ok()?;
        word.truncate(word.len() - 2);
        Some(word)
    });
    words.collect::<Option<Vec<_>>>()?.into_iter().next()
}

fn number(from: &mut impl BufRead, sign: char) -> Option<usize> {
    let mut line = String::new();
    from.read_line(&mut line).ok()?;
    line.trim_end().strip_prefix(sign)?.parse().ok()
}

/// What a server at that address says to one command, on a connection of its own.
fn said(address: SocketAddr, command: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.write_all(format!("{command}\r\n").as_bytes()).ok()?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).ok()?;
    Some(line)
}

/// Enough to read for as long as the test may last.
const FILL: &str = "for i = 1, 40000 do redis.call('SET', KEYS[1] .. i, 'x') end";

/// Goal: whoever asks for what the server does not have is told so, and not that it is away.
/// Method: a password where there is none, a user, by both forms of the protocol, and a database.
#[test]
fn what_a_server_does_not_have_is_named() {
    if !present("the Redis tier") {
        return;
    }
    let server = Server::start().expect("it starts");
    let url = server.url();
    let with_password = url.replace("redis://", "redis://:secret@");
    let with_user = url.replace("redis://", "redis://nobody:secret@");
    for (builder, what) in [
        (Redis::builder(&with_password), "the server refuses this user"),
        (Redis::builder(&with_user), "the server refuses this user"),
        (Redis::builder(&with_user).resp3(true), "the server refuses this user"),
        (Redis::builder(&format!("{url}99")), "the server has no such database"),
    ] {
        let tier = builder.build().expect("settings");
        let error = tier.session(WITHIN).expect_err("refused");
        assert_eq!((error.kind(), error.what()), (TierErrorKind::Unsafe, what));
    }
}
