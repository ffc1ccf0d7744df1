"""What a cache does when the system fails it, or another process comes in between: the failure is handed to it."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import time

import lmdb
import pytest

from kvcli.cache import Cache
from kvcli.engine import entries, lives, register
from kvcli.engine.generation import Outdated
from kvcli.engine.handle import Handle
from kvcli.engine.shelf import READS_PER_LOOK, Shelf
from kvcli.errors import Busy, Full, InputOutput, KvError
from kvcli.store import Store
from tests.test_cache_files import again, cache, folder
from tests.test_engine_faults import Failing
from tests.test_readers import AS_OTHERS

__all__ = ["cache"]  # A fixture.


def refuse(number: int) -> object:
    """Make a call that the system refuses."""

    def call(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    return call


def test_entries_show_what_they_are(cache: Cache) -> None:
    """In a session, what get-or-set gave can be read."""
    assert repr(cache.get_or_set("k")) == "Occupied(b'v')"
    assert repr(cache.get_or_set("new")) == "Vacant(<vacancy of 'new'>)"


def test_age_goes_with_a_value(cache: Cache) -> None:
    """An entry that is there has an age, and one that is not has none."""
    found = cache.shelf.find_with_age(entries.KEY + b"k")
    assert found is not None
    assert (found[0], 0 <= found[1] < 60_000) == (b"v", True)
    assert cache.shelf.find_with_age(entries.KEY + b"absent") is None


def test_set_goes_where_others_look(path: str, cache: Cache) -> None:
    """A generation that was removed by another process is not written to: what is set next is seen by all."""
    shutil.rmtree(folder(path))
    cache.set("k", b"new")
    assert again(path).get("k") == b"new"
    assert cache.get("k") == b"new"


def test_reader_notices_that_its_generation_was_thrown_away(path: str, cache: Cache) -> None:
    """Also one that only ever hits: after a number of reads it looks, and sees what all others see."""
    os.rename(folder(path), os.path.join(path, "gone"))
    shutil.rmtree(os.path.join(path, "gone"))
    seen = [cache.get("k") for _ in range(2 * READS_PER_LOOK)]
    assert seen[0] == b"v"
    assert seen[-1] is None


def test_read_that_fails_once_is_done_again(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    """The short way may meet a generation that another thread closes at that moment."""
    generation = cache.shelf._line.generation
    assert generation is not None
    env, failures = generation.env, [lmdb.BadRslotError("x")]

    def begin(**options: bool) -> object:
        if failures:
            raise failures.pop()
        return env.begin(**options)  # type: ignore[call-overload]

    monkeypatch.setattr(generation, "env", Failing(env, begin=begin))
    assert cache.get("k") == b"v"
    assert not failures


def test_read_of_a_damaged_generation_begins_another(path: str, cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    """What LMDB finds damaged is thrown away, and missed; the next set is found."""
    generation = cache.shelf._line.generation
    assert generation is not None
    monkeypatch.setattr(generation, "env", Failing(generation.env, begin=_damaged))
    assert cache.get("k") is None
    cache.set("k", b"w")
    assert (cache.get("k"), again(path).get("k")) == (b"w", b"w")


def _damaged(**_: bool) -> None:
    raise lmdb.CorruptedError("x")


@pytest.mark.parametrize("work", ["get", "set", "join"])
def test_cache_that_is_thrown_away_for_ever_is_busy(cache: Cache, monkeypatch: pytest.MonkeyPatch, work: str) -> None:
    """There is a bound to looking for the next generation, and the message says to try again."""
    if work == "join":
        monkeypatch.setattr(register, "join", _outdated)
        cache.shelf._line._leave()
    else:
        generation = cache.shelf._line.generation
        monkeypatch.setattr(cache.shelf._line, "current", lambda **_: generation)
        monkeypatch.setattr(type(generation), "is_current", lambda _: False)
        monkeypatch.setattr(type(generation), "write", _outdated)
    with pytest.raises(Busy, match="try again"):
        cache.set("k", b"w") if work == "set" else cache.get("absent")


def _outdated(*_: object, **__: object) -> None:
    raise Outdated


def test_generation_that_goes_while_it_is_opened_is_no_error(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever fails then fails because it went: the next one is opened, or made."""
    share, left = register._share, [1]

    def going(place: str, *more: object) -> object:
        if left:
            left.pop()
            shutil.rmtree(place)
            raise OSError(errno.EIO, "gone")
        return share(place, *more)  # type: ignore[arg-type]

    Store(path).close()
    with again(path) as first:
        first.set("k", b"v")
    monkeypatch.setattr(register, "_share", going)
    with again(path) as cache:
        assert cache.get("k") is None
        assert not left
        cache.set("k", b"w")
        assert cache.get("k") == b"w"


def test_outdated_generation_is_shared_no_more(path: str, cache: Cache) -> None:
    """Who notices first opens it anew, though another thread has not noticed yet; then both see the same."""
    with again(path) as other:
        assert other.get("k") == b"v"
        generation = cache.shelf._line.generation
        assert generation is not None
        generation.outdated = True
        cache.set("k", b"w")
        assert (cache.get("k"), other.get("k")) == (b"w", b"w")


