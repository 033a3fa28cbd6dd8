"""Runs the shop: several worker processes at one port of the loopback interface.

``python serve.py`` prints its address and serves until Ctrl-C.
"""

from __future__ import annotations

import argparse
import os
import socket
import tempfile
from pathlib import Path

import uvicorn

HERE = Path(__file__).parent


def serve(folder: Path, port: int, workers: int, log_level: str) -> None:
    """Serves until a signal ends it. The folder gets the ledger, and the engine's table."""
    # The workers are processes of their own, which read this.
    os.environ["PAYMENTS_FOLDER"] = str(folder.resolve())
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        # Whoever comes before the workers are there waits for them, and is not turned away.
        listener.listen(2048)
        port = listener.getsockname()[1]
        print(f"payments demo, {workers} workers: http://127.0.0.1:{port}/", flush=True)
        # The same number, inherited by all workers.
        uvicorn.run(
            "app:app",
            app_dir=str(HERE),
            fd=listener.fileno(),
            workers=workers,
            log_level=log_level,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description="The payments demo.")
    parser.add_argument("--port", type=int, default=0, help="default: one that is free")
    parser.add_argument("--workers", type=int, default=2, help="processes; default: 2")
    parser.add_argument("--folder", type=Path, help="keeps the ledger there; default: nowhere")
    parser.add_argument("--log-level", default="warning", help="uvicorn's; default: warning")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="oncegate-payments-") as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        serve(folder, options.port, options.workers, options.log_level)


if __name__ == "__main__":
    main()
