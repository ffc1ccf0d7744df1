"""Addresses as people write them: who is asked for a password, and what is told of a name that leads nowhere."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import pytest

from tests.conftest import Run
from tests.redis.servers import MISSING, Server
from tests.terminal import Terminal

pytestmark = pytest.mark.skipif(bool(MISSING), reason=MISSING)
SECRET = "s3cret"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that asks for a password, of every user."""
    folder = str(tmp_path_factory.mktemp("guarded"))
    server = Server(folder, "--requirepass", SECRET, *f"--user ann on >{SECRET} ~* +@all".split())
    yield server
    server.stop()


@pytest.mark.parametrize("url", ["redis://127.0.0.1:{}", "redis://127.0.0.1:{}/1", "redis://ann@127.0.0.1:{}/0"])
def test_person_is_asked_for_the_password(guarded: Server, url: str) -> None:
    """On a terminal a password that is missing is asked for, also where a database or a user is named, and not shown."""
    words = ("set", "k", "v", "-s", url.format(guarded.port))
    terminal = Terminal(sys.executable, "-m", "kvcli", *words)
    try:
        terminal.until("password:")
        terminal.press(SECRET + "\r")
        assert (terminal.wait(), SECRET in terminal.text()) == (0, False), terminal.text()
    finally:
        terminal.close()


def test_password_of_a_pipe(kvcli: Run, guarded: Server) -> None:
    """A password that <(...) of a shell gives is there for all that one command asks, as copy asks two stores."""
    reading, writing = os.pipe()
    os.write(writing, SECRET.encode() + b"\n")
    os.close(writing)
    url = f"redis://127.0.0.1:{guarded.port}"
    file = {"KVCLI_REDIS_PASSWORD_FILE": f"/dev/fd/{reading}"}
    done = kvcli("copy", f"{url}/0", f"{url}/1", env=file, pass_fds=[reading])
    os.close(reading)
    assert done.returncode == 0, done.stderr


def test_file_of_the_password_is_missing(kvcli: Run) -> None:
    """It is named."""
    done = kvcli("get", "k", "-s", "redis://127.0.0.1", env={"KVCLI_REDIS_PASSWORD_FILE": "/nowhere/file"})
    assert (done.returncode, b"/nowhere/file" in done.stderr) == (66, True)


@pytest.mark.parametrize("host", ["a..b", "x" * 64, "\udcff"])
def test_name_that_no_host_can_have(kvcli: Run, host: str) -> None:
    """It is a store that is not there, as is a name that nobody has."""
    done = kvcli("get", "k", "-s", os.fsencode(f"redis://{host}:1"))
    assert (done.returncode, b"there is no host" in done.stderr) == (66, True), done.stderr


def test_server_that_is_none_of_a_cluster(kvcli: Run, server: Server) -> None:
    """The other way round as with a server of a cluster, the line says which scheme is right."""
    done = kvcli("get", "k", "-s", f"redis+cluster://127.0.0.1:{server.port}")
    assert (done.returncode, b"write redis:// instead" in done.stderr) == (2, True)


@pytest.mark.parametrize("words", [("list",), ("set", "k", "v"), ("cache", "set", "k", "v")])
def test_file_of_spin_is_for_copy(kvcli: Run, tmp_path: os.PathLike[str], words: tuple[str, ...]) -> None:
    """A folder is not made by its name: the line says what takes it."""
    done = kvcli(*words, "-s", "spin:app.db", cwd=tmp_path, env={"PYTHONPATH": os.getcwd()})
    assert (done.returncode, b"copy" in done.stderr, os.listdir(tmp_path)) == (2, True, [])
