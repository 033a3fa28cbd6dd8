//! Each rule seen red and green: snippets that break it, snippets that keep it.

use crate::tree::Tree;
use crate::{CHECKS, cases_docs, cases_python, check_all};

/// A small tree, and where `rule` must be reported in it; nowhere if `broken` is empty.
pub(crate) struct Case {
    pub(crate) rule: &'static str,
    pub(crate) files: &'static [(&'static str, &'static str)],
    pub(crate) broken: &'static [(&'static str, usize)],
}

pub(crate) const fn breaks(
    rule: &'static str,
    files: &'static [(&'static str, &'static str)],
    broken: &'static [(&'static str, usize)],
) -> Case {
    Case { rule, files, broken }
}

pub(crate) const fn keeps(
    rule: &'static str,
    files: &'static [(&'static str, &'static str)],
) -> Case {
    Case { rule, files, broken: &[] }
}

const TABLE: &str = "core/src/table.rs";
const AT_LINE_1: &[(&str, usize)] = &[(TABLE, 1)];

const CASES: &[Case] = &[
    breaks("atomics-shim", &[(TABLE, "use std::sync::atomic::AtomicU64;\n")], AT_LINE_1),
    breaks("atomics-shim", &[(TABLE, "use std::sync::{Arc, atomic};\n")], AT_LINE_1),
    breaks("atomics-shim", &[(TABLE, "use std::{\n    sync::{\n    atomic::A}};\n")], AT_LINE_1),
    keeps(
        "atomics-shim",
        &[
            ("core/src/sync/mod.rs", "pub use std::sync::atomic::AtomicU64;\n"),
            (TABLE, "// std::sync::atomic\nuse crate::sync::atomic::AtomicU64;\n"),
            ("core/src/table/tests.rs", "use std::sync::atomic::AtomicU64;\n"),
        ],
    ),
    breaks("real-clock", &[(TABLE, "let now = Instant::now();\n")], AT_LINE_1),
    breaks(
        "real-clock",
        &[("tests/public/main.rs", "fn f() {\n    std::time::SystemTime::now();\n}\n")],
        &[("tests/public/main.rs", 2)],
    ),
    keeps("real-clock", &[("core/src/clock.rs", "let now = Instant::now();\n")]),
    breaks(
        "sleep",
        &[(TABLE, "#[cfg(test)]\nmod tests {\n thread::sleep(d);\n}\n")],
        &[(TABLE, 3)],
    ),
    keeps("sleep", &[("bindings/cli/src/work.rs", "thread::sleep(d);\n")]),
    breaks("unwrap", &[(TABLE, "let a = b\n    .unwrap();\n")], &[(TABLE, 2)]),
    keeps(
        "unwrap",
        &[(
            TABLE,
            "let a = b.unwrap_or(c); // .unwrap()\n#[cfg(test)]\nmod tests {\n b.unwrap();\n}\n",
        )],
    ),
    breaks("no-seqcst", &[(TABLE, "x.load(Ordering::SeqCst);\n")], AT_LINE_1),
    breaks("no-seqcst", &[(TABLE, "fence(o);\ncompiler_fence(o);\n")], &[(TABLE, 1), (TABLE, 2)]),
    keeps("no-seqcst", &[(TABLE, "fn fence(self) {}\nlet f = token.fence();\n/* SeqCst */\n")]),
    breaks("print", &[(TABLE, "println!(\"x\");\n")], AT_LINE_1),
    breaks(
        "print",
        &[("bindings/cli/src/work.rs", "dbg!(x);\n")],
        &[("bindings/cli/src/work.rs", 1)],
    ),
    keeps(
        "print",
        &[(TABLE, "/// println!(\"x\");\n"), ("bindings/cli/src/main.rs", "println!();\n")],
    ),
    breaks(
        "ordering-comment",
        &[(
            TABLE,
            "// Acquire: pairs with `publish`.\nx.cas(Ordering::AcqRel, Ordering::Acquire);\n",
        )],
        &[(TABLE, 2)],
    ),
    breaks(
        "ordering-comment",
        &[(TABLE, "// Relaxed\n\n\n\n\n\n\n\n\nx.load(Ordering::Relaxed);\n")],
        &[(TABLE, 10)],
    ),
    keeps(
        "ordering-comment",
        &[
            (
                TABLE,
                "// AcqRel: sees `a`, shows `b`; Acquire on failure.\nx.cas(\n    a,\n    b,\n    \
              Ordering::AcqRel,\n    Ordering::Acquire,\n);\n",
            ),
            ("core/src/table/tests.rs", "x.load(Ordering::Relaxed);\n"),
        ],
    ),
    breaks("ordering-spelled", &[(TABLE, "use crate::sync::atomic::Ordering::*;\n")], AT_LINE_1),
    keeps("ordering-spelled", &[(TABLE, "use crate::sync::atomic::Ordering;\n")]),
    breaks(
        "safety-comment",
        &[("core/src/fork.rs", "unsafe { f() }\n")],
        &[("core/src/fork.rs", 1)],
    ),
    breaks(
        "safety-comment",
        &[("core/src/fork.rs", "/// Reads.\nunsafe fn f() {}\nunsafe impl Send for A {}\n")],
        &[("core/src/fork.rs", 2), ("core/src/fork.rs", 3)],
    ),
    keeps(
        "safety-comment",
        &[(
            "core/src/fork.rs",
            "// SAFETY: `f` has no precondition.\nunsafe { f() }\n\n\n\n\n\n\n\n\
            /// # Safety\n/// 1\n/// 2\n/// 3\n/// 4\n/// 5\n/// 6\n/// 7\nunsafe fn f() {}\n\
            type F = unsafe fn(u8);\n",
        )],
    ),
    breaks("unsafe-file", &[(TABLE, "// SAFETY: none.\nunsafe { f() }\n")], &[(TABLE, 2)]),
    breaks(
        "unsafe-file",
        &[
            (
                "core/src/lib.rs",
                "//! `fork`, `region::memory`, `region::prefetch`, `region::bell`,\n\
                 //! `region::lock`, `table/lanes`\n",
            ),
            ("core/src/fork.rs", "// SAFETY: a.\nunsafe { f() }\n"),
            ("core/src/table/lanes.rs", "// SAFETY: a.\nunsafe { f() }\n"),
            ("core/src/region/memory.rs", "// SAFETY: a.\nunsafe { f() }\n"),
            ("core/src/region/mapping.rs", "// SAFETY: a.\nunsafe { f() }\n"),
            ("core/src/region/bell.rs", "// SAFETY: a.\nunsafe { f() }\n"),
            ("core/src/region/lock.rs", "// SAFETY: a.\nunsafe { f() }\n"),
            ("core/src/region/prefetch.rs", "fn f() {}\n"),
        ],
        &[("core/src/lib.rs", 0), ("core/src/lib.rs", 0), ("core/src/region/prefetch.rs", 0)],
    ),
    keeps("unsafe-file", &[(TABLE, "// unsafe { f() }\nlet text = \"unsafe {\";\n")]),
    breaks(
        "unsafe-file",
        &[
            ("ffi/src/lib.rs", ""),
            ("ffi/src/adaptive.rs", "unsafe {}\n"),
            ("ffi/src/attempts.rs", "unsafe {}\n"),
            ("ffi/src/begin.rs", "unsafe {}\n"),
            ("ffi/src/budget.rs", "unsafe {}\n"),
            ("ffi/src/downstream.rs", "unsafe {}\n"),
            ("ffi/src/drive.rs", "unsafe {}\n"),
            ("ffi/src/engine.rs", "unsafe {}\n"),
            ("ffi/src/entry.rs", "unsafe {}\n"),
            ("ffi/src/events.rs", "unsafe {}\n"),
            ("ffi/src/forked.rs", "unsafe {}\n"),
            ("ffi/src/handles.rs", "unsafe {}\n"),
            ("ffi/src/judge.rs", "unsafe {}\n"),
            ("ffi/src/later.rs", "unsafe {}\n"),
            ("ffi/src/layout.rs", "unsafe {}\n"),
            ("ffi/src/lease.rs", "unsafe {}\n"),
            ("ffi/src/letters.rs", "unsafe {}\n"),
            ("ffi/src/options.rs", "unsafe {}\n"),
            ("ffi/src/outcome.rs", "unsafe {}\n"),
            ("ffi/src/policy.rs", "unsafe {}\n"),
            ("ffi/src/raw.rs", "unsafe {}\n"),
            ("ffi/src/reconcile.rs", "unsafe {}\n"),
            ("ffi/src/request.rs", "unsafe {}\n"),
            ("ffi/src/slot.rs", "unsafe {}\n"),
            ("ffi/src/steps.rs", "unsafe {}\n"),
            ("ffi/src/sync.rs", "unsafe {}\n"),
            ("ffi/src/tier.rs", "unsafe {}\n"),
            ("ffi/src/tier/tests.rs", "unsafe {}\n"),
            ("ffi/src/timers.rs", "unsafe {}\n"),
            ("ffi/src/version.rs", "unsafe {}\n"),
            ("ffi/src/waits.rs", "unsafe {}\n"),
            ("ffi/src/waits/set/tests.rs", "unsafe {}\n"),
        ],
        &[("ffi/src/stats.rs", 0)],
    ),
    breaks(
        "broken-twin",
        &[("tests/loom/begin_vs_begin.rs", "fn one_admitted() {}\n")],
        &[("tests/loom/begin_vs_begin.rs", 0)],
    ),
    keeps(
        "broken-twin",
        &[
            ("tests/loom/begin_vs_begin.rs", "fn broken_claim_without_cas() {}\n"),
            ("tests/loom/main.rs", "mod begin_vs_begin;\n"),
        ],
    ),
    breaks(
        "export-entry",
        &[
            (
                "ffi/src/begin.rs",
                concat!(
                    "#[unsafe(no_mangle)]\npub unsafe extern \"C\" fn oncegate_a(\n    ",
                    "error: *mut ErrorInfo,\n) -> Status {\n    f(); entry!(error; => {})\n}\n",
                    "#[unsafe(no_mangle)]\npub unsafe extern \"C\" fn oncegate_b() -> Status {\n",
                    "    entry!(error; => {})\n}\n",
                    "#[unsafe(no_mangle)]\npub unsafe extern \"C\" fn other(e: *mut E) {}\n",
                    "pub unsafe extern \"C\" fn oncegate_c(error: *mut ErrorInfo) {}\n",
                    "#[unsafe(no_mangle)]\npub extern \"C\" fn oncegate_version() -> u8 {\n",
                    "    f();\n    1\n}\n",
                    "#[unsafe(no_mangle)]\npub unsafe extern \"C\" fn oncegate_d(\n    ",
                    "error: *mut ErrorInfo,\n) -> Status {\n    entry!(error; => {}) + 1\n}\n",
                ),
            ),
            (TABLE, "#[unsafe(no_mangle)]\npub extern \"C\" fn f() {}\n"),
        ],
        &[
            (TABLE, 1),
            ("ffi/src/begin.rs", 1),
            ("ffi/src/begin.rs", 7),
            ("ffi/src/begin.rs", 11),
            ("ffi/src/begin.rs", 14),
            ("ffi/src/begin.rs", 19),
            ("ffi/src/begin.rs", 13),
        ],
    ),
    keeps(
        "export-entry",
        &[(
            "ffi/src/begin.rs",
            concat!(
                "#[unsafe(no_mangle)]\npub unsafe extern \"C\" fn oncegate_a(\n    a: u8,\n    ",
                "error: *mut ErrorInfo,\n) -> Status {\n    entry!(error; => { f(); Ok(()) })\n}\n",
                "#[unsafe(no_mangle)]\npub extern \"C\" fn oncegate_version() -> u8 {\n    1\n}\n",
                "extern \"C\" fn in_child() {}\n",
            ),
        )],
    ),
    keeps(
        "safety-comment",
        &[("ffi/src/begin.rs", "pub unsafe extern \"C\" fn oncegate_a() {}\n")],
    ),
    breaks(
        "dead-file",
        &[("core/src/lib.rs", "mod table;\n"), (TABLE, ""), ("core/src/old.rs", "")],
        &[("core/src/old.rs", 0)],
    ),
    breaks("dead-file", &[("tests/old.rs", "")], &[("tests/old.rs", 0)]),
    keeps(
        "dead-file",
        &[
            ("core/src/lib.rs", "pub(crate) mod table;\n#[path = \"odd.rs\"]\nmod other;\n"),
            (TABLE, "mod tests;\n"),
            ("core/src/odd.rs", ""),
            ("core/src/table/tests.rs", ""),
            ("core/examples/show.rs", ""),
            ("tests/Cargo.toml", "path = \"tidy.rs\"\n"),
            ("tests/tidy.rs", ""),
        ],
    ),
    breaks(
        "test-goal",
        &[(
            TABLE,
            "/// Goal: a.\n#[test]\nfn a() {}\n\n/// Method: a.\n#[tokio::test]\nasync fn b() {}\n",
        )],
        &[(TABLE, 2), (TABLE, 6)],
    ),
    keeps("test-goal", &[(TABLE, "/// Goal: a.\n/// Method: b.\n#[test]\n#[cold]\nfn a() {}\n")]),
    breaks(
        "function-size",
        &[(
            "a.rs",
            concat!(
                "fn f(a: [u8; 3]) {\n",
                "\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n",
                "\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n",
                "\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n",
                "\n\n\n",
                "}\n"
            ),
        )],
        &[("a.rs", 1)],
    ),
    keeps(
        "function-size",
        &[("a.rs", "trait T {\n    fn g(&self);\n}\ntype F = fn(u8);\nfn f() {}\n")],
    ),
];

