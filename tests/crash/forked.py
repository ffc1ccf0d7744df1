"""The command line in a forked process: all of it but the start of Python, so that thousands of runs take minutes.

What a run ends with is the real thing: the exit code or the signal, both streams, and nothing shared with the next.
"""

from __future__ import annotations

import gc
import importlib
import os
import pkgutil
import resource
import select
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import NamedTuple, NoReturn

import kvcli
from tests.crash.report import Report
from tests.processes import ROOT

SECONDS_MAX = 5.0
MEMORY = "/dev/shm" if os.path.isdir("/dev/shm") else None  # A disk would only be waited for.
HEAP_BYTES = 1 << 30  # Of what a process has for itself; the map of the data file does not count.
TOLD_BYTES = 1 << 16
INTERRUPT = {signal.SIGINT}
QUIET = ("kvcli.repl", "kvcli.wit", "kvcli.cli.bin", "kvcli.__main__")  # Rooms that no command enters.

Program = Callable[[list[str]], object]


class Ran(NamedTuple):
    """How a run ended. A negative code is a signal, None is no end in time."""

    code: int | None
    out: bytes
    err: bytes
    peak_bytes: int

    @property
    def ending(self) -> str:
        """Say it in words."""
        if self.code is None:
            return "no end in time"
        return f"killed by {signal.Signals(-self.code).name}" if self.code < 0 else f"exit code {self.code}"


def warm() -> None:
    """Load what the command line may need, once for all runs of this process."""
    sys.path[:] = map(os.path.abspath, sys.path)  # The runs have another current folder.
    for module in pkgutil.walk_packages(kvcli.__path__, "kvcli."):
        if not module.name.startswith(QUIET):
            importlib.import_module(module.name)
    importlib.import_module("lmdb.verify")
    importlib.import_module("kvcli.cli.app").understand(["stat"], "kvcli")
    for name in [name for name in os.environ if name.startswith(("KVCLI_", "XDG_"))]:
        del os.environ[name]
    gc.freeze()  # Else each child would copy every page on which there is a counter of references.


def apart(work: Callable[..., Report], *values: object) -> Report:
    """Do the work of a campaign in a process of its own, which has everything loaded and forks."""
    with ProcessPoolExecutor(1, get_context("spawn"), warm) as pool:
        return pool.submit(work, *values).result()


def command_line(words: list[str]) -> None:
    """Do what python -m kvcli does."""
    from kvcli.cli.entry import main

    sys.argv = ["kvcli", *words]
    try:
        main("kvcli.repl")
    except KeyboardInterrupt:
        os._exit(130)


class Begun(NamedTuple):
    """A forked process that runs, and its streams."""

    pid: int
    streams: list[int]

    def end(self, seconds: float = SECONDS_MAX, stop_after: float | None = None) -> Ran:
        """Wait for its end; after `stop_after` seconds it is sent a SIGINT, after `seconds` it and its children are killed."""
        try:
            return _awaited(self.pid, self.streams, seconds, stop_after)
        finally:
            for stream in self.streams:
                os.close(stream)


def begin(program: Program, words: list[str], folder: str, source: bytes = b"") -> Begun:
    """Start a program in a forked process."""
    streams = [os.memfd_create(name) for name in ("stdin", "stdout", "stderr")]
    os.pwrite(streams[0], source, 0)
    signal.pthread_sigmask(signal.SIG_BLOCK, INTERRUPT)  # Until the child is what it is to be, however long that takes.
    child = os.fork()
    if not child:
        _become(program, words, folder, streams)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, INTERRUPT)
    return Begun(child, streams)


def run(program: Program, words: list[str], folder: str, source: bytes = b"", stop_after: float | None = None) -> Ran:
    """Run a program in a forked process to its end."""
    return begin(program, words, folder, source).end(stop_after=stop_after)


def run_fresh(words: list[str], folder: str, source: bytes = b"") -> Ran:
    """Run the real command, from the start of Python on."""
    environment = {**os.environ, "PYTHONPATH": ROOT}
    command = [sys.executable, "-m", "kvcli", *words]
    try:
        ran = subprocess.run(
            command, cwd=folder, env=environment, input=source, capture_output=True, timeout=SECONDS_MAX
        )
    except subprocess.TimeoutExpired:
        return Ran(None, b"", b"", 0)
    return Ran(ran.returncode, ran.stdout[:TOLD_BYTES], ran.stderr[:TOLD_BYTES], 0)


def _become(program: Program, words: list[str], folder: str, streams: list[int]) -> NoReturn:
    try:
        os.setsid()
        os.chdir(folder)
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
        sys.stdin = os.fdopen(0, closefd=False)
        sys.stdout = os.fdopen(1, "w", closefd=False)
        sys.stderr = os.fdopen(2, "w", errors="backslashreplace", closefd=False)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_DATA, (HEAP_BYTES, HEAP_BYTES))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, INTERRUPT)
        program(words)
        os._exit(0)
    except BaseException:  # noqa: BLE001 - what Python does at its own end
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)


def _awaited(child: int, streams: list[int], seconds: float, stop_after: float | None) -> Ran:
    deadline, ends = time.monotonic() + seconds, select.poll()
    watched = os.pidfd_open(child)
    try:
        ends.register(watched, select.POLLIN)
        if stop_after is not None and not ends.poll(stop_after * 1000):
            os.kill(child, signal.SIGINT)
        in_time = bool(ends.poll(max(deadline - time.monotonic(), 0) * 1000))
        if not in_time:
            os.killpg(child, signal.SIGKILL)
    finally:
        os.close(watched)
    _, status, used = os.wait4(child, 0)
    out, err = (os.pread(stream, TOLD_BYTES, 0) for stream in streams[1:])
    return Ran(os.waitstatus_to_exitcode(status) if in_time else None, out, err, used.ru_maxrss << 10)
