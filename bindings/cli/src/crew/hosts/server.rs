//! The Redis server of a storm, on a loopback port of its own.

use std::fs;
use std::io;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::super::CrewError;

/// A server that writes each change to a disk before it answers. It is killed with this value, and
/// also when this process is.
pub(super) struct Server {
    port: u16,
    folder: PathBuf,
    /// The shell that the server is killed by. `None`: it was.
    shell: Option<Child>,
}

impl Server {
    /// Starts one whose files are in `folder`. It answers when this returns.
    pub(super) fn start(folder: &Path) -> Result<Self, CrewError> {
        let version = Command::new(PROGRAM).arg("--version").stdout(Stdio::null()).status();
        version.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => {
                CrewError::Server("not found; install Redis 6 or newer".to_owned())
            }
            _ => CrewError::Server(error.to_string()),
        })?;
        let folder = folder.to_owned();
        let mut server = Self { port: free_port()?, folder, shell: None };
        server.launch()?;
        Ok(server)
    }

    pub(super) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    /// Kills it by SIGKILL, and returns when it is gone.
    pub(super) fn kill(&mut self) {
        if let Some(mut shell) = self.shell.take() {
            // The end of this pipe is what the shell waits for.
            drop(shell.stdin.take());
            let _ = shell.wait();
        }
    }

    /// Starts it again, on the same port, with what it had written.
    pub(super) fn launch(&mut self) -> Result<(), CrewError> {
        let failed = |error: io::Error| CrewError::Server(error.to_string());
        let (folder, port) = (self.folder.display(), self.port);
        let conf = self.folder.join("redis.conf");
        let lines = format!(
            "bind 127.0.0.1\nport {port}\nunixsocket {folder}/{SOCKET}\nunixsocketperm 600\n\
             dir {folder}\nlogfile {folder}/redis.log\ndaemonize no\nsave \"\"\n\
             appendonly yes\nappendfsync always\n"
        );
        fs::write(&conf, lines).map_err(failed)?;
        let mut command = Command::new("sh");
        command.args(["-c", SHELL, "sh", PROGRAM]).arg(&conf);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        self.shell = Some(command.spawn().map_err(failed)?);
        let until = Instant::now() + STARTS_WITHIN;
        // The socket is its own, and comes last: who answers there has the port, too.
        let url = format!("redis+unix://{folder}/{SOCKET}");
        let pings = || {
            let mut connection = redis::Client::open(&*url)?.get_connection()?;
            redis::cmd("PING").query::<String>(&mut connection)
        };
        while let Err(error) = pings() {
            if Instant::now() > until {
                self.kill();
                return Err(CrewError::Server(format!("it does not start: {error}")));
            }
            thread::sleep(LOOKS_EVERY);
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A port that nobody has. It is not one of those that the system gives to outgoing connections:
/// while the server is down, none of them must get it.
fn free_port() -> Result<u16, CrewError> {
    let first = std::process::id() % COUNT;
    let mut ports = (0..COUNT).map(|number| FIRST + (first + number) % COUNT);
    let is_free = |port: &u32| TcpListener::bind(("127.0.0.1", *port as u16)).is_ok();
    let port = ports.find(is_free).ok_or_else(|| CrewError::Server("no free port".to_owned()))?;
    Ok(port as u16)
}

const PROGRAM: &str = "redis-server";
const SOCKET: &str = "redis.sock";
/// Whatever ends the storm also ends this pipe, and then the server is killed. What a terminal
/// sends to all must not end the shell before.
const SHELL: &str = "\
trap '' INT TERM HUP
\"$@\" </dev/null &
read -r _
kill -9 $!
wait $!";
const FIRST: u32 = 11_000;
const COUNT: u32 = 4_000;
const STARTS_WITHIN: Duration = Duration::from_secs(20);
const LOOKS_EVERY: Duration = Duration::from_millis(2);
