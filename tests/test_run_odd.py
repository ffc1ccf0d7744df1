"""kvcli run with guests that nobody foresaw: what they do is told as theirs, and never as a bug of kvcli."""

from __future__ import annotations

import os
import subprocess
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("wasmtime", reason="the extra wasm is not installed: pip install 'kvcli[wasm]'")

from wasmtime import Engine
from wasmtime.component import Component, Linker, Variant

from kvcli import wasm
from kvcli.cache import Cache
from kvcli.errors import KvError
from kvcli.store import Store
from kvcli.wasm import guest as wasm_guest
from kvcli.wasm.border import selftest
from kvcli.wasm.border.codec import CHUNK
from kvcli.wasm.border.fast import FastLink
from kvcli.wasm.compiled import SUFFIX
from kvcli.wasm.grants import Grants
from kvcli.wasm.host import Host
from kvcli.wasm.limits import Limits
from kvcli.wasm.sandbox import Sandbox
from tests.conftest import Run
from tests.wasm.cache import CacheShape
from tests.wasm.commands import COMMANDS
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
    "hoarder": (0, ""),
    "get with a number": (66, MISSED.format("[method]bucket.get")),
    "exists of a number": (66, MISSED.format("exists").replace("store@0.2.0-draft2", "cache@0.1.0")),
    "exists of two": (66, MISSED.format("exists").replace("store@0.2.0-draft2", "cache@0.1.0")),
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
    assert (ran.returncode, ran.stderr.decode()) == (code, told and f"kvcli: {name}.wat {told}\n")


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


def test_vacancy_that_is_filled_twice(path: str) -> None:
    """The value that the second fill gives goes nowhere, and says so."""
    with Store(path) as store, Cache(store) as cache:
        guest = Forwarder(CacheShape(), Grants({}), cache=cache)
        entry = guest("future-get-or-set-result-future-get-or-set-result-get", guest("get-or-set", "k"))
        while isinstance(entry, Variant):
            entry = entry.payload
        first, second = (guest("vacancy-vacancy-fill", entry, None) for _ in range(2))
        write = "outgoing-value-outgoing-value-write-body-sync"
        assert guest(write, second, b"2") is not None
        assert guest(write, first, b"1") is None
        assert cache.get("k") == b"1"


def test_large_value_passes_in_pieces(path: str, tmp_path: Path) -> None:
    """Each byte is 32 in the C API: the host makes no copy of that for all of them at once."""
    (tmp_path / "two.wat").write_text(COMMANDS["two-megabytes"], encoding="utf-8")
    with Store(path) as store:
        tracemalloc.start()
        assert wasm.run(tmp_path / "two.wat", buckets={"": store.open("default")}) == 0
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 16 << 20


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK])
def test_bytes_of_every_length(path: str, size: int) -> None:
    """Nothing is lost where pieces meet."""
    value = os.urandom(size)
    with Store(path) as store:
        home = store.open("default")
        guest = Forwarder(DRAFT2, Grants({"": home}))
        bucket = guest("open", "")
        guest("bucket-set", bucket, "k", value)
        assert home.get("k") == guest("bucket-get", bucket, "k") == value


def test_reader_that_went_away(kvcli: Run, guest: Guest) -> None:
    """A guest that fails for that is told by the exit code, as with all commands, whatever it made of it."""
    for name in ("printer that fails", "printer that traps"):
        read, write = os.pipe()
        os.close(read)
        ran = kvcli("run", guest(name), stdout=write, stderr=subprocess.PIPE)
        os.close(write)
        assert (ran.returncode, ran.stderr) == (141, b"")


@pytest.mark.parametrize("options", [("--fuel", str(1 << 64)), ("--memory", "16777216T")], ids=" ".join)
def test_limits_beyond_64_bits(kvcli: Run, guest: Guest, options: tuple[str, ...]) -> None:
    """They are not taken for others, as small as what is left of them in 64 bits."""
    assert kvcli("run", *options, guest("watcher that writes")).returncode == 2


def test_machine_code_is_on_disk_before_it_has_its_name(
    path: str, guest: Guest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a power cut no half of it stands there; and what a killed process left goes like other files."""
    done: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda _: done.append("sync"))
    monkeypatch.setattr("kvcli.wasm.compiled.os.rename", lambda *names: done.extend(names))
    kept = str(tmp_path / "kept")
    with Store(path) as store:
        buckets = {"": store.open("default")}
        done.clear()
        assert wasm.run(guest("watcher that writes"), buckets=buckets, compiled=kept) == 0
    assert done[0] == "sync"
    assert done[1].endswith(SUFFIX)


@pytest.mark.parametrize("gone", ["instance.ptr", "call"])
def test_self_test_of_a_binding_that_has_changed(monkeypatch: pytest.MonkeyPatch, gone: str) -> None:
    """Whatever error comes of it, the public link is used; also where only calls of exports fail."""
    if gone == "call":
        monkeypatch.setattr("wasmtime.Store._context", None)
    else:
        monkeypatch.setattr("wasmtime.component.LinkerInstance.ptr", None)
    engine = Engine()
    assert not selftest.works(FastLink, engine, lambda text: Component(engine, text))


def test_guest_that_is_left_before_it_began(path: str, guest: Guest) -> None:
    """It never begins: the epoch that would end it has passed already."""
    with Store(path) as store:
        limits = Limits()
        started = wasm_guest.Guest("x", Path(guest("watcher that writes")).read_bytes(), limits)
        host = Host(Grants({"": store.open("default")}))
        linker = Linker(started.engine)
        linker.add_wasip2()
        link = host.define(linker, started.component, started.engine, FastLink, lambda _: started.component)
        link.closed = True
        with pytest.raises(KvError, match="was left"):
            started._run(linker, Sandbox(["x"]), host, link)
