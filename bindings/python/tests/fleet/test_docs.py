"""What the page about Python says of a store's options."""

from __future__ import annotations

import ast
import re
from pathlib import Path

PYTHON = Path(__file__).parents[2]
PAGE = PYTHON.parents[1] / "docs" / "python.md"
STUBS = PYTHON / "python" / "oncegate" / "_core.pyi"


def options(name: str) -> set[str]:
    """What the class of the stubs takes by keyword when it is made."""
    module = ast.parse(STUBS.read_text())
    (kind,) = [it for it in module.body if isinstance(it, ast.ClassDef) and it.name == name]
    made = [it for it in kind.body if isinstance(it, ast.FunctionDef) and it.name == "__new__"]
    return {argument.arg for new in made for argument in new.args.kwonlyargs}


def told(heading: str) -> set[str]:
    """What the first column of the table with this heading names."""
    rows = PAGE.read_text().partition(f"| `{heading}` |")[2].partition("\n\n")[0].splitlines()[2:]
    return {name for row in rows for name in re.findall(r"`(\w+)`", row.split("|")[1])}


def test_each_option_of_a_store_is_told() -> None:
    """Goal: the page has a line for each option of `Redis` and `TierOptions`, and for none that
    there is not. Method: its two tables against the stubs, which stubtest holds to the module."""
    for name, heading in (("Redis", "Redis(url, …)"), ("TierOptions", "TierOptions(…)")):
        assert len(options(name)) > 5
        assert told(heading) == options(name), name
