"""Survivor: a process that opens what power cuts left, and may die of it. It reads folders' names, and answers each with a line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from hashlib import blake2b

from kvcli import increment
from kvcli.cache import Cache
from kvcli.errors import KvError
from kvcli.store import Store
from tests.crash.state import State, difference, faults, read
from tests.processes import ROOT, kill

BACKUP = "backup.mdb"
PROCESSOR_SECONDS, WAIT_SECONDS = (
    3.0,
    60,
)  # A state takes a hundredth of that. Who turns in circles is ended by a signal.
PROGRAM = "from tests.crash.survivor import serve; serve()"


class Survivor:
    """The process, seen from outside; another takes the place of one that died."""

    def __init__(self) -> None:
        """Start it."""
        self._child = self._start()

    def look(self, folder: str) -> tuple[State, list[str]]:
        """Have it open what is in a folder; give what is there, and what is wrong."""
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._child.stdin.write(f"{folder}\n".encode())
        self._child.stdin.flush()
        told = self._child.stdout.readline()
        if told:
            answer = json.loads(told)
            return {key: value.encode("latin-1") for key, value in answer["found"].items()}, answer["wrong"]
        self._child.communicate(timeout=60)
        code = self._child.returncode
        self._child = self._start()
        return {}, [f"it died of signal {-code}" if code < 0 else f"it ended with {code}"]

    def end(self) -> None:
        """End it."""
        kill(self._child)

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-c", PROGRAM], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )


def serve() -> None:
    """Look into each folder that is named, until no more is."""
    for line in sys.stdin:
        signal.setitimer(signal.ITIMER_PROF, PROCESSOR_SECONDS)
        signal.alarm(WAIT_SECONDS)
        found, wrong = survive(line.rstrip("\n"))
        signal.alarm(0)
        told = {"found": {key: value.decode("latin-1") for key, value in found.items()}, "wrong": wrong}
        print(json.dumps(told), flush=True)


def survive(folder: str) -> tuple[State, list[str]]:
    """Read the store and the backup in a folder, verify them, write to the store; say what was there, and what went wrong."""
    store, backup = os.path.join(folder, "store"), os.path.join(folder, BACKUP)
    try:
        found = read(store)
        wrong = faults(store) or write(store, found)
        if os.path.exists(backup):
            found = {**found, BACKUP: fingerprint(read(backup))}
            wrong += faults(backup)
    except KvError as error:
        return {}, [f"{type(error).__name__}: {error}"]
    return found, wrong


def write(path: str, found: State) -> list[str]:
    """Write to a store, and to its cache; say what is not as it should be then."""
    with Store(path, adopt=True) as store, Cache(store) as cache:
        increment(store.open("default"), "next", 1)
        cache.set("entry", b"kept")
        wrong = [] if cache.get("entry") == b"kept" else ["the cache does not keep"]
    wanted = {**found, "default/next": b"1"}
    then = read(path)
    return wrong + ([] if then == wanted else [f"once written to, {difference(then, wanted)}"]) + faults(path)


def fingerprint(state: State) -> bytes:
    """Sum up a state."""
    return blake2b(repr(sorted(state.items())).encode(), digest_size=8).hexdigest().encode()
