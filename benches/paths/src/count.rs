//! Count: runs each path under callgrind, and reads how many instructions it took.

use std::path::Path;
use std::process::Command;

use crate::baseline::Baseline;

/// Counts every path.
///
/// # Errors
///
/// Valgrind is missing, or a run failed.
pub(crate) fn all(names: &[&str]) -> Result<Baseline, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let counts = names.iter().map(|&name| Ok((name.to_owned(), one(&program, name)?)));
    Ok(Baseline { compiler: compiler()?, counts: counts.collect::<Result<_, String>>()? })
}

/// Instructions of one iteration.
fn one(program: &Path, path: &str) -> Result<f64, String> {
    let out = std::env::temp_dir().join(format!("paths-{}-{}", std::process::id(), path));
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", "--toggle-collect=oncegate_paths::measured*"]);
    valgrind.arg(format!("--callgrind-out-file={}", out.display()));
    let run = valgrind.arg(program).args(["run", path]).output();
    let run =
        run.map_err(|error| format!("valgrind: {error}; scripts/setup.sh test installs it"))?;
    if !run.status.success() {
        return Err(format!("{}: {}", path, String::from_utf8_lossy(&run.stderr)));
    }
    let profile = std::fs::read_to_string(&out).map_err(|error| error.to_string())?;
    let _ = std::fs::remove_file(&out);
    let total = total(&profile).filter(|&total| total > 0);
    let total = total.ok_or_else(|| format!("{}: callgrind counted nothing", path))?;
    Ok(total as f64 / ITERATIONS as f64)
}

/// The sum that callgrind writes into a profile.
fn total(profile: &str) -> Option<u64> {
    let line = profile.lines().find_map(|line| line.strip_prefix("totals: "))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The compiler on this machine, which is the one that built this program.
fn compiler() -> Result<String, String> {
    let version = Command::new("rustc").arg("--version").output();
    let version = version.map_err(|error| format!("rustc: {error}"))?;
    Ok(String::from_utf8_lossy(&version.stdout).trim().to_owned())
}

/// A multiple of 16, and enough that what happens once in 64 calls happens as often in every run.
pub(crate) const ITERATIONS: usize = 16_384;

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: a profile's sum is read. Method: one as callgrind writes it, and one without.
    #[test]
    fn totals_are_read() {
        assert_eq!(total("events: Ir\n\nfn=(1)\n1 2\ntotals: 12345\n"), Some(12_345));
        assert_eq!(total("events: Ir\n"), None);
    }
}
