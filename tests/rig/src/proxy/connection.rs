//! One connection: two directions, each read by one thread and written by another.

mod reader;
mod writer;

use std::collections::VecDeque;
use std::io;
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use rustix::net::sockopt::set_socket_linger;

use super::rule::Close;
use super::shared::Shared;
use super::toxic::Direction;
use crate::random::Random;

/// A client, its server, and what is under way between them.
///
/// Its sockets are never duplicated: they close when the last thread leaves, and only the last
/// close of a socket can reset it.
pub(super) struct Connection {
    client: TcpStream,
    server: TcpStream,
    closed: AtomicBool,
    /// What becomes of the replies that are to come, in their order.
    replies: Mutex<VecDeque<Reply>>,
}

/// What becomes of a reply.
#[derive(Clone, Copy, Debug)]
enum Reply {
    Pass,
    Drop(Close),
    Hold,
}

/// What a reader hands to the writer of its direction.
enum Item {
    /// Bytes, when they arrived, and the number by which a rule holds them.
    Bytes { arrived: Instant, bytes: Vec<u8>, held: Option<u64> },
    /// The sender has ended its side.
    End { arrived: Instant },
    /// The connection ends here.
    Close(Close),
}

/// Items between a reader and its writer; then the reader waits, and so does the sender.
const QUEUED: usize = 256;
/// How often a writer whose peer does not read looks whether the connection has ended.
const STALLED: Duration = Duration::from_millis(20);

/// Serves a connection until it ends.
pub(super) fn serve(shared: &Arc<Shared>, client: TcpStream, server: TcpStream) {
    let Ok(connection) = Connection::new(client, server) else { return };
    let connection = Arc::new(connection);
    let number = shared.count(|counts| {
        counts.open += 1;
        counts.connections += 1;
        counts.connections
    });
    if shared.enter(&connection) {
        thread::scope(|scope| {
            for direction in [Direction::Upstream, Direction::Downstream] {
                let (to, from) = mpsc::sync_channel(QUEUED);
                let connection = &connection;
                scope.spawn(move || reader::read(shared, connection, direction, &to));
                let way = 2 * number + u64::from(direction == Direction::Upstream);
                let random = Random::of(shared.seed().wrapping_add(way));
                scope.spawn(move || writer::write(shared, connection, direction, &from, random));
            }
        });
    }
    // The last one to hold it, but for somebody who is about to close it.
    drop(connection);
    shared.count(|counts| counts.open -= 1);
}

/// Turns a client away whose server is not there.
pub(super) fn refuse(client: &TcpStream) {
    // A reset is what the client would have got; should it fail, it gets an end instead.
    let _ = set_socket_linger(client, Some(Duration::ZERO));
}

impl Connection {
    fn new(client: TcpStream, server: TcpStream) -> io::Result<Self> {
        for socket in [&client, &server] {
            socket.set_nodelay(true)?;
            socket.set_write_timeout(Some(STALLED))?;
        }
        let closed = AtomicBool::new(false);
        Ok(Self { client, server, closed, replies: Mutex::new(VecDeque::new()) })
    }

    /// Ends it: the server is let go, and the client as `close` says.
    pub(super) fn close(&self, shared: &Shared, close: Close) {
        // Acquire and release: who finds it closed does not take what follows for the peer's doing.
        // Under the lock, or who is about to wait for a change would miss it.
        let before = shared.change(|_| self.closed.swap(true, Ordering::AcqRel));
        if before {
            return;
        }
        match close {
            Close::Fin => {
                let _ = self.client.shutdown(Shutdown::Both);
            }
            Close::Reset => {
                shared.count(|counts| counts.resets += 1);
                let _ = set_socket_linger(&self.client, Some(Duration::ZERO));
                // Wakes who reads and sends nothing; the close that resets is the last thread's.
                let _ = self.client.shutdown(Shutdown::Read);
            }
        }
        let _ = self.server.shutdown(Shutdown::Both);
    }

    fn is_closed(&self) -> bool {
        // Acquire: as in `close`.
        self.closed.load(Ordering::Acquire)
    }

    fn replies(&self) -> MutexGuard<'_, VecDeque<Reply>> {
        self.replies.lock().unwrap_or_else(PoisonError::into_inner)
    }

    const fn source(&self, direction: Direction) -> &TcpStream {
        match direction {
            Direction::Upstream => &self.client,
            Direction::Downstream => &self.server,
        }
    }

    const fn target(&self, direction: Direction) -> &TcpStream {
        match direction {
            Direction::Upstream => &self.server,
            Direction::Downstream => &self.client,
        }
    }
}
