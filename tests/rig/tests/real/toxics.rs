//! Each toxic shows what it does: by counts, and by what comes before what.
//!
//! Where a toxic takes time, its lower bound is held against the server's own clock, which is
//! read before and after: a busy machine only makes that longer.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use oncegate_rig::{Close, Direction, PATIENCE, Proxy, Server, Toxic, present};

use crate::client::{Client, request};

const UP: Direction = Direction::Upstream;
const DOWN: Direction = Direction::Downstream;
const DELAY: Duration = Duration::from_millis(120);

fn server_and_proxy() -> Option<(Server, Proxy)> {
    if !present("toxics") {
        return None;
    }
    let server = Server::start().expect("it starts");
    let proxy = Proxy::to(server.address()).expect("it starts");
    Some((server, proxy))
}

/// The server's time in microseconds.
fn time(server: &Server) -> i64 {
    let (seconds, micros): (i64, i64) = server.ask(&["TIME"]).expect("it answers");
    seconds * 1_000_000 + micros
}

/// How long something takes at least, by the server's clock.
fn takes(server: &Server, what: impl FnOnce()) -> Duration {
    let before = time(server);
    what();
    Duration::from_micros(u64::try_from(time(server) - before).expect("it does not go back"))
}

fn talking(address: SocketAddr) -> Client {
    let mut client = Client::to(address);
    assert_eq!(client.ask(&["PING"]).expect("a reply"), "+PONG\r\n");
    client
}

/// Goal: latency holds each piece back for at least its time less its jitter, in the direction it
/// is in, on connections that run already; and it can be taken out. Method: the server's clock;
/// counts of what was delayed.
#[test]
fn latency_delays_what_goes_through() {
    let Some((server, proxy)) = server_and_proxy() else { return };
    let mut client = talking(proxy.address());
    assert_eq!(proxy.counts().delayed, 0);
    for (way, direction) in [UP, DOWN].into_iter().enumerate() {
        let jitter = DELAY / 4;
        proxy.add(direction, Toxic::Latency { latency: DELAY, jitter });
        let took = takes(&server, || assert!(client.ask(&["PING"]).is_ok()));
        assert!(took >= DELAY - jitter, "{took:?}");
        assert_eq!(proxy.counts().delayed, way as u64 + 1);
        proxy.heal();
    }
    assert!(client.ask(&["PING"]).is_ok());
    assert_eq!(proxy.counts().delayed, 2);
}

/// Goal: taking out latency lets go on what waits, and so does another one in its place. Method:
/// a delay of an hour.
#[test]
fn healing_ends_a_delay() {
    let Some((_server, proxy)) = server_and_proxy() else { return };
    let hour = Toxic::Latency { latency: Duration::from_secs(3600), jitter: Duration::ZERO };
    let none = Toxic::Latency { latency: Duration::ZERO, jitter: Duration::ZERO };
    let mut client = talking(proxy.address());
    for replaced in [false, true] {
        proxy.add(DOWN, hour);
        let before = proxy.counts().delayed;
        client.send(&["PING"]);
        proxy.wait_for(|counts| counts.delayed > before).expect("it waits");
        if replaced {
            proxy.add(DOWN, none);
        } else {
            proxy.heal();
        }
        assert_eq!(client.reply().expect("a reply"), "+PONG\r\n");
    }
}

/// Goal: what is delayed keeps its order, and pieces wait beside each other. Method: many requests
/// one after the other without waiting, with jitter as large as the latency.
#[test]
fn delayed_pieces_keep_their_order() {
    let Some((_server, proxy)) = server_and_proxy() else { return };
    let mut client = talking(proxy.address());
    let latency = Duration::from_millis(5);
    proxy.add(UP, Toxic::Latency { latency, jitter: latency });
    proxy.add(DOWN, Toxic::Latency { latency, jitter: latency });
    for _ in 0..50 {
        client.send(&["INCR", "n"]);
    }
    for number in 1..=50 {
        assert_eq!(client.reply().expect("a reply"), format!(":{number}\r\n"));
    }
}

/// Goal: a bandwidth is not exceeded. Method: the server's clock around so many bytes.
#[test]
fn bandwidth_bounds_bytes_in_time() {
    let Some((server, proxy)) = server_and_proxy() else { return };
    server.ask::<()>(&["SET", "key", &"x".repeat(20_000)]).expect("it answers");
    let mut client = talking(proxy.address());
    proxy.add(DOWN, Toxic::Bandwidth { rate: 100_000 });
    let took = takes(&server, || {
        assert_eq!(client.ask(&["GET", "key"]).expect("a reply").len(), 20_010);
    });
    // 20,010 bytes in pieces of 10,000: the client has the last one before its time is paid for.
    assert!(took >= Duration::from_millis(200), "{took:?}");
}

