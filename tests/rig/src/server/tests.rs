//! What needs the inside of a server.

use std::net::TcpListener;

use super::{Options, Server};
use crate::{ports, present};

/// Goal: a port that somebody else took after it was found free is no obstacle. Method: a source
/// of ports whose first two are taken.
#[test]
fn a_port_that_was_taken_is_let_go() {
    if !present("servers") {
        return;
    }
    let taken = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").expect("a port"));
    let mut first =
        taken.each_ref().map(|taken| taken.local_addr().expect("bound").port()).into_iter();
    let source = || first.next().map_or_else(ports::free_port, Ok);
    let server = Server::on(Options::new(), source).expect("it starts elsewhere");
    assert_eq!(server.ask::<String>(&["PING"]).expect("it answers"), "PONG");
    let own: u16 = server.info("tcp_port").expect("it answers").parse().expect("a number");
    assert_eq!(own, server.port());
    assert!(taken.iter().all(|taken| taken.local_addr().expect("bound").port() != own));
}