/// Goal: every rule still bites, and only where it should. Method: run the checks over each case
/// and compare the reported places; each rule must have a case that breaks and one that keeps it.
#[test]
fn every_rule_has_been_seen_red_and_green() {
    let cases: Vec<&Case> =
        CASES.iter().chain(cases_docs::CASES).chain(cases_python::CASES).collect();
    for case in &cases {
        let found = check_all(&Tree::of(case.files));
        let places: Vec<(&str, usize)> = found
            .iter()
            .filter(|violation| violation.rule == case.rule)
            .map(|violation| (violation.path.as_str(), violation.line))
            .collect();
        assert_eq!(places, case.broken, "rule {} over {:?}", case.rule, case.files);
    }
    for rule in CHECKS.iter().flat_map(|check| check.rules) {
        if cases_docs::GENERATED.contains(rule) {
            continue;
        }
        let of_rule: Vec<_> = cases.iter().filter(|case| case.rule == *rule).collect();
        assert!(of_rule.iter().any(|case| !case.broken.is_empty()), "{rule} was never seen red");
        assert!(of_rule.iter().any(|case| case.broken.is_empty()), "{rule} was never seen green");
    }
}

/// Goal: words in strings and comments are never taken for code. Method: a line of each kind of
/// literal, and what remains of it.
#[test]
fn strings_and_comments_are_not_code() {
    let literals = [
        r##"let a = r#"unsafe " x"#; end"##,
        r#"let a = "unsafe \" x"; end"#,
        r#"let a = br"unsafe \"; end"#,
        "/* unsafe /* x */ unsafe */ end",
        "let a = '\"'; let b: &'static str = '\\''; end // unsafe",
    ];
    for literal in literals {
        let source = crate::scan::scan(literal);
        assert!(!source.code[0].contains("unsafe"), "{literal} -> {}", source.code[0]);
        assert!(source.code[0].contains("end"), "{literal} -> {}", source.code[0]);
    }
}