/// Goal: a slicer passes on small pieces, whose sizes are those of its seed. Method: counts of
/// pieces of the same bytes, with the same seed and with another one.
#[test]
fn a_slicer_makes_small_pieces() {
    let Some((server, _)) = server_and_proxy() else { return };
    server.ask::<()>(&["SET", "key", &"x".repeat(991)]).expect("it answers");
    let sliced = |seed: u64, size: usize, variation: usize| {
        let proxy = Proxy::seeded(server.address(), seed).expect("it starts");
        let mut client = talking(proxy.address());
        let before = proxy.counts();
        proxy.add(DOWN, Toxic::Slicer { size, variation, delay: Duration::ZERO });
        assert_eq!(client.ask(&["GET", "key"]).expect("a reply").len(), 999);
        // One of them is the request.
        proxy.counts().pieces - before.pieces - 1
    };
    assert_eq!(sliced(1, 10, 0), 100);
    let varied = sliced(1, 10, 9);
    assert!((53..=999).contains(&varied), "{varied}");
    assert_eq!(sliced(1, 10, 9), varied);
    let other = (2..9).map(|seed| sliced(seed, 10, 9)).any(|pieces| pieces != varied);
    assert!(other, "every seed gives {varied} pieces");
}

/// Goal: a slicer's delay lies between its pieces. Method: the server's clock around ten pieces.
#[test]
fn a_slicer_delays_between_pieces() {
    let Some((server, proxy)) = server_and_proxy() else { return };
    let mut client = talking(proxy.address());
    let delay = Duration::from_millis(15);
    proxy.add(DOWN, Toxic::Slicer { size: 1, variation: 0, delay });
    let took = takes(&server, || assert!(client.ask(&["PING"]).is_ok()));
    assert!(took >= 6 * delay, "{took:?}");
}

/// Goal: a reset comes instead of the reply, after its time, and the request was executed. Method:
/// the server's clock and its own word.
#[test]
fn a_reset_comes_instead_of_data() {
    let Some((server, proxy)) = server_and_proxy() else { return };
    let mut client = talking(proxy.address());
    proxy.add(DOWN, Toxic::ResetPeer { timeout: DELAY });
    let took = takes(&server, || {
        client.send(&["INCR", "n"]);
        assert_eq!(client.end(), ErrorKind::ConnectionReset);
    });
    assert!(took >= DELAY, "{took:?}");
    assert_eq!(server.ask::<i64>(&["GET", "n"]).expect("it answers"), 1);
    assert_eq!(proxy.counts().resets, 1);
    proxy.heal();
    let mut client = talking(proxy.address());
    proxy.add(UP, Toxic::ResetPeer { timeout: Duration::ZERO });
    client.send(&["INCR", "n"]);
    assert_eq!(client.end(), ErrorKind::ConnectionReset);
    assert_eq!(server.ask::<i64>(&["GET", "n"]).expect("it answers"), 1);
}

/// Goal: a timeout ends the connection in order, after its time, and nothing goes through before.
/// Method: as above.
#[test]
fn a_timeout_ends_a_connection() {
    let Some((server, proxy)) = server_and_proxy() else { return };
    let mut client = talking(proxy.address());
    proxy.add(UP, Toxic::Timeout { timeout: DELAY });
    let took = takes(&server, || {
        client.send(&["INCR", "n"]);
        assert_eq!(client.end(), ErrorKind::UnexpectedEof);
    });
    assert!(took >= DELAY, "{took:?}");
    assert_eq!(server.ask::<Option<i64>>(&["GET", "n"]).expect("it answers"), None);
}

/// Goal: the end of a connection is passed on late, and data is not. Method: the server ends it;
/// its clock around that.
#[test]
fn slow_close_passes_ends_on_late() {
    let Some((server, proxy)) = server_and_proxy() else { return };
    let mut client = talking(proxy.address());
    proxy.add(DOWN, Toxic::SlowClose { delay: DELAY });
    assert!(client.ask(&["PING"]).is_ok());
    assert_eq!(proxy.counts().delayed, 0);
    let took = takes(&server, || {
        assert_eq!(client.ask(&["QUIT"]).expect("a reply"), "+OK\r\n");
        assert_eq!(client.end(), ErrorKind::UnexpectedEof);
    });
    assert!(took >= DELAY, "{took:?}");
    assert_eq!(proxy.counts().delayed, 1);
}

/// Goal: a connection ends when so many bytes have gone through, to the byte. Method: replies of
/// seven bytes, with room for two and a half.
#[test]
fn limited_data_ends_a_connection() {
    let Some((_server, proxy)) = server_and_proxy() else { return };
    proxy.add(DOWN, Toxic::LimitData { bytes: 17 });
    let mut client = talking(proxy.address());
    assert!(client.ask(&["PING"]).is_ok());
    client.send(&["PING"]);
    assert_eq!(client.end(), ErrorKind::UnexpectedEof);
    assert_eq!(proxy.counts().downstream, 17);
    proxy.heal();
    talking(proxy.address());
}

