"""What may have to wait: for a lock, for somebody who reads, writes, edits or fills; and what must not wait at all."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import NamedTuple

from kvcli.engine.register import boot_folder
from tests.crash.command import KVCLI, end_group
from tests.processes import ROOT, hold_lock, kill, start

Prepare = Callable[[str, dict[str, str]], contextlib.AbstractContextManager[None]]


@contextlib.contextmanager
def nothing(_home: str, _env: dict[str, str]) -> Iterator[None]:
    """Prepare nothing."""
    yield


@contextlib.contextmanager
def locked(home: str, _env: dict[str, str]) -> Iterator[None]:
    """Have a process that has stopped with the writer lock in its hands."""
    holder = hold_lock(os.path.join(home, "store"))
    holder.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        kill(holder)


@contextlib.contextmanager
def in_use(home: str, _env: dict[str, str]) -> Iterator[None]:
    """Have a process that has the store open, and a backup of it too, for as long as it likes."""
    program = """
import sys, kvcli
stores = [kvcli.Store(path, read_only=path.endswith("mdb")) for path in sys.argv[1:]]
[store.open("default").get("k") for store in stores]
print("open", flush=True)
sys.stdin.read()
"""
    holder = start(program, os.path.join(home, "store"))
    assert holder.stdout is not None
    holder.stdout.readline()
    try:
        yield
    finally:
        kill(holder)


@contextlib.contextmanager
def cache_locked(home: str, env: dict[str, str]) -> Iterator[None]:
    """Have the lock of a cache held."""
    subprocess.run([*KVCLI, "cache", "set", "c", "1"], env=env, check=True, cwd=ROOT)
    with open(os.path.join(boot_folder(os.path.join(home, "store", "cache")), "tally"), "rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def filling(_home: str, env: dict[str, str]) -> Iterator[None]:
    """Have a filler that is stuck, of an entry that is not there."""
    subprocess.run([*KVCLI, "cache", "delete", "stuck"], env=env, check=True, cwd=ROOT)
    filler = subprocess.Popen(
        [*KVCLI, "cache", "get-or-set", "stuck", "--", "sh", "-c", "echo; echo >&2; exec sleep 600"],
        env=env,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    assert filler.stderr is not None
    filler.stderr.readline()
    try:
        yield
    finally:
        end_group(filler)


def fifo(*names: str) -> Prepare:
    """Put a FIFO, which nobody has open, where a file is to be."""

    @contextlib.contextmanager
    def put(home: str, _env: dict[str, str]) -> Iterator[None]:
        for name in names:
            path = os.path.join(home, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            if os.path.exists(path):
                os.rename(path, f"{path}.kept")
            os.mkfifo(path, 0o600)
        try:
            yield
        finally:
            for name in names:
                path = os.path.join(home, name)
                os.remove(path)
                if os.path.exists(f"{path}.kept"):
                    os.rename(f"{path}.kept", path)

    return put


class Wait(NamedTuple):
    """A command that waits until a signal comes; `busy` is the code that it ends with by itself, where its time is limited."""

    words: tuple[str, ...]
    prepare: Prepare = nothing
    busy: int | None = None
    interrupted: tuple[int, ...] = (130,)
    presses: int = 1  # So often Ctrl-C is pressed.


# HOME stands for the folder of the campaign.
WAITS: dict[str, Wait] = {
    "set": Wait(("set", "k", "2"), locked, 75),
    "set --if-absent": Wait(("set", "new", "2", "--if-absent"), locked, 75),
    "incr": Wait(("incr", "n"), locked, 75),
    "cas": Wait(("cas", "k", "2", "--expect", "1"), locked, 75),
    "cas --update": Wait(("cas", "k", "--update", "--", "echo", "2"), locked, 75),
    "delete": Wait(("delete", "k"), locked, 75),
    "delete --prefix": Wait(("delete", "--prefix", "big", "--yes"), locked, 75),
    "batch": Wait(("batch", "HOME/batch"), locked, 75),
    "batch --atomic": Wait(("batch", "--atomic", "HOME/batch"), locked, 75),
    "import": Wait(("import", "HOME/batch"), locked, 75),
    "bucket create": Wait(("bucket", "create", "b"), locked, 75),
    "bucket drop": Wait(("bucket", "drop", "spare", "--yes"), locked, 75),
    "restore": Wait(("restore", "HOME/backup.mdb", "--yes"), locked, 75),
    "edit, then locked": Wait(("edit", "n"), locked, 75),
    "script of the REPL": Wait(("repl", "HOME/script"), locked, 75),
    "compact, locked": Wait(("compact",), locked, 75),
    "compact, in use": Wait(("compact",), in_use, 75),
    "cache set": Wait(("cache", "set", "c", "2"), cache_locked, 75),
    "cache delete": Wait(("cache", "delete", "c"), cache_locked, 75),
    "cache purge": Wait(("cache", "purge"), cache_locked, 75),
    "cache get-or-set": Wait(("cache", "get-or-set", "stuck", "--", "true"), filling),
    "cache get-or-set --timeout": Wait(("cache", "get-or-set", "stuck", "--timeout", "1h", "--", "true"), filling),
    "filler": Wait(("cache", "get-or-set", "other", "--", "sleep", "600")),
    "recorder": Wait(("cache", "run", "--", "sleep", "600")),
    "batch, slow stdin": Wait(("batch",)),
    "import, slow stdin": Wait(("import",)),
    "set, slow stdin": Wait(("set", "k", "-")),
    "script, slow stdin": Wait(("repl",)),
    "list into a full pipe": Wait(("list", "--values")),
    "export into a full pipe": Wait(("export",)),
    "get into a full pipe": Wait(("get", "big1")),
    "watch": Wait(("watch",)),
    "watch --prefix": Wait(("watch", "--prefix", "k")),
    "slow updater": Wait(("cas", "k", "--update", "--", "sleep", "600")),
    "stuck editor": Wait(("edit", "k"), interrupted=(130,)),
    "deaf editor": Wait(("edit", "deaf"), interrupted=(137,), presses=3),
    "import from a FIFO": Wait(("import", "HOME/fifo"), fifo("fifo")),
    "batch from a FIFO": Wait(("batch", "HOME/fifo"), fifo("fifo")),
    "value from a FIFO": Wait(("set", "k", "@HOME/fifo"), fifo("fifo")),
    "output into a FIFO": Wait(("get", "k", "--output", "HOME/fifo"), fifo("fifo")),
}
EDITORS = {
    "edit, then locked": "sh -c 'echo 2 > \"$0\"'",
    "stuck editor": "sh -c 'sleep 600'",
    "deaf editor": f"{sys.executable} -c 'import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); time.sleep(600)'",
}


class Quick(NamedTuple):
    """A command that must not wait for anything: it ends by itself, with one of these codes."""

    words: tuple[str, ...]
    codes: tuple[int, ...]
    prepare: Prepare = nothing
    closed: bool = False  # Whether it has no stdin.
    held: bool = True  # Whether the writer lock is held as well.


@contextlib.contextmanager
def gone(home: str, _env: dict[str, str]) -> Iterator[None]:
    """Take the store away, and give it back."""
    shutil.move(os.path.join(home, "store"), os.path.join(home, "moved"))
    try:
        yield
    finally:
        shutil.move(os.path.join(home, "moved"), os.path.join(home, "store"))


QUICK: dict[str, Quick] = {
    "get, locked": Quick(("get", "k"), (0,), locked),
    "list, locked": Quick(("list", "--prefix", "k"), (0,), locked),
    "stat, locked": Quick(("stat",), (0,), locked),
    "bucket list, locked": Quick(("bucket", "list"), (0,), locked),
    "backup, locked": Quick(("backup", "HOME/fresh.mdb"), (0, 75), locked),
    "cache get, locked": Quick(("cache", "get", "c"), (0,), cache_locked),
    "cache get, stuck filler": Quick(("cache", "get", "stuck"), (1,), filling),
    "impatient": Quick(("cache", "get-or-set", "stuck", "--timeout", "300ms", "--", "echo", "1"), (0,), filling),
    "FIFO as data.mdb, get": Quick(("get", "k"), (66, 74, 77), fifo("store/data.mdb")),
    "FIFO as data.mdb, set": Quick(("set", "k", "1"), (66, 74, 77), fifo("store/data.mdb")),
    "FIFO as lock.mdb, get": Quick(("get", "k"), (66, 74, 77), fifo("store/lock.mdb")),
    "FIFO as lock.mdb, set": Quick(("set", "k", "1"), (66, 74, 77), fifo("store/lock.mdb")),
    "FIFO as a store": Quick(("get", "k", "-s", "HOME/fifo"), (66, 74, 77), fifo("fifo")),
    "FIFO as the config file": Quick(("get", "k", "-p", "x"), (0, 65), fifo(".config/kvcli/config.toml")),
    "backup onto a FIFO": Quick(("backup", "HOME/fifo"), (2,), fifo("fifo")),
    "restore from a FIFO": Quick(("restore", "HOME/fifo", "--yes"), (66, 74, 77), fifo("fifo")),
    "check of a FIFO": Quick(("check", "-s", "HOME/fifo"), (66, 74, 77), fifo("fifo")),
    "batch, closed stdin": Quick(("batch",), (0, 74), closed=True),
    "import, closed stdin": Quick(("import",), (0, 74), closed=True),
    "set, closed stdin": Quick(("set", "x", "-"), (0, 74), closed=True),
    "REPL, closed stdin": Quick(("repl",), (0, 74), closed=True),
    "question, closed stdin": Quick(("delete", "--prefix", "k"), (2,), closed=True),
    "get, no store": Quick(("get", "k"), (66,), gone),
    "watch, no store": Quick(("watch",), (66,), gone),
}
