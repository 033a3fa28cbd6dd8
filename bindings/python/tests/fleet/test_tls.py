"""A server that speaks TLS alone, and wants to see who connects."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from stores import PATIENCE, Hosts, Store, asked, lease_of, redis_is_here

from oncegate import (
    InvalidInputError,
    Redis,
    Replayed,
    TierOptions,
    TierUnavailableError,
    TierUnsafeError,
)


class Papers:
    """An authority that nobody knows, and what it has signed for a server and a client. Made by
    the command line of OpenSSL: no key lies in the tree."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self._openssl("req", "-x509", "-subj", "/CN=authority", "-out", "root.pem", key="root")
        for name in ("server", "client"):
            self._openssl("req", "-subj", f"/CN={name}", "-out", f"{name}.csr", key=name)
            (folder / f"{name}.ext").write_text("subjectAltName = IP:127.0.0.1\n")
            signing = ["x509", "-req", "-in", f"{name}.csr", "-CA", "root.pem", "-days", "2"]
            signing += ["-CAkey", "root.key", "-CAcreateserial", "-extfile", f"{name}.ext"]
            self._openssl(*signing, "-out", f"{name}.pem")

    def _openssl(self, *arguments: str, key: str | None = None) -> None:
        curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        fresh = [*curve, "-keyout", f"{key}.key"] if key else []
        command = ["openssl", *arguments, *fresh]
        subprocess.run(command, cwd=self.folder, check=True, capture_output=True, timeout=PATIENCE)

    def __call__(self, name: str) -> bytes:
        return (self.folder / name).read_bytes()


@pytest.fixture
def papers(tmp_path: Path) -> Papers:
    return Papers(tmp_path / "papers")


@pytest.fixture
def store(tmp_path: Path, papers: Papers) -> Iterator[Store]:
    redis_is_here()
    store = Store(tmp_path, tls=papers.folder)
    store.start()
    yield store
    store.kill()


def test_hosts_share_records_over_tls(hosts: Hosts, papers: Papers) -> None:
    """Goal: a fleet works over TLS, with an authority of its own and a client's certificate.
    Method: what one host ran is replayed by the other."""
    client = (papers("client.pem"), papers("client.key"))
    redis = Redis(hosts.store.url, tls_root=papers("root.pem"), tls_client=client)
    one, other = hosts.host(redis), hosts.host(redis)
    lease_of(one.begin(asked())).complete(b"7")
    again = other.begin(asked())
    assert isinstance(again, Replayed) and again.body == b"7"


def test_who_is_not_trusted_gets_nothing(hosts: Hosts, papers: Papers, tmp_path: Path) -> None:
    """Goal: a server that another authority signed is not spoken to, a client without a certificate
    is turned away, and nothing runs. Method: each of them; the server has no record then."""
    stranger = Papers(tmp_path / "stranger")
    client = (papers("client.pem"), papers("client.key"))
    for redis in (
        Redis(hosts.store.url, tls_client=client),
        Redis(hosts.store.url, tls_root=stranger("root.pem"), tls_client=client),
        Redis(hosts.store.url, tls_root=papers("root.pem")),
    ):
        engine = hosts.host(redis, tier_options=TierOptions(deadline=1, quarantine=0))
        with pytest.raises((TierUnavailableError, TierUnsafeError)):
            engine.begin(asked())
    mine = Redis(hosts.store.url, tls_root=papers("root.pem"), tls_client=client)
    lease_of(hosts.host(mine).begin(asked())).complete(b"7")


def test_what_is_no_certificate_is_refused(papers: Papers) -> None:
    """Goal: what is not PEM, and certificates that nothing would use, are refused by name and never
    shown. Method: text where a certificate or a key belongs, and a URL without TLS."""
    marker = b"4111111111111111"
    certificate, key = papers("client.pem"), papers("client.key")
    wrong: list[tuple[str, dict[str, Any], str]] = [
        ("rediss://127.0.0.1", {"tls_root": marker}, "tls_root"),
        ("rediss://127.0.0.1", {"tls_root": key}, "tls_root"),
        ("rediss://127.0.0.1", {"tls_client": (marker, key)}, "tls_client: a certificate"),
        ("rediss://127.0.0.1", {"tls_client": (certificate, marker)}, "tls_client: a key"),
        ("redis://127.0.0.1", {"tls_root": certificate}, "url: rediss"),
    ]
    for url, options, found in wrong:
        with pytest.raises(InvalidInputError, match=found) as refused:
            Redis(url, **options)
        assert marker.decode() not in str(refused.value) + repr(refused.value)
