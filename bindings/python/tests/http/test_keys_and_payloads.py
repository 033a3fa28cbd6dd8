"""The parts of the middlewares that need no server: keys, payloads, headers, policies."""

from __future__ import annotations

import json
from typing import Any

import pytest
from test_replays import NEVER

from oncegate import Engine, Mismatched, OncegateError, Request, Scope
from oncegate._errors import raised
from oncegate._policy import OutcomePolicy, Preset
from oncegate.http.gate import Gate
from oncegate.http.headers import KEPT, kept_names
from oncegate.http.key import REPEATED, MalformedKeyError, read_key
from oncegate.http.payload import boundary_in, payload_of
from oncegate.http.problem import STATUSES, Problems, whole_seconds
from oncegate.http.settings import Settings


def test_bare_and_quoted_keys_agree() -> None:
    """Goal: both spellings of a key name the same key.
    Method: bare, quoted, escaped, with parameters and surrounding space."""
    for spelling in (b"8e03-978e", b'"8e03-978e"', b"  8e03-978e ", b'"8e03-978e";v=1'):
        assert read_key(spelling) == b"8e03-978e", spelling
    assert read_key(rb'"a \"b\" \\ c"') == rb'a "b" \ c'
    # A quoted key of no characters is the engine's to refuse.
    assert read_key(b'""') == b""


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b" \t",
        b"a" + REPEATED + b"a",
        b'"a' + REPEATED + b'"b',
        b"a, b",
        b"a,b",
        b'"a", "b"',
        b'"a',
        rb'"a\x"',
        b'"a\\',
        b'"a"b',
        b"a b",
        b"k\xe9y",
        b'"k\xe9y"',
    ],
)
def test_ambiguous_keys_are_refused(value: bytes) -> None:
    """Goal: a key that can be read in two ways is refused, and not told.
    Method: joined headers, repeated headers, broken quoting, characters outside of ASCII."""
    with pytest.raises(MalformedKeyError) as refused:
        read_key(value)
    assert (REPEATED in value) == ("more than one" in str(refused.value))
    assert not value.strip() or value.decode("latin-1").strip() not in str(refused.value)


def is_same(kind: bytes | None, first: bytes, second: bytes, is_encoded: bool = False) -> bool:
    """Whether the engine takes two bodies for the same."""
    with Engine(private=True, capacity=16) as engine:
        scope = Scope.SINGLE_TENANT

        def asked(body: bytes) -> Request:
            return Request("op", b"k", scope=scope, payload=payload_of(kind, is_encoded, body))

        # Held, or it would be given back.
        held = engine.begin(asked(first))
        same = not isinstance(engine.begin(asked(second)), Mismatched)
        del held
        return same


@pytest.mark.parametrize(
    ("kind", "first", "second"),
    [
        (b"application/json", b'{"a":1,"b":2}', b'{ "b": 2, "a": 1.0 }'),
        (b"Application/JSON; charset=utf-8", b"[1]", b"[ 1 ]"),
        (b"application/merge-patch+json", b"[1]", b"[ 1 ]"),
        (b"text/json", b"[1]", b"[ 1 ]"),
        (b"application/x-www-form-urlencoded", b"a=1&b=%41", b"a=1&b=A"),
        (
            b"multipart/form-data; boundary=x",
            b'--x\r\ncontent-disposition: form-data; name="a"\r\n\r\n1\r\n--x--\r\n',
            b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--x--\r\n',
        ),
    ],
)
def test_content_types_choose_the_comparison(kind: bytes, first: bytes, second: bytes) -> None:
    """Goal: bodies are compared as their handlers read them.
    Method: two spellings of one value; encoded, or of no known type, they differ."""
    assert is_same(kind, first, second)
    assert not is_same(kind, first, second, is_encoded=True)
    for other in (None, b"text/plain", b"application/x-ndjson", kind + REPEATED + kind, b"\xff"):
        assert not is_same(other, first, second), other


def test_what_is_no_json_is_refused() -> None:
    """Goal: a body that is not what its type says is refused; an empty one is no payload.
    Method: a broken document, and none, with the type that the client sets everywhere."""
    assert payload_of(b"application/json", False, b"") is None
    with pytest.raises(OncegateError) as refused:
        is_same(b"application/json", b"{", b"{")
    assert refused.value.name == "InvalidPayload"


@pytest.mark.parametrize(
    ("parameters", "boundary"),
    [
        ("boundary=abc", "abc"),
        (' charset="a;boundary=no"; Boundary="x y"', "x y"),
        ("boundary=abc ; charset=utf-8", "abc"),
        ("", ""),
        ('boundary="open', ""),
        ("charset=utf-8", ""),
    ],
)
def test_boundaries_are_found(parameters: str, boundary: str) -> None:
    """Goal: the boundary is found in every spelling.
    Method: quoted, unquoted, in any case, behind others, and absent."""
    assert boundary_in(parameters) == boundary


def test_credentials_are_never_kept() -> None:
    """Goal: no setting has a header replayed that belongs to one client or one connection.
    Method: ask for each of them; and for a harmless one, and for what is no name."""
    for name in (*NEVER, "Content-Length", "Set-Cookie", "AUTHORIZATION"):
        with pytest.raises(ValueError, match="keep_headers"):
            kept_names([name])
    assert kept_names(["X-Charge"]) == {*KEPT, "x-charge"}
    with pytest.raises(ValueError, match="keep_headers"):
        kept_names(["x charge"])
    with pytest.raises(TypeError):
        kept_names("x-charge")


