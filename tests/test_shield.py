"""The shield: a signal that LMDB would die of is one line and exit code 74, wherever it comes, and never a death by signal."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kvcli.batch import set_many
from kvcli.store import Store
from tests.conftest import Run
from tests.processes import ROOT
from tests.terminal import repl

KEYS = 3000


@pytest.fixture
def filled(path: str) -> str:
    """A store with some thousand keys, over several levels of pages."""
    with Store(path) as store:
        set_many(store.open("default"), [(f"k{number:04}", b"x" * 400) for number in range(KEYS)])
    return path


def blank(path: str) -> None:
    """Give every page but the two first, and those of the main database's root, numbers that point nowhere."""
    file = os.path.join(path, "data.mdb")
    with open(file, "r+b") as opened:
        for page in range(2, os.path.getsize(file) // 4096 - 8):
            opened.seek(page * 4096 + 16)
            opened.write(b"\xf0\xff" * 40)


@pytest.mark.parametrize(
    "words", [("get", "k0005"), ("list", "--values"), ("export",), ("delete", "k0005")], ids=" ".join
)
def test_damaged_pages_are_told(filled: str, kvcli: Run, words: tuple[str, ...]) -> None:
    """Pages that lead LMDB astray are exit 74 with one line, for whatever reads or writes them."""
    blank(filled)
    ran = kvcli(*words)
    assert (ran.returncode, ran.stderr.count(b"\n")) == (74, 1)
    assert b"check" in ran.stderr or b"restore" in ran.stderr


def test_file_that_is_cut_while_it_is_read(filled: str) -> None:
    """The rest of a file that another program cuts is missed, and told; what came before has been printed."""
    words = [sys.executable, "-m", "kvcli", "list", "--values", "-s", filled]
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline().startswith(b"k0000\t")
        time.sleep(0.3)  # Until nothing more fits into the pipe.
        os.truncate(os.path.join(filled, "data.mdb"), 3 * 4096)
        _, err = child.communicate(timeout=20)
    assert child.returncode == 74
    assert err.count(b"\n") == 1


def catches(process: int, number: signal.Signals) -> bool:
    """Tell whether a process has a handler of its own for a signal."""
    status = Path(f"/proc/{process}/status").read_text()
    return bool(int(status.partition("SigCgt:")[2].split()[0], 16) >> number - 1 & 1)


@pytest.mark.parametrize(
    "number", [signal.SIGBUS, signal.SIGSEGV, signal.SIGABRT, signal.SIGFPE], ids=lambda each: each.name
)
def test_every_fatal_signal_is_caught(filled: str, number: signal.Signals) -> None:
    """With --json the line is an object; the writer lock and all else is left to the kernel to free."""
    words = [sys.executable, "-m", "kvcli", "watch", "--json", "-s", filled]
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        while not catches(child.pid, number):
            time.sleep(0.05)
        time.sleep(1)
        child.send_signal(number)
        _, err = child.communicate(timeout=20)
    assert child.returncode == 74
    assert err.startswith(b'{"error":{"code":"damaged-store","message":')


def test_debugging_gets_the_signal(filled: str) -> None:
    """With KVCLI_DEBUG nothing stands between a fault and who looks for it."""
    words = [sys.executable, "-m", "kvcli", "watch", "-s", filled]
    environment = {**os.environ, "KVCLI_DEBUG": "1"}
    with subprocess.Popen(words, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        time.sleep(0.5)
        child.send_signal(signal.SIGBUS)
        child.communicate(timeout=20)
    assert child.returncode == -signal.SIGBUS


def test_terminal_is_given_back(filled: str) -> None:
    """In the midst of a line of the REPL as well, and then the terminal echoes what is typed."""
    with repl(filled) as terminal:
        terminal.type("get k0")
        terminal.until("get k0")
        terminal.rest(
            1
        )  # A fault is in LMDB's code; a signal from outside is to find Python at rest as well, and not at a lock.
        terminal.child.send_signal(signal.SIGBUS)
        assert terminal.wait() == 74
        assert "kvcli check" in terminal.text()
        assert terminal.echoes()


def test_what_lmdb_prints_is_not_printed(filled: str) -> None:
    """Ours is the one line, also where LMDB aborts after a line of its own."""
    program = (
        "import ctypes; from kvcli.cli import entry; entry.raise_shield(entry.complain); libc = ctypes.CDLL(None); "
    )
    printing = "libc.fprintf(ctypes.c_void_p.in_dll(libc, 'stderr'), b'mdb.c: Assertion failed\\n'); libc.abort()"
    ran = subprocess.run([sys.executable, "-c", program + printing, filled], cwd=ROOT, capture_output=True, timeout=60)
    assert ran.returncode == 74
    assert ran.stderr.startswith(b"kvcli: the store is damaged")
    assert ran.stderr.count(b"\n") == 1