/// Goal: a peer that is gone without a word: requests do not arrive, or replies do not, and the
/// connection stays; afterwards it goes on. Method: the server's own word; counts of what was
/// swallowed; a new connection opens, and stays silent too.
#[test]
fn a_half_open_connection_is_silent() {
    let Some((server, proxy)) = server_and_proxy() else { return };
    let mut client = talking(proxy.address());
    let length = request(&["INCR", "n"]).len() as u64;
    proxy.add(DOWN, Toxic::Swallow);
    client.send(&["INCR", "n"]);
    proxy.wait_for(|counts| counts.swallowed == 4).expect("the reply is lost");
    assert_eq!(server.ask::<i64>(&["GET", "n"]).expect("it answers"), 1);
    proxy.half_open();
    client.send(&["INCR", "n"]);
    proxy.wait_for(|counts| counts.swallowed == 4 + length).expect("the request is lost");
    let mut other = Client::to(proxy.address());
    other.send(&["INCR", "n"]);
    proxy.wait_for(|counts| counts.swallowed == 4 + 2 * length).expect("the request is lost");
    assert_eq!(proxy.counts().open, 2);
    proxy.heal();
    // Its two requests got no reply, and the third one did.
    assert_eq!(client.ask(&["INCR", "n"]).expect("a reply"), ":2\r\n");
    assert_eq!(other.ask(&["INCR", "n"]).expect("a reply"), ":3\r\n");
}

/// Goal: a peer that is gone does not say that it ends. Method: the server ends while the proxy
/// is silent; the client hears of it when the proxy has healed, and not before.
#[test]
fn a_silent_peer_does_not_end() {
    let Some((mut server, proxy)) = server_and_proxy() else { return };
    let mut client = talking(proxy.address());
    proxy.half_open();
    server.kill();
    // The end of the connection waits.
    proxy.wait_for(|counts| counts.delayed == 1).expect("the end is held back");
    let mut byte = [0];
    client.stream().set_nonblocking(true).expect("it can");
    let silent = client.stream().peek(&mut byte).expect_err("nothing came");
    assert_eq!(silent.kind(), ErrorKind::WouldBlock);
    client.stream().set_nonblocking(false).expect("it can");
    proxy.heal();
    assert_eq!(client.end(), ErrorKind::UnexpectedEof);
}

/// Goal: what is held waits for the event that ends it. Method: a request that is held while the
/// server is asked for its effect; then the same with the reply.
#[test]
fn what_is_held_waits_for_an_event() {
    let Some((server, proxy)) = server_and_proxy() else { return };
    let mut client = talking(proxy.address());
    for (direction, ran) in [(UP, None), (DOWN, Some(2))] {
        proxy.add(direction, Toxic::Hold);
        let before = proxy.counts().delayed;
        client.send(&["INCR", "n"]);
        proxy.wait_for(|counts| counts.delayed > before).expect("it is held");
        assert_eq!(server.ask::<Option<i64>>(&["GET", "n"]).expect("it answers"), ran);
        proxy.heal();
        assert!(client.reply().is_ok());
    }
}

/// Goal: connections are ended from outside in both ways. Method: two clients each.
#[test]
fn all_connections_are_cut_at_once() {
    let Some((_server, proxy)) = server_and_proxy() else { return };
    for (close, kind) in
        [(Close::Reset, ErrorKind::ConnectionReset), (Close::Fin, ErrorKind::UnexpectedEof)]
    {
        let mut clients = [talking(proxy.address()), talking(proxy.address())];
        proxy.cut(close);
        assert!(clients.iter_mut().all(|client| client.end() == kind));
        proxy.wait_for(|counts| counts.open == 0).expect("they end");
    }
}

/// Goal: what is no Redis protocol goes through unchanged, toxics included. Method: two plain
/// sockets, with bytes of no frame and with more than fits into what lies between them.
#[test]
fn other_protocols_go_through() {
    use std::io::{Read as _, Write as _};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let proxy = Proxy::to(listener.local_addr().expect("an address")).expect("it starts");
    let mut near = std::net::TcpStream::connect(proxy.address()).expect("it accepts");
    let (mut far, _) = listener.accept().expect("it comes");
    for end in [&near, &far] {
        end.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    }
    let bytes: Vec<u8> = (0..8_u32 << 20).map(|at| (at.wrapping_mul(97) >> 3) as u8).collect();
    let first = [b"\x16\x03\x01".as_slice(), &bytes].concat();
    std::thread::scope(|scope| {
        scope.spawn(|| near.write_all(&first).expect("it reads"));
        let mut got = vec![0; first.len()];
        far.read_exact(&mut got).expect("it writes");
        assert!(got == first);
    });
    proxy.add(DOWN, Toxic::Slicer { size: 100, variation: 50, delay: Duration::ZERO });
    far.write_all(&bytes[..5000]).expect("it reads");
    drop(far);
    let mut got = Vec::new();
    near.read_to_end(&mut got).expect("it ends");
    assert!(got == bytes[..5000]);
    let counts = proxy.counts();
    assert_eq!((counts.requests, counts.replies), (0, 0));
    assert_eq!(counts.upstream, first.len() as u64);
}
