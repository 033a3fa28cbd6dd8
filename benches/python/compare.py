"""What oncegate costs from Python, beside what people use today: all in one shuffled run.

``scripts/bench-python.sh`` calls it. ``--only`` names parts by their beginnings.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import apps
import functions
import handover
import load
import report
import requests_in_process
from rounds import Row, run, tell
from servers import redis_server

PACKAGES = (
    "oncegate", "asgi-idempotency-header", "aws-lambda-powertools", "cachetools", "diskcache",
    "fastapi", "fastapi-idempotency", "hiredis", "httptools", "idemkit", "redis", "starlette",
    "uvicorn", "uvloop",
)  # fmt: skip


def main() -> None:
    """Measures, and prints."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=7)
    options.add_argument("--milliseconds", type=float, default=100, help="of a turn")
    options.add_argument("--load-seconds", type=int, default=2, help="of a turn of wrk")
    options.add_argument("--only", nargs="*", help="parts, by how their names begin")
    options.add_argument("--json", type=Path, help="all samples")
    given = options.parse_args()
    seed = time.time_ns() & 0xFFFF
    # Memory, where the system has a folder in it: no peer waits for a disk.
    memory = "/dev/shm" if Path("/dev/shm").is_dir() else None
    loop = asyncio.new_event_loop()
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(dir=memory))
        server = stack.enter_context(redis_server(folder))
        rows: list[Row] = []
        if wanted("A", given.only) or wanted("Batches", given.only):
            rows += functions.rows(server, folder, loop)
        apps.quiet()
        rows += handover.rows(loop)
        rows += requests_in_process.rows(server, loop)
        if not shutil.which("wrk"):
            tell("SKIPPED: there is no wrk, which asks uvicorn (apt-get install wrk)")
        elif wanted("Middleware, FastAPI, uvicorn", given.only):
            rows += stack.enter_context(load.rows(server, folder, given.load_seconds))
        rows = [row for row in rows if wanted(row.part, given.only)]
        about = {
            "machine": report.machine(),
            "versions": report.versions(PACKAGES),
            "order": str(seed),
        }
        run(rows, given.rounds, given.milliseconds, seed)
        about["load after"] = report.machine()
    print(report.printed(rows))
    print("\n".join(f"\n{name}: {text}" for name, text in about.items()))
    if given.json:
        report.saved(rows, given.json, about)


def wanted(part: str, only: list[str] | None) -> bool:
    """Whether a part, or one that begins like it, was asked for."""
    return not only or any(part.startswith(name) or name.startswith(part) for name in only)


if __name__ == "__main__":
    sys.exit(main())
