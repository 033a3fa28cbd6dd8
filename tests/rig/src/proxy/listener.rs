//! The port of a proxy, which can be shut without being given up.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rustix::net::{self, Shutdown};

use super::connection;
use super::shared::Shared;
use crate::{Error, ports};

/// A listening socket whose port stays its own while nobody may connect.
pub(super) struct Listener {
    socket: TcpListener,
    address: SocketAddr,
}

/// Connections that wait to be accepted.
const BACKLOG: i32 = 128;
/// How often another port is tried.
const TRIES: usize = 16;
/// How long the server may take to accept: on one machine it does so at once, or not at all.
const CONNECTING: Duration = Duration::from_secs(10);

impl Listener {
    pub(super) fn open() -> Result<Self, Error> {
        Self::on(ports::free_port)
    }

    /// Listens at one of the ports that `port` gives.
    fn on(mut port: impl FnMut() -> Result<u16, Error>) -> Result<Self, Error> {
        let mut failed = None;
        for _ in 0..TRIES {
            // A port that was named when it was bound stays bound in `refuse`.
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port()?));
            match TcpListener::bind(address) {
                Ok(socket) => return Ok(Self { socket, address }),
                Err(error) => failed = Some(error),
            }
        }
        Err(Error::new(format!("no port for a proxy: {failed:?}")))
    }

    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Lets nobody connect. Who waits to be accepted is reset, and `accept` returns an error.
    pub(super) fn refuse(&self) -> Result<(), Error> {
        match net::shutdown(&self.socket, Shutdown::Read) {
            // It does not listen.
            Ok(()) | Err(rustix::io::Errno::NOTCONN) => Ok(()),
            Err(error) => Err(Error::of("closing a port", &error)),
        }
    }

    /// Lets clients connect again.
    pub(super) fn listen(&self) -> Result<(), Error> {
        net::listen(&self.socket, BACKLOG).map_err(|error| Error::of("listening again", &error))
    }
}

/// Accepts connections until the proxy ends, and then waits until they have.
pub(super) fn accept(shared: &Arc<Shared>, listener: &Listener) {
    let mut threads = Vec::new();
    while shared.wait_until_listening() {
        let Ok((client, _)) = listener.socket.accept() else {
            // It was shut, or there are no descriptors left: then a moment may bring some.
            shared.wait_a_moment();
            continue;
        };
        threads.retain(|thread: &thread::JoinHandle<()>| !thread.is_finished());
        let ours = Arc::clone(shared);
        // A server that does not accept must not keep the next client waiting.
        threads.push(thread::spawn(move || {
            match TcpStream::connect_timeout(&ours.server(), CONNECTING) {
                Ok(server) => connection::serve(&ours, client, server),
                Err(_) => connection::refuse(&client),
            }
        }));
    }
    for thread in threads {
        let _ = thread.join();
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::Listener;
    use crate::ports;

    /// Goal: a port that somebody else took after it was found free is no obstacle; one that is
    /// shut stays its own. Method: a source of ports whose first is taken; a bind beside it.
    #[test]
    fn a_port_that_was_taken_is_let_go_and_a_shut_one_is_kept() {
        let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
        let mut first = Some(taken.local_addr().expect("bound").port());
        let source = || first.take().map_or_else(ports::free_port, Ok);
        let listener = Listener::on(source).expect("another one");
        assert_ne!(listener.address().port(), taken.local_addr().expect("bound").port());
        listener.refuse().expect("it shuts");
        listener.refuse().expect("it is shut");
        listener.listen().expect("it opens");
        TcpListener::bind(listener.address()).expect_err("it is taken");
        std::net::TcpStream::connect(listener.address()).expect("it listens");
    }
}
