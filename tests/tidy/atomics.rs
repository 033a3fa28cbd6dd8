//! The lock-free part: each ordering explained, each `unsafe` justified, each model with a twin.

use crate::scan::{Source, words};
use crate::tree::Tree;
use crate::{Check, Report, exports};

/// The files that may hold `unsafe`. Those of the engine are named in `core/src/lib.rs` too.
pub(crate) const UNSAFE_FILES: &[&str] = &[
    // Maps the memory, and lends it out as atomics.
    "core/src/region/mapping.rs",
    // Sleeps until another process rings.
    "core/src/region/bell.rs",
    // Locks bytes of a file.
    "core/src/region/lock.rs",
    // Leads to the lines and slots in it.
    "core/src/region/memory.rs",
    // Prefetches are intrinsics.
    "core/src/region/prefetch.rs",
    // Compares with vectors.
    "core/src/table/lanes.rs",
    // Registers the at-fork handler.
    "core/src/fork.rs",
];

/// The files of the C ABI that may hold it.
const UNSAFE_BOUNDARY: &[&str] = &[
    // Exports, and a structure that refers to memory of the caller's.
    "ffi/src/adaptive.rs",
    "ffi/src/attempts.rs",
    "ffi/src/begin.rs",
    "ffi/src/budget.rs",
    "ffi/src/downstream.rs",
    "ffi/src/drive.rs",
    "ffi/src/engine.rs",
    "ffi/src/forked.rs",
    "ffi/src/judge.rs",
    "ffi/src/layout.rs",
    "ffi/src/later.rs",
    "ffi/src/lease.rs",
    "ffi/src/letters.rs",
    "ffi/src/options.rs",
    "ffi/src/outcome.rs",
    "ffi/src/policy.rs",
    "ffi/src/reconcile.rs",
    "ffi/src/request.rs",
    "ffi/src/steps.rs",
    "ffi/src/tier.rs",
    "ffi/src/tier/tests.rs",
    "ffi/src/timers.rs",
    "ffi/src/version.rs",
    "ffi/src/waits.rs",
    "ffi/src/waits/set/tests.rs",
    // Calls the checks of arguments.
    "ffi/src/entry.rs",
    // A structure that is copied to the caller.
    "ffi/src/events.rs",
    "ffi/src/stats.rs",
    // Lends out what handles stand for.
    "ffi/src/handles.rs",
    "ffi/src/slot.rs",
    "ffi/src/sync.rs",
    // Follows the caller's pointers.
    "ffi/src/raw.rs",
];

/// Tests that call the operating system the way a user's program would, and measurements.
const UNSAFE_TESTS: &[&str] = &[
    // Call the C ABI.
    "benches/paths/src/bin/abi_paths.rs",
    "ffi/tests/retry/support.rs",
    "ffi/tests/waiting/attempts.rs",
    "ffi/tests/waiting/drive.rs",
    "ffi/tests/waiting/later.rs",
    "ffi/tests/waiting/questions.rs",
    "ffi/tests/waiting/refused_waits.rs",
    "ffi/tests/waiting/set.rs",
    "ffi/tests/waiting/support.rs",
    "ffi/tests/waiting/tier.rs",
    "ffi/tests/waiting/timers.rs",
    "fuzz/src/ffi_calls/memory.rs",
    "fuzz/src/ffi_calls/requests.rs",
    "fuzz/src/ffi_calls/world.rs",
    // Locks the ledger of effects.
    "tests/host/peer/effect.rs",
    // The cell in the slots of handles, whose accesses a model checks.
    "tests/loom/handles/sync.rs",
    // Forks, so that processes inherit a table.
    "benches/src/host/fork.rs",
    // Opens a file of LMDB, which trusts it.
    "benches/src/host/lmdb.rs",
    // Reads the time-stamp counter.
    "benches/src/timestamp.rs",
    // Counts what the engine allocates.
    "tests/public/allocations.rs",
    "ffi/tests/allocations.rs",
    // Waits for a descriptor, as an event loop does.
    "tests/public/descriptors.rs",
    // Reads a thread's processor time.
    "tests/public/failed_leader.rs",
    // Forks.
    "tests/public/forked_child.rs",
    // Gives up the system calls, and makes one.
    "tests/public/system_calls.rs",
    // Sends signals, and waits for what processes say.
    "tests/processes/crew.rs",
    // Forks.
    "tests/processes/forked.rs",
    // Locks a byte, as another process does.
    "tests/processes/quotas.rs",
    // Shares memory with children.
    "tests/processes/storm.rs",
    // Closes descriptors that are not its own.
    "tests/processes/worker/closing.rs",
    // Forks.
    "tests/stress/src/forks.rs",
    // Breaks the rules for the sanitizers.
    "tests/stress/src/planted.rs",
    // Speaks with ThreadSanitizer.
    "tests/stress/src/tsan.rs",
];

