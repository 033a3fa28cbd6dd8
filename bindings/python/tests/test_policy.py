"""Retry policies: delays, limits and presets."""

from __future__ import annotations

import email.utils
import math
import time
from datetime import timedelta
from typing import Any

import pytest

from oncegate import InvalidInputError, RetryPolicy


@pytest.mark.parametrize(
    ("options", "delays"),
    [
        ({"jitter": "none"}, [1, 2, 4, 8, 16, 32, 64, 120, 120]),
        ({"initial": 0.1, "multiplier": 3, "max": 2, "jitter": "none"}, [0.1, 0.3, 0.9, 2, 2]),
        ({"backoff": "linear", "jitter": "none"}, [1, 2, 3, 4]),
        (
            {"backoff": "linear", "initial": 5, "increment": 2, "max": 8, "jitter": "none"},
            [5, 7, 8],
        ),
        ({"backoff": "constant", "initial": timedelta(seconds=3)}, [3, 3, 3]),
        ({"backoff": "list", "delays": [0, 5, timedelta(minutes=1)]}, [0, 5, 60, 60]),
        ({"delays": [1, 2]}, [1, 2, 2]),
        ({"delays": [1, 20], "max": 10}, [1, 10, 10]),
    ],
)
def test_delays_grow_as_the_backoff_says(options: dict[str, Any], delays: list[float]) -> None:
    """Goal: each backoff has its formula. Method: without jitter, by what a preview tells."""
    policy = RetryPolicy(max_attempts=100, **options)
    assert policy.preview(len(delays)) == (delays, None)


@pytest.mark.parametrize(
    ("jitter", "least", "most"),
    [
        ("full", 0, 8),
        ("equal", 4, 8),
        ("decorrelated", 8, 24),
        ("decorrelated_v2", 0, 120),
        (0.25, 6, 10),
        (1.0, 0, 16),
    ],
)
def test_jitter_stays_in_its_range(jitter: Any, least: float, most: float) -> None:
    """Goal: a delay is drawn from the range of its jitter, and not always alike.
    Method: the first delay for 200 seeds."""
    policy = RetryPolicy(initial=8, max=120, jitter=jitter)
    drawn = {policy.preview(1, seed=seed)[0][0] for seed in range(200)}
    assert len(drawn) > 100
    assert least <= min(drawn) <= max(drawn) <= most


def test_a_seed_gives_the_same_delays() -> None:
    """Goal: tests can be repeated. Method: one seed twice, and another one."""
    policy = RetryPolicy(max_attempts=20)
    assert policy.preview(seed=7) == policy.preview(seed=7)
    assert policy.preview(seed=7) != policy.preview(seed=8)
    assert policy.preview() != policy.preview()


@pytest.mark.parametrize(
    ("policy", "attempts", "first", "last"),
    [
        (RetryPolicy.aws_standard(), 3, 1, 2),
        (RetryPolicy.aws_2026(), 3, 0.05, 0.1),
        (RetryPolicy.aws_2026_throttled(), 3, 1, 2),
        (RetryPolicy.grpc_example(), 4, 0.12, 0.48),
        (RetryPolicy.grpc(0.1, 1, 2.0, 9), 5, 0.12, 0.96),
        (RetryPolicy.resilience4j(), 3, 0.75, 1.125),
        (RetryPolicy.polly_v8(), 4, 30, 120),
        (RetryPolicy.celery(), 4, 180, 180),
        (RetryPolicy.celery_backoff(), 4, 1, 4),
    ],
)
def test_presets_are_what_others_publish(
    policy: RetryPolicy, attempts: int, first: float, last: float
) -> None:
    """Goal: a preset has the constants of its origin. Method: the number of attempts, and the most
    that the first and the last delay of 100 seeds are."""
    previews = [policy.preview(seed=seed) for seed in range(100)]
    assert {reason for _, reason in previews} == {"attempts"}
    assert {len(delays) + 1 for delays, _ in previews} == {attempts}
    assert max(delays[0] for delays, _ in previews) <= first
    assert max(delays[-1] for delays, _ in previews) <= last


