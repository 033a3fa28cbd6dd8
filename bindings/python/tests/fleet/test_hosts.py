"""Two hosts that share a store: what runs on one of them does not run on the other."""

from __future__ import annotations

import os
import threading
from typing import Any

import pytest
import redis as client
from stores import PATIENCE, SECRET, Hosts, Store, asked, lease_of, until

import oncegate
from oncegate import (
    AttemptError,
    Buried,
    Engine,
    Failed,
    Failure,
    InProgress,
    InvalidInputError,
    Mismatched,
    Outcome,
    Redis,
    Replayed,
    Succeeded,
    TierOptions,
    TierUnavailableError,
    TierUnsafeError,
    Unresolved,
)


def test_a_request_runs_on_one_host(hosts: Hosts) -> None:
    """Goal: of two hosts one runs a request, and both give its outcome. Method: each answer that
    the other host gets, from the start to the replay, and what is counted of it."""
    one, other = hosts.host(), hosts.host()
    assert one.has_tier and one.tier_stats() is not None
    lease = lease_of(one.begin(asked(payload=b"100")))
    assert not lease.local_only
    assert isinstance(other.begin(asked(payload=b"100")), InProgress)
    assert isinstance(other.begin(asked(payload=b"999")), Mismatched)
    assert lease.renew(60) > 50
    assert lease.complete(Outcome(201, b"charged", {"a": "b"})) == "stored"
    for engine in (one, other):
        replayed = engine.begin(asked(payload=b"100"))
        assert isinstance(replayed, Replayed)
        assert (replayed.status, replayed.body) == (201, b"charged")
        assert replayed.metadata == [("a", "b")]
        assert isinstance(engine.begin(asked(payload=b"999")), Mismatched)
    told = other.tier_stats()
    assert told is not None and (told.imported, told.granted) == (1, 0)
    assert told.as_dict()["imported"] == 1


def test_tokens_grow_from_host_to_host(hosts: Hosts) -> None:
    """Goal: a failed attempt is followed by the next one, on whichever host, with a higher token.
    Method: each way to end an attempt without success, on two hosts in turn."""
    one, other = hosts.host(), hosts.host()
    first = lease_of(one.begin(asked()))
    first.fail()
    second = lease_of(other.begin(asked()))
    assert (first.attempt, second.attempt) == (1, 2)
    assert second.fencing_token > first.fencing_token
    second.abandon()
    third = lease_of(one.begin_batch([asked()])[0])
    assert third.attempt == 3 and third.fencing_token > second.fencing_token
    one.fail(third.into_token(), Failure.unknown())
    assert isinstance(other.prepare(asked()).begin(), Unresolved)
    other.resolve(asked(), Succeeded(b"found out"))
    replayed = one.begin(asked())
    assert isinstance(replayed, Replayed) and replayed.body == b"found out"
    with pytest.raises(oncegate.NotFoundError):
        one.resolve(asked(), Failed(b""))


def test_an_answer_of_another_host_is_waited_for(hosts: Hosts) -> None:
    """Goal: `wait` waits for an attempt of another host. Method: a thread waits on one host until
    it is counted there, and the other one completes."""
    one, other = hosts.host(), hosts.host()
    lease = lease_of(one.begin(asked()))
    answers: list[oncegate.Admission] = []
    thread = threading.Thread(target=lambda: answers.append(other.begin(asked(), wait=PATIENCE)))
    thread.start()

    def elsewhere() -> int:
        told = other.tier_stats()
        assert told is not None
        return told.elsewhere

    until(lambda: elsewhere() == 1, "it was told that another host runs it, and waits")
    lease.complete(b"7")
    thread.join(PATIENCE)
    assert isinstance(answers[0], Replayed) and answers[0].body == b"7"


def test_a_forked_child_has_its_own_connections(hosts: Hosts) -> None:
    """Goal: a worker that was forked from a process that has talked to the store talks to it by
    itself, and both go on. Method: parent and child in turn, over one inherited table."""
    engine = hosts.host(private=False)
    lease_of(engine.begin(asked("before"))).complete(b"1")
    child = os.fork()
    if child == 0:
        code = 1
        try:
            lease_of(engine.begin(asked("child"))).complete(b"2")
            code = 0
        finally:
            os._exit(code)
    lease_of(engine.begin(asked("parent"))).complete(b"3")
    assert os.waitpid(child, 0)[1] == 0
    other = hosts.host()
    for key in ("before", "child", "parent"):
        assert isinstance(other.begin(asked(key)), Replayed), key


