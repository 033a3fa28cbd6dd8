//! Calls that are allowed in few places, each with what to write instead.

use crate::scan::{Source, words};
use crate::tree::Tree;
use crate::{Check, Report};

/// A banned piece of code.
struct Ban {
    rule: &'static str,
    /// What is looked for, as a whole word.
    needle: &'static str,
    /// Where the ban holds: paths that begin so.
    within: &'static str,
    /// Where it does not: paths that begin so.
    except: &'static [&'static str],
    /// Whether tests are held to it too.
    in_tests: bool,
    instead: &'static str,
}

const CORE: &str = "core/src/";
const SHIM: &[&str] = &["core/src/sync/", "core/src/sync.rs"];
/// The only places that know a real clock: the clock itself, and the edge.
const CLOCKS: &[&str] = &[
    "core/src/clock.rs",
    "core/src/clock/",
    "bindings/cli/",
    "benches/",
    // Delays what a proxy passes on, and ends waits for other processes.
    "tests/rig/src/clock.rs",
];
/// The demo simulates work that takes time; nothing else may wait by sleeping.
const SLEEPERS: &[&str] = &["bindings/cli/"];

const fn core_ban(rule: &'static str, needle: &'static str, instead: &'static str) -> Ban {
    Ban { rule, needle, within: CORE, except: &[], in_tests: false, instead }
}

const BANS: &[Ban] = &[
    Ban {
        except: SHIM,
        ..core_ban("atomics-shim", "std::sync::atomic", "use `crate::sync`, which loom can replace")
    },
    Ban { except: SHIM, ..core_ban("atomics-shim", "core::sync::atomic", "use `crate::sync`") },
    Ban { except: SHIM, ..core_ban("atomics-shim", "loom::", "use `crate::sync`") },
    Ban { except: SHIM, ..core_ban("atomics-shim", "shuttle::", "use `crate::sync`") },
    Ban {
        rule: "real-clock",
        needle: "Instant::now",
        within: "",
        except: CLOCKS,
        in_tests: true,
        instead: "take a `Clock`; tests use `ManualClock`",
    },
    Ban {
        rule: "real-clock",
        needle: "SystemTime::now",
        within: "",
        except: CLOCKS,
        in_tests: true,
        instead: "take a `Clock`; tests use `ManualClock`",
    },
    Ban {
        rule: "sleep",
        needle: "thread::sleep",
        within: "",
        except: SLEEPERS,
        in_tests: true,
        instead: "wait on a channel, a barrier or the engine; a sleep synchronises nothing",
    },
    core_ban("unwrap", ".unwrap()", "use `expect` with the invariant, or return the error"),
    core_ban("no-seqcst", "SeqCst", "one word, Acquire and Release: what every checker checks"),
    core_ban("no-seqcst", "fence(", "no standalone fence: ThreadSanitizer does not see it"),
    core_ban("no-seqcst", "compiler_fence(", "no standalone fence"),
    core_ban("print", "println!", "the engine prints nothing; count or report it"),
    core_ban("print", "eprintln!", "the engine prints nothing; count or report it"),
    core_ban("print", "print!", "the engine prints nothing; count or report it"),
    core_ban("print", "eprint!", "the engine prints nothing; count or report it"),
    Ban {
        rule: "print",
        needle: "dbg!",
        within: "",
        except: &[],
        in_tests: true,
        instead: "remove it",
    },
];

pub(crate) const CHECK: Check =
    Check { rules: &["atomics-shim", "real-clock", "sleep", "unwrap", "no-seqcst", "print"], run };

fn run(tree: &Tree, report: &mut Report) {
    for (path, source) in tree.rust() {
        for ban in BANS {
            if path.starts_with(ban.within) && !begins_with_any(path, ban.except) {
                look_for(ban, path, source, report);
            }
        }
        if path.starts_with(CORE) && !begins_with_any(path, SHIM) {
            grouped_imports(path, source, report);
        }
    }
}

fn begins_with_any(path: &str, prefixes: &[&str]) -> bool {
    prefixes.iter().any(|prefix| path.starts_with(prefix))
}

fn look_for(ban: &Ban, path: &str, source: &Source, report: &mut Report) {
    let lines: Vec<(usize, &str)> =
        if ban.in_tests { source.all().collect() } else { source.shipped().collect() };
    for (line, code) in lines {
        if calls(code, ban.needle) {
            let message = format!("`{}` is not allowed here: {}", ban.needle, ban.instead);
            report.add(path, line, ban.rule, message);
        }
    }
}

/// Whether `code` holds `needle` where a name begins; a definition or a method of that name is
/// another thing.
fn calls(code: &str, needle: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(needle).any(|(at, _)| {
        let before = &code[..at];
        needle.starts_with('.')
            || (!before.ends_with(part) && !before.ends_with('.') && !before.ends_with("fn "))
    })
}

/// `use std::sync::{Arc, atomic::AtomicU64}` names the module without spelling it out.
fn grouped_imports(path: &str, source: &Source, report: &mut Report) {
    let mut open: Option<(usize, String)> = None;
    for (line, code) in source.shipped() {
        let trimmed = code.trim_start();
        if open.is_none() && ["use std::", "use core::"].iter().any(|u| trimmed.starts_with(u)) {
            open = Some((line, String::new()));
        }
        let Some((first, statement)) = &mut open else { continue };
        statement.push_str(code);
        if !code.contains(';') {
            continue;
        }
        let spelled = statement.contains("sync::atomic");
        if !spelled && words(statement, "atomic").next().is_some() {
            let message = "atomics come through `crate::sync`, which loom can replace".to_owned();
            report.add(path, *first, "atomics-shim", message);
        }
        open = None;
    }
}
