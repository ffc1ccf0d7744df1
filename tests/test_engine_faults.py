"""What the engine does when LMDB or the system fails it, at moments that cannot be waited for: the failure is handed to it."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable

import lmdb
import pytest

from kvcli.engine import environment, opening, writer
from kvcli.engine.connection import Connection
from kvcli.engine.files import Files
from kvcli.engine.update import Update
from kvcli.errors import Busy, DamagedStore, Full, InputOutput, KvError, Other
from kvcli.store import Store
from tests.processes import run

# Forks while a thread of the same process is inside of a transaction; the child says what opening the store gives it.
FORK_INSIDE = """
import os, sys, threading, time, kvcli
store = kvcli.Store(sys.argv[1])
inside = threading.Event()
def stay(snapshot):
    inside.set()
    time.sleep(2)
threading.Thread(target=store.read, args=(stay,), daemon=True).start()
inside.wait()
child = os.fork()
if not child:
    try:
        kvcli.Store(sys.argv[1])
    except kvcli.errors.Other as error:
        os.write(1, str(error).encode())
    os._exit(0)
os.waitpid(child, 0)
"""


class Failing:
    """An LMDB environment of which some calls do something else."""

    def __init__(self, env: lmdb.Environment, **calls: Callable[..., object]) -> None:
        """Stand before another one."""
        vars(self).update(env=env, **calls)

    def __getattr__(self, name: str) -> object:
        """Give what the other has."""
        return getattr(vars(self)["env"], name)


def inner(store: Store) -> environment.Environment:
    """Give the environment of a store."""
    assert isinstance(store.engine, Connection)
    assert store.engine._environment is not None
    return store.engine._environment


def failing(times: int, error: Exception, result: object = None) -> Callable[..., object]:
    """Make work that fails so many times."""
    left = [error] * times

    def work(*_: object) -> object:
        if left:
            raise left.pop()
        return result

    return work


@pytest.fixture
def ours(path: str) -> Store:
    """A store with a key, opened for writing."""
    store = Store(path)
    store.open("default").set("k", b"v")
    return store


@pytest.mark.parametrize("kind", [lmdb.BadDbiError, lmdb.PanicError, lmdb.MapResizedError])
def test_read_that_something_else_disturbed_is_done_again(ours: Store, kind: type[lmdb.Error]) -> None:
    """A bucket dropped by another thread, a failed commit, a grown map: the reader sees none of it."""
    assert ours.read(failing(1, kind("x"), b"seen")) == b"seen"
    assert ours.open("default").get("k") == b"v"


def test_read_that_is_always_disturbed_gives_up(ours: Store) -> None:
    """There is a bound, and the message says to try again."""
    with pytest.raises(Other, match="try again"):
        ours.read(failing(1000, lmdb.BadDbiError("x")))


def test_other_errors_of_a_read_are_told(ours: Store) -> None:
    """They are not tried again: what is damaged stays so."""
    work = failing(1, lmdb.CorruptedError("x"), b"seen")
    with pytest.raises(DamagedStore):
        ours.read(work)
    assert ours.read(work) == b"seen"


def test_reader_without_a_lock_reads_again_when_a_writer_has_come(path: str) -> None:
    """What it read while nobody could see it may be of pages that the writer uses again, error or not."""
    Store(path).close()
    os.unlink(os.path.join(path, "lock.mdb"))
    reader, calls = Store(path, read_only=True), []

    def work(*_: object) -> int:
        calls.append(1)
        if len(calls) == 1:
            run("import sys, kvcli; kvcli.Store(sys.argv[1]).open('default').set('k', b'v')", path)
            raise lmdb.CorruptedError("a page that is used again")
        return len(calls)

    assert reader.read(work) == 2
    assert reader.open("default").get("k") == b"v"


def test_handles_that_changed_while_a_snapshot_began_are_not_used(ours: Store) -> None:
    """A handle may stand for another bucket by then, so the transaction starts again and opens its own."""
    inside = inner(ours)
    ours.write(lambda update: update.put(b"default", b"k", b"v"))  # Now a handle is kept.
    env = inside._env
    begun: list[int] = []

    def begin() -> object:
        if not begun:
            inside.handles = {**inside.handles}
        begun.append(1)
        return env.begin()

    inside._env = Failing(env, begin=begin)  # type: ignore[assignment]
    assert ours.open("default").get("k") == b"v"
    assert len(begun) > 2
    inside._env = env


def test_failed_write_is_told_once_and_the_next_one_works(ours: Store) -> None:
    """After a failed write LMDB refuses everything until the files are opened again, which kvcli does."""
    with pytest.raises(InputOutput, match="disk"):
        ours.write(failing(1, lmdb.PanicError("x")))
    ours.open("default").set("k", b"w")
    assert ours.open("default").get("k") == b"w"


@pytest.mark.parametrize("kind", [lmdb.MapResizedError, lmdb.BadDbiError])
def test_write_that_is_always_disturbed_gives_up(ours: Store, kind: type[lmdb.Error]) -> None:
    """Nothing is written, and the lock is free."""
    with pytest.raises(KvError):
        ours.write(failing(1000, kind("x")))
    ours.open("default").set("k", b"w")


def test_map_that_cannot_be_adopted_is_opened_again(ours: Store) -> None:
    """A resize that fails leaves LMDB without a map."""
    inside, tried = inner(ours), []

    def set_mapsize(size: int) -> None:
        tried.append(size)
        raise lmdb.Error("no room at this address")

    inside._env = Failing(inside._env, set_mapsize=set_mapsize)  # type: ignore[assignment]
    assert ours.read(failing(1, lmdb.MapResizedError("x"), b"seen")) == b"seen"
    assert (tried, ours.open("default").get("k")) == ([0], b"v")


def test_map_of_the_largest_size_is_full(ours: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """It grows to its bound and no further; nothing is written."""
    monkeypatch.setattr(environment, "MAP_BYTES_MAX", ours.stat()["map_bytes"])
    with pytest.raises(Full, match="largest size"):
        ours.write(failing(1, lmdb.MapFullError("x")))


def test_right_to_write_that_cannot_be_had_leaves_readers_alone(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has it open for reading still can where opening for writing fails."""
    Store(path).close()
    reader, opened = Store(path, read_only=True), opening.open_files

    def open_files(files: Files, *, writable: bool, metasync: bool) -> object:
        if writable:
            raise lmdb.LockError("x")
        return opened(files, writable=writable, metasync=metasync)

    monkeypatch.setattr("kvcli.engine.environment.open_files", open_files)
    with pytest.raises(InputOutput):
        Store(path)
    assert reader.open("default").get("k") is None
    assert not inner(reader).writable


