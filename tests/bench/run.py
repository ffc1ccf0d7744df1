"""Run: what a guest's call costs, by both links; and a whole `kvcli run` whose component was compiled before.

The guests loop in WebAssembly, so that what is measured is the way to the store and back. The store is on a RAM disk where there
is one: a sync is the disk's time and not kvcli's.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping

from kvcli.store import Bucket
from tests.wasm.commands import Texts, command

ROUNDS = 5
SIZES = {"16 B": 16, "64 KiB": 1 << 16}
CALLS = {"get": 2000, "set": 500, "increment": 500}
RAM = "/dev/shm"


def run() -> Iterator[str]:
    """Give a line for each call and size, and for the whole process."""
    try:
        import wasmtime  # noqa: F401
    except ImportError:
        yield "skipped: the extra wasm is not installed"
        return
    with tempfile.TemporaryDirectory(dir=RAM if os.path.isdir(RAM) else None) as folder:
        yield from _calls(folder)
    with tempfile.TemporaryDirectory() as folder:
        yield from _process(folder)


def guest(function: str, size: int, times: int) -> str:
    """Write a guest that makes a call so many times."""
    t = Texts()
    value = f"(i32.const 131072) (i32.const {size})"
    key = t("number" if function == "increment" else "key")
    more = {"get": "", "set": value, "increment": "(i64.const 1)"}[function]
    name = "increment" if function == "increment" else f"bucket-{function}"
    body = f"""(drop (memory.grow (i32.const 4)))
      (call $bucket-set (local.get $b) {t("key")} {value} (i32.const 16))
      (local.set $n (i32.const {times}))
      (block $done (loop $again
        (br_if $done (i32.eqz (local.get $n)))
        (call ${name} (local.get $b) {key} {more} (i32.const 16))
        (local.set $n (i32.sub (local.get $n) (i32.const 1)))
        (br $again)))
      (i32.load8_u (i32.const 16))"""
    return command(body, t)


def _calls(folder: str) -> Iterator[str]:
    from kvcli.store import Store
    from kvcli.wasm.border.fast import FastLink
    from kvcli.wasm.border.public import PublicLink

    with Store(os.path.join(folder, "store")) as store:
        buckets = {"": store.open("default")}
        for function, times in CALLS.items():
            for label, size in SIZES.items():
                if function == "increment" and size > 16:
                    continue
                for link in (FastLink, PublicLink):
                    count = times if size == 16 else times // 20
                    wall, cpu = _cost(folder, buckets, link, function, size, count)
                    yield f"{function:9} {label:7} {link.__name__:11} {wall:10.1f} us a call, {cpu:10.1f} of a processor"


def _cost(
    folder: str, buckets: Mapping[str, Bucket], link: type, function: str, size: int, times: int
) -> tuple[float, float]:
    """Time a guest with its calls and one without; give the difference for one of them, in microseconds."""
    taken: dict[int, list[tuple[float, float]]] = {}
    for count in (0, times):
        file = os.path.join(folder, "guest.wat")
        with open(file, "w", encoding="utf-8") as written:
            written.write(guest(function, size, count))
        taken[count] = [_once(file, buckets, link) for _ in range(ROUNDS)]
    least = {count: [min(each) for each in zip(*rounds, strict=True)] for count, rounds in taken.items()}
    wall, cpu = (
        (with_calls - without) / times * 1e6 for with_calls, without in zip(least[times], least[0], strict=True)
    )
    return wall, cpu


def _once(file: str, buckets: Mapping[str, Bucket], link: type) -> tuple[float, float]:
    """Run a guest; give the time that passed, and that of the processors, in which others have no part."""
    from unittest.mock import patch

    from kvcli import wasm

    with patch("kvcli.wasm.guest.link_class", lambda *_: link):
        before, busy = time.perf_counter(), time.process_time()
        code = wasm.run(file, buckets=buckets, stdin=False)
        taken = time.perf_counter() - before, time.process_time() - busy
    if code:
        raise AssertionError(f"the guest failed: {code}")
    return taken


def _process(folder: str) -> Iterator[str]:
    file = os.path.join(folder, "guest.wat")
    with open(file, "w", encoding="utf-8") as written:
        written.write(guest("get", 16, 1))
    environment = {**os.environ, "KVCLI_STORE": os.path.join(folder, "store"), "XDG_CACHE_HOME": folder}
    times = {
        "kvcli run": [sys.executable, "-m", "kvcli", "run", file],
        "import wasmtime": [sys.executable, "-c", IMPORT],
    }
    for name, words in times.items():
        first, *others = [_child(words, environment) for _ in range(ROUNDS + 1)]
        wall, cpu, memory = (statistics.median(each) for each in zip(*others, strict=True))
        yield f"{name:16} {wall:6.1f} ms, {cpu:6.1f} of a processor, {memory:5.1f} MiB (the first time {first[0]:.1f} ms)"


def _child(words: list[str], environment: dict[str, str]) -> tuple[float, float, float]:
    """Run a process; give its milliseconds, those of the processors, and the MiB that it took at most."""
    before = time.perf_counter()
    child = subprocess.Popen(words, env=environment)
    _, child.returncode, usage = os.wait4(child.pid, 0)
    taken = time.perf_counter() - before
    if child.returncode:
        raise AssertionError(f"{words} failed")
    return taken * 1000, (usage.ru_utime + usage.ru_stime) * 1000, usage.ru_maxrss / 1024


IMPORT = "import lmdb, wasmtime.component"
