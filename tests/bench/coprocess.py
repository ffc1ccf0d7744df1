"""Co-process: one line, one answer, against the same over a bare pipe; in memory, so that no disk takes part."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator

ROUNDS = 5_000
ECHO = "import os\nwhile line := os.read(0, 65536): os.write(1, line)"


def run() -> Iterator[str]:
    """Give the medians in microseconds, and what is ours of them."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as folder:
        batch = [sys.executable, "-m", "kvcli", "batch", "-s", os.path.join(folder, "store")]
        floor = median([sys.executable, "-c", ECHO], b'{"op":"get","key":"a"}\n')
        yield f"bare pipe           {floor:6.1f} us"
        for name, line in (
            ("set", b'{"op":"set","key":"a","value":"1"}\n'),
            ("get", b'{"op":"get","key":"a"}\n'),
            ("incr", b'{"op":"incr","key":"n"}\n'),
        ):
            taken = median(batch, line)
            yield f"kvcli batch, {name:5}  {taken:6.1f} us, {taken - floor:.1f} above the floor (at most 100)"


def median(words: list[str], line: bytes) -> float:
    """Send a line again and again to a process, each time waiting for the answer."""
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        times = []
        for _ in range(ROUNDS):
            start = time.perf_counter()
            child.stdin.write(line)
            child.stdout.read(65536)
            times.append(time.perf_counter() - start)
        child.stdin.close()
    return statistics.median(times) * 1e6
