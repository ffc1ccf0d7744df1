"""kvcli run with guests that nobody foresaw: what they do is told as theirs, and never as a bug of kvcli."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("wasmtime", reason="the extra wasm is not installed: pip install 'kvcli[wasm]'")

from tests.conftest import Run
from tests.wasm.odd import ODD

Guest = Callable[[str], str]
NO_RUN = "exports no wasi:cli/run, so that there is nothing to run: make it a command"
NO_ON_SET = "exports no on-set of wasi:keyvalue/watcher: leave --watch out"
UNREACHABLE = "trapped: wasm `unreachable` instruction executed"
MISSED = "imports what kvcli does not have: `{}` of `wasi:keyvalue/store@0.2.0-draft2`"

# name: (exit code, what is told)
ENDS: dict[str, tuple[int, str]] = {
    "run without a result": (65, NO_RUN),
    "run with a number": (65, NO_RUN),
    "run with a parameter": (65, NO_RUN),
    "misnamed": (134, UNREACHABLE),
    "named as a cause": (134, UNREACHABLE),
    "get with a number": (66, MISSED.format("[method]bucket.get")),
    "open without an error": (66, MISSED.format("open")),
}


@pytest.fixture
def guest(tmp_path: Path) -> Guest:
    """Write a guest to a file, and give its name."""

    def write(name: str) -> str:
        file = tmp_path / f"{name}.wat"
        file.write_text(ODD[name], encoding="utf-8")
        return str(file)

    return write


@pytest.mark.parametrize("name", ENDS)
def test_types_that_nobody_foresaw(kvcli: Run, guest: Guest, name: str) -> None:
    """They are missed, as what is not there; and what a function is called changes nothing of what is told."""
    code, told = ENDS[name]
    ran = kvcli("run", guest(name))
    assert (ran.returncode, ran.stderr.decode()) == (code, f"kvcli: {name}.wat {told}\n")


@pytest.mark.parametrize("name", ["watcher without a value", "watcher of text", "watcher that borrows"])
def test_watcher_of_other_types(kvcli: Run, guest: Guest, name: str) -> None:
    """It is none."""
    ran = kvcli("run", "--watch", guest(name))
    assert (ran.returncode, ran.stderr.decode()) == (65, f"kvcli: {name}.wat {NO_ON_SET}\n")


def test_watcher_that_writes(kvcli: Run, guest: Guest) -> None:
    """It is not told of that: it would have no end."""
    assert kvcli("run", "--watch", guest("watcher that writes")).returncode == 0
    assert kvcli("list", "--values").stdout == b"k\t1\nn\t1\n"


def test_watcher_of_a_guest_that_ended_by_exit(kvcli: Run, guest: Guest) -> None:
    """It is told, in an instance of its own, and the exit code stays what it was."""
    assert kvcli("run", "--watch", guest("watcher after an exit")).returncode == 1
    assert kvcli("list", "--values").stdout == b"k\t1\ntold\t1\n"


def test_watcher_that_traps(kvcli: Run, guest: Guest) -> None:
    """It is a trap like others."""
    ran = kvcli("run", "--watch", guest("watcher that traps"))
    assert (ran.returncode, kvcli("list").stdout) == (134, b"k\n")
