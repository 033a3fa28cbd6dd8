//! One Redis server.

mod options;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::{fmt, fs};

use redis::FromRedisValue;

pub use self::options::{Clients, Fsync, Options};
use crate::process::Process;
use crate::requirement::PROGRAM;
use crate::{Error, Folder, PATIENCE, clock, ports};

/// A Redis server on a loopback port of its own and on a socket in its folder, ended with this
/// value.
///
/// The rig speaks with it through the socket, as a user of its own where there are users: neither
/// TLS nor a proxy nor a rule of a test stands in between.
///
/// ```no_run
/// use oncegate_rig::{Fsync, Options, Server, present};
///
/// if present("this example") {
///     let mut server = Server::with(Options::new().append_only(Fsync::Always))?;
///     server.ask::<()>(&["SET", "key", "value"])?;
///     server.kill();
///     server.restart()?;
///     assert_eq!(server.ask::<String>(&["GET", "key"])?, "value");
/// }
/// # Ok::<(), oncegate_rig::Error>(())
/// ```
pub struct Server {
    options: Options,
    port: u16,
    bus_port: u16,
    folder: Folder,
    /// `None`: killed.
    process: Option<Process>,
    paused: AtomicBool,
}

/// How often a start is tried on other ports.
const TRIES: usize = 5;

impl Server {
    /// A server that writes nothing to a disk, as most tests want it.
    ///
    /// # Errors
    ///
    /// It does not start, or is not installed: see [`present`](crate::present).
    pub fn start() -> Result<Self, Error> {
        Self::with(Options::new())
    }

    /// A server with these options. It answers when this returns.
    ///
    /// # Errors
    ///
    /// It does not start; the error has the end of its log.
    pub fn with(options: Options) -> Result<Self, Error> {
        Self::on(options, ports::free_port)
    }

    /// A server on two of the ports that `port` gives: for clients and for other nodes.
    fn on(options: Options, mut port: impl FnMut() -> Result<u16, Error>) -> Result<Self, Error> {
        let folder = Folder::new()?;
        let paused = AtomicBool::new(false);
        let mut server = Self { options, port: 0, bus_port: 0, folder, process: None, paused };
        let mut tries = 0;
        loop {
            // Free now; should somebody else take it first, another one is tried.
            server.port = port()?;
            server.bus_port = port()?;
            match server.launch() {
                Ok(()) => return Ok(server),
                Err(error) if tries == TRIES => return Err(error),
                Err(_) => tries += 1,
            }
        }
    }

