"""The shop's OpenAPI document, and whether the shop keeps to it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import hooks
import httpx

HERE = Path(__file__).parent


def test_the_document_is_complete(serve: Callable[..., str]) -> None:
    """Goal: the guarded path documents its key and the middleware's answers, the other one has
    neither. Method: the document that the shop serves."""
    paths = httpx.get(serve(5) + "openapi.json").raise_for_status().json()["paths"]
    plain, once = (paths[f"/{lane}/charges"]["post"] for lane in ("plain", "once"))
    assert {"201", "400", "403", "422"} == set(plain["responses"])
    answers = {"201", "400", "403", "409", "413", "414", "422", "429", "503"}
    assert answers == set(once["responses"])
    for status in answers - {"201"}:
        assert "application/problem+json" in once["responses"][status]["content"], status
    for status in ("409", "429", "503"):
        assert "Retry-After" in once["responses"][status]["headers"], status
    assert "Idempotent-Replayed" in once["responses"]["201"]["headers"]
    key = [one for one in once["parameters"] if one["name"] == "Idempotency-Key"]
    assert [one["required"] for one in key] == [True]
    assert key[0]["schema"]["pattern"].strip("^$()").startswith("[!#-+.-~-]{1,255}|")
    assert all(one["name"] != "Idempotency-Key" for one in plain["parameters"])


def test_the_shop_keeps_to_its_document(serve: Callable[..., str], tmp_path: Path) -> None:
    """Goal: what the document allows is served, what it does not allow is refused, and every answer
    is one that it describes. Method: schemathesis, all its checks, with requests at every limit of
    the document and with requests drawn at random from a fixed seed."""
    address = serve(5)
    client = httpx.Client(base_url=address)
    client.get("/").raise_for_status()
    settings = f'[auth.openapi.shopper]\napi_key = "{client.cookies["shopper"]}"\n'
    (tmp_path / "schemathesis.toml").write_text(settings)
    command = [sys.executable, "-m", "schemathesis.cli", "run", address + "openapi.json"]
    command += ["--seed", "7", "--max-examples", "40", "--checks", "all", "--no-color"]
    finished = subprocess.run(
        command,
        cwd=tmp_path,
        env={**os.environ, "SCHEMATHESIS_HOOKS": hooks.__name__, "PYTHONPATH": str(HERE)},
        capture_output=True,
        text=True,
    )
    said = finished.stdout + finished.stderr
    assert finished.returncode == 0, said
    assert "Tested: 3" in said, said
    assert "✅ 3 passed" in said, said
