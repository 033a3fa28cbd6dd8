//! The bytes to and from one server. Each read and each write has what is left of the time, so that
//! a reply that trickles in takes no longer than one that does not come.

#[cfg(feature = "redis-tls")]
mod tls;

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
#[cfg(unix)]
use std::os::unix::net::UnixStream;
use std::time::Duration;

use redis::ConnectionAddr;

#[cfg(feature = "redis-tls")]
pub(super) use self::tls::Tls;
use crate::clock::{Clock, PreciseClock};

/// A connected stream of bytes, in clear or by TLS.
pub(super) enum Stream {
    Clear(Timed),
    #[cfg(feature = "redis-tls")]
    Sealed(Box<tls::Sealed>),
}

/// A socket whose every read and write ends by the deadline.
pub(super) struct Timed {
    socket: Socket,
    /// By the precise clock.
    deadline: Duration,
    /// What the socket's time limits are set to.
    limit: Option<Duration>,
}

enum Socket {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
}

impl Stream {
    /// Connects in clear. How long a name takes to be resolved is the system's business.
    pub(super) fn clear(addr: &ConnectionAddr, deadline: Duration) -> io::Result<Self> {
        let socket = match addr {
            ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => {
                Socket::Tcp(tcp(host, *port, deadline)?)
            }
            #[cfg(unix)]
            ConnectionAddr::Unix(path) => Socket::Unix(UnixStream::connect(path)?),
            _ => return Err(io::ErrorKind::Unsupported.into()),
        };
        Ok(Self::Clear(Timed { socket, deadline, limit: None }))
    }

    /// What follows has until then.
    pub(super) fn until(&mut self, deadline: Duration) {
        self.timed().deadline = deadline;
    }

    fn timed(&mut self) -> &mut Timed {
        match self {
            Self::Clear(timed) => timed,
            #[cfg(feature = "redis-tls")]
            Self::Sealed(sealed) => &mut sealed.sock,
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Clear(timed) => timed.read(buffer),
            #[cfg(feature = "redis-tls")]
            Self::Sealed(sealed) => sealed.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Clear(timed) => timed.write(bytes),
            #[cfg(feature = "redis-tls")]
            Self::Sealed(sealed) => sealed.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Clear(timed) => timed.flush(),
            #[cfg(feature = "redis-tls")]
            Self::Sealed(sealed) => sealed.flush(),
        }
    }
}

impl Timed {
    /// Sets the time limits of the socket, unless they are the same: that spares two calls to the
    /// kernel in almost every operation.
    fn limit(&mut self) -> io::Result<()> {
        let left = self.deadline.saturating_sub(PreciseClock.now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let left = coarse(left);
        if self.limit != Some(left) {
            match &self.socket {
                Socket::Tcp(socket) => {
                    socket.set_read_timeout(Some(left))?;
                    socket.set_write_timeout(Some(left))?;
                }
                #[cfg(unix)]
                Socket::Unix(socket) => {
                    socket.set_read_timeout(Some(left))?;
                    socket.set_write_timeout(Some(left))?;
                }
            }
            self.limit = Some(left);
        }
        Ok(())
    }

    /// Does a part of the work, as often as a signal comes between.
    fn part(
        &mut self,
        mut work: impl FnMut(&mut Socket) -> io::Result<usize>,
    ) -> io::Result<usize> {
        loop {
            self.limit()?;
            match work(&mut self.socket) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // What a time limit of a socket is told by.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Err(io::ErrorKind::TimedOut.into());
                }
                done => return done,
            }
        }
    }
}

impl Read for Timed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.part(|socket| match socket {
            Socket::Tcp(socket) => socket.read(buffer),
            #[cfg(unix)]
            Socket::Unix(socket) => socket.read(buffer),
        })
    }
}

impl Write for Timed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.part(|socket| match socket {
            Socket::Tcp(socket) => socket.write(bytes),
            #[cfg(unix)]
            Socket::Unix(socket) => socket.write(bytes),
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").finish_non_exhaustive()
    }
}

/// The first address of the host that takes the connection.
fn tcp(host: &str, port: u16, deadline: Duration) -> io::Result<TcpStream> {
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for address in (host, port).to_socket_addrs()? {
        let left = deadline.saturating_sub(PreciseClock.now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        match TcpStream::connect_timeout(&address, left) {
            Ok(socket) => {
                // What is small is sent at once, whatever is on its way before it.
                socket.set_nodelay(true)?;
                return Ok(socket);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Rounded up by at most an eighth, so that neighbouring times are the same.
fn coarse(time: Duration) -> Duration {
    let ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX >> 1).saturating_add(1);
    let grain = (ms.next_power_of_two() >> 4).max(1);
    Duration::from_millis(ms.next_multiple_of(grain))
}

#[cfg(test)]
mod tests;
