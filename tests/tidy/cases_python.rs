//! Cases of the rules about Python files.

use crate::cases::{Case, breaks, keeps};

const TEST: &str = "bindings/python/tests/test_lease.py";
const SETTINGS: &str = "bindings/python/pyproject.toml";
const NEEDED: &str = "bindings/python/requirements/test.txt";
const LIST: &str = "docs/dependencies.md";

pub(crate) const CASES: &[Case] = &[
    breaks(
        "python-sleep",
        &[(
            TEST,
            concat!(
                "time.sleep(0.1)\nawait asyncio.sleep(delay)\nfrom time import sleep\n",
                "# sleep: above\n\nsleep(1)\n"
            ),
        )],
        &[(TEST, 1), (TEST, 2), (TEST, 3), (TEST, 6)],
    ),
    keeps(
        "python-sleep",
        &[(
            TEST,
            concat!(
                "await asyncio.sleep(0)\ntime.sleep(1)  # sleep: the work lasts that long\n",
                "# sleep: the broker tells nobody\ntime.sleep(1)\ndef sleep(): ...\n",
                "a.oversleep(1)  # time.sleep(1)\n"
            ),
        )],
    ),
    breaks(
        "python-goal",
        &[(
            TEST,
            concat!(
                "def test_a() -> None:\n    pass\n\n",
                "class TestB:\n    async def test_b(\n        self, a: int\n    ) -> None:\n",
                "        \"\"\"Goal: b.\n\n        More.\"\"\"\n        # Method: none\n"
            ),
        )],
        &[(TEST, 1), (TEST, 5)],
    ),
    keeps(
        "python-goal",
        &[
            (
                TEST,
                concat!(
                    "def test_a(\n    a: list[int] = [(1)],\n) -> None:\n",
                    "    \"\"\"Goal: a.\n    Method: b.\n    \"\"\"\n\ndef helper():\n    pass\n",
                    "text = \"\"\"\ndef test_c(): pass\n\"\"\"\n"
                ),
            ),
            ("bindings/python/tests/smoke.py", "def test_a():\n    pass\n"),
        ],
    ),
    breaks(
        "python-overlook",
        &[(
            TEST,
            concat!(
                "a()  # type: ignore\n\na()  # type: ignore[misc]\n\na()  # noqa  # why\n\n",
                "a()  # noqa: S301\n\na()  # pyright: ignore[reportX]\n"
            ),
        )],
        &[(TEST, 1), (TEST, 3), (TEST, 5), (TEST, 7), (TEST, 9)],
    ),
    keeps(
        "python-overlook",
        &[(
            TEST,
            concat!(
                "a()  # type: ignore[misc]  # it has no types\na()  # noqa: S301  # on purpose\n",
                "# It is untyped.\na()  # pyright: ignore[reportX]\n"
            ),
        )],
    ),
    breaks(
        "dependency",
        &[
            (
                SETTINGS,
                concat!(
                    "[build-system]\nrequires = [\"maturin>=1\"]\n\n[project]\n",
                    "name = \"x\"\nkeywords = [\"none\"]\ndependencies = [\n    \"attrs\",\n]\n",
                    "[project.optional-dependencies]\nweb = [\"Flask[async]>=2\", \"b\"]\n",
                    "[tool.x]\ndependencies = [\"y\"]\n"
                ),
            ),
            (NEEDED, "# All.\n-r core.txt\npyright[nodejs]==1.1; python_version > \"3.9\"\n"),
            (LIST, "| `pytest` | `bindings/python` | x |\n"),
        ],
        &[(SETTINGS, 2), (SETTINGS, 8), (SETTINGS, 11), (SETTINGS, 11), (NEEDED, 3), (LIST, 1)],
    ),
    keeps(
        "dependency",
        &[
            (SETTINGS, "[project.optional-dependencies]\nweb = [\"Flask>=2\"]\n"),
            (NEEDED, "flask==3.1.3\npyright==1; python_version > \"3.9\"\npyright==2\n"),
            ("docs/requirements.txt", "flask\n"),
            (
                LIST,
                "| `flask` | `bindings/python`, `docs` | |\n| `pyright` | `bindings/python` | |\n",
            ),
        ],
    ),
];
