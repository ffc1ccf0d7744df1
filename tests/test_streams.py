"""Streams that write a part, block not, fill up or go away: what was not written is told, and nothing is told wrongly."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import threading
import time

import pytest

from kvcli.store import Store
from tests.conftest import Run
from tests.processes import ROOT

LARGE = bytes(range(256)) * 4096
UNBUFFERED = {"PYTHONUNBUFFERED": "1"}


@pytest.fixture
def large(path: str) -> str:
    """A store with a value of a megabyte."""
    with Store(path) as store:
        store.open("default").set("big", LARGE)
    return path


def shell(script: str, path: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[bytes]:
    """Run a line of shell in which `$kvcli` is the command."""
    environment = {**os.environ, "KVCLI_STORE": path, "kvcli": f"{sys.executable} -m kvcli", **(env or {})}
    return subprocess.run(["bash", "-c", script], cwd=ROOT, env=environment, capture_output=True, timeout=60)


@pytest.mark.parametrize("env", [{}, UNBUFFERED], ids=["buffered", "unbuffered"])
@pytest.mark.parametrize("words", ["get big", "get --json big", "list --values"])
def test_file_that_may_not_grow_is_told(large: str, words: str, env: dict[str, str]) -> None:
    """Output that was cut is exit 69, never a short answer with exit 0."""
    ran = shell(f"ulimit -f 500; $kvcli {words} > {large}.out", large, env)
    assert ran.returncode == 69
    assert os.path.getsize(large + ".out") == 512_000


@pytest.mark.parametrize("env", [{}, UNBUFFERED], ids=["buffered", "unbuffered"])
def test_pipe_that_does_not_block_gets_everything(large: str, env: dict[str, str]) -> None:
    """A stdout that says "not now" is waited for."""
    ours, theirs = os.pipe()
    fcntl.fcntl(theirs, fcntl.F_SETFL, fcntl.fcntl(theirs, fcntl.F_GETFL) | os.O_NONBLOCK)
    environment = {**os.environ, "KVCLI_STORE": large, **env}
    child = subprocess.Popen([sys.executable, "-m", "kvcli", "get", "big"], cwd=ROOT, stdout=theirs, env=environment)
    os.close(theirs)
    time.sleep(0.3)
    with open(ours, "rb") as file:
        assert file.read() == LARGE
    assert child.wait(10) == 0


def test_stdin_that_does_not_block_is_read_to_its_end(kvcli: Run) -> None:
    """A value whose second half comes late is not cut."""
    ours, theirs = os.pipe()
    fcntl.fcntl(ours, fcntl.F_SETFL, fcntl.fcntl(ours, fcntl.F_GETFL) | os.O_NONBLOCK)
    os.write(theirs, b"first ")

    def end() -> None:
        os.write(theirs, b"second")
        os.close(theirs)

    late = threading.Timer(0.4, end)
    late.start()
    assert kvcli("set", "k", "-", stdin=ours).returncode == 0
    late.join()
    os.close(ours)
    assert kvcli("get", "k").stdout == b"first second"


@pytest.mark.parametrize("stderr", ["/dev/full", ">(exit)"])
@pytest.mark.parametrize(("words", "code"), [("get x -s /nope", 66), ("cas k x --expect no", 3), ("incr k", 5)])
def test_stderr_that_takes_nothing_changes_no_exit_code(
    path: str, kvcli: Run, words: str, code: int, stderr: str
) -> None:
    """The exit code is the answer, whether or not its message could be written."""
    kvcli("set", "k", "text")
    assert shell(f"$kvcli {words} 2> {stderr}", path).returncode == code


def test_debugging_shows_no_escapes(path: str) -> None:
    """A traceback holds names from outside as well."""
    ran = shell("$kvcli -s $'/tmp/\\e[31mx' get a", path, {"KVCLI_DEBUG": "1"})
    assert b"Traceback" in ran.stderr
    assert b"\x1b" not in ran.stderr
