"""The shop's ledger: one SQLite file that all workers write into."""

from __future__ import annotations

import os
import secrets
import sqlite3
import threading
import time
from pathlib import Path
from typing import Literal, NamedTuple

Lane = Literal["plain", "once"]
"""``once`` has oncegate in front of it, ``plain`` has nothing."""


class Entry(NamedTuple):
    """One charge of a card."""

    id: int
    lane: str
    purchase: str
    amount: int
    """In cents."""
    request: str
    """Which of the requests made it."""
    worker: int
    """The process that did."""
    charged_at: float
    """Seconds since 1970."""


class Ledger:
    """What was charged. Nothing here keeps a purchase from being charged twice."""

    def __init__(self, path: Path) -> None:
        # One connection for the threads of a worker, which take turns.
        self._database = sqlite3.connect(path, timeout=30, check_same_thread=False)
        self._lock = threading.Lock()
        with self._lock, self._database:
            self._database.execute("PRAGMA journal_mode = WAL")
            for statement in _TABLES:
                self._database.execute(statement)

    def welcome(self) -> str:
        """A new shopper, by a name that nobody can guess."""
        shopper = secrets.token_urlsafe(16)
        with self._lock, self._database:
            self._database.execute("INSERT INTO shoppers VALUES (?)", (shopper,))
        return shopper

    def knows(self, shopper: str) -> bool:
        """Whether such a shopper was welcomed."""
        with self._lock:
            found = self._database.execute("SELECT 1 FROM shoppers WHERE name = ?", (shopper,))
            return found.fetchone() is not None

    def charge(self, shopper: str, lane: Lane, purchase: str, amount: int, request: str) -> Entry:
        """Writes one more charge, whatever was charged before."""
        values = (lane, purchase, amount, request, os.getpid(), time.time())
        with self._lock, self._database:
            written = self._database.execute(_CHARGE, (shopper, *values))
        return Entry(written.lastrowid or 0, *values)

    def entries(self, shopper: str, after: int, most: int) -> list[Entry]:
        """The charges of one shopper with a number above ``after``, the oldest first."""
        with self._lock:
            found = self._database.execute(_ENTRIES, (shopper, after, most)).fetchall()
        return [Entry(*row) for row in found]


_TABLES = (
    "CREATE TABLE IF NOT EXISTS shoppers (name TEXT PRIMARY KEY) WITHOUT ROWID",
    """CREATE TABLE IF NOT EXISTS charges (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        shopper TEXT NOT NULL,
        lane TEXT NOT NULL,
        purchase TEXT NOT NULL,
        amount INTEGER NOT NULL,
        request TEXT NOT NULL,
        worker INTEGER NOT NULL,
        charged_at REAL NOT NULL
    )""",
    "CREATE INDEX IF NOT EXISTS charges_of ON charges (shopper, id)",
)
_CHARGE = """INSERT INTO charges (shopper, lane, purchase, amount, request, worker, charged_at)
    VALUES (?, ?, ?, ?, ?, ?, ?)"""
_ENTRIES = """SELECT id, lane, purchase, amount, request, worker, charged_at FROM charges
    WHERE shopper = ? AND id > ? ORDER BY id LIMIT ?"""
