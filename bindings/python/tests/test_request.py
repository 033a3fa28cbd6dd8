"""Requests: what names one, and what may not come with the same name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from support import asked, lease_of, untyped

from oncegate import (
    Admitted,
    Engine,
    InvalidInputError,
    KeyRules,
    Mismatched,
    Payload,
    Quota,
    QuotaExceededError,
    Replayed,
    Request,
    Scope,
)


@pytest.fixture
def engine() -> Iterator[Engine]:
    with Engine(private=True, capacity=1_000) as engine:
        yield engine


def test_names_of_scopes_are_told_apart(engine: Engine) -> None:
    """Goal: scopes never share a record. Method: one key in five scopes, each is admitted; text and
    its UTF-8 are one name."""
    scopes: list[str | bytes | Scope] = ["acme", "ACME", b"\xff", "naïve"]
    scopes += [Scope.SINGLE_TENANT, Scope.UNAUTHENTICATED]
    for scope in scopes:
        lease_of(engine.begin(asked(scope=scope))).complete(b"")
    assert isinstance(engine.begin(asked(scope="naïve".encode())), Replayed)
    assert isinstance(engine.begin(asked(scope=Scope("acme"))), Replayed)
    assert Scope("acme") == Scope(b"acme") != Scope.SINGLE_TENANT
    assert (Scope("acme").name, Scope(b"\xff").name) == (b"acme", b"\xff")
    assert Scope.SINGLE_TENANT.name is Scope.UNAUTHENTICATED.name is None
    assert len({Scope("a"), Scope(b"a"), Scope.SINGLE_TENANT, Scope.SINGLE_TENANT}) == 2


def test_callers_whom_nobody_knows_have_a_quota_of_their_own() -> None:
    """Goal: what is not authenticated takes no tenant's room. Method: a quota of one record for it;
    the second is refused there, and nowhere else."""
    quota = Quota(max_live=1)
    with Engine(private=True, capacity=1_000, unauthenticated_quota=quota) as engine:
        for scope in (Scope.UNAUTHENTICATED, Scope.SINGLE_TENANT, Scope("acme")):
            lease_of(engine.begin(asked("1", scope=scope))).complete()
        with pytest.raises(QuotaExceededError):
            engine.begin(asked("2", scope=Scope.UNAUTHENTICATED))
        for scope in (Scope.SINGLE_TENANT, Scope("acme"), Scope("unauthenticated")):
            assert isinstance(engine.begin(asked("2", scope=scope)), Admitted)
    assert (quota.max_live, quota.rate, quota.burst) == (1, None, 1)


@pytest.mark.parametrize("wrong", ["", b"", "x" * 2_000])
def test_a_scope_alone_is_checked(engine: Engine, wrong: str | bytes) -> None:
    """Goal: a name that can be no scope is refused where it is given. Method: by the class, and by
    a call that takes a name."""
    for call in (lambda: Scope(wrong), lambda: engine.remove_quota(wrong)):
        with pytest.raises(InvalidInputError) as refused:
            call()
        assert refused.value.field == "scope"


@pytest.mark.parametrize(
    ("operation", "key", "scope", "field"),
    [
        ("", "k", "acme", "operation"),
        ("x" * 2_000, "k", "acme", "operation"),
        ("op", "", "acme", "key"),
        ("op", "k" * 2_000, "acme", "key"),
        ("op", "k", "", "scope"),
    ],
)
def test_what_names_nothing_is_refused(
    operation: str, key: str | None, scope: str, field: str
) -> None:
    """Goal: a request that cannot be told apart is refused by the field.
    Method: each part empty, or too long, or missing."""
    with pytest.raises(InvalidInputError) as refused:
        Request(operation, key, scope=scope)
    assert refused.value.field == field
    assert isinstance(refused.value, ValueError)


@pytest.mark.parametrize("wrong", [7, 1.5, ["k"], bytearray(b"k"), object()])
def test_keys_are_text_or_bytes(wrong: Any) -> None:
    """Goal: what is neither text nor bytes is no key. Method: other types are a TypeError."""
    with pytest.raises(TypeError):
        Request("op", wrong, scope="acme")
    with pytest.raises(TypeError):
        untyped(Request)("op", "k")


@pytest.mark.parametrize(
    ("first", "same", "other"),
    [
        (Payload.raw(b"a b"), Payload.raw(b"a b"), Payload.raw(b"a  b")),
        (
            Payload.json(b'{"a": 1.0, "b": [2]}'),
            Payload.json(b'{"b":[2],"a":1}'),
            Payload.json(b'{"a": 1, "b": [3]}'),
        ),
        (Payload.form(b"a=1&b=%20"), Payload.form(b"b=+&a=1"), Payload.form(b"a=1&b=2")),
        (
            Payload.json(b'{"a": 1, "at": 7}').excluding(["/at"]),
            Payload.json(b'{"a": 1, "at": 8}').excluding(["/at"]),
            Payload.json(b'{"a": 2, "at": 7}').excluding(["/at"]),
        ),
        (
            Payload.json(b'{"a": 1, "at": 7}').including(["/a"]),
            Payload.json(b'{"a": 1, "at": 8}').including(["/a"]),
            Payload.json(b'{"a": 2, "at": 7}').including(["/a"]),
        ),
        (
            Payload.json(b'{"a": {"b": 1, "at": 7}}').including(["/a"]).excluding(["/a/at"]),
            Payload.json(b'{"a": {"b": 1, "at": 8}, "c": 1}')
            .including(["/a"])
            .excluding(["/a/at"]),
            Payload.json(b'{"a": {"b": 2, "at": 7}}').including(["/a"]).excluding(["/a/at"]),
        ),
        (
            Payload.json(b'{"a": {"b": 1, "at": 7}}').excluding(["/a/at"]).including(["/a"]),
            Payload.json(b'{"a": {"b": 1, "at": 8}, "c": 1}')
            .excluding(["/a/at"])
            .including(["/a"]),
            Payload.json(b'{"a": {"b": 2, "at": 7}}').excluding(["/a/at"]).including(["/a"]),
        ),
    ],
    ids=["raw", "json", "form", "excluding", "including", "both", "both, turned round"],
)
def test_payloads_are_compared_by_what_they_say(
    engine: Engine, first: Payload, same: Payload, other: Payload
) -> None:
    """Goal: a resend may be written otherwise, and may not say otherwise.
    Method: for each format one that is equal and one that is not."""

    def of(payload: Payload) -> Request:
        return Request("charge", "k", scope="acme", payload=payload)

    lease_of(engine.begin(of(first))).complete(b"done")
    assert isinstance(engine.begin(of(same)), Replayed)
    assert isinstance(engine.begin(of(other)), Mismatched)


def test_multipart_is_compared_without_its_boundary(engine: Engine) -> None:
    """Goal: two clients that make boundaries of their own are equal. Method: one form, twice."""

    def form(boundary: str, value: str) -> Request:
        body = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="a"\r\n\r\n{value}\r\n'
            f"--{boundary}--\r\n"
        )
        payload = Payload.multipart(body.encode(), boundary)
        return Request("charge", "k", scope="acme", payload=payload)

    lease_of(engine.begin(form("aaa", "1"))).complete(b"")
    assert isinstance(engine.begin(form("bbb", "1")), Replayed)
    assert isinstance(engine.begin(form("aaa", "2")), Mismatched)


def test_a_payload_stands_in_for_the_key(engine: Engine) -> None:
    """Goal: without a key the payload names the request. Method: the same and another one."""
    lease_of(engine.begin(asked(None, b"a"))).complete(b"")
    assert isinstance(engine.begin(asked(None, b"a")), Replayed)
    assert isinstance(engine.begin(asked(None, b"b")), Admitted)


def test_broken_json_is_refused(engine: Engine) -> None:
    """Goal: what is no JSON is not compared as if it were. Method: half a document."""
    request = Request("charge", "k", scope="acme", payload=Payload.json(b'{"a":'))
    with pytest.raises(InvalidInputError) as refused:
        engine.begin(request)
    assert refused.value.name == "InvalidPayload"


def test_representations_tell_no_secrets() -> None:
    """Goal: logs hold neither keys nor payloads. Method: `repr` of all that has some."""
    payload = Payload.raw(b"secret")
    request = Request("charge", "secret", scope="secret", payload=payload)
    with Engine(private=True, capacity=64) as engine:
        texts = [repr(request), repr(payload), repr(Scope("secret")), repr(engine.prepare(request))]
    assert not [text for text in texts if "secret" in text]
    assert (request.operation, request.scope, len(payload)) == ("charge", Scope("secret"), 6)


def test_rules_for_keys() -> None:
    """Goal: an engine refuses keys that break its rules. Method: each rule once, by `check` and by
    the engine."""
    uuid = "8fd1a6c0-3f4e-4e0a-9d6c-0a6f0e9c7b11"
    KeyRules(uuid=True).check(uuid)
    for rules, key in [
        (KeyRules(uuid=True), "8fd1"),
        (KeyRules(min_len=8), "short"),
        (KeyRules(max_len=8), "longer than that"),
        (KeyRules(charset="hex"), "xyz"),
        (KeyRules(charset="alphanumeric_dash_underscore"), "a b"),
        (KeyRules(refuse_predictable=True), "1"),
    ]:
        with pytest.raises(InvalidInputError):
            rules.check(key)
        with (
            Engine(private=True, capacity=64, key_rules=rules) as engine,
            pytest.raises(InvalidInputError, match="key"),
        ):
            engine.begin(asked(key))
    with pytest.raises(InvalidInputError):
        untyped(KeyRules)(charset="latin")
