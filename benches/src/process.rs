//! Process: what the system says of this one, and questions answered by a fresh one.

use std::process::Command;
use std::time::Duration;

/// Bytes that are resident.
#[must_use]
pub fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    kilobytes(&status, "VmRSS:") * 1_024
}

/// Bytes of this process's memory that lie in huge pages, its own and shared.
#[must_use]
pub fn huge_bytes() -> u64 {
    let rollup = std::fs::read_to_string("/proc/self/smaps_rollup").unwrap_or_default();
    let fields = ["AnonHugePages:", "ShmemPmdMapped:", "FilePmdMapped:"];
    fields.into_iter().map(|field| kilobytes(&rollup, field) * 1_024).sum()
}

/// Page faults until now that needed no disk.
#[must_use]
pub fn page_faults() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // Behind the name, which may hold anything, the eighth field.
    let fields = stat.rsplit(')').next().unwrap_or_default();
    fields.split_whitespace().nth(7).and_then(|field| field.parse().ok()).unwrap_or_default()
}

/// How long the calling thread has been ready to run without a processor to run on. Zero where the
/// system does not tell.
#[must_use]
pub fn waited() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = text.split_whitespace().nth(1).and_then(|field| field.parse().ok());
    Duration::from_nanos(nanos.unwrap_or_default())
}

/// Bytes that could be taken without swapping.
#[must_use]
pub fn available_bytes() -> u64 {
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    kilobytes(&memory, "MemAvailable:") * 1_024
}

fn kilobytes(text: &str, field: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(field));
    let word = line.and_then(|line| line.split_whitespace().next());
    word.and_then(|word| word.parse().ok()).unwrap_or_default()
}

/// Asks a fresh process of this program, in which no memory has been used yet. Its answer is one
/// line of numbers.
///
/// # Errors
///
/// It could not be run, or failed; says why.
pub fn probe(question: &[String]) -> Result<Vec<f64>, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let run = Command::new(program).arg(PROBE).args(question).output();
    let run = run.map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&run.stdout);
    if !run.status.success() {
        return Err(format!("{question:?}: {}", String::from_utf8_lossy(&run.stderr)));
    }
    let numbers = text.split_whitespace().map(str::parse).collect::<Result<_, _>>();
    numbers.map_err(|error| format!("{question:?}: {error}"))
}

/// The first argument of a process that answers [`probe`].
pub const PROBE: &str = "--probe";

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: the fields are found. Method: lines as the kernel writes them.
    #[test]
    fn fields_are_found() {
        let status = "Name:\tcompare\nVmRSS:\t    1234 kB\nThreads:\t1\n";
        assert_eq!(kilobytes(status, "VmRSS:"), 1_234);
        assert_eq!(kilobytes(status, "VmSwap:"), 0);
        let rollup = "Rss:  9 kB\nAnonHugePages:   2048 kB\nShmemPmdMapped:  4096 kB\n";
        assert_eq!(kilobytes(rollup, "ShmemPmdMapped:"), 4_096);
    }

    /// Goal: what the system says is plausible. Method: touch memory, and see both figures grow.
    #[cfg(target_os = "linux")]
    #[test]
    fn touched_memory_is_seen() {
        let (bytes, faults) = (resident_bytes(), page_faults());
        let touched = vec![1_u8; 64 << 20];
        assert!(resident_bytes() >= bytes + (60 << 20), "{bytes}");
        assert!(page_faults() > faults, "{faults}");
        assert_eq!(touched[touched.len() / 2], 1);
    }
}
