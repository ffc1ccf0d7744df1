"""One shot: a kvcli command against the import of lmdb alone, in the same environment, alternating."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator

ROUNDS = 30
BOUNDS = {"get": 1.35, "Tab": 1.5}
BREAKS = " \t\n\"'@><=;|&(:"


def run() -> Iterator[str]:
    """Give a line for each command: the median of 30 runs over that of the floor."""
    script = os.path.join(os.path.dirname(sys.executable), "kvcli")
    if not os.path.exists(script):
        yield f"skipped: there is no {script}; install kvcli into this environment (not -e, which loads other code)"
        return
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "KVCLI_STORE": os.path.join(folder, "store")}
        environment.pop("PYTHONPATH", None)
        commands = {
            "floor": [sys.executable, "-c", "import lmdb"],
            "get": [script, "get", "key"],
            "set": [script, "set", "key", "value"],
            "incr": [script, "incr", "count"],
            "exists": [script, "exists", "key"],
            "list": [script, "list"],
            "version": [script, "--version"],
            "Tab": [script, "__complete", "bash", "kvcli get k", BREAKS, "9"],
        }
        subprocess.run(commands["set"], check=True, env=environment, cwd=folder)
        yield from report(measure(commands, environment, folder))


def measure(commands: dict[str, list[str]], environment: dict[str, str], folder: str) -> dict[str, float]:
    """Time every command in turn, so that a slow moment of the machine hits all of them."""
    times: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(ROUNDS):
        for name, command in commands.items():
            start = time.perf_counter()
            subprocess.run(command, check=True, env=environment, cwd=folder, stdout=subprocess.DEVNULL)
            times[name].append(time.perf_counter() - start)
    return {name: statistics.median(taken) for name, taken in times.items()}


def report(medians: dict[str, float]) -> Iterator[str]:
    """Write the ratios down."""
    floor = medians.pop("floor")
    yield f"floor   python -c 'import lmdb'   {floor * 1000:6.2f} ms"
    for name, median in medians.items():
        bound = f"(at most {BOUNDS[name]})" if name in BOUNDS else ""
        yield f"{name:7} {median / floor:5.2f} x the floor         {median * 1000:6.2f} ms {bound}"