def test_each_code_has_its_answer() -> None:
    """Goal: every problem is a document of RFC 9457 with its own code.
    Method: make each, with and without a place where problems are documented."""
    problems = Problems("https://example.com/problems/", "Idempotency-Key", 1_000)
    explained = {"invalid-key", "invalid-payload", "operation-too-long", "quota-exceeded"}
    for code, status in STATUSES.items():
        answer = problems.answer(code, "why" if code in explained else None, 0.2)
        assert answer.status == status
        headers = dict(answer.headers)
        assert headers[b"content-type"] == b"application/problem+json"
        assert headers[b"retry-after"] == b"1"
        assert f'"code":"{code}"'.encode() in answer.body
        assert f'"type":"https://example.com/problems/{code}"'.encode() in answer.body
        assert int(headers[b"content-length"]) == len(answer.body)
    assert b'"about:blank"' in Problems(None, "k", 1).answer("full").body
    assert [whole_seconds(delay) for delay in (0, 0.1, 1, 1.01)] == [b"1", b"1", b"1", b"2"]


@pytest.mark.parametrize(
    ("name", "after", "code", "told"),
    [
        ("TierUnavailable", None, "tier-unavailable", b"1"),
        ("TierUnavailable", 0.001, "tier-unavailable", b"1"),
        ("TierUnavailable", 2.5, "tier-unavailable", b"3"),
        ("TierUnsafe", None, "unavailable", None),
    ],
)
def test_tiers_that_are_away_are_told_as_such(
    name: str, after: float | None, code: str, told: bytes | None
) -> None:
    """Goal: clients come again when a store across machines may be back, and are not told to where
    it may not be used; they are told nothing of where it is.
    Method: each error of such a store, with and without a time of its own."""
    with Engine(private=True, capacity=16) as engine:
        gate = Gate(Settings(engine, single_tenant=True))
        error = raised(name, "tier: redis.internal:6379", 28, "tier", after, told is not None)
        answer = gate.refusal(error)
    assert (answer.status, dict(answer.headers).get(b"retry-after")) == (503, told)
    assert f'"code":"{code}"'.encode() in answer.body
    assert b"redis" not in answer.body


def test_each_code_is_an_error_of_stripes() -> None:
    """Goal: with the other format every answer is what Stripe's SDKs read: its type by its status,
    but for the one error that has a type of its own. Method: make each; the status is that of the
    code, but for that error."""
    problems = Problems(None, "Idempotency-Key", 1_000, "stripe")
    explained = {"invalid-key", "invalid-payload", "operation-too-long", "quota-exceeded"}
    final = set()
    for code, status in STATUSES.items():
        answer = problems.answer(code, "why" if code in explained else None, 0.2)
        headers = dict(answer.headers)
        assert headers[b"content-type"] == b"application/json"
        assert headers[b"retry-after"] == b"1"
        assert int(headers[b"content-length"]) == len(answer.body)
        if headers.get(b"stripe-should-retry") == b"false":
            final.add(code)
        error = json.loads(answer.body)["error"]
        assert set(error) == {"type", "code", "message"}
        if code == "mismatched":
            assert (answer.status, error["type"]) == (400, "idempotency_error")
            continue
        kind = "api_error" if status >= 500 else "invalid_request_error"
        assert (answer.status, error["type"]) == (status, kind)
        is_running = code in ("in-progress", "scheduled")
        assert error["code"] == ("idempotency_key_in_use" if is_running else code)
    assert final == {"unresolved", "outcome-gone", "misconfigured"}


def test_presets_judge_as_they_are_published() -> None:
    """Goal: each preset judges as its source says. Method: statuses at the edges of each."""
    final: dict[Preset, tuple[int, ...]] = {
        "ietf": (200, 304, 404, 422),
        "stripe-v1": (200, 402, 500, 503),
        "stripe-v2": (200, 303),
        "oasis": (200, 409, 404),
        "iceberg": (200, 201, 204, 409),
    }
    retryable: dict[Preset, tuple[int, ...]] = {
        "ietf": (401, 403, 408, 409, 425, 429, 500),
        "stripe-v1": (409, 429),
        "stripe-v2": (400, 402, 500),
        "oasis": (500, 503),
        "iceberg": (202, 419, 503),
    }
    for preset, statuses in final.items():
        policy = OutcomePolicy(preset)
        assert {policy.judge(status) for status in statuses} == {"final"}, preset
        assert {policy.judge(status) for status in retryable[preset]} == {"retryable"}, preset


def test_policies_are_changed_status_by_status() -> None:
    """Goal: one status may be judged otherwise, and a mistake is told at once.
    Method: change one; give presets, statuses and judgements that there are not."""
    policy = OutcomePolicy("ietf", statuses={504: "unknown"}, on_error="final")
    assert (policy.judge(504), policy.judge(503)) == ("unknown", "retryable")
    assert policy.on_error == "unknown"
    wrongs: tuple[dict[str, Any], ...]
    wrongs = ({"preset": "ietf-2"}, {"statuses": {1_000: "final"}}, {"on_error": "maybe"})
    for wrong in wrongs:
        with pytest.raises(ValueError, match="refused"):
            OutcomePolicy(**wrong)
