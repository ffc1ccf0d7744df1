"""kvcli watch: changes of other processes, as JSON lines or as runs of a command."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Timer

import pytest

from kvcli.commands.context import Context
from kvcli.commands.watch import Watched
from kvcli.engine.transaction import Snapshot, Span
from kvcli.store import Bucket, Store
from tests.conftest import Run, walk
from tests.processes import ROOT, start
from tests.tracing import traced

LOOKS = 5
PATIENCE_SECONDS = 60


@contextmanager
def watching(path: str, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    """Have a watch running."""
    child = subprocess.Popen(
        [sys.executable, "-m", "kvcli", "watch", *words],
        cwd=ROOT,
        env={**os.environ, "KVCLI_STORE": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    guard = Timer(PATIENCE_SECONDS, child.kill)  # What is never told would be waited for.
    guard.start()
    while child.poll() is None and not has_opened(child.pid, path):
        time.sleep(0.01)
    begun = slept(child.pid)
    while child.poll() is None and slept(child.pid) < begun + LOOKS:
        time.sleep(0.01)
    try:
        yield child
    finally:
        guard.cancel()
        child.kill()
        child.communicate()


def slept(process: int) -> int:
    """Say how often a process gave the processor away: a watch does so after each look."""
    with open(f"/proc/{process}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("voluntary_ctxt_switches"))


def has_opened(process: int, path: str) -> bool:
    """Tell whether a process has a store open."""
    folder, data = f"/proc/{process}/fd", os.path.realpath(os.path.join(path, "data.mdb"))
    for name in os.listdir(folder):
        with suppress(FileNotFoundError):  # It was closed meanwhile.
            if os.readlink(os.path.join(folder, name)) == data:
                return True
    return False


@pytest.fixture
def bucket(path: str) -> Bucket:
    """A bucket with a key in it."""
    opened = Store(path).open("default")
    opened.set("old", b"1")
    return opened


def events(child: subprocess.Popen[bytes], count: int) -> list[dict[str, str]]:
    """Read so many events."""
    assert child.stdout is not None
    lines = [line for _, line in zip(range(count), child.stdout, strict=False)]
    assert len(lines) == count, f"the watch ended, with {child.wait()}: {child.communicate()[1].decode()}"
    return [json.loads(line) for line in lines]


def test_changes_are_told_in_order(bucket: Bucket, path: str) -> None:
    """What is set and what is deleted is told, with the value; what was there before is not."""
    with watching(path) as child:
        bucket.set("new", b"x")
        assert events(child, 1) == [{"event": "set", "key": "new", "value": "x"}]
        bucket.set("old", b"\xff")
        assert events(child, 1) == [{"event": "set", "key": "old", "value_b64": "/w=="}]
        bucket.delete("new")
        assert events(child, 1) == [{"event": "delete", "key": "new"}]


@pytest.mark.usefixtures("bucket")
def test_a_commit_that_is_still_being_synced_is_not_missed(path: str) -> None:
    """LMDB's file tells of a commit before snapshots show it; a watch that looks in between tells it all the same."""
    with watching(path) as child:
        delayed = ["-e", "trace=pwrite64", "-e", "inject=pwrite64:delay_exit=300000"]
        traced(delayed, [sys.executable, "-m", "kvcli", "incr", "old", "-s", path])
        assert events(child, 1) == [{"event": "set", "key": "old", "value": "2"}]


def test_only_what_is_asked_for_is_told(bucket: Bucket, path: str) -> None:
    """A key is that key alone; a prefix is what starts with it."""
    with watching(path, "k") as key, watching(path, "--prefix", "k") as prefix:
        bucket.set("other", b"x")
        bucket.set("kk", b"x")
        assert events(prefix, 1)[0]["key"] == "kk"
        bucket.set("k", b"x")
        assert events(prefix, 1)[0]["key"] == "k"
        assert events(key, 1)[0]["key"] == "k"


def test_command_gets_the_event(bucket: Bucket, path: str) -> None:
    """CMD is run for each change: what happened stands in its environment, and the value on its stdin."""
    with watching(path, "--", "sh", "-c", 'echo "$KVCLI_EVENT $KVCLI_KEY $(cat)"') as child:
        bucket.set("k", b"v")
        assert child.stdout is not None
        assert child.stdout.readline() == b"set k v\n"
        bucket.delete("k")
        assert child.stdout.readline() == b"delete k \n"


