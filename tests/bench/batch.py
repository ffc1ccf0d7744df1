"""Batch: half a million operations from NDJSON, against redis-cli --pipe, the sqlite3 shell and a bare loop, in one run."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator

OPERATIONS = 500_000
ROUNDS = 5
REDIS_PORT = 56379
VALUE = "v" * 80
# The limit: decode with the same library, put with lmdb in one transaction, and nothing else.
BARE_SET = """
import sys, lmdb, msgspec
class Set(msgspec.Struct, tag="set", tag_field="op"):
    key: str
    value: str
decode = msgspec.json.Decoder(Set).decode
with lmdb.open(sys.argv[1], map_size=1 << 40, max_dbs=2, lib_version=0) as env, env.begin(write=True) as txn:
    database = env.open_db(b"default", txn=txn)
    with open(sys.argv[2], "rb") as lines:
        for line in lines:
            operation = decode(line)
            txn.put(operation.key.encode(), operation.value.encode(), db=database)
"""
BARE_GET = """
import sys, lmdb, msgspec
class Get(msgspec.Struct, tag="get", tag_field="op"):
    key: str
decode, encode = msgspec.json.Decoder(Get).decode, msgspec.json.Encoder().encode
with lmdb.open(sys.argv[1], map_size=1 << 40, max_dbs=2, readonly=True) as env, env.begin() as txn:
    database = env.open_db(b"default", txn=txn, create=False)
    with open(sys.argv[2], "rb") as lines:
        for number, line in enumerate(lines):
            operation = decode(line)
            value = txn.get(operation.key.encode(), db=database)
            answer = {"i": number, "op": "get", "ok": True, "found": value is not None, "value": value.decode()}
            sys.stdout.buffer.write(encode(answer) + b"\\n")
"""


def run() -> Iterator[str]:
    """Give the ratios of rates; the bounds stand beside them."""
    with tempfile.TemporaryDirectory() as folder:
        inputs = write_inputs(folder)
        yield from compare(
            f"{OPERATIONS:,} sets",
            {
                "kvcli batch": lambda store: kvcli(store, inputs["set"]),
                "bare loop": lambda store: python(BARE_SET, store, inputs["set"]),
                "redis-cli --pipe": lambda store: redis(store, inputs["redis"]),
                "sqlite3 shell": lambda store: sqlite(store, inputs["sql"]),
            },
            {"bare loop": 0.6, "redis-cli --pipe": 1, "sqlite3 shell": 3},
        )
        filled = os.path.join(folder, "filled")
        kvcli(filled, inputs["set"])
        yield from compare(
            f"{OPERATIONS:,} gets, answers to a file",
            {
                "kvcli batch": lambda _: kvcli(filled, inputs["get"]),
                "bare loop": lambda _: python(BARE_GET, filled, inputs["get"]),
            },
            {"bare loop": 0.5},
        )
        seconds = statistics.median(kvcli(os.path.join(folder, f"mixed{at}"), inputs["mixed"]) for at in range(ROUNDS))
        yield f"mixed load of all ten operations: {OPERATIONS / seconds:,.0f} operations a second"


def write_inputs(folder: str) -> dict[str, str]:
    """Write the same rows in each peer's own format."""
    keys = [f"key{number:08d}" for number in range(OPERATIONS)]
    random.Random(1).shuffle(keys)
    rows = [f'{{"op":"set","key":"{key}","value":"{VALUE}"}}\n' for key in keys]
    formats = {
        "set": rows,
        "get": [f'{{"op":"get","key":"{key}"}}\n' for key in keys],
        "redis": [f"*3\r\n$3\r\nSET\r\n${len(key)}\r\n{key}\r\n$80\r\n{VALUE}\r\n" for key in keys],
        "sql": [
            "CREATE TABLE kv (key TEXT PRIMARY KEY, value BLOB) WITHOUT ROWID;\nBEGIN;\n",
            *[f"INSERT INTO kv VALUES ('{key}', '{VALUE}');\n" for key in keys],
            "COMMIT;\n",
        ],
        "mixed": mixed(keys),
    }
    paths = {}
    for name, lines in formats.items():
        paths[name] = os.path.join(folder, name)
        with open(paths[name], "w", encoding="ascii", newline="") as file:
            file.writelines(lines)
    return paths


