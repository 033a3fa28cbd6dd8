//! A Redis server of the study's own, on a free loopback port and on a socket in its folder.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use super::Site;

/// A server that is ended with this value.
#[derive(Debug)]
pub struct RedisServer {
    child: Child,
    /// Kept open: it says little, but must not fail at that.
    says: Option<BufReader<ChildStdout>>,
    version: String,
}

impl RedisServer {
    /// Starts one, and tells `site` where it listens. `None`: none is installed.
    ///
    /// # Errors
    ///
    /// It does not start; or none is installed, and `ONCEGATE_REQUIRE_ALL=1` asks for it.
    pub fn start(site: &mut Site) -> Result<Option<Self>, String> {
        let Some(version) = version() else {
            if std::env::var("ONCEGATE_REQUIRE_ALL").is_ok_and(|all| all == "1") {
                return Err(format!("{MISSING}, and ONCEGATE_REQUIRE_ALL=1 asks for it"));
            }
            return Ok(None);
        };
        let mut reason = String::new();
        for _ in 0..TRIES {
            // The port is free now; should somebody else take it first, another one is tried.
            let port = free_port()?;
            match Self::on(site, port, &version) {
                Ok(server) => {
                    site.redis = Some((port, server.child.id().cast_signed()));
                    return Ok(Some(server));
                }
                Err(error) => reason = error,
            }
        }
        Err(format!("no Redis server starts: {reason}"))
    }

    /// The server's version.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    fn on(site: &Site, port: u16, version: &str) -> Result<Self, String> {
        let socket = site.redis_socket();
        let mut command = Command::new(PROGRAM);
        command.args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--daemonize", "no"]);
        command.arg("--unixsocket").arg(&socket).args(["--unixsocketperm", "600"]);
        // Nothing is written to a disk: the best case.
        command.args(["--save", "", "--appendonly", "no"]);
        command.arg("--dir").arg(&site.folder).args(["--logfile", ""]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().map_err(|error| format!("{PROGRAM}: {error}"))?;
        let says = child.stdout.take().map(BufReader::new);
        let mut server = Self { child, says, version: version.to_owned() };
        server.wait_until_ready()?;
        if answers(&socket, port) { Ok(server) } else { Err("it does not answer".to_owned()) }
    }

    /// Reads what the server says until it listens. The end of that is the end of the server.
    fn wait_until_ready(&mut self) -> Result<(), String> {
        let says = self.says.as_mut().ok_or("no pipe")?;
        let (mut line, mut last) = (String::new(), "it says nothing".to_owned());
        loop {
            line.clear();
            match says.read_line(&mut line) {
                Ok(0) => return Err(last),
                Ok(_) if line.contains("eady to accept connections") => return Ok(()),
                Ok(_) => line.trim_end().clone_into(&mut last),
                Err(error) => return Err(error.to_string()),
            }
        }
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Why the rows of Redis are not there.
pub const MISSING: &str = "redis-server is not installed (make setup installs it)";

fn version() -> Option<String> {
    let run = Command::new(PROGRAM).arg("--version").output().ok()?;
    let text = String::from_utf8_lossy(&run.stdout).into_owned();
    let version = text.split_whitespace().find_map(|word| word.strip_prefix("v="));
    run.status.success().then(|| version.unwrap_or("?").to_owned())
}

fn free_port() -> Result<u16, String> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).map_err(|error| error.to_string())?;
    Ok(listener.local_addr().map_err(|error| error.to_string())?.port())
}

/// By both of its addresses. The socket is this server's own, the port might be another's.
fn answers(socket: &Path, port: u16) -> bool {
    let ping = |address: String| -> redis::RedisResult<String> {
        let mut connection = redis::Client::open(address)?.get_connection()?;
        redis::cmd("PING").query(&mut connection)
    };
    ping(format!("redis+unix://{}", socket.display())).is_ok_and(|pong| pong == "PONG")
        && ping(format!("redis://127.0.0.1:{port}/")).is_ok_and(|pong| pong == "PONG")
}

const PROGRAM: &str = "redis-server";
const TRIES: usize = 5;
