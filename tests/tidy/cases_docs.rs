//! Cases of the rules about documents, and of the rules about sizes.

use crate::cases::{Case, breaks, keeps};
use crate::check_all;
use crate::tree::Tree;

/// Rules whose cases are too large to write down; `sizes_are_limited` makes them.
pub(crate) const GENERATED: &[&str] = &["line-length", "file-size", "blob", "python-size"];

const README: &str = "README.md";
const GUIDE: &str = "docs/guide.md";
const LIST: &str = "docs/dependencies.md";
const GUARANTEES: &str = "docs/guarantees.md";
const PLANTED: &str = "docs/planted-bugs.md";
const BUGS: &str = "core/src/sync/planted.rs";

pub(crate) const CASES: &[Case] = &[
    breaks(
        "unfinished",
        &[("a.rs", concat!("// TO", "DO: more\n")), (GUIDE, concat!("a FIX", "ME b\n"))],
        &[("a.rs", 1), (GUIDE, 1)],
    ),
    keeps("unfinished", &[("a.rs", concat!("let todo = \"XX", "X\"; // to do lists\n"))]),
    breaks(
        "machine-path",
        &[
            ("a.rs", concat!("let a = \"/wo", "rk/x\";\n")),
            ("b.toml", concat!("p = \"/tmp/", "target\"\n")),
        ],
        &[("a.rs", 1), ("b.toml", 1)],
    ),
    keeps("machine-path", &[("a.rs", "let a = \"/tmp/x\"; // network/x\n")]),
    breaks(
        "ignored-example",
        &[
            ("a.rs", concat!("/// ``", "`ignore\n/// x\n")),
            (GUIDE, concat!("``", "`rust,ignore\n")),
        ],
        &[("a.rs", 1), (GUIDE, 1)],
    ),
    keeps("ignored-example", &[("a.rs", "/// ```\n/// f();\n/// ```\n")]),
    breaks(
        "link",
        &[
            (GUIDE, "[a](gone.md)\n[b](#gone)\n[c](other.md#gone)\n"),
            ("docs/other.md", "# There\n"),
        ],
        &[(GUIDE, 1), (GUIDE, 2), (GUIDE, 3)],
    ),
    keeps(
        "link",
        &[
            (
                GUIDE,
                "# Guide: the `a` of it\n[a](../README.md) [b](#guide-the-a-of-it)\n\
              [c](https://example.org/x)\n```\n[d](gone.md)\n```\n",
            ),
            (README, ""),
        ],
    ),
    breaks(
        "mentioned-path",
        &[(GUIDE, "see `docs/gone.md` and `.ci/gone`\n")],
        &[(GUIDE, 1), (GUIDE, 1)],
    ),
    keeps(
        "mentioned-path",
        &[(GUIDE, "see `docs/guide.md::name`, `docs/*.md`, `a/b`, `target/x`\n")],
    ),
    breaks(
        "tree-map",
        &[
            (
                README,
                concat!(
                    "# x\n\n## Map of the tree\n\n```text\n",
                    "docs/  prose\n  gone.md  lost\n",
                    "old/  lost\n```\n"
                ),
            ),
            (GUIDE, ""),
            ("core/src/lib.rs", ""),
        ],
        &[(README, 7), (README, 8), (README, 3)],
    ),
    breaks("tree-map", &[(README, "# x\n")], &[(README, 0)]),
    keeps(
        "tree-map",
        &[
            (
                README,
                concat!(
                    "## Map of the tree\n\n```text\n",
                    "docs/  prose\n  guide.md  it\n",
                    "```\n\n```\nother\n```\n"
                ),
            ),
            (GUIDE, ""),
            (".ci/run", ""),
        ],
    ),
    breaks(
        "dependency",
        &[
            (
                "core/Cargo.toml",
                "[dependencies]\nsha2 = { version = \"1\", features = [\n  \"a\",\n] }\n\
              [dev-dependencies.loom]\nversion = \"1\"\n",
            ),
            (LIST, "| `libc` | `core` | old |\n| `loom` | `cli` | models |\n"),
        ],
        &[("core/Cargo.toml", 2), ("core/Cargo.toml", 5), (LIST, 1), (LIST, 2)],
    ),
    breaks(
        "dependency",
        &[
            ("go/go.mod", "module a\n\nrequire x.org/a v1\n\nrequire (\n\tx.org/b v1\n)\n"),
            (
                "java/pom.xml",
                "<dependency>\n<groupId>org.a</groupId>\n<artifactId>b</artifactId>\n\
              </dependency>\n",
            ),
            (LIST, "| `org.a:c` | `java` | x |\n"),
        ],
        &[("go/go.mod", 3), ("go/go.mod", 6), ("java/pom.xml", 3), (LIST, 1)],
    ),
    keeps(
        "dependency",
        &[
            ("go/go.mod", "module a\n\nrequire (\n\tx.org/a v1\n\tx.org/b v1 // indirect\n)\n"),
            (
                "java/pom.xml",
                "<dependencyManagement>\n<dependency>\n<groupId>org.m</groupId>\n\
              <artifactId>m</artifactId>\n</dependency>\n</dependencyManagement>\n\
              <dependency>\n<groupId>org.a</groupId>\n<artifactId>b</artifactId>\n\
              <exclusions>\n<groupId>org.e</groupId>\n<artifactId>e</artifactId>\n\
              </exclusions>\n</dependency>\n",
            ),
            (LIST, "| `x.org/a` | `go` | x |\n| `org.a:b` | `java` | x |\n"),
        ],
    ),
    breaks("dependency", &[("Cargo.toml", "[workspace]\n")], &[(LIST, 0)]),
    keeps(
        "dependency",
        &[
            (
                "core/Cargo.toml",
                "[target.'cfg(a)'.dependencies]\nloom = \"1\"\n# old = \"1\"\n\
              oncegate.workspace = true\nsha2.workspace = true\n[lints]\nworkspace = true\n",
            ),
            (LIST, "| `loom` | `core`, | models |\n| `sha2` | `core` | digests |\n"),
        ],
    ),
    breaks(
        "guarantee",
        &[
            (
                GUARANTEES,
                concat!(
                    "| Promise | Held by |\n|---|---|\n",
                    "| a | nothing |\n| b | `a.rs` |\n",
                    "| c | `a.rs::gone` |\n| d | `gone.rs::it`, `a.rs::it` |\n"
                ),
            ),
            ("a.rs", "fn it() {}\n// fn gone() {}\n"),
        ],
        &[(GUARANTEES, 3), (GUARANTEES, 4), (GUARANTEES, 5), (GUARANTEES, 6)],
    ),
    keeps(
        "guarantee",
        &[
            (
                GUARANTEES,
                concat!(
                    "| Promise | Held by |\n|---|---|\n",
                    "| a | `a.rs::it` |\n\n",
                    "| no | test |\n|---|---|\n| b | c |\n"
                ),
            ),
            ("a.rs", "async fn it() {}\n"),
        ],
    ),
    breaks(
        "planted-bug",
        &[
            (
                PLANTED,
                concat!(
                    "| `A` | a | I1, I2, I3 | `tests/loom/a_vs_b.rs::broken_a` |\n",
                    "| `A` | a | I4, I5, I6, I7, I8 | `tests/a/main.rs::gone` |\n",
                    "| `Z` | z | I10 | `tests/a/main.rs::it` |\n"
                ),
            ),
            (BUGS, "bugs! {\n    /// Doc.\n    A,\n    /// Doc.\n    B,\n}\n"),
            ("core/src/lib.rs", "#![deny(unsafe_code)]\nlet a = Bug::A.is_planted();\n"),
            ("tests/loom/a_vs_b.rs", "fn broken_a() {\n    broken(Bug::B);\n}\n"),
            ("tests/a/main.rs", "fn it() {}\n"),
        ],
        // `A` has two rows; `B` has none, and no place; a twin plants another bug; a test is
        // missing; `Z` is no bug; and nothing breaks I9.
        &[(BUGS, 3), (BUGS, 5), (BUGS, 5), (PLANTED, 1), (PLANTED, 2), (PLANTED, 3), (PLANTED, 0)],
    ),
    keeps(
        "planted-bug",
        &[
            (
                PLANTED,
                concat!(
                    "| `A` | a | I1, I2, I3, I4, I5 | `tests/loom/a_vs_b.rs::broken_a` |\n",
                    "| `B` | b | I6, I7, I8, I9, I10 | `tests/a/main.rs::it` |\n"
                ),
            ),
            (BUGS, "bugs! {\n    /// Doc.\n    A,\n    /// Doc.\n    B,\n}\n"),
            (
                "core/src/lib.rs",
                "#![deny(unsafe_code)]\nlet a = Bug::A.is_planted() || Bug::B.is_planted();\n",
            ),
            ("tests/loom/a_vs_b.rs", "fn broken_a() {\n    broken(Bug::A);\n}\n"),
            ("tests/a/main.rs", "fn it() {}\n"),
        ],
    ),
];

