"""Tool calls of a model that run once in a conversation."""

from __future__ import annotations

import asyncio
import inspect
import json
import threading
from collections.abc import Iterator
from decimal import Decimal

import pytest

from oncegate import Engine, InProgressError
from oncegate.tools import conversation, tool_once


@pytest.fixture
def engine() -> Iterator[Engine]:
    with Engine(private=True, capacity=1_000) as engine:
        yield engine


def test_a_repeated_call_gets_the_first_result(engine: Engine) -> None:
    """Goal: equal arguments in one conversation run once, whether by position, by name, by default,
    or as the JSON that a model sends; other arguments and other conversations run. Method: a tool
    that counts."""
    sent: list[str] = []

    @tool_once(engine, scope="acme")
    def send_mail(to: str, subject: str, copies: int = 1) -> str:
        """Sends a mail."""
        sent.append(to)
        return f"mail {len(sent)}"

    with conversation("run-1"):
        assert send_mail("ann", "Invoice") == "mail 1"
        assert send_mail(subject="Invoice", to="ann", copies=1) == "mail 1"
        arguments = '{"copies": 1.0, "to": "ann", "subject": "Invoice"}'
        assert send_mail(**json.loads(arguments)) == "mail 1"
        assert send_mail("ann", "Reminder") == "mail 2"
    with conversation("run-2"):
        assert send_mail("ann", "Invoice") == "mail 3"
    assert list(inspect.signature(send_mail).parameters) == ["to", "subject", "copies"]
    assert send_mail.__doc__ == "Sends a mail."


def test_a_call_outside_of_a_conversation_runs_nothing(engine: Engine) -> None:
    """Goal: calls of two conversations are never taken for one for want of an id. Method: a call
    without any."""
    calls: list[int] = []

    @tool_once(engine, scope="acme")
    def pay(cents: int) -> None:
        calls.append(cents)

    with pytest.raises(LookupError):
        pay(5)
    assert calls == []


def test_the_framework_may_tell_the_conversation_and_pass_what_does_not_count(
    engine: Engine,
) -> None:
    """Goal: ``within`` and ``leave_out`` fit a framework that has a context of its own. Method: a
    context argument that differs, and one id for all."""
    calls: list[Decimal] = []

    @tool_once(engine, scope="acme", within=lambda: "thread-7", leave_out=("context", "reason"))
    def refund(context: object, amount: Decimal, reason: str) -> int:
        calls.append(amount)
        return len(calls)

    assert refund(object(), Decimal("5.00"), "broken") == 1
    assert refund(object(), Decimal("5.00"), "it was broken") == 1
    assert refund(object(), Decimal("6.00"), "broken") == 2
    with pytest.raises(TypeError, match="nothing"):
        tool_once(engine, scope="acme", leave_out=("nothing",))(refund)


def test_coroutines_and_twins_that_run(engine: Engine) -> None:
    """Goal: async tools are protected too; a twin waits for the result with ``wait=``, and is told
    without it. Method: the same call three times at once, held by an event."""
    calls: list[str] = []

    async def play() -> None:
        released = asyncio.Event()

        @tool_once(engine, scope="acme", wait=30)
        async def book(seat: str) -> str:
            calls.append(seat)
            await released.wait()
            return f"booked {seat}"

        @tool_once(engine, scope="acme", name="book")
        async def book_now(seat: str) -> str:
            raise AssertionError("its twin runs")

        with conversation("run-1"):
            tasks = [asyncio.create_task(book("12A")) for _ in range(3)]
            while not calls:
                await asyncio.sleep(0)
            with pytest.raises(InProgressError):
                await book_now("12A")
            released.set()
            assert await asyncio.gather(*tasks) == ["booked 12A"] * 3

    asyncio.run(play())
    assert calls == ["12A"]


def test_a_conversation_goes_with_its_thread(engine: Engine) -> None:
    """Goal: two threads may lead two conversations. Method: the same call in each."""
    results: list[int] = []
    lock = threading.Lock()

    @tool_once(engine, scope="acme")
    def charge(cents: int) -> int:
        with lock:
            results.append(cents)
            return len(results)

    def lead(name: str) -> None:
        with conversation(name):
            charge(5)
            charge(5)

    threads = [threading.Thread(target=lead, args=[f"run-{n}"]) for n in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [5, 5]