def test_settings_are_checked() -> None:
    """Goal: what cannot work is refused when the engine is made, and no text shows a password.
    Method: each kind of wrong setting; the texts of what is right."""
    secret, url = "hunter2", "redis://shop:hunter2@127.0.0.1:1/0"
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"redis": url}, "secret"),
        ({"redis": "http://shop:hunter2@127.0.0.1", "secret": SECRET}, "redis"),
        ({"tier_options": TierOptions()}, "tier_options"),
        (
            {"redis": url, "secret": SECRET, "tier_options": TierOptions(deadline=3600)},
            "tier.deadline",
        ),
    ]
    for options, field in wrong:
        with pytest.raises(InvalidInputError) as refused:
            Engine(**options)
        assert refused.value.field == field
        assert secret not in str(refused.value) and secret not in repr(refused.value)
    settings: list[dict[str, Any]] = [
        {"connections": 0},
        {"prefix": "{a}"},
        {"encryption_key": b"short"},
    ]
    for more in settings:
        with pytest.raises(InvalidInputError):
            Redis(url, **more)
    on_outage: dict[str, Any] = {"on_outage": "explode"}
    with pytest.raises(InvalidInputError, match="on_outage"):
        TierOptions(**on_outage)
    redis = Redis(url, user=("shop", secret), encryption_key=secret.encode().ljust(32))
    assert repr(redis) == 'Redis(prefix="oncegate:")'
    with Engine(redis=redis, secret=SECRET, private=True) as engine:
        with pytest.raises(TierUnavailableError) as gone:
            engine.begin(asked())
        assert secret not in repr(engine) + str(gone.value) + repr(gone.value)
        assert gone.value.retriable and gone.value.retry_after is not None
    without = Engine(private=True)
    assert not without.has_tier and without.tier_stats() is None and without.tier_hazards() == []
    assert not lease_of(without.begin(asked())).local_only


def test_outcomes_are_encrypted_and_kept_apart(store: Store, hosts: Hosts) -> None:
    """Goal: the settings of `Redis` reach the store: prefixes keep two shops apart, and who lacks
    the key gets no bytes. Method: hosts that differ in one of both."""
    key = b"k" * 32
    mine = hosts.host(Redis(store.url, encryption_key=key))
    lease_of(mine.begin(asked())).complete(b"secret")
    again = hosts.host(Redis(store.url, encryption_key=key)).begin(asked())
    assert isinstance(again, Replayed) and again.body == b"secret"
    blind = hosts.host(Redis(store.url, encryption_key=b"x" * 32)).begin(asked())
    assert isinstance(blind, oncegate.OutcomeGone)
    lease_of(hosts.host(Redis(store.url, prefix="other:")).begin(asked())).abandon()


def test_dead_letters_of_all_hosts_are_in_one_stream(store: Store, hosts: Hosts) -> None:
    """Goal: with the option each dead letter of each host is in the stream, and counted; without it
    there is no stream; a number out of its range is refused. Method: a request that fails for good
    on each of two hosts, and on one without the option."""
    server = client.Redis.from_url(store.url, decode_responses=True)
    stream = "oncegate:{dd}letters"
    error = AttemptError("404", terminal=True)
    without = hosts.host()
    lease_of(without.begin(asked("0"))).retry_later(error, "charge")
    without.flush_tier(PATIENCE)
    assert not server.exists(stream)
    tokens = []
    for key in ("1", "2"):
        host = hosts.host(Redis(store.url, dead_letters=10))
        lease = lease_of(host.begin(asked(key)))
        tokens.append(str(lease.fencing_token))
        assert isinstance(lease.retry_later(error, "charge"), Buried)
        host.flush_tier(PATIENCE)
        told = host.tier_stats()
        assert told is not None
        assert (told.letters_logged, told.letters_waiting, told.letters_lost) == (1, 0, 0)
        (letter,) = host.dead_letters()
        rows: Any = server.xrange(stream)
        entries = [entry for _, entry in rows]
        assert (entries[-1]["letter"], entries[-1]["reason"]) == (letter.id, "final_error")
    assert [entry["token"] for entry in entries] == tokens
    for wrong in (0, 1_000_001):
        with pytest.raises(InvalidInputError, match="dead_letters"):
            Redis(store.url, dead_letters=wrong)


def test_a_store_that_evicts_is_refused(store: Store, hosts: Hosts) -> None:
    """Goal: a server that may drop records is not used, unless that is asked for; then it is
    reported. Method: a policy that evicts, set from outside."""
    server = client.Redis.from_url(store.url)
    server.config_set("maxmemory", "100mb")
    server.config_set("maxmemory-policy", "allkeys-lru")
    with pytest.raises(TierUnsafeError):
        hosts.host().begin(asked())
    allowed = hosts.host(Redis(store.url, allow_eviction=True))
    lease_of(allowed.begin(asked())).abandon()
    until(lambda: "evicts" in [it.kind for it in allowed.tier_hazards()], "it is reported")