def test_key_that_no_variable_can_hold(bucket: Bucket, path: str) -> None:
    """A key with a NUL is in KVCLI_KEY_B64, and the watch goes on."""
    with watching(path, "--", "sh", "-c", 'echo "$KVCLI_KEY $KVCLI_KEY_B64"') as child:
        bucket.set("x\0y", b"v")
        assert child.stdout is not None
        assert child.stdout.readline() == b" eAB5\n"
        bucket.set("k", b"v")
        assert child.stdout.readline() == b"k \n"


def test_command_gets_nothing_of_an_outer_watch(bucket: Bucket, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """KVCLI_KEY_B64 is set instead of KVCLI_KEY, and never beside it."""
    monkeypatch.setenv("KVCLI_KEY", "outer")
    monkeypatch.setenv("KVCLI_KEY_B64", "outer")
    with watching(path, "--", "sh", "-c", 'echo "$KVCLI_KEY $KVCLI_KEY_B64"') as child:
        assert child.stdout is not None
        bucket.set("k", b"v")
        assert child.stdout.readline() == b"k \n"
        bucket.set("x\0y", b"v")
        assert child.stdout.readline() == b" eAB5\n"


def test_store_that_takes_its_place_is_watched(bucket: Bucket, path: str) -> None:
    """Where the store was replaced, what differs is told, and what changes from then on."""
    with Store(path + "2") as other:
        other.open("default").set("other", b"2")
    with watching(path, "--prefix", "o") as child:
        assert bucket.get("old") == b"1"
        os.rename(path, path + "1")
        os.rename(path + "2", path)
        told = {event["key"]: event["event"] for event in events(child, 2)}
        assert told == {"old": "delete", "other": "set"}
        with Store(path) as other:
            other.open("default").set("o", b"3")
        assert events(child, 1)[0]["key"] == "o"


def test_interrupt_ends_it(bucket: Bucket, path: str) -> None:
    """Ctrl-C is exit code 130, without a word."""
    assert bucket.get("old") == b"1"
    with watching(path) as child:
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=10)
        assert (child.returncode, out, err) == (130, b"", b"")


def test_key_and_prefix_exclude_each_other(kvcli: Run, path: str) -> None:
    """One of both, or none; and a second word is no command."""
    Store(path).close()
    assert kvcli("watch", "k", "--prefix", "p").returncode == 2
    assert kvcli("watch", "k", "l").returncode == 2


# Writes keys with pauses, then a burst of many, among them deletions and ten thousand values of one key.
WRITE = """
import sys, time, kvcli
bucket = kvcli.Store(sys.argv[1]).open("default")
for number in range(int(sys.argv[2])):
    bucket.set(f"spaced{number}", b"%d" % number)
    time.sleep(0.002)
time.sleep(0.5)
for start in range(0, int(sys.argv[3]), 1000):
    kvcli.set_many(bucket, [(f"burst{number % 5000}", b"%d" % number) for number in range(start, start + 1000)])
    kvcli.delete_many(bucket, [f"burst{start % 5000}"])
bucket.set("the end", b"")
"""


def test_each_change_is_told_and_none_invented(bucket: Bucket, path: str) -> None:
    """Each of a thousand spaced writes of another process is told once; after a burst of 100,000 what was told is the state."""
    told: dict[str, str | None] = {}
    with watching(path) as child:
        assert child.stdout
        writer = start(WRITE, path, "1000", "100000")
        spaced = []
        for line in child.stdout:
            event = json.loads(line)
            told[event["key"]] = event.get("value")
            spaced += [event] if event["key"].startswith("spaced") else []
            if event["key"] == "the end":
                break
        writer.communicate(timeout=60)
    assert [
        (each["event"], each["key"], each["value"]) for each in sorted(spaced, key=lambda each: int(each["value"]))
    ] == [("set", f"spaced{number}", str(number)) for number in range(1000)]
    held = {key: (bucket.get(key) or b"").decode() for key in walk(bucket)}
    assert {key: value for key, value in told.items() if value is not None} == {
        key: value for key, value in held.items() if key != "old"
    }


def test_writes_to_another_bucket_are_not_looked_through(
    bucket: Bucket, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the bucket's own record is as it was, no key is read."""
    bucket.store.create("other")
    watched = Watched(Context(store=path), Span())
    bucket.store.open("other").set("k", b"1")
    with monkeypatch.context() as patched:
        patched.setattr(Snapshot, "items", None)
        assert watched.look() == []
    bucket.set("k", b"2")
    assert watched.look() == [b"k"]


def test_watch_holds_nothing_between_two_looks(bucket: Bucket, path: str) -> None:
    """A reader that stayed would keep every old page: the file of a store that is rewritten stays small."""
    with watching(path):
        for _ in range(400):
            bucket.set("k", bytes(100_000))
        assert os.path.getsize(os.path.join(path, "data.mdb")) < 2_000_000