    /// Where it listens, by TCP or by TLS.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    /// The port of [`address`](Self::address).
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// `redis://127.0.0.1:PORT/`, or `rediss://…` with TLS; no user.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = if self.options.tls.is_some() { "rediss" } else { "redis" };
        format!("{scheme}://{}/", self.address())
    }

    /// The path of its socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("s")
    }

    /// `redis+unix://PATH`, without a user.
    #[must_use]
    pub fn unix_url(&self) -> String {
        format!("redis+unix://{}", self.socket().display())
    }

    /// Its folder: configuration, log, and what it keeps.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Its process; `None`: it was killed.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Process::id)
    }

    /// Kills it by SIGKILL, and returns when it is gone.
    pub fn kill(&mut self) {
        self.process = None;
        *self.paused.get_mut() = false;
    }

    /// Whether it was neither killed nor paused.
    #[must_use]
    pub fn is_running(&self) -> bool {
        // Relaxed: it says what a test did, and orders nothing.
        self.process.is_some() && !self.paused.load(Ordering::Relaxed)
    }

    /// Starts it again on the same port, killing it first if it runs. It has what its disk keeps:
    /// nothing without [`Options::append_only`], apart from what `SAVE` wrote.
    ///
    /// # Errors
    ///
    /// It does not start, or somebody else has its port.
    pub fn restart(&mut self) -> Result<(), Error> {
        self.kill();
        // The kernel may need a moment to free the port of a process that is gone.
        let mut failed = None;
        for _ in 0..TRIES {
            match self.launch() {
                Ok(()) => return Ok(()),
                Err(error) => failed = Some(error),
            }
        }
        Err(failed.unwrap_or_else(|| Error::new("not tried")))
    }

    /// As [`restart`](Self::restart), but with nothing on its disk.
    ///
    /// # Errors
    ///
    /// As with `restart`, or the disk cannot be emptied.
    pub fn restart_empty(&mut self) -> Result<(), Error> {
        self.kill();
        let gone = |done: std::io::Result<()>| match done {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::of("emptying the disk", &error))
            }
            _ => Ok(()),
        };
        gone(fs::remove_dir_all(self.folder.path().join("appendonlydir")))?;
        // Before Redis 7.0 the log is a file.
        for file in ["appendonly.aof", "dump.rdb"] {
            gone(fs::remove_file(self.folder.path().join(file)))?;
        }
        self.restart()
    }

    /// Stops it by SIGSTOP, as a machine that hangs: the kernel still accepts connections and
    /// data for it. Returns when it has stopped.
    ///
    /// # Errors
    ///
    /// It was killed.
    pub fn pause(&self) -> Result<(), Error> {
        let process = self.process()?;
        // Relaxed: as in `is_running`.
        self.paused.store(true, Ordering::Relaxed);
        process.pause()
    }

    /// Lets it go on by SIGCONT.
    ///
    /// # Errors
    ///
    /// It was killed.
    pub fn resume(&self) -> Result<(), Error> {
        self.process()?.resume()?;
        // Relaxed: as in `is_running`.
        self.paused.store(false, Ordering::Relaxed);
        Ok(())
    }

    /// Removes all keys.
    ///
    /// # Errors
    ///
    /// As with [`ask`](Self::ask).
    pub fn flush_all(&self) -> Result<(), Error> {
        self.ask(&["FLUSHALL"])
    }

    /// What it answers to a command, over a connection that is made for it.
    ///
    /// # Errors
    ///
    /// It was killed or paused, does not answer, answers with an error, or with something else
    /// than a `T`.
    pub fn ask<T: FromRedisValue>(&self, command: &[&str]) -> Result<T, Error> {
        if !self.is_running() {
            return Err(Error::new("the server was killed or paused"));
        }
        self.call(command).map_err(|error| Error::of(&command.join(" "), &error))
    }

    /// One field of `INFO`, such as `run_id`.
    ///
    /// # Errors
    ///
    /// As with [`ask`](Self::ask), or there is no such field.
    pub fn info(&self, field: &str) -> Result<String, Error> {
        let all: String = self.ask(&["INFO", "everything"])?;
        let value = all.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        value.map(str::to_owned).ok_or_else(|| Error::new(format!("INFO has no {field}")))
    }

    /// The end of its log.
    #[must_use]
    pub fn log(&self) -> String {
        let all = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        let lines: Vec<&str> = all.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }

    pub(crate) const fn bus_port(&self) -> u16 {
        self.bus_port
    }

    /// Lets others be told that it is found at another port, also after it starts again.
    pub(crate) fn announce(&mut self, port: u16) -> Result<(), Error> {
        let name =
            if self.options.cluster { "cluster-announce-port" } else { "replica-announce-port" };
        self.ask::<()>(&["CONFIG", "SET", name, &port.to_string()])?;
        self.options = std::mem::take(&mut self.options).line(format!("{name} {port}"));
        Ok(())
    }

    /// What another server says to it before it may speak.
    pub(crate) fn own_credentials(&self) -> Vec<&'static str> {
        let [user, password] = options::OWN_CREDENTIALS;
        if self.options.has_users() { vec!["AUTH2", user, password] } else { Vec::new() }
    }

    fn process(&self) -> Result<&Process, Error> {
        self.process.as_ref().ok_or_else(|| Error::new("the server was killed"))
    }

    fn launch(&mut self) -> Result<(), Error> {
        let folder = self.folder.path();
        let file = folder.join("conf");
        // A Sentinel and a node of a cluster keep there what they know.
        if !self.options.sentinel || !file.exists() {
            let config = self.options.render(self.port, self.bus_port, folder);
            fs::write(&file, config).map_err(|error| Error::of("its configuration", &error))?;
        }
        let says = || fs::File::options().create(true).append(true).open(folder.join("log"));
        let says = says().map_err(|error| Error::of("its log", &error))?;
        let mut command = Command::new(PROGRAM);
        command.arg(&file).args(self.options.sentinel.then_some("--sentinel"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(says);
        let mut process = Process::start(&mut command)?;
        // Another process, which says nothing when it can be reached. Its socket comes last, and
        // is its own: who answers there has the port, too.
        let ended = clock::until("the server answers", || {
            if process.has_ended() {
                return Some(true);
            }
            self.call::<String>(&["PING"]).is_ok_and(|pong| pong == "PONG").then_some(false)
        });
        match ended {
            Ok(false) => {
                self.process = Some(process);
                Ok(())
            }
            Ok(true) => Err(Error::of("the server ended", &self.log())),
            Err(error) => Err(Error::of(&error.to_string(), &self.log())),
        }
    }

    fn call<T: FromRedisValue>(&self, command: &[&str]) -> redis::RedisResult<T> {
        let mut url = self.unix_url();
        if self.options.has_users() {
            url.push_str(options::OWN_USER_QUERY);
        }
        let mut connection = redis::Client::open(url)?.get_connection_with_timeout(PATIENCE)?;
        connection.set_read_timeout(Some(PATIENCE))?;
        let mut asked = redis::cmd(command[0]);
        for word in &command[1..] {
            asked.arg(*word);
        }
        asked.query(&mut connection)
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("port", &self.port).field("pid", &self.pid()).finish()
    }
}