def test_failure_of_a_generation_that_is_outdated_is_none(cache: Cache) -> None:
    """Another thread closed it, and that is the error: nothing is thrown away."""
    line = cache.shelf._line
    generation = line.current()
    assert generation is not None
    generation.outdated = True
    line.give_up(generation, lmdb.Error("closed"))
    assert cache.get("k") == b"v"


@pytest.mark.parametrize("kind", [Busy, Full])
def test_room_that_cannot_be_made_fails_no_set(
    cache: Cache, monkeypatch: pytest.MonkeyPatch, kind: type[KvError]
) -> None:
    """The value is stored by then; room for others is made by the next write."""

    def make_room(*_: object) -> None:
        raise kind("x")

    monkeypatch.setattr(Shelf, "_make_room", make_room)
    cache.set("k", bytes(5000))
    assert cache.get("k") == bytes(5000)


def test_removal_without_room_empties_the_cache(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is to go goes, though a full disk has no room even for that: all goes."""

    def write(*_: object, **__: object) -> None:
        raise Full("x")

    monkeypatch.setattr(Shelf, "_write", write)
    cache.delete("k")
    monkeypatch.undo()
    assert cache.get("k") is None
    cache.set("k", b"w")
    assert cache.get("k") == b"w"


def test_removal_without_room_from_a_cache_that_is_gone_makes_none(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where another process has removed the cache meanwhile there is nothing to throw away, and nothing is made."""

    def write(*_: object, **__: object) -> None:
        raise Full("x")

    Store(path).close()
    monkeypatch.setattr(Shelf, "_write", write)
    with again(path) as cache:
        assert cache.delete_many(["k"]) == 0
    assert not os.path.exists(os.path.join(path, "cache"))


def test_file_in_the_place_of_a_generation_gives_way(path: str) -> None:
    """It is damage like other damage: told, removed, and another generation begins."""
    told: list[str] = []
    Store(path).close()
    os.mkdir(os.path.join(path, "cache"), 0o700)
    with open(folder(path), "wb"):
        pass
    with again(path, told) as cache:
        assert cache.get("k") is None
        cache.set("k", b"v")
        assert cache.get("k") == b"v"
    assert [len(told), os.path.isdir(folder(path))] == [1, True]
    assert sorted(os.listdir(os.path.join(path, "cache"))) == sorted(["claims", os.path.basename(folder(path))])


def test_file_in_the_place_of_a_generation_is_a_miss_for_who_only_reads(path: str) -> None:
    """Whoever may not write removes nothing."""
    Store(path).close()
    os.mkdir(os.path.join(path, "cache"), 0o700)
    with open(folder(path), "wb"):
        pass
    with Store(path, read_only=True) as store, Cache(store) as cache:
        assert cache.get("k") is None
    assert os.path.isfile(folder(path))


@pytest.mark.parametrize(("number", "kind"), [(errno.ENOSPC, Full), (errno.EIO, InputOutput)])
def test_generation_that_cannot_be_made_is_told(
    path: str, monkeypatch: pytest.MonkeyPatch, number: int, kind: type[KvError]
) -> None:
    """Nothing half made is left."""
    with Store(path) as store, Cache(store) as cache:
        monkeypatch.setattr(os, "rename", refuse(number))
        with pytest.raises(kind):
            cache.set("k", b"v")
        monkeypatch.undo()
        assert os.listdir(os.path.join(path, "cache")) == []
        cache.set("k", b"v")


def test_generation_that_cannot_be_removed_is_told(path: str, cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    """What clears says so."""
    monkeypatch.setattr(os, "rename", refuse(errno.EIO))
    with pytest.raises(InputOutput):
        cache.clear()
    monkeypatch.undo()
    cache.set("k", b"w")
    assert again(path).get("k") == b"w"


def test_cache_lies_on_any_file_system(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where blocks do not stay where they are, nothing is allocated and no write is mapped; all else is the same."""
    monkeypatch.setattr(lives, "ALLOCATING", set())
    with Store(path) as store, Cache(store) as cache:
        for number in range(300):
            cache.set(f"k{number}", bytes(4000))
        cache.delete_many([f"k{number}" for number in range(299)])
        generation = cache.shelf._line.generation
        assert generation is not None
        assert generation.tally.allocated == 0
        assert not generation.env.flags()["writemap"]  # A page in memory without a block on the disk is a SIGBUS.
        assert os.stat(os.path.join(folder(path), "data.mdb")).st_size >= generation.env.info()["last_pgno"] * 4096
    with again(path) as other:
        assert (other.get("k299"), other.get("k0")) == (bytes(4000), None)


def test_file_system_without_a_name(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the kernel does not tell, it is none of those that are known."""
    os.mkdir(path)
    assert lives.file_system(path) != ""
    status = os.stat(path)
    monkeypatch.setattr(os, "stat", lambda _: os.stat_result((*status[:2], os.makedev(999, 999), *status[3:])))
    assert lives.file_system(path) == ""
    monkeypatch.undo()
    monkeypatch.setattr("builtins.open", refuse(errno.EACCES))
    assert lives.file_system(path) == ""


def test_reader_does_not_wait_for_who_writes(path: str, cache: Cache) -> None:
    """Whether the files are sound, whoever is writing has looked."""
    cache.close()
    data, tally = (os.path.join(folder(path), name) for name in ("data.mdb", "tally"))
    writing = Handle(tally)
    writing.lock(1)
    os.utime(data)
    begun = time.monotonic()
    with Store(path, read_only=True) as store, Cache(store) as reader:
        assert reader.get("k") == b"v"
    assert time.monotonic() - begun < 5
    writing.close()


def test_writer_waits_for_who_writes_no_longer_than_it_would(path: str, cache: Cache) -> None:
    """To open a cache for writing is to take the lock: where that is not free in time it is busy, and nothing is set."""
    cache.close()
    writing = Handle(os.path.join(folder(path), "tally"))
    writing.lock(1)
    with again(path) as writer:
        writer.shelf.lock_timeout = 0.05
        with pytest.raises(Busy, match="another process is writing"):
            writer.set("k", b"w")
        writing.close()
        assert writer.get("k") == b"v"


def test_file_of_a_cache_is_as_long_as_it_counts(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages at the end that a write took and gave back are there, though LMDB did not write them: else it seems cut."""
    extended: list[int] = []
    extend = os.posix_fallocate

    def extending(handle: int, begin: int, size: int) -> None:
        extended.append(size)
        extend(handle, begin, size)

    monkeypatch.setattr(lives, "ALLOCATING", set())
    with Store(path) as store, Cache(store) as cache:
        cache.set("k", b"v")
        monkeypatch.setattr(os, "posix_fallocate", extending)
        generation = cache.shelf._line.generation
        assert generation is not None
        for pages in range(1, 100, 10):
            cache.shelf._write(lambda txn, _: take_and_give_back(txn, pages))  # noqa: B023 - it runs at once
            size = os.stat(os.path.join(folder(path), "data.mdb")).st_size
            assert size >= (generation.env.info()["last_pgno"] + 1) * 4096
        assert extended


def take_and_give_back(txn: lmdb.Transaction[bytes], pages: int) -> None:
    """Take so many pages in a transaction, and use them for nothing."""
    txn.put(b"small", b"%d" % pages)
    txn.put(b"large", bytes(pages * 4096))
    txn.delete(b"large")


@pytest.mark.skipif(os.geteuid() == 0 and not AS_OTHERS, reason="root may write everywhere")
def test_cache_that_may_not_be_written_can_be_read(path: str, cache: Cache) -> None:
    """Its files may be read-only; to set is exit code 77, and to get gives what is there."""
    cache.close()
    for name in ("data.mdb", "tally"):  # LMDB itself wants to write to its lock file, as a reader.
        os.chmod(os.path.join(folder(path), name), 0o400)
    words = [*AS_OTHERS, sys.executable, "-m", "kvcli", "cache"]
    got, put = (
        subprocess.run([*words, *rest, "-s", path], capture_output=True) for rest in (("get", "k"), ("set", "k", "w"))
    )
    assert (got.returncode, got.stdout, put.returncode) == (0, b"v", 77)
    assert b"permission denied" in put.stderr


@pytest.mark.parametrize("kibibytes", range(0, 80, 4))
def test_cache_that_cannot_be_made_for_want_of_room(path: str, kibibytes: int) -> None:
    """Wherever the limit cuts it short, that is exit code 69 and leaves nothing behind; not a damaged store."""
    with Store(path):
        pass
    words = [sys.executable, "-m", "kvcli", "cache", "set", "k", "v", "-s", path]
    ran = subprocess.run(["sh", "-c", f'ulimit -f {2 * kibibytes}; exec "$@"', "sh", *words], capture_output=True)
    assert (ran.returncode, b"may not grow" in ran.stderr) == (69, True)
    assert not [name for name in os.listdir(os.path.join(path, "cache")) if ".new-" in name]


def test_cache_that_counts_more_pages_than_its_map_has_is_made_anew(path: str, cache: Cache) -> None:
    """LMDB would map as many as it counts, for which no address space is enough: that is damage, and no want of room."""
    cache.close()
    data = os.path.join(folder(path), "data.mdb")
    status = os.stat(data)
    with open(data, "r+b") as file:
        for page in (0, 1):
            file.seek(page * 4096 + 16 + 120)
            file.write((1 << 60).to_bytes(8, sys.byteorder))
    os.utime(data, ns=(status.st_atime_ns, status.st_mtime_ns))
    with Store(path) as store, Cache(store) as found:
        assert found.get("k") is None
        found.set("k", b"new")
        assert found.get("k") == b"new"
