"""The conformance vectors of the project, in Python."""

from __future__ import annotations

import json
import os
import pathlib
import sys
from typing import Any

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from fields import FailedError, Fields  # it lies beside this file
from run import Run  # it lies beside this file

ROOT = pathlib.Path(__file__).resolve().parents[4]


def test_every_vector_holds() -> None:
    """Goal: the binding does what the conformance vectors say, like every other language.
    Method: every vector of every file, on an engine of its own. `tests/vectors/README.md` says what
    a vector is, and what the environment asks a runner for."""
    folder = pathlib.Path(os.environ.get("ONCEGATE_VECTORS", ROOT / "tests/vectors"))
    paths = sorted(folder.glob("*.json"))
    assert paths, f"no vectors in {folder}"
    report = []
    for path in paths:
        for vector in json.loads(path.read_text())["vectors"]:
            why = failure(vector)
            report.append(f"failed {vector['id']}: {why}" if why else f"ok {vector['id']}")
    if told := os.environ.get("ONCEGATE_VECTORS_REPORT"):
        pathlib.Path(told).write_text("".join(f"{line}\n" for line in report))
    if os.environ.get("ONCEGATE_VECTORS_TWISTED") != "1":
        assert [line for line in report if not line.startswith("ok ")] == []


def failure(given: Any) -> str:
    """At which step a vector failed, and why; nothing where it holds."""
    where = "opening"
    try:
        vector = Fields(given, "vector")
        vector.text("id")
        vector.text("about")
        run = Run(vector.inner("options"))
        steps = vector.array("steps")
        vector.finish("vector")
        for at, one in enumerate(steps, 1):
            step = Fields(one, "step")
            op = step.text("op")
            where = f"step {at}, {op}"
            run.step(op, step, step.inner("expect"))
    except FailedError as failed:
        return f"{where}: {failed}".replace("\n", " ")
    return ""
