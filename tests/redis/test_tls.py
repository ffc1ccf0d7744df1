"""TLS: certificates are checked, on both sides; what is wrong with one is told by its exit code, whoever finds it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from kvcli.errors import AccessDenied, KvError
from kvcli.store import Store
from tests.conftest import Run
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


def test_port_that_speaks_no_tls(secured: Secured) -> None:
    """It waits for a command, and what comes is none."""
    assert code_of(f"rediss://127.0.0.1:{secured.server.port}?timeout=0.2")[0] == 75


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """Where a server is that wants certificates of its clients, and the folder of the files."""
    folder = str(tmp_path_factory.mktemp("tls"))
    make_certificates(folder)
    port = free_port()
    words = [f"--tls-port {port}", f"--tls-cert-file {folder}/s.pem", f"--tls-key-file {folder}/s.key"]
    server = Server(folder, *" ".join([*words, f"--tls-ca-cert-file {folder}/ca.pem"]).split())
    yield f"rediss://127.0.0.1:{port}?ca={folder}/ca.pem", folder
    server.stop()


def ending(kvcli: Run, url: str, *words: str) -> tuple[int, str]:
    """Give the exit code of a command, and the one line that it told."""
    done = kvcli(*(words or ("get", "k")), env={"KVCLI_STORE": url})
    assert done.stderr.count(b"\n") <= 1
    return done.returncode, done.stderr.decode()


def test_own_certificate_opens(kvcli: Run, place: tuple[str, str]) -> None:
    """A server that wants a certificate takes one that its authority has signed."""
    url, folder = place
    assert ending(kvcli, f"{url}&cert={folder}/s.pem&key={folder}/s.key")[0] == 1


@pytest.mark.parametrize("words", [("get", "k"), ("set", "k", "v")])
def test_certificate_that_is_wanted_and_not_named(kvcli: Run, place: tuple[str, str], words: tuple[str, ...]) -> None:
    """It is access denied, at once, and says which option names one; no write is said to have happened perhaps."""
    code, line = ending(kvcli, place[0], *words)
    assert (code, "?cert=FILE" in line, "may have happened" in line) == (77, True, False)


def test_key_without_a_certificate(kvcli: Run, place: tuple[str, str]) -> None:
    """A key alone is a usage error."""
    assert ending(kvcli, f"{place[0]}&key={place[1]}/s.key")[0] == 2


@pytest.mark.parametrize(
    ("options", "code", "told"),
    [
        ("?ca={folder}/none", 66, "none: no such file"),
        ("?ca={folder}", 66, "is a directory"),
        ("?ca={folder}/names", 65, "names: this is no certificate"),
        ("?ca={folder}/ca.pem&cert={folder}/s.pem", 65, "no certificate and its key"),
        ("?ca={folder}/ca.pem&cert={folder}/s.pem&key={folder}/ca.key", 65, "no certificate and its key"),
    ],
)
def test_file_that_is_none(kvcli: Run, place: tuple[str, str], options: str, code: int, told: str) -> None:
    """A file that is not there, or holds something else, is named, and no server is blamed."""
    found, line = ending(kvcli, place[0].partition("?")[0] + options.format(folder=place[1]))
    assert (found, told in line) == (code, True), line


def test_key_with_a_pass_phrase(kvcli: Run, place: tuple[str, str]) -> None:
    """Nobody is asked for the pass phrase of a key, neither on a terminal nor off one: the line says so."""
    url, folder = place
    words = ["openssl", "rsa", "-aes256", "-passout", "pass:hello", "-in", "s.key", "-out", "secret.key"]
    subprocess.run(words, cwd=folder, check=True, capture_output=True)
    code, line = ending(kvcli, f"{url}&cert={folder}/s.pem&key={folder}/secret.key")
    assert (code, "pass phrase" in line, "Enter" in line) == (65, True, False)
