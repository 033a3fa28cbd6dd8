"""Load: uvicorn on one processor, wrk on another, one server for each middleware."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import apps
from functions import HOT
from requests_in_process import BODY
from rounds import Row
from servers import RedisServer, ended, free_port, reached

CONNECTIONS = 16

SCRIPT = """
wrk.method = "POST"
wrk.body = '{body}'
wrk.headers["Content-Type"] = "application/json"
local hot = "{key}"
local seed = os.time() % 65536 * 65536 + {seed}
local count = 0
request = function()
  count = count + 1
  wrk.headers["Idempotency-Key"] = hot ~= "" and hot
    or string.format("%08x-0000-4000-8000-%012x", seed, count)
  return wrk.format(nil, "/charge")
end
"""


class Server:
    """One uvicorn, with uvloop and httptools, without an access log."""

    def __init__(self, name: str, redis: RedisServer) -> None:
        self.port = free_port()
        environment = {**os.environ, "ONCEGATE_BENCH_APP": name, apps.REDIS: redis.socket}
        command = [sys.executable, "-m", "uvicorn", "apps:served", "--factory"]
        command += ["--port", str(self.port), "--no-access-log", "--log-level", "warning"]
        command += ["--loop", "uvloop", "--http", "httptools"]
        self._process = subprocess.Popen(
            [*pinned(0), *command], cwd=Path(__file__).parent, env=environment
        )
        reached(name, self._process, lambda: self.ask("warm"))

    def ask(self, key: str) -> None:
        """One request."""
        headers = {"content-type": "application/json", "idempotency-key": key}
        url = f"http://127.0.0.1:{self.port}/charge"
        asked = urllib.request.Request(url, BODY, headers)
        with urllib.request.urlopen(asked, timeout=5) as answer:
            answer.read()

    def close(self) -> None:
        """Ends it."""
        ended(self._process)


def pinned(processor: int) -> list[str]:
    """Runs a command on one processor alone, where there is more than one."""
    if shutil.which("taskset") and (os.cpu_count() or 1) > processor:
        return ["taskset", "-c", str(processor)]
    return []


@contextmanager
def rows(redis: RedisServer, folder: str, seconds: int) -> Iterator[list[Row]]:
    """Every middleware under load. The servers end with the block."""
    with ExitStack() as stack:
        made = []
        for short in apps.MIDDLEWARES:
            server = Server(short, redis)
            stack.callback(server.close)
            server.ask(HOT)
            for what, key in (("new keys", ""), ("replays", HOT)):
                if what == "replays" and short in ("passed-on", "oncegate-unkept"):
                    continue
                script = Path(folder) / f"{short}-{what.replace(' ', '-')}.lua"
                run = _wrk(server.port, script, key, seconds)
                part = f"Middleware, FastAPI, uvicorn on one processor, {what}"
                made.append(Row(part, apps.NAMES[short], run, short == "bare", is_timed=True))
        yield made


def _wrk(port: int, script: Path, key: str, seconds: int) -> Callable[[int], float]:
    runs = 0

    def measure(count: int) -> float:
        """The time on the wall for so many requests; how many there are is not its choice."""
        nonlocal runs
        runs += 1
        text = SCRIPT.format(body=BODY.decode(), key=key, seed=os.getpid() % 256 * 256 + runs)
        script.write_text(text)
        command = ["wrk", "-t", "1", "-c", str(CONNECTIONS), "-d", f"{seconds}s", "-s", str(script)]
        command.append(f"http://127.0.0.1:{port}/charge")
        said = subprocess.run(
            [*pinned(1), *command], check=True, capture_output=True, text=True, timeout=seconds + 30
        ).stdout
        if "Non-2xx" in said or "Socket errors" in said:
            raise RuntimeError(f"not every request was answered by a success:\n{said}")
        rate = re.search(r"Requests/sec:\s*([0-9.]+)", said)
        if rate is None:
            raise RuntimeError(f"wrk says nothing of a rate:\n{said}")
        return count * 1e9 / float(rate[1])

    return measure
