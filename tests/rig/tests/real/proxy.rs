//! The proxy: connections, and the replies and requests that get lost.

use std::io::ErrorKind;
use std::net::TcpStream;

use oncegate_rig::{Action, Close, Counts, Direction, Proxy, Rule, Server, Toxic, present};

use crate::client::{Client, request};

fn server_and_proxy() -> Option<(Server, Proxy)> {
    if !present("the proxy") {
        return None;
    }
    let server = Server::start().expect("it starts");
    let proxy = Proxy::to(server.address()).expect("it starts");
    Some((server, proxy))
}

fn value(server: &Server, key: &str) -> Option<String> {
    server.ask(&["GET", key]).expect("it answers")
}

/// Goal: without a fault everything goes through, and is counted. Method: one request, and two in
/// one piece; bytes of both directions.
#[test]
fn a_proxy_without_faults_only_counts() {
    let Some((_server, proxy)) = server_and_proxy() else { return };
    let mut client = Client::to(proxy.address());
    assert_eq!(client.ask(&["SET", "key", "v"]).expect("a reply"), "+OK\r\n");
    let both = [request(&["INCR", "n"]), request(&["GET", "key"])].concat();
    client.send_bytes(&both);
    assert_eq!(client.reply().expect("a reply"), ":1\r\n");
    assert_eq!(client.reply().expect("a reply"), "$1\r\nv\r\n");
    let sent = request(&["SET", "key", "v"]).len() + both.len();
    let expected = Counts {
        connections: 1,
        open: 1,
        requests: 3,
        replies: 3,
        upstream: sent as u64,
        downstream: 16,
        ..Counts::default()
    };
    // What is sent at once may arrive in two pieces.
    assert_eq!(Counts { pieces: 0, ..proxy.counts() }, expected);
    drop(client);
    proxy.wait_for(|counts| counts.open == 0).expect("it ends");
}

/// Goal: a lost reply: the request was executed, and the client only hears that its connection was
/// reset. Method: the second of three increments, and the server's own word on how many ran.
#[test]
fn a_dropped_reply_was_executed() {
    let Some((server, proxy)) = server_and_proxy() else { return };
    proxy.drop_reply(2);
    let mut client = Client::to(proxy.address());
    assert_eq!(client.ask(&["INCR", "n"]).expect("a reply"), ":1\r\n");
    client.send(&["INCR", "n"]);
    assert_eq!(client.end(), ErrorKind::ConnectionReset);
    assert_eq!(value(&server, "n").as_deref(), Some("2"));
    let mut client = Client::to(proxy.address());
    assert_eq!(client.ask(&["INCR", "n"]).expect("a reply"), ":3\r\n");
    let counts = proxy.counts();
    assert_eq!((counts.replies, counts.dropped_replies, counts.resets), (3, 1, 1));
}

/// Goal: a dropped request was not executed. Method: as above, by command.
#[test]
fn a_dropped_request_was_not_executed() {
    let Some((server, proxy)) = server_and_proxy() else { return };
    proxy.drop_request_to("incr", 2);
    let mut client = Client::to(proxy.address());
    assert_eq!(client.ask(&["PING"]).expect("a reply"), "+PONG\r\n");
    assert_eq!(client.ask(&["INCR", "n"]).expect("a reply"), ":1\r\n");
    client.send(&["INCR", "n"]);
    assert_eq!(client.end(), ErrorKind::ConnectionReset);
    assert_eq!(value(&server, "n").as_deref(), Some("1"));
    let counts = proxy.counts();
    assert_eq!((counts.requests, counts.replies, counts.dropped_requests), (3, 2, 1));
}

/// Goal: the way in which a connection ends is the one that was asked for. Method: both.
#[test]
fn a_lost_reply_ends_a_connection_as_asked() {
    let Some((_server, proxy)) = server_and_proxy() else { return };
    let ends = [(Close::Fin, ErrorKind::UnexpectedEof), (Close::Reset, ErrorKind::ConnectionReset)];
    for (close, kind) in ends {
        proxy.rule(Rule::new(Action::DropReply(close)));
        let mut client = Client::to(proxy.address());
        client.send(&["PING"]);
        assert_eq!(client.end(), kind, "{close:?}");
    }
}

