"""The fields of a vector: each is taken out as it is read, and what is left is a mistake."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, TypeVar

T = TypeVar("T")


class FailedError(Exception):
    """Why a vector does not hold."""


class Fields:
    """Those of a JSON object that have not been read yet."""

    def __init__(self, given: object, what: str) -> None:
        if not isinstance(given, dict):
            raise FailedError(f"{what}: an object is expected, and not {given!r}")
        self._given = dict(given)

    def __contains__(self, name: str) -> bool:
        return name in self._given

    def take(self, name: str) -> Any:
        """Whatever it is; ``None`` where there is none."""
        return self._given.pop(name, None)

    def inner(self, name: str) -> Fields:
        """An object; empty where there is none."""
        return Fields(self._given.pop(name, {}), name)

    def array(self, name: str) -> list[Any]:
        """A list; empty where there is none."""
        given = self._given.pop(name, [])
        if not isinstance(given, list):
            raise FailedError(f"{name}: a list is expected, and not {given!r}")
        return given

    def texts(self, name: str) -> list[str]:
        """A list of texts."""
        return [self._is(name, text, str) for text in self.array(name)]

    def text(self, name: str, fallback: str = "") -> str:
        """A text."""
        return self._is(name, self._given.pop(name, fallback), str)

    def flag(self, name: str) -> bool:
        """True or false; false where there is none."""
        return self._is(name, self._given.pop(name, False), bool)

    def number(self, name: str) -> int | None:
        """A whole number, if there is one."""
        given = self._given.pop(name, None)
        return None if given is None else self._is(name, given, int)

    def real(self, name: str) -> float | None:
        """A number, if there is one."""
        given = self._given.pop(name, None)
        if isinstance(given, int) and not isinstance(given, bool):
            return float(given)
        return None if given is None else self._is(name, given, float)

    def seconds(self, name: str) -> float | None:
        """Milliseconds, as seconds."""
        given = self.number(name)
        return None if given is None else given / 1_000

    def data(self, name: str) -> bytes | None:
        """The text of this name, or the digits of the one with ``_hex`` behind it."""
        if name in self._given:
            return self.text(name).encode()
        digits = self.take(f"{name}_hex")
        return None if digits is None else bytes.fromhex(self._is(name, digits, str))

    def choose(self, name: str, choices: Mapping[str, T], fallback: str) -> T:
        """What a word stands for."""
        given = self.text(name, fallback)
        if given not in choices:
            raise FailedError(f"{name}: there is no {given}")
        return choices[given]

    def same(self, name: str, found: object) -> None:
        """Compares what was found with what is expected under this name, if anything is."""
        if name not in self._given:
            return
        expected = self._given.pop(name)
        if expected != found or type(expected) is not type(found):
            raise FailedError(f"{name}: expected {expected!r}, found {found!r}")

    def finish(self, what: str) -> None:
        """Nothing is left."""
        for name in self._given:
            raise FailedError(f"{what}: nothing is known of `{name}` here")

    def _is(self, name: str, given: Any, kind: type[T]) -> T:
        if type(given) is not kind:
            raise FailedError(f"{name}: {kind.__name__} is expected, and not {given!r}")
        return given


def millis(seconds: float) -> int:
    """Whole milliseconds, rounded up; a float has no more than 15 digits of them."""
    return math.ceil(round(seconds * 1_000, 6))
