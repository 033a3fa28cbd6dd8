//! What must be installed: `redis-server`, and nothing else. It is the Sentinel too, and nobody
//! here needs `redis-cli`.

use std::env;
use std::process::Command;
use std::sync::OnceLock;

use crate::Error;

/// The program that is started.
pub(crate) const PROGRAM: &str = "redis-server";

/// Why something is skipped.
pub const MISSING: &str = "redis-server is not installed (make setup installs it)";

/// The version of the server that is installed; `None`: there is none. Asked once.
///
/// # Errors
///
/// There is none, and `ONCEGATE_REQUIRE_ALL=1` asks for it.
pub fn version() -> Result<Option<&'static str>, Error> {
    static VERSION: OnceLock<Option<String>> = OnceLock::new();
    let version = VERSION.get_or_init(ask).as_deref();
    if version.is_none() && env::var("ONCEGATE_REQUIRE_ALL").is_ok_and(|all| all == "1") {
        return Err(Error::new(format!("{MISSING}, and ONCEGATE_REQUIRE_ALL=1 asks for it")));
    }
    Ok(version)
}

/// Whether there is a server to test `what` with; where there is none, that is said.
///
/// # Panics
///
/// There is none, and `ONCEGATE_REQUIRE_ALL=1` asks for it.
#[must_use]
pub fn present(what: &str) -> bool {
    match version() {
        Ok(Some(_)) => true,
        Ok(None) => {
            println!("SKIPPED {what}: {MISSING}");
            false
        }
        Err(error) => panic!("{error}"),
    }
}

fn ask() -> Option<String> {
    let run = Command::new(PROGRAM).arg("--version").output().ok()?;
    let text = String::from_utf8_lossy(&run.stdout).into_owned();
    let version = text.split_whitespace().find_map(|word| word.strip_prefix("v="));
    run.status.success().then(|| version.unwrap_or("?").to_owned())
}
