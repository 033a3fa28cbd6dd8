use std::net::TcpListener;

use super::*;

const HOST: &str = "127.0.0.1";

/// A stream to a listener of the test's own, which takes nothing from it.
fn connected(within: Duration) -> (Stream, TcpListener) {
    let listener = TcpListener::bind((HOST, 0)).expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let addr = ConnectionAddr::Tcp(HOST.to_owned(), port);
    (Stream::clear(&addr, PreciseClock.now() + within).expect("it connects"), listener)
}

/// Goal: neighbouring times need one setting of the socket, and none is cut short. Method: every
/// time up to ten seconds, and the longest.
#[test]
fn time_limits_are_rounded_up_by_an_eighth_at_most() {
    let mut settings = std::collections::BTreeSet::new();
    for ms in 0..10_000 {
        let time = Duration::from_millis(ms);
        let rounded = coarse(time);
        assert!(rounded > time, "{time:?}");
        assert!(rounded <= time + time / 8 + Duration::from_millis(2), "{time:?}: {rounded:?}");
        settings.insert(rounded);
    }
    assert!(settings.len() < 120, "{}", settings.len());
    assert!(coarse(Duration::MAX) > Duration::from_secs(1 << 40));
}

/// Goal: whoever sends does not wait for a peer that takes nothing for longer than it may, nor
/// goes on when the time is over. Method: more than the sockets hold; then a deadline that has not
/// passed, and one that has, with bytes to read.
#[test]
fn a_peer_that_takes_nothing_is_waited_for_until_the_deadline() {
    let (mut stream, listener) = connected(Duration::from_millis(50));
    let much = vec![0; 64 << 20];
    let error = stream.write_all(&much).expect_err("nobody reads");
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    let mut buffer = [0; 8];
    let error = stream.read(&mut buffer).expect_err("the time was over before");
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    stream.until(PreciseClock.now() + Duration::from_secs(60));
    let (mut peer, _) = listener.accept().expect("it has connected");
    peer.write_all(b"+OK\r\n").expect("it listens");
    assert_eq!(stream.read(&mut buffer[..1]).expect("a byte"), 1);
    // The rest is there, and so would be the next piece of a reply that trickles fast.
    stream.until(PreciseClock.now());
    let error = stream.read(&mut buffer).expect_err("the time is over");
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
}

/// Goal: an address that nobody listens at is told from one that does not answer. Method: the port
/// of a listener that has gone; a deadline that has passed.
#[test]
fn connecting_says_why_not() {
    let (_, listener) = connected(Duration::from_secs(60));
    let port = listener.local_addr().expect("bound").port();
    drop(listener);
    let addr = ConnectionAddr::Tcp(HOST.to_owned(), port);
    let refused = Stream::clear(&addr, PreciseClock.now() + Duration::from_secs(60));
    assert_eq!(refused.expect_err("nobody").kind(), io::ErrorKind::ConnectionRefused);
    let late = Stream::clear(&addr, Duration::ZERO);
    assert_eq!(late.expect_err("late").kind(), io::ErrorKind::TimedOut);
}
