"""Connections over TLS: certificates are checked, on both sides."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from kvcli.errors import AccessDenied, KvError
from kvcli.remote_errors import Unavailable
from kvcli.store import Store
from tests.redis.servers import MISSING, Server, free_port

pytestmark = pytest.mark.skipif(bool(MISSING), reason=MISSING)


def make_certificates(folder: str) -> None:
    """Make an authority, and a certificate for localhost, by openssl."""

    def openssl(*words: str) -> None:
        subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)

    days = ("-days", "2", "-nodes")
    openssl("req", "-x509", "-newkey", "rsa:2048", "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=ca", *days)
    openssl("req", "-newkey", "rsa:2048", "-keyout", "s.key", "-out", "s.csr", "-subj", "/CN=localhost", "-nodes")
    with open(f"{folder}/names", "w", encoding="utf-8") as file:
        file.write("subjectAltName=DNS:localhost,IP:127.0.0.1")
    authority = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial")
    openssl("x509", "-req", "-in", "s.csr", *authority, "-out", "s.pem", "-days", "2", "-extfile", "names")


@dataclass
class Secured:
    """A server that speaks TLS, and another protocol on another port. It asks clients for a certificate."""

    server: Server
    url: str
    folder: str


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    """Start one, whose certificate is also good for clients."""
    folder, port = str(tmp_path_factory.mktemp("tls")), free_port()
    make_certificates(folder)
    files = {"cert": "s.pem", "key": "s.key", "ca-cert": "ca.pem"}
    settings = [word for kind, name in files.items() for word in (f"--tls-{kind}-file", f"{folder}/{name}")]
    server = Server(folder, "--tls-port", str(port), "--tls-auth-clients", "optional", *settings)
    yield Secured(server, f"rediss://127.0.0.1:{port}", folder)
    server.stop()


def code_of(url: str) -> tuple[int, str]:
    """Get a key, and give exit code and message of what that ends with."""
    with pytest.raises(KvError) as caught:
        Store(url, lock_timeout=0.3).open("default").get("k")
    return caught.value.exit_code, str(caught.value)


def test_certificate_that_is_known(secured: Secured) -> None:
    """Who names its authority may read and write."""
    bucket = Store(f"{secured.url}?ca={secured.folder}/ca.pem").open("default")
    bucket.set("k", b"v")
    assert bucket.get("k") == b"v"


def test_certificate_that_is_not_known(secured: Secured) -> None:
    """It is refused, with what to do."""
    code, message = code_of(secured.url)
    assert (code, "?ca=FILE" in message) == (AccessDenied.exit_code, True)


def test_file_of_an_authority_that_is_not_there(secured: Secured) -> None:
    """It is named."""
    with pytest.raises(OSError, match="nowhere"):
        Store(f"{secured.url}?ca=nowhere").open("default").get("k")


def test_server_that_asks_for_a_certificate(secured: Secured) -> None:
    """Who shows one is let in, and nobody else."""
    secured.server.cli("CONFIG", "SET", "tls-auth-clients", "yes")
    ca = f"{secured.url}?ca={secured.folder}/ca.pem"
    bucket = Store(f"{ca}&cert={secured.folder}/s.pem&key={secured.folder}/s.key").open("default")
    bucket.set("k", b"v")
    assert bucket.get("k") == b"v"
    refused = code_of(ca)
    secured.server.cli("CONFIG", "SET", "tls-auth-clients", "optional")
    assert refused[0] == Unavailable.exit_code


def test_port_that_speaks_no_tls(secured: Secured) -> None:
    """It waits for a command, and what comes is none."""
    assert code_of(f"rediss://127.0.0.1:{secured.server.port}?timeout=0.2")[0] == 75
