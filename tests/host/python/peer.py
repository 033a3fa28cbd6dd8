"""A program in Python that takes part in a round: see README.md of the folder above."""

from __future__ import annotations

import fcntl
import os
import struct
import sys

from oncegate import Admitted, Engine, InProgress, Lease, Replayed, Request

MASK = (1 << 64) - 1
RECORD = struct.Struct("<QQ")


class Tries:
    """The keys that the program tries, in an order of its own."""

    def __init__(self, table: str, ledger: str, name: str, seed: int, keys: int) -> None:
        self.engine = Engine(path=table, capacity=20_000, secret=bytes(range(1, 33)))
        self.ledger = os.open(ledger, os.O_RDWR)
        self.name = name
        self.order = iter(shuffled(keys, seed))
        self.bodies = [b""] * keys
        self.counts = {"created": 0, "expired": 0, "retried": 0, "replayed": 0}

    def try_some(self, count: int) -> str:
        for _ in range(count):
            key = next(self.order)
            lease = self.begin(key)
            if lease is not None:
                self.complete(key, lease)
        return "tried" + self.told()

    def hold(self, count: int) -> str:
        held: list[str] = []
        leases = []
        while len(held) < count:
            key = next(self.order)
            lease = self.begin(key)
            if lease is None:
                continue
            if lease.status != "created":
                self.complete(key, lease)
                continue
            if len(held) % 2 == 0:
                self.happen(key, lease.fencing_token)
            held.append(f" {key}")
            leases.append(lease.into_token())
        return "holds" + self.told() + "".join(held)

    def begin(self, key: int) -> Lease | None:
        """A lease, or none where the outcome was replayed."""
        request = Request("POST /charges", f"key-{key}", scope="acme")
        while True:
            answer = self.engine.begin(request, wait=10)
            if isinstance(answer, Admitted):
                self.counts[answer.lease.status] += 1
                return answer.lease
            if isinstance(answer, Replayed):
                self.counts["replayed"] += 1
                self.bodies[key] = answer.body
                return None
            if not isinstance(answer, InProgress):
                raise RuntimeError(f"key {key}: {answer}")

    def complete(self, key: int, lease: Lease) -> None:
        self.happen(key, lease.fencing_token)
        self.bodies[key] = f"{self.name}:{lease.attempt}".encode()
        lease.complete(self.bodies[key])

    def happen(self, key: int, fence: int) -> None:
        """Has the effect of a key happen, unless it has."""
        at = key * RECORD.size
        fcntl.lockf(self.ledger, fcntl.LOCK_EX, RECORD.size, at)
        seen, effects = RECORD.unpack(os.pread(self.ledger, RECORD.size, at))
        if fence < seen:
            raise RuntimeError(f"token {fence} is below {seen}")
        os.pwrite(self.ledger, RECORD.pack(fence, max(effects, 1)), at)
        fcntl.lockf(self.ledger, fcntl.LOCK_UN, RECORD.size, at)

    def digest(self) -> str:
        digest = 0xCBF29CE484222325
        for byte in b"".join(body + b"\n" for body in self.bodies):
            digest = ((digest ^ byte) * 0x100000001B3) & MASK
        return f"digest {digest:016x}"

    def told(self) -> str:
        return "".join(f" {count}" for count in self.counts.values())


def shuffled(keys: int, seed: int) -> list[int]:
    """Fisher and Yates, by SplitMix64."""
    order = list(range(keys))
    for at in range(keys - 1, 0, -1):
        seed = (seed + 0x9E3779B97F4A7C15) & MASK
        z = seed
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        other = (z ^ (z >> 31)) % (at + 1)
        order[at], order[other] = order[other], order[at]
    return order


def main() -> None:
    table, ledger, name, seed, keys = sys.argv[1:]
    tries = Tries(table, ledger, name, int(seed), int(keys))
    print("ready", flush=True)
    for line in sys.stdin:
        word, _, number = line.strip().partition(" ")
        if word == "try":
            answer = tries.try_some(int(number))
        elif word == "hold":
            answer = tries.hold(int(number))
        elif word == "digest":
            answer = tries.digest()
        else:
            raise RuntimeError(f"there is no {word!r}")
        print(answer, flush=True)


if __name__ == "__main__":
    main()
