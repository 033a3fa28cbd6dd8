"""Tokens to poll by, and how often a scope may ask."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any

import pytest

from oncegate import Scope
from oncegate.http import polling
from oncegate.http.polling import Limiter, Polling, Tokens, name_of

FINGERPRINT = bytes(range(32))


def test_a_token_opens_for_its_scope_alone() -> None:
    """Goal: a token is good for the scope that it was given to, and for no other.
    Method: open it for both, and with another secret; what it opens to elsewhere is no record."""
    tokens = Tokens(b"secret" * 4)
    token = tokens.seal(b"acme", FINGERPRINT)
    assert tokens.open(b"acme", token) == (True, FINGERPRINT)
    for other, scope in ((tokens, b"ecma"), (Tokens(b"another" * 4), b"acme")):
        is_own, opened = other.open(scope, token)
        assert not is_own
        assert opened != FINGERPRINT


def test_each_change_of_a_token_is_noticed() -> None:
    """Goal: tokens can be neither changed nor respelled.
    Method: flip each bit; cut it; add to it; pad it; give what is no token."""
    tokens = Tokens(b"secret" * 4)
    token = tokens.seal(b"acme", FINGERPRINT)
    data = urlsafe_b64decode(token)
    for bit in range(len(data) * 8):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        assert not tokens.open(b"acme", urlsafe_b64encode(changed).decode())[0], bit
    for other in ("", "a", token[:-4], token + "AAAA", token + "=", token + "\n", "é" * 64, "*"):
        assert not tokens.open(b"acme", other)[0], other


def test_a_token_tells_nothing() -> None:
    """Goal: a token does not show the fingerprint that it stands for.
    Method: seal two that differ in one bit, and compare what they look like."""
    tokens = Tokens(b"secret" * 4)
    first = urlsafe_b64decode(tokens.seal(b"acme", FINGERPRINT))
    second = urlsafe_b64decode(tokens.seal(b"acme", FINGERPRINT[:-1] + b"\x1e"))
    same = sum(one == other for one, other in zip(first, second))
    assert same < 8
    assert FINGERPRINT not in first


def test_scopes_have_names_of_their_own() -> None:
    """Goal: no two scopes share tokens or buckets. Method: names of all kinds of scopes."""
    assert name_of("acme") == name_of(b"acme") == name_of(Scope("acme"))
    names = [name_of(scope) for scope in ("s", "u", Scope.SINGLE_TENANT, Scope.UNAUTHENTICATED)]
    assert len(set(names)) == 4


def test_buckets_fill_by_time() -> None:
    """Goal: a scope asks in a burst, and then at its rate, whatever others do.
    Method: a clock by hand; two scopes."""
    now = 0.0
    limiter = Limiter(2.0, 3, clock=lambda: now)
    assert [limiter.delay(b"a") for _ in range(3)] == [0, 0, 0]
    assert limiter.delay(b"a") == 0.5
    assert limiter.delay(b"b") == 0
    now = 0.5
    assert [limiter.delay(b"a"), limiter.delay(b"a")] == [0, 0.5]
    now = 100.0
    assert [limiter.delay(b"a") for _ in range(4)] == [0, 0, 0, 0.5]


def test_buckets_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Goal: as many scopes as there are do not fill the memory; who asked last is remembered.
    Method: room for two buckets of one question, and three scopes."""
    monkeypatch.setattr(polling, "_MOST_SCOPES", 2)
    limiter = Limiter(1.0, 1, clock=lambda: 0.0)
    assert [limiter.delay(scope) for scope in (b"a", b"b", b"c")] == [0, 0, 0]
    assert len(limiter._buckets) == 2
    assert [limiter.delay(scope) for scope in (b"c", b"b", b"a")] == [1, 1, 0]


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("secret", {"secret": b"short"}),
        ("path", {"path": "requests"}),
        ("path", {"path": "/requests/"}),
        ("rate", {"rate": 0}),
        ("burst", {"burst": 0}),
    ],
)
def test_settings_of_polling_are_checked(field: str, wrong: dict[str, Any]) -> None:
    """Goal: what nobody could poll by is refused, and the secret is not shown.
    Method: one wrong setting at a time."""
    right: dict[str, Any] = {"secret": b"0123456789abcdef"}
    with pytest.raises(ValueError, match=field):
        Polling(**{**right, **wrong})
    assert "0123456789" not in repr(Polling(b"0123456789abcdef"))