def test_a_decision_follows_the_rules() -> None:
    """Goal: in-call retries decide as the engine does. Method: each rule that ends, or changes, the
    delay."""
    policy = RetryPolicy(backoff="constant", initial=2, max_attempts=3, deadline=10)
    assert policy.decide(1, 0) == 2.0
    assert policy.decide(2, 0) == 2.0
    assert policy.decide(3, 0) is None
    assert policy.decide(1, 8) == 2.0
    assert policy.decide(1, 8.5) is None
    assert policy.decide(1, 7, expected_duration=1) == 2.0
    assert policy.decide(1, 7, expected_duration=timedelta(seconds=2)) is None
    assert policy.decide(1, 0, retry_after=5) == 5.0
    assert policy.decide(1, 0, retry_after="7") == 7.0
    assert policy.decide(1, 0, retry_after="soon") == 2.0
    assert policy.decide(1, 0, retry_after=60) is None
    assert policy.decide(1, 0, refused=True) is None
    grown = RetryPolicy(initial=1, max=100, jitter="decorrelated", max_attempts=9)
    drawn = {grown.decide(2, 0, previous_delay=20) for _ in range(200)}
    assert max(delay for delay in drawn if delay is not None) > 3


def test_hints_are_followed_within_limits() -> None:
    """Goal: a service does not rule the client. Method: each limit against hints beyond it."""
    policy = RetryPolicy(backoff="constant", initial=2, hint_min=1, hint_max=30)
    assert policy.decide(1, 0, retry_after=0) == 1.0
    assert policy.decide(1, 0, retry_after=3_000) == 30.0
    assert policy.replace(ignore_hints=True).decide(1, 0, retry_after=9) == 2.0
    assert policy.replace(ignore_hints=True).decide(1, 0, refused=True) == 2.0
    beyond = policy.replace(hint_beyond_drawn=3)
    assert beyond.decide(1, 0, retry_after=9) == 5.0
    assert beyond.decide(1, 0, retry_after=1) == 2.0
    assert RetryPolicy.celery().decide(1, 0, retry_after=100_000) == 3_600.0


def test_a_date_to_come_is_counted_from_now() -> None:
    """Goal: a `Retry-After` may be a date, where there is no engine too. Method: one that is ten
    minutes away, by what the system's clock says before and after."""
    policy = RetryPolicy(backoff="constant", initial=2)
    before = time.time()
    date = math.ceil(before) + 600
    delay = policy.decide(1, 0, retry_after=email.utils.formatdate(date, usegmt=True))
    assert delay is not None
    # Within a microsecond, which is what a float has left of such a time; and a delay is rounded up
    # to whole milliseconds.
    assert date - time.time() - 1e-5 < delay < date - before + 1e-3 + 1e-5


def test_limits_are_replaced() -> None:
    """Goal: a preset takes limits of one's own. Method: each limit, and the first policy is as it
    was."""
    policy = RetryPolicy.celery()
    assert len(policy.replace(max_attempts=8).preview()[0]) == 7
    assert policy.replace(deadline=400, max_attempts=9).preview() == ([180.0, 180.0], "deadline")
    assert policy.replace() == policy == RetryPolicy.celery()
    assert policy.replace(max_attempts=8) != policy
    limited = policy.replace(attempt_timeout=30, deadline=40)
    assert (limited.attempt_limit(), limited.attempt_limit(25)) == (30.0, 15.0)
    assert policy.attempt_limit() is None
    assert "180s" in repr(policy)


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"initial": 0}, "initial"),
        ({"initial": -1}, "initial"),
        ({"multiplier": 0.5}, "multiplier"),
        ({"max": 0}, "max"),
        ({"max_attempts": 0}, "max_attempts"),
        ({"deadline": 0}, "deadline"),
        ({"attempt_timeout": 0}, "attempt_timeout"),
        ({"expected_duration": 9, "attempt_timeout": 3}, "expected_duration"),
        ({"hint_min": 5, "hint_max": 1}, "hint_min"),
        ({"jitter": 1.5}, "jitter"),
        ({"jitter": "some"}, "jitter"),
        ({"backoff": "odd"}, "backoff"),
        ({"delays": []}, "list"),
        ({"delays": [-1]}, "delays"),
        ({"backoff": "constant", "multiplier": 2.0}, "multiplier"),
        ({"backoff": "exponential", "increment": 2}, "increment"),
        ({"backoff": "exponential", "delays": [1]}, "delays"),
        ({"delays": [1], "initial": 1}, "initial"),
        ({"backoff": "constant", "jitter": "decorrelated"}, "jitter"),
    ],
)
def test_policies_are_checked(options: dict[str, Any], field: str) -> None:
    """Goal: a policy that cannot be is refused by its field. Method: each option out of its range,
    or beside what it does not go with."""
    with pytest.raises(InvalidInputError) as refused:
        RetryPolicy(**options)
    assert refused.value.field == field