/// Goal: replies before the lost one arrive, and replies after it do not. Method: four requests
/// in one piece, the second of which loses its reply.
#[test]
fn replies_before_a_lost_one_arrive() {
    let Some((server, proxy)) = server_and_proxy() else { return };
    proxy.rule(Rule::new(Action::DropReply(Close::Fin)).nth(2));
    let mut client = Client::to(proxy.address());
    client.send_bytes(&request(&["INCR", "n"]).repeat(4));
    assert_eq!(client.reply().expect("a reply"), ":1\r\n");
    assert_eq!(client.end(), ErrorKind::UnexpectedEof);
    assert_eq!(value(&server, "n").as_deref(), Some("4"));
}

/// Goal: rules find requests by words and by what a test asks of them, once or each time.
/// Method: a command of two words; a key; the counts of what was dropped.
#[test]
fn rules_pick_requests() {
    let Some((server, proxy)) = server_and_proxy() else { return };
    proxy.drop_request_to("client no-touch", 1);
    let of_key = Rule::new(Action::DropRequest(Close::Reset));
    proxy.rule(of_key.when(|words| words.get(1) == Some(&b"key".as_slice())).each());
    let mut client = Client::to(proxy.address());
    assert!(client.ask(&["CLIENT", "ID"]).is_ok());
    assert!(client.ask(&["CLIENT", "NO-TOUCH", "ON"]).is_err());
    for attempt in 0..2 {
        let mut client = Client::to(proxy.address());
        assert!(client.ask(&["SET", "other", "v"]).is_ok());
        assert!(client.ask(&["SET", "key", "v"]).is_err(), "{attempt}");
    }
    assert_eq!(proxy.counts().dropped_requests, 3);
    assert_eq!(value(&server, "key"), None);
    proxy.clear_rules();
    assert!(Client::to(proxy.address()).ask(&["SET", "key", "v"]).is_ok());
}

/// Goal: of rules that ask for one request the first decides, and all of them count it. Method:
/// two for the same, and one for the next one; each ends the connection in its own way.
#[test]
fn the_first_of_several_rules_decides() {
    let Some((server, proxy)) = server_and_proxy() else { return };
    proxy.rule(Rule::new(Action::DropReply(Close::Fin)).command("INCR"));
    proxy.rule(Rule::new(Action::DropRequest(Close::Fin)).command("INCR"));
    proxy.rule(Rule::new(Action::DropRequest(Close::Reset)).command("INCR n").nth(2));
    let mut client = Client::to(proxy.address());
    client.send(&["INCR", "n"]);
    assert_eq!(client.end(), ErrorKind::UnexpectedEof);
    assert_eq!(value(&server, "n").as_deref(), Some("1"));
    let mut client = Client::to(proxy.address());
    client.send(&["INCR", "n"]);
    assert_eq!(client.end(), ErrorKind::ConnectionReset);
    assert_eq!(value(&server, "n").as_deref(), Some("1"));
    assert!(Client::to(proxy.address()).ask(&["INCR", "n"]).is_ok());
}

/// Goal: what a server sends by itself is taken for no reply. Method: in both protocols a
/// subscription, and a message between a request and its reply, which is the one that gets lost.
#[test]
fn messages_are_no_replies() {
    let Some((server, proxy)) = server_and_proxy() else { return };
    for (round, hello) in (1..).zip(["2", "3"]) {
        let mut client = Client::to(proxy.address());
        assert!(client.ask(&["HELLO", hello]).is_ok());
        assert!(client.ask(&["SUBSCRIBE", "channel", "other"]).is_ok());
        assert!(client.reply().expect("another reply").contains("other"));
        assert!(client.ask(&["PING"]).expect("a reply").to_uppercase().contains("PONG"));
        proxy.drop_reply_to("PING", 1);
        proxy.add(Direction::Upstream, Toxic::Hold);
        let before = proxy.counts().requests;
        client.send(&["PING"]);
        proxy.wait_requests(before + 1).expect("it is in the proxy");
        assert_eq!(server.ask::<i64>(&["PUBLISH", "channel", "hi"]).expect("it answers"), 1);
        assert!(client.reply().expect("a message").contains("hi"));
        proxy.heal();
        assert_eq!(client.end(), ErrorKind::ConnectionReset);
        let counts = proxy.counts();
        // A greeting, two channels, and two times PING.
        assert_eq!((counts.replies, counts.pushes), (5 * round, round));
    }
}

