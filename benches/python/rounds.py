"""Rounds: who is measured, in which order, and what comes of it."""

from __future__ import annotations

import asyncio
import gc
import random
import statistics
import sys
import time
import timeit
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from itertools import repeat
from typing import Any

Clock = Callable[[], int]

BUSY: Clock = time.thread_time_ns
"""Processor time of this thread: who shares the machine does not count."""
WALL: Clock = time.perf_counter_ns
"""Time as it passes: for what waits for somebody else."""


@dataclass
class Row:
    """One of those that are compared."""

    part: str
    """Which table it belongs to."""
    name: str
    measure: Callable[[int], float]
    """Does so many operations; gives their nanoseconds."""
    base: bool = False
    """Whether the others of its part are told as multiples of it."""
    count: int = 1
    """How many operations a turn has."""
    each: int = 1
    """How many requests are in one operation."""
    is_timed: bool = False
    """Whether it lasts as long as it does, whatever the count."""
    samples: list[float] = field(default_factory=list)
    """Nanoseconds of one request, by round."""

    @property
    def median(self) -> float:
        """The median of its rounds."""
        return statistics.median(self.samples)

    def times(self, base: Row) -> float:
        """How many times the base's time it takes: the median of the rounds' ratios."""
        return statistics.median(
            mine / its for mine, its in zip(self.samples, base.samples, strict=True)
        )


def statement(
    part: str,
    name: str,
    code: str,
    names: dict[str, Any],
    *,
    clock: Clock = BUSY,
    prepare: Callable[[dict[str, Any], int], None] | None = None,
    base: bool = False,
    each: int = 1,
) -> Row:
    """A row whose operation is a statement, in a loop of its own with nothing else in it.

    ``prepare`` sets the names that the statement uses up, and is not measured.
    """
    names = dict(names)
    timer = timeit.Timer(code, timer=clock, globals=names)

    def measure(count: int) -> float:
        if prepare is not None:
            prepare(names, count)
        return timer.timeit(count)

    return Row(part, name, measure, base, each=each)


def coroutine(
    part: str,
    name: str,
    operation: Callable[[str], Awaitable[Any]],
    loop: asyncio.AbstractEventLoop,
    *,
    keys: Callable[[int], Iterator[str]],
    clock: Clock = BUSY,
    base: bool = False,
) -> Row:
    """A row whose operation is awaited, with one key after another."""

    async def many(asked: Iterator[str], count: int) -> float:
        begun = clock()
        for _ in repeat(None, count):
            await operation(next(asked))
        return clock() - begun

    def measure(count: int) -> float:
        return loop.run_until_complete(many(keys(count), count))

    return Row(part, name, measure, base)


def calibrate(row: Row, nanoseconds: float) -> None:
    """Finds how many operations last about so long. Warms up, too."""
    if row.is_timed:
        return
    took = row.measure(1)
    while took < nanoseconds / 5 and row.count < 1 << 24:
        row.count *= 2 if took > nanoseconds / 50 else 8
        took = row.measure(row.count)
    row.count = max(1, round(row.count * nanoseconds / max(took, 1)))


def run(rows: list[Row], rounds: int, milliseconds: float, seed: int) -> None:
    """Measures all rows in each round, in a new order each time."""
    order = random.Random(seed)
    for row in rows:
        tell(f"getting ready: {row.part}: {row.name}")
        calibrate(row, milliseconds * 1e6)
    for done in range(rounds):
        tell(f"round {done + 1} of {rounds}")
        for row in order.sample(rows, len(rows)):
            gc.collect()
            row.samples.append(row.measure(row.count) / row.count / row.each)


def tell(text: str) -> None:
    """Progress, on the other stream."""
    sys.stderr.write(f"== {text}\n")
    sys.stderr.flush()
