"""kvcli run with guests that nobody foresaw: what they do is told as theirs, and never as a bug of kvcli."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("wasmtime", reason="the extra wasm is not installed: pip install 'kvcli[wasm]'")

from wasmtime.component import Variant

from kvcli.cache import Cache
from kvcli.errors import KvError
from kvcli.store import Store
from kvcli.wasm.grants import Grants
from tests.conftest import Run
from tests.wasm.cache import CacheShape
from tests.wasm.forwarder import Forwarder
from tests.wasm.odd import ODD
from tests.wasm.shapes import DRAFT2, SPIN

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


def test_values_behind_handles_have_an_end(path: str) -> None:
    """A guest fills no more of the host's memory than is said, and has it again once it drops a handle."""
    with Store(path) as store:
        home = store.open("default")
        home.set("k", bytes(20 << 20))
        guest = Forwarder(DRAFT2, Grants({"": home}))
        bucket = guest("open", "")
        kept = [guest("cas-new", bucket, "k") for _ in range(3)]
        assert "it has to drop some" in guest("cas-new", bucket, "k").payload
        guest.drop(kept.pop())
        assert not isinstance(guest("cas-new", bucket, "k"), Variant)
        guest("swap", kept.pop(), b"")
        assert not isinstance(guest("cas-new", bucket, "k"), Variant)


def test_values_of_a_batch_are_not_all_read(path: str) -> None:
    """The same key may be asked for very often: what cannot pass is not held in memory."""
    with Store(path) as store:
        home = store.open("default")
        home.set("k", bytes(1 << 20))
        guest = Forwarder(SPIN, Grants({"": home}))
        tracemalloc.start()
        answer = guest("get-many", guest("open", ""), ["k"] * 100)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert answer.tag == "other"
    assert peak < 10 << 20


def test_values_of_the_cache_have_an_end(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Futures, and what is read and written through them, count too."""
    monkeypatch.setattr("kvcli.wasm.handles.HANDLES_BYTES_MAX", 25)
    with Store(path) as store, Cache(store) as cache:
        cache.set("k", bytes(10))
        guest = Forwarder(CacheShape(), Grants({}), cache=cache)
        write, made = "outgoing-value-outgoing-value-write-body-sync", "outgoing-value-new-outgoing-value"
        outgoing = guest(made)
        for size in (20, 10, 25):
            assert guest(write, outgoing, bytes(size)) is None
        assert guest(write, guest(made), b"1") is not None
        guest.drop(outgoing)
        assert guest(write, guest(made), b"1") is None
        futures = [guest("get", "k"), guest("get-or-set", "k")]
        with pytest.raises(KvError, match="drop some"):
            guest("get", "k")
        assert len(futures) == 2