/// Goal: a held reply was executed and comes when it is released; a held request is executed only
/// then. Method: the server's own word before and after.
#[test]
fn what_is_held_comes_when_it_is_released() {
    let Some((server, proxy)) = server_and_proxy() else { return };
    let mut client = Client::to(proxy.address());
    proxy.hold_reply_to("INCR", 1);
    client.send(&["INCR", "n"]);
    proxy.wait_for(|counts| counts.held == 1).expect("held");
    assert_eq!(value(&server, "n").as_deref(), Some("1"));
    proxy.hold_request_to("INCR", 1);
    client.send(&["INCR", "n"]);
    proxy.wait_for(|counts| counts.held == 2).expect("held");
    assert_eq!(proxy.counts().replies, 1);
    assert_eq!(value(&server, "n").as_deref(), Some("1"));
    proxy.release();
    assert_eq!(client.reply().expect("a reply"), ":1\r\n");
    assert_eq!(client.reply().expect("a reply"), ":2\r\n");
}

/// Goal: a proxy that is down ends what runs and refuses what is new, and comes back on its port.
/// Method: a connection of before, one of between, one of after.
#[test]
fn a_proxy_that_is_down_refuses() {
    let Some((_server, proxy)) = server_and_proxy() else { return };
    for round in 0..20 {
        let mut client = Client::to(proxy.address());
        assert!(client.ask(&["PING"]).is_ok(), "{round}");
        proxy.down().expect("it goes down");
        assert_eq!(client.end(), ErrorKind::UnexpectedEof, "{round}");
        let refused = TcpStream::connect(proxy.address()).expect_err("it is down");
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused, "{round}");
        proxy.up().expect("it comes up");
    }
    assert!(Client::to(proxy.address()).ask(&["PING"]).is_ok());
}

/// Goal: new connections are refused while those that run go on. Method: one of each.
#[test]
fn refusing_new_connections_leaves_the_others() {
    let Some((_server, proxy)) = server_and_proxy() else { return };
    let mut client = Client::to(proxy.address());
    assert!(client.ask(&["PING"]).is_ok());
    proxy.refuse_new().expect("it refuses");
    assert!(TcpStream::connect(proxy.address()).is_err());
    assert!(client.ask(&["PING"]).is_ok());
}

/// Goal: a server that is not there looks as if nobody listened for long: the connection is reset
/// at once. Method: kill the server behind the proxy.
#[test]
fn a_dead_server_resets_its_clients() {
    let Some((mut server, proxy)) = server_and_proxy() else { return };
    server.kill();
    let mut client = Client::to(proxy.address());
    assert_eq!(client.end(), ErrorKind::ConnectionReset);
    assert_eq!(proxy.counts().connections, 0);
    server.restart().expect("it starts again");
    assert!(Client::to(proxy.address()).ask(&["PING"]).is_ok());
}

/// Goal: nothing of a proxy is left when its value goes. Method: its port, and its connection.
#[test]
fn a_proxy_ends_with_its_value() {
    let Some((_server, proxy)) = server_and_proxy() else { return };
    let address = proxy.address();
    let mut client = Client::to(address);
    assert!(client.ask(&["PING"]).is_ok());
    drop(proxy);
    assert_eq!(client.end(), ErrorKind::UnexpectedEof);
    assert!(TcpStream::connect(address).is_err());
    drop(client);
    std::net::TcpListener::bind(address).expect("the port is free again");
}
