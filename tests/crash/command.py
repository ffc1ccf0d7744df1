"""One kvcli process of a campaign: started with nobody's settings, watched, and how it ended."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from threading import Thread
from typing import NamedTuple

from tests.processes import MEASURE, ROOT

KVCLI = (sys.executable, "-m", "kvcli")
HUNG = -999  # Instead of an exit code: the watchdog had to end it.
KEPT_BYTES = 64 << 20  # Of what it prints; the rest is counted.


class Ran(NamedTuple):
    """How a process ended."""

    code: int
    out: bytes
    err: bytes
    printed: int  # Bytes of stdout, of which `out` may be the first ones.
    seconds: float
    cpu: float  # Seconds that it, and the children it waited for, had a processor.
    mebibytes: int  # The most memory that one of them had.


def settings(home: str, **variables: str) -> dict[str, str]:
    """Give the variables of a user who has set nothing, and lives in a folder of the campaign's."""
    rest = {name: text for name, text in os.environ.items() if not name.startswith(("KVCLI_", "XDG_", "FAKETIME"))}
    return {**rest, "HOME": home, "PYTHONPATH": ROOT, **variables}


def run(
    words: Iterable[str | bytes],
    env: Mapping[str, str],
    source: Iterable[bytes] = (),
    *,
    program: tuple[str, ...] = KVCLI,
    seconds: float = 60,
    cwd: str = ROOT,
) -> Ran:
    """Run a command with pieces of input; what has not ended after so many seconds is killed, with all it started."""
    told, tells = os.pipe()
    command = [sys.executable, "-I", "-S", "-c", MEASURE, str(tells), *program, *words]
    pipe = subprocess.PIPE
    begun = time.monotonic()
    child = subprocess.Popen(
        command, stdin=pipe, stdout=pipe, stderr=pipe, env=env, cwd=cwd, pass_fds=[tells], start_new_session=True
    )
    os.close(tells)
    streams = [Drain(child.stdout), Drain(child.stderr)]
    Thread(target=feed, args=(child.stdin, source), daemon=True).start()
    try:
        child.wait(seconds)
        is_hung = False
    except subprocess.TimeoutExpired:
        is_hung = True
    took = time.monotonic() - begun
    kill_group(child)  # Who takes what it printed closes the pipes.
    out, err = (stream.end() for stream in streams)
    with open(told, "rb") as file:
        code, kibibytes, spent = map(int, file.read().split() or (HUNG, 0, 0))
    return Ran(HUNG if is_hung else code, out, err, streams[0].count, took, spent / 1000, kibibytes >> 10)


def kill_group(child: subprocess.Popen[bytes]) -> None:
    """End a process and whatever it started in its session."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def end_group(child: subprocess.Popen[bytes]) -> None:
    """End a process and whatever it started in its session, and close its pipes."""
    kill_group(child)
    for pipe in (child.stdin, child.stdout, child.stderr):
        if pipe is not None:
            pipe.close()


def feed(pipe: object, source: Iterable[bytes]) -> None:
    """Write pieces to a process for as long as it reads."""
    with contextlib.suppress(BrokenPipeError), pipe:  # type: ignore[attr-defined]
        for piece in source:
            pipe.write(piece)  # type: ignore[attr-defined]


class Drain:
    """Takes all that a process prints, and keeps the start of it."""

    def __init__(self, pipe: object) -> None:
        """Begin to take."""
        self.count = 0
        self._kept: list[bytes] = []
        self._pipe = pipe
        self._thread = Thread(target=self._take, daemon=True)
        self._thread.start()

    def end(self) -> bytes:
        """Wait for the end, and give what was kept."""
        self._thread.join()
        return b"".join(self._kept)

    def _take(self) -> None:
        with self._pipe:  # type: ignore[attr-defined]
            while piece := self._pipe.read1(1 << 18):  # type: ignore[attr-defined]
                if self.count < KEPT_BYTES:
                    self._kept.append(piece)
                self.count += len(piece)