def test_fork_inside_of_a_transaction_is_told(ours: Store, path: str) -> None:
    """The child cannot close what a thread of its parent is reading, and says what to do instead."""
    ours.close()
    assert b"fork before opening a store" in run(FORK_INSIDE, path)


def test_lock_is_waited_for_no_longer_but_who_has_it_is(ours: Store) -> None:
    """The time-out is for the lock: work that has it may take longer, and happens."""
    bucket = ours.open("default")

    def work(update: object) -> None:
        time.sleep(0.4)
        update.put(b"default", b"k", b"slow")  # type: ignore[attr-defined]

    ours.lock_timeout = 0.1
    ours.write(work)
    assert bucket.get("k") == b"slow"


def test_interrupt_that_comes_with_the_answer_waits_for_nothing(ours: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The write has happened, and Ctrl-C is heard at once."""
    waited = writer.Call.wait

    def wait(call: writer.Call, *more: object) -> None:
        waited(call, *more)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    monkeypatch.setattr(writer.Call, "wait", wait)
    begun = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        ours.open("default").set("k", b"w")
    assert time.monotonic() - begun < writer.INTERRUPTED_SECONDS_MAX
    assert ours.open("default").get("k") == b"w"


def test_interrupt_in_the_midst_of_the_work_undoes_it(ours: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work that has begun when Ctrl-C comes is not committed, and the caller leaves when that is certain."""
    inside, calls = threading.Event(), list[writer.Call]()

    def wait(call: writer.Call, *_: object) -> None:
        calls.append(call)
        assert inside.wait(20)
        raise KeyboardInterrupt

    def work(update: Update) -> None:
        update.put(b"default", b"k", b"never")
        inside.set()
        while not calls[0].interrupted:
            time.sleep(0.001)

    monkeypatch.setattr(writer.Call, "wait", wait)
    with pytest.raises(KeyboardInterrupt):
        ours.write(work)
    assert (calls[0].ended, type(calls[0].error)) == (True, writer.GivenUp)
    monkeypatch.undo()
    assert ours.open("default").get("k") == b"v"
    ours.open("default").set("k", b"w")
    assert ours.open("default").get("k") == b"w"


def test_no_thread_is_full(ours: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system gives no thread, a write says so, and what to raise."""
    ours.close()

    def refuse(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(writer, "start_new_thread", refuse)
    with Store(ours.path) as again, pytest.raises(Full, match="ulimit"):
        again.open("default").set("k", b"v")


def test_meanwhile_runs_while_the_commit_does(ours: Store) -> None:
    """What there is to do meanwhile is done once; where the lock is never had it is not, and that is Busy."""
    done: list[str] = []
    ours.write(lambda update: update.put(b"default", b"k", b"w"), meanwhile=lambda: done.append("x"))
    assert done == ["x"]
    ours.lock_timeout = 0.1
    inside = inner(ours)
    inside._env = Failing(inside._env, begin=lambda **_: time.sleep(1))  # type: ignore[assignment]
    with pytest.raises(Busy, match="not free within"):
        ours.write(lambda update: update.put(b"default", b"k", b"x"), meanwhile=lambda: done.append("y"))
    assert done == ["x"]