const ENGINE_ROOT: &str = "core/src/lib.rs";
const BOUNDARY_ROOT: &str = "ffi/src/lib.rs";
const ORDERINGS: &[&str] = &["Relaxed", "Acquire", "Release", "AcqRel"];
/// How far above an atomic operation its sentence may stand.
const ORDERING_REACH: usize = 8;
/// How far above an `unsafe` block its sentence may stand.
const SAFETY_REACH: usize = 6;

pub(crate) const CHECK: Check = Check {
    rules: &[
        "ordering-comment",
        "ordering-spelled",
        "safety-comment",
        "unsafe-file",
        "broken-twin",
    ],
    run,
};

fn run(tree: &Tree, report: &mut Report) {
    for (path, source) in tree.rust() {
        if path.starts_with("core/src/") {
            orderings(path, source, report);
        }
        unsafe_code(path, source, report);
        broken_twin(path, source, report);
    }
    unsafe_list(tree, report);
}

fn orderings(path: &str, source: &Source, report: &mut Report) {
    for (line, code) in source.shipped() {
        if code.trim_start().starts_with("use ") && code.contains("Ordering::") {
            let message = "spell out `Ordering::X` at each operation".to_owned();
            report.add(path, line, "ordering-spelled", message);
            continue;
        }
        for &ordering in ORDERINGS {
            let spelled = format!("Ordering::{ordering}");
            let used = words(code, &spelled).next().is_some();
            let said = source.comments_near(line, ORDERING_REACH);
            if used && words(&said, ordering).next().is_none() {
                let message =
                    format!("no comment within {ORDERING_REACH} lines says why `{ordering}`");
                report.add(path, line, "ordering-comment", message);
            }
        }
    }
}

fn unsafe_code(path: &str, source: &Source, report: &mut Report) {
    for (line, code) in source.all() {
        for at in words(code, "unsafe") {
            let rest = code[at + "unsafe".len()..].trim_start();
            let kinds = ["{", "impl", "trait", "extern", "fn ", "const fn "];
            // At the end of a line the block opens on the next one; `unsafe fn(` is a type.
            if !rest.is_empty() && !kinds.iter().any(|kind| rest.starts_with(kind)) {
                continue;
            }
            let said = source.comments_near(line, SAFETY_REACH);
            // What an export asks of its caller stands in the header, once for all of them.
            let said_once = exports::is_export(path, code);
            if !said_once && !said.contains("SAFETY:") && !said.contains("# Safety") {
                let message = "no SAFETY comment says who guarantees what".to_owned();
                report.add(path, line, "safety-comment", message);
            }
            let listed = [UNSAFE_FILES, UNSAFE_BOUNDARY, UNSAFE_TESTS].concat();
            if !listed.contains(&path) {
                let message = "not among the files that may hold `unsafe`".to_owned();
                report.add(path, line, "unsafe-file", message);
            }
        }
    }
}

/// The lists are alive, and the engine's root names what is on its own and denies the rest.
fn unsafe_list(tree: &Tree, report: &mut Report) {
    let root = |path: &str| tree.files.get(path).and_then(|file| file.rust.as_ref());
    if root(BOUNDARY_ROOT).is_some() {
        for path in UNSAFE_BOUNDARY {
            is_used(tree, path, report);
        }
    }
    let Some(root) = root(ENGINE_ROOT) else { return };
    let root_code = root.joined();
    let root_prose = root.comments.join("\n");
    if !root_code.contains("deny(unsafe_code)") && !root_code.contains("forbid(unsafe_code)") {
        report.add(ENGINE_ROOT, 0, "unsafe-file", "does not deny `unsafe_code`".to_owned());
    }
    for &path in UNSAFE_FILES {
        if !is_used(tree, path, report) {
            continue;
        }
        let Some(inside) = path.strip_prefix("core/src/") else { continue };
        let module = inside.trim_end_matches(".rs").trim_end_matches("/mod");
        if !root_prose.contains(module) && !root_prose.contains(&module.replace('/', "::")) {
            let message = format!("does not name `{module}`, which holds `unsafe`");
            report.add(ENGINE_ROOT, 0, "unsafe-file", message);
        }
    }
}

/// Whether the file at `path` holds what it is listed for.
fn is_used(tree: &Tree, path: &str, report: &mut Report) -> bool {
    let source = tree.files.get(path).and_then(|file| file.rust.as_ref());
    let used = source.is_some_and(|source| words(&source.joined(), "unsafe").next().is_some());
    if !used {
        let message = "on the list of files with `unsafe`, but holds none".to_owned();
        report.add(path, 0, "unsafe-file", message);
    }
    used
}

/// A model that cannot fail proves nothing: each has a twin with a planted error.
fn broken_twin(path: &str, source: &Source, report: &mut Report) {
    let model = path.starts_with("tests/loom/") && path.contains("_vs_");
    let scenario = path.starts_with("tests/schedules/") && source.joined().contains("#[test]");
    if !model && !scenario {
        return;
    }
    if !source.joined().contains("fn broken_") {
        let message = "no `fn broken_...`: the model has no twin that must fail".to_owned();
        report.add(path, 0, "broken-twin", message);
    }
}
