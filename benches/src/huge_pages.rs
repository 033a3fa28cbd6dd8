//! Huge pages for everybody: the engine asks for them itself, the peers get theirs from malloc.

use std::os::unix::process::CommandExt;
use std::process::Command;

/// Runs this program again with huge pages for malloc, unless it has them already. Returns when it
/// has; or where it cannot be run again, with the reason.
pub fn ensure() -> Result<(), String> {
    if std::env::var(TUNABLES).is_ok_and(|set| set.contains(HUGE)) {
        return Ok(());
    }
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut again = Command::new(program);
    Err(again.args(std::env::args_os().skip(1)).env(TUNABLES, HUGE).exec().to_string())
}

const TUNABLES: &str = "GLIBC_TUNABLES";
const HUGE: &str = "glibc.malloc.hugetlb=1";