def mixed(keys: list[str]) -> list[str]:
    """Give lines of every operation in turn."""
    shapes = [
        '{{"op":"set","key":"{key}","value":"1"}}',
        '{{"op":"get","key":"{key}"}}',
        '{{"op":"incr","key":"n{number}","delta":2}}',
        '{{"op":"exists","key":"{key}"}}',
        '{{"op":"cas","key":"c{key}","new":"x","expect":null}}',
        '{{"op":"list","prefix":"{key}","limit":3}}',
        '{{"op":"get_many","keys":["{key}","n{number}"]}}',
        '{{"op":"set_many","items":[{{"key":"m{key}","value":"1"}}]}}',
        '{{"op":"delete_many","keys":["m{key}"]}}',
        '{{"op":"delete","key":"{key}"}}',
    ]
    return [shapes[at % 10].format(key=key, number=at % 100) + "\n" for at, key in enumerate(keys)]


def compare(title: str, runs: dict[str, Callable[[str], float]], bounds: dict[str, float]) -> Iterator[str]:
    """Run all in turn, a few times, each with a fresh folder; give our rate over that of each other."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(ROUNDS):
        for name, timed in runs.items():
            with tempfile.TemporaryDirectory() as folder, contextlib.suppress(FileNotFoundError):
                times[name].append(timed(os.path.join(folder, "store")))
    ours = statistics.median(times.pop("kvcli batch"))
    yield f"{title}: {ours:.2f} s"
    for name, taken in times.items():
        if taken:
            yield f"  {statistics.median(taken) / ours:5.2f} x the rate of {name} (at least {bounds[name]})"
        else:
            yield f"  {name} is not installed: not compared"


def timed(words: list[str], **options: object) -> float:
    """Run a process to its end and give the seconds."""
    # As it is installed: with its modules compiled, and with streams that buffer.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    start = time.perf_counter()
    subprocess.run(words, check=True, env=environment, **options)  # type: ignore[call-overload]
    return time.perf_counter() - start


def kvcli(store: str, source: str) -> float:
    """Time kvcli, its answers included."""
    with open(os.path.join(os.path.dirname(source), "answers"), "wb") as answers:
        return timed([sys.executable, "-m", "kvcli", "batch", source, "-s", store], stdout=answers)


def python(program: str, store: str, source: str) -> float:
    """Time a bare loop."""
    os.makedirs(store, exist_ok=True)
    with open(os.path.join(os.path.dirname(source), "answers"), "wb") as answers:
        return timed([sys.executable, "-c", program, store, source], stdout=answers)


def sqlite(store: str, source: str) -> float:
    """Time the sqlite3 shell."""
    with open(source, "rb") as rows:
        return timed(["sqlite3", store], stdin=rows)


def redis(_store: str, source: str) -> float:
    """Time redis-cli --pipe, as one calls it, into a server of its own, which keeps nothing on disk."""
    if not shutil.which("redis-cli"):
        raise FileNotFoundError("redis-cli")
    words = ["--port", str(REDIS_PORT), "--save", "", "--appendonly", "no"]
    server = subprocess.Popen(["redis-server", *words], stdout=subprocess.DEVNULL)
    try:
        while subprocess.run(["redis-cli", "-p", str(REDIS_PORT), "ping"], capture_output=True).returncode:
            time.sleep(0.01)
        with open(source, "rb") as rows:
            return timed(["redis-cli", "-p", str(REDIS_PORT), "--pipe"], stdin=rows, stdout=subprocess.DEVNULL)
    finally:
        server.terminate()
        server.wait()
