"""A vector under way: its engine, and what its steps have made, by name."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import Any, Literal

from fields import FailedError, Fields, millis
from policy import given, read_budget, read_policy
from request import LAPSES, read_failure, read_options, read_outcome, read_request

from oncegate import (
    Admitted,
    AttemptError,
    Engine,
    Failed,
    InProgress,
    KeyRules,
    Lease,
    ManualClock,
    OncegateError,
    Outcome,
    Quota,
    Replayed,
    Request,
    Scheduled,
    Succeeded,
    _core,
)

VERDICTS = {
    "Admitted": "ADMITTED",
    "Replayed": "REPLAYED",
    "InProgress": "IN_PROGRESS",
    "Scheduled": "SCHEDULED",
    "Mismatched": "MISMATCHED",
    "Unresolved": "UNRESOLVED",
    "OutcomeGone": "OUTCOME_GONE",
}
CHARSETS: dict[str, dict[str, Any]] = {
    "ANY": {},
    "VISIBLE": {"charset": "visible"},
    "ALPHANUMERIC": {"charset": "alphanumeric_dash_underscore"},
    "HEX": {"charset": "hex"},
    "UUID": {"uuid": True},
}
KINDS: dict[str, Literal["transient", "throttled", "timeout"]]
KINDS = {"TRANSIENT": "transient", "THROTTLED": "throttled", "TIMEOUT": "timeout"}
REASONS = {
    "attempts": "ATTEMPTS",
    "deadline": "DEADLINE",
    "budget": "BUDGET",
    "final_error": "FINAL_ERROR",
    "lapsed": "LAPSED",
}


class Asked:
    """A request that waits."""

    def __init__(
        self, wait: _core.Wait, request: Request, options: Any, over: float | None
    ) -> None:
        self.wait = wait
        self.request = request
        self.options = options
        self.over = over
        self.answer: Any = None


class Run:
    """A vector under way."""

    def __init__(self, options: Fields) -> None:
        self.clock = ManualClock()
        self.engine = opened(options, self.clock)
        self.leases: dict[str, Lease] = {}
        self.fences: dict[str, int] = {}
        self.waits = _core.Waits(self.engine)
        self.asked: dict[str, Asked] = {}
        self.numbers: dict[int, str] = {}

    def step(self, op: str, step: Fields, expect: Fields) -> None:
        """Does one step, and compares what it finds."""
        act: Callable[[Fields, Fields], None] | None = getattr(self, f"do_{op}", None)
        if act is None:
            raise FailedError(f"there is no step {op}")
        settled(act, step, expect)

    def do_begin(self, step: Fields, expect: Fields) -> None:
        request, options = read_request(step), read_options(step)
        wait = step.seconds("wait_ms")
        self.told(self.engine.begin(request, **given(wait=wait), **options), step, expect)

    def do_begin_batch(self, step: Fields, expect: Fields) -> None:
        options = read_options(step)
        each = [Fields(one, "requests") for one in step.array("requests")]
        requests = [read_or_refused(one) for one in each]
        sound = [request for request in requests if isinstance(request, Request)]
        answers = iter(self.engine.begin_batch(sound, **options))
        for one, request in zip(each, requests):
            answer = next(answers) if isinstance(request, Request) else request
            settled(functools.partial(self.tell, answer), one, one.inner("expect"))

    def tell(self, answer: Any, step: Fields, expect: Fields) -> None:
        """One answer of a batch."""
        if isinstance(answer, OncegateError):
            step.take("lease")
            raise answer
        self.told(answer, step, expect)

    def do_submit(self, step: Fields, expect: Fields) -> None:
        name = step.text("wait")
        limit = step.seconds("wait_ms")
        request, options = read_request(step), read_options(step)
        number = len(self.numbers) + 1
        wait = self.waits.ask(number, request, **options)
        over = None if limit is None else self.clock.now() + limit
        self.numbers[number] = name
        self.asked[name] = Asked(wait, request, options, over)
        before = self.engine.stats().waiters
        if wait.poll() is not None or self.engine.stats().waiters != before + 1:
            raise FailedError("a request that is submitted has to wait")

    def do_take(self, step: Fields, expect: Fields) -> None:
        names = step.texts("waits")
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline:
            self.look()
            for name in names:
                if name in self.asked and self.asked[name].answer is not None:
                    answer = self.asked.pop(name).answer
                    if isinstance(answer, OncegateError):
                        raise answer
                    self.told(answer, step, expect)
                    return
        raise FailedError(f"none of {names} has an answer")

    def look(self) -> None:
        """Looks at those that were woken, and at those whose time is over."""
        for number in self.waits.ready():
            asked = self.asked.get(self.numbers[number])
            if asked is not None and asked.answer is None:
                try:
                    asked.answer = asked.wait.poll()
                except OncegateError as error:
                    asked.answer = error
        for asked in self.asked.values():
            if asked.answer is None and asked.over is not None and self.clock.now() >= asked.over:
                asked.wait.cancel()
                asked.answer = self.engine.begin(asked.request, wait=0, **asked.options)

    def do_cancel(self, step: Fields, expect: Fields) -> None:
        asked = self.asked.pop(step.text("wait"))
        if asked.answer is not None:
            raise FailedError(f"cancelled, and answered: {asked.answer}")
        asked.wait.cancel()

    def do_complete(self, step: Fields, expect: Fields) -> None:
        lease, outcome = self.lease(step), read_outcome(step)
        stored = {"stored": "STORED", "without_bytes": "STORED_WITHOUT_BYTES"}
        expect.same("stored", stored[lease.complete(outcome)])

    def do_fail(self, step: Fields, expect: Fields) -> None:
        self.lease(step).fail(read_failure(step))

    def do_abandon(self, step: Fields, expect: Fields) -> None:
        self.lease(step).abandon()

    def do_renew(self, step: Fields, expect: Fields) -> None:
        lasts = self.lease(step).renew(step.seconds("duration_ms") or 0)
        expect.same("remaining_ms", millis(lasts))

    def do_take_up(self, step: Fields, expect: Fields) -> None:
        fence = step.text("fence")
        held = self.engine.take_up(self.lease(step).token)
        expect.same("attempt", held.attempt)
        expect.same("how", held.status.upper())
        expect.same("remaining_ms", millis(held.remaining))
        self.keep("", fence, held)
        # The one that was there before ends it.
        held.into_token()

    def do_resolve(self, step: Fields, expect: Fields) -> None:
        request, outcome = read_request(step), read_outcome(step)
        answers: dict[str, Any] = {
            "SUCCEEDED": Succeeded(outcome),
            "FAILED": Failed(outcome),
            "RUN_AGAIN": "run_again",
        }
        self.engine.resolve(request, step.choose("resolution", answers, ""))

    def do_retry_later(self, step: Fields, expect: Fields) -> None:
        lease = self.lease(step)
        after = step.seconds("hint_after_ms")
        hint = step.text("hint", "NONE")
        error = AttemptError(
            step.text("error_class", "503"),
            kind=step.choose("kind", KINDS, "TRANSIENT"),
            retry_after=(after or 0) if hint == "AFTER" else None,
            refused=hint == "REFUSED",
            terminal=step.flag("terminal"),
            outcome=read_outcome(step) if "outcome_status" in step else None,
        )
        operation = step.text("operation", "charge")
        later = lease.retry_later(error, operation, step.data("context") or b"")
        if isinstance(later, Scheduled):
            expect.same("later", "SCHEDULED")
            expect.same("next_attempt", later.next_attempt)
            expect.same("due_in_ms", millis(later.due_in))
        else:
            expect.same("later", "BURIED")
            expect.same("reason", REASONS[later.reason])

    def do_next_attempt(self, step: Fields, expect: Fields) -> None:
        lease, fence = step.text("lease"), step.text("fence")
        attempt = self.engine.next_attempt(0)
        expect.same("found", attempt is not None)
        if attempt is not None:
            expect.same("attempt", attempt.lease.attempt)
            expect.same("remaining_ms", millis(attempt.lease.remaining))
            expect.same("operation", attempt.operation)
            context = expect.data("context")
            if context is not None and context != attempt.context:
                raise FailedError(f"context: expected {context!r}, found {attempt.context!r}")
            self.keep(lease, fence, attempt.lease)

    def do_set_operation(self, step: Fields, expect: Fields) -> None:
        policy = read_policy(step.inner("policy")) if "policy" in step else None
        most = step.number("max_in_flight")
        self.engine.set_operation(step.text("operation"), policy=policy, max_in_flight=most)

    def do_set_budget(self, step: Fields, expect: Fields) -> None:
        level, scope, operation = step.text("level"), step.text("scope"), step.text("operation")
        budget = read_budget(step.inner("budget"))
        where: dict[str, dict[str, Any]] = {
            "ENGINE": {},
            "OPERATION": {"operation": operation},
            "SCOPE": {"scope": scope},
        }
        self.engine.set_retry_budget(budget, **where[level])

    def do_preview(self, step: Fields, expect: Fields) -> None:
        seed, most = step.number("seed"), step.number("most") or 0
        policy = read_policy(step.inner("policy"))
        delays, reason = policy.preview(most, seed=seed)
        expect.same("delays_ms", [millis(delay) for delay in delays])
        expect.same("reason", "NONE" if reason is None else REASONS[reason])

    def do_fingerprint(self, step: Fields, expect: Fields) -> None:
        prepared = self.engine.prepare(read_request(step))
        expect.same("fingerprint", prepared.fingerprint.hex())

    def do_fences(self, step: Fields, expect: Fields) -> None:
        names = step.texts("ascending")
        found = [self.fences[name] for name in names]
        if sorted(set(found)) != found:
            raise FailedError(f"they do not ascend: {names}: {found}")

    def do_stats(self, step: Fields, expect: Fields) -> None:
        self.look()
        stats = self.engine.stats()
        for name in ("running", "waiting", "succeeded", "failed", "unknown"):
            expect.same(f"live_{name}", getattr(stats.live, name))
        for name in ("dead_letters", "buried"):
            expect.same(name, getattr(stats.retries, name))
        for name in COUNTS:
            expect.same(name, getattr(stats, name))

    def do_advance(self, step: Fields, expect: Fields) -> None:
        self.clock.advance(step.seconds("by_ms") or 0)

    def told(self, answer: Any, step: Fields, expect: Fields) -> None:
        """Compares an answer with what is expected, and keeps its lease."""
        lease, fence = step.text("lease"), step.text("fence")
        expect.same("verdict", VERDICTS[type(answer).__name__])
        if isinstance(answer, Admitted):
            expect.same("how", answer.lease.status.upper())
            expect.same("attempt", answer.lease.attempt)
            expect.same("time_ms", millis(answer.lease.remaining))
            self.keep(lease, fence, answer.lease)
            if not lease:
                # It stays as it is: nobody gives it back by dropping it.
                answer.lease.into_token()
        elif isinstance(answer, InProgress):
            expect.same("attempt", answer.attempt)
            expect.same("time_ms", millis(answer.remaining))
        elif isinstance(answer, Scheduled):
            expect.same("attempt", answer.next_attempt)
            expect.same("time_ms", millis(answer.due_in))
        elif isinstance(answer, Replayed):
            same_outcome(expect, answer.outcome)

    def keep(self, lease: str, fence: str, held: Lease) -> None:
        if lease:
            self.leases[lease] = held
        if fence:
            self.fences[fence] = held.fencing_token

    def lease(self, step: Fields) -> Lease:
        name = step.text("lease")
        if name not in self.leases:
            raise FailedError(f"there is no lease {name}")
        return self.leases[name]


def read_or_refused(step: Fields) -> Request | OncegateError:
    """A request, or what is wrong with it: it is refused where it is made."""
    try:
        return read_request(step)
    except OncegateError as error:
        return error


def settled(act: Callable[[Fields, Fields], None], step: Fields, expect: Fields) -> None:
    """Does it, compares the status, and looks whether everything was read."""
    status, field, text = "OK", "", ""
    try:
        act(step, expect)
    except OncegateError as error:
        status, field, text = headed(error.name), error.field, str(error)
    expected = expect.text("status", "OK")
    if expected != status:
        raise FailedError(f"status: expected {expected}, found {status}: {text}")
    expect.same("field", field)
    expect.finish("expect")
    step.finish("step")


def headed(name: str) -> str:
    """``INVALID_KEY`` of ``InvalidKey``."""
    return "".join(f"_{c}" if c.isupper() and at else c for at, c in enumerate(name)).upper()


def same_outcome(expect: Fields, outcome: Outcome) -> None:
    expect.same("outcome_status", outcome.status)
    body = expect.data("body")
    if body is not None and body != outcome.body:
        raise FailedError(f"body: expected {body!r}, found {outcome.body!r}")
    expect.same("metadata", [list(pair) for pair in outcome.metadata])


def opened(options: Fields, clock: ManualClock) -> Engine:
    """The engine of a vector."""
    most = options.number("quota_max_live")
    keys = given(min_len=options.number("key_min_len"), max_len=options.number("key_max_len"))
    keys.update(options.choose("keys", CHARSETS, "ANY"))
    rules = KeyRules(refuse_predictable=options.flag("refuse_predictable_keys"), **keys)
    fulls = {"": None, "EVICT_LRU": "evict_lru", "REJECT": "reject"}
    modes = {"": None, "KEYED": "keyed", "FAST_TRUSTED": "fast_trusted"}
    policy = read_policy(options.inner("retry_policy")) if "retry_policy" in options else None
    values: dict[str, Any] = given(
        capacity=options.number("capacity") or 1_000,
        secret=options.data("secret") or bytes(range(1, 33)),
        jitter_seed=options.number("jitter_seed") or 1,
        lease_duration=options.seconds("lease_ms"),
        dedup_window=options.seconds("dedup_window_ms"),
        wait=options.seconds("wait_ms"),
        on_lapse=options.choose("on_lapse", LAPSES, ""),
        on_full=options.choose("on_full", fulls, ""),
        outcome_limit=options.number("outcome_limit"),
        inline_outcome=options.number("inline_outcome"),
        max_waiters=options.number("max_waiters"),
        fingerprint_mode=options.choose("fingerprint_mode", modes, ""),
        default_quota=None if most is None else Quota(max_live=most),
        retry_policy=policy,
    )
    options.finish("options")
    return Engine(private=True, clock=clock, key_rules=rules, **values)


COUNTS = (
    "begun", "created", "reused", "expired", "retried", "replayed", "in_progress", "scheduled",
    "mismatched", "unresolved", "outcome_gone", "fenced", "lapsed", "completed", "waiters",
    "hand_offs",
)  # fmt: skip
_PATIENCE = 30.0
