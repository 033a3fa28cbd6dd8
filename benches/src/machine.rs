//! Machine: what the figures were measured on, and what its memory can do.

use std::hint::black_box;
use std::process::Command;
use std::time::Instant;

use serde::Serialize;

use crate::pin;
use crate::rng::Rng;
use crate::timestamp;

/// What a reader has to know to compare figures with his own.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    /// The processor's name.
    pub processor: String,
    /// Processors that this process may use.
    pub processors: usize,
    /// The kernel.
    pub kernel: String,
    /// When the kernel gives huge pages.
    pub huge_pages: String,
    /// Whether malloc asks for them.
    pub malloc: String,
    /// The compiler.
    pub compiler: String,
    /// Nanoseconds of one access to memory that the next one waits for.
    pub dependent_access_ns: f64,
    /// Nanoseconds of one access to memory, when many are under way.
    pub independent_access_ns: f64,
    /// Nanoseconds that a bracket around nothing reads; they are subtracted.
    pub empty_bracket_ns: f64,
}

impl Machine {
    /// Looks at this machine. `lines`: how many cache lines of memory are used for that.
    #[must_use]
    pub fn look(lines: usize) -> Self {
        let scale = timestamp::scale();
        let (dependent_access_ns, independent_access_ns) = memory(lines);
        Self {
            processor: field("/proc/cpuinfo", "model name"),
            processors: pin::processors().len(),
            kernel: file("/proc/sys/kernel/osrelease"),
            huge_pages: file("/sys/kernel/mm/transparent_hugepage/enabled"),
            malloc: std::env::var("GLIBC_TUNABLES").unwrap_or_default(),
            compiler: compiler(),
            dependent_access_ns,
            independent_access_ns,
            empty_bracket_ns: scale.empty as f64 * scale.ns_per_tick,
        }
    }
}

fn file(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

fn field(path: &str, name: &str) -> String {
    let text = file(path);
    let line = text.lines().find(|line| line.starts_with(name));
    line.and_then(|line| line.split_once(':')).map_or("", |(_, value)| value.trim()).to_owned()
}

fn compiler() -> String {
    let version = Command::new("rustc").arg("--version").output();
    version.map(|run| String::from_utf8_lossy(&run.stdout).trim().to_owned()).unwrap_or_default()
}

/// Dependent and independent accesses to random lines.
fn memory(lines: usize) -> (f64, f64) {
    // One cycle through all lines (Sattolo's shuffle), so that each access leads to the next.
    let mut chain = vec![[0_u64; 8]; lines];
    let mut rng = Rng::new(0xd4a);
    chain.iter_mut().enumerate().for_each(|(at, line)| line[0] = at as u64);
    for at in (1..lines).rev() {
        let other = rng.below(at as u64) as usize;
        let held = chain[at][0];
        chain[at][0] = chain[other][0];
        chain[other][0] = held;
    }
    let steps = lines.min(1 << 20);
    let (began, mut at) = (Instant::now(), 0);
    for _ in 0..steps {
        at = chain[at as usize][0];
    }
    black_box(at);
    let dependent = began.elapsed().as_nanos() as f64 / steps as f64;
    let (began, mut sum) = (Instant::now(), 0_u64);
    for _ in 0..steps {
        sum = sum.wrapping_add(chain[rng.below(lines as u64) as usize][0]);
    }
    black_box(sum);
    (dependent, began.elapsed().as_nanos() as f64 / steps as f64)
}