/// Goal: the limits on sizes bite at the limit. Method: trees made just within and just beyond.
#[test]
fn sizes_are_limited() {
    let sizes = |path: &str, text: &str| -> Vec<&'static str> {
        let found = check_all(&Tree::of(&[(path, text)]));
        found.iter().map(|v| v.rule).filter(|rule| GENERATED.contains(rule)).collect()
    };
    assert!(sizes("a.rs", &"é".repeat(100)).is_empty());
    assert_eq!(sizes("a.rs", &"é".repeat(101)), ["line-length"]);
    assert!(sizes("a.md", &format!("| {} |", "x".repeat(200))).is_empty());
    assert!(sizes("a.rs", &format!("//! | {} |", "x".repeat(200))).is_empty());
    assert_eq!(sizes("a.rs", &format!("a | {} |", "x".repeat(200))), ["line-length"]);
    assert!(sizes("a.md", &format!("{} https://example.org", "x".repeat(200))).is_empty());
    assert!(sizes("a.rs", &"\n".repeat(600)).is_empty());
    assert_eq!(sizes("a.rs", &"\n".repeat(601)), ["file-size"]);
    assert_eq!(sizes("a.pyi", &"x".repeat(101)), ["line-length"]);
    assert!(sizes("a.py", &"\n".repeat(600)).is_empty());
    assert_eq!(sizes("a.py", &"\n".repeat(601)), ["python-size"]);
    assert!(sizes("a/_core.pyi", &"\n".repeat(601)).is_empty());
    let body =
        |lines: usize| format!("def f(\n    a,\n):\n{}\n\nx = 1\n", "    a\n\n".repeat(lines));
    assert!(sizes("a.py", &body(34)).is_empty());
    assert_eq!(sizes("a.py", &body(35)), ["python-size"]);
    let quoted = format!("def f():\n    a = \"\"\"\n{}\n\"\"\"\n", "def g():\n".repeat(66));
    assert!(sizes("a.py", &quoted).is_empty());
    assert!(sizes("a.bin", &"\n".repeat(200 * 1024)).is_empty());
    assert_eq!(sizes("a.bin", &"\n".repeat(200 * 1024 + 1)), ["blob"]);
}
