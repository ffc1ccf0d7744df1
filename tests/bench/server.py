"""A store on a server: half a million sets, gets, and both in turn, from NDJSON, against redis-cli --pipe on the same server."""

from __future__ import annotations

import os
import random
import statistics
import subprocess
import tempfile
from collections.abc import Iterator

from tests.bench.batch import OPERATIONS, VALUE, kvcli, timed
from tests.redis.servers import CLI, MISSING, Server

ROUNDS = 3
FLOOR, FLOORED = 0.5, ("sets", "gets")


def run() -> Iterator[str]:
    """Give the ratios of rates; the answers of kvcli go to a file, those of redis-cli nowhere: it gives none."""
    if MISSING:
        yield f"not compared: {MISSING}"
        return
    with tempfile.TemporaryDirectory() as folder:
        server = Server(folder)
        try:
            for name in write_inputs(folder):
                yield compare(server, folder, name)
        finally:
            server.stop()


def write_inputs(folder: str) -> list[str]:
    """Write the same operations as lines of JSON and in the protocol of the server."""
    keys = [f"key{number:08d}" for number in range(OPERATIONS)]
    random.Random(1).shuffle(keys)
    sets = [f'{{"op":"set","key":"{key}","value":"{VALUE}"}}\n' for key in keys]
    gets = [f'{{"op":"get","key":"{key}"}}\n' for key in keys]
    names = [f"default:{key}" for key in keys]
    told_sets = [f"*3\r\n$3\r\nSET\r\n${len(name)}\r\n{name}\r\n$80\r\n{VALUE}\r\n" for name in names]
    told_gets = [f"*2\r\n$3\r\nGET\r\n${len(name)}\r\n{name}\r\n" for name in names]
    inputs = {
        "sets": (sets, told_sets),
        "gets": (gets, told_gets),
        "sets and gets in turn": (in_turn(sets, gets), in_turn(told_sets, told_gets)),
    }
    for name, (lines, told) in inputs.items():
        for end, parts in ((".ndjson", lines), (".resp", told)):
            with open(os.path.join(folder, name + end), "w", encoding="ascii", newline="") as file:
                file.writelines(parts)
    return [*inputs]


def in_turn(sets: list[str], gets: list[str]) -> list[str]:
    """Give half of both: a set, and a get of what was set before."""
    half = OPERATIONS // 2
    return [line for pair in zip(sets[:half], gets[:half], strict=True) for line in pair]


def compare(server: Server, folder: str, name: str) -> str:
    """Run both in turn, a few times; give our rate over that of redis-cli."""
    ours, theirs = [], []
    source = os.path.join(folder, name)
    for _ in range(ROUNDS):
        with open(source + ".resp", "rb") as told:
            words = [str(CLI), "-p", str(server.port), "--pipe"]
            theirs.append(timed(words, stdin=told, stdout=subprocess.DEVNULL))
        ours.append(kvcli(server.url, source + ".ndjson"))
    ratio = statistics.median(theirs) / statistics.median(ours)
    rate = OPERATIONS / statistics.median(ours)
    floor = f" (at least {FLOOR})" if name in FLOORED else ""
    return f"{OPERATIONS:,} {name}: {rate:,.0f}/s, {ratio:.2f} x the rate of redis-cli --pipe{floor}"
