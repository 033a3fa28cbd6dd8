//! A Redis server of the study's own, which processes find in the folder of their site.

use std::os::unix::fs::symlink;

use oncegate_rig::Server;

use super::Site;

/// Why the rows of Redis are not there.
pub use oncegate_rig::MISSING;

/// A server that is ended with this value. It writes nothing to a disk: the best case.
#[derive(Debug)]
pub struct RedisServer {
    _server: Server,
    version: &'static str,
}

impl RedisServer {
    /// Starts one, and tells `site` where it listens. `None`: none is installed.
    ///
    /// # Errors
    ///
    /// It does not start; or none is installed, and `ONCEGATE_REQUIRE_ALL=1` asks for it.
    pub fn start(site: &mut Site) -> Result<Option<Self>, String> {
        let words = |error: oncegate_rig::Error| error.to_string();
        let Some(version) = oncegate_rig::version().map_err(words)? else { return Ok(None) };
        let server = Server::start().map_err(words)?;
        let process = server.pid().ok_or("it has ended")?;
        symlink(server.socket(), site.redis_socket()).map_err(|error| error.to_string())?;
        site.redis = Some((server.port(), process.cast_signed()));
        Ok(Some(Self { _server: server, version }))
    }

    /// The server's version.
    #[must_use]
    pub const fn version(&self) -> &str {
        self.version
    }
}
