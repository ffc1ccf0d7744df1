"""Shell: a loop of bash that reads a key a thousand times, by kv, by kvcli, and by the peers that a shell script has."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager

CALLS, ROUNDS = 1000, 3
BOUND = 20
SECONDS = 20.0
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# Prints the microseconds that a call takes, for each kind in turn, so that a slow moment of the machine hits all.
SCRIPT = """
eval "$($KVCLI shell-init bash)"
$KVCLI set key value
measure() {{
    local name=$1 start=$EPOCHREALTIME end number
    shift
    for (( number = 0; number < {calls}; number++ )); do "$@"; done > /dev/null
    end=$EPOCHREALTIME
    echo "$name $(( (${{end/./}} - ${{start/./}}) / {calls} ))"
}}
kv get key > /dev/null
for (( round = 0; round < {rounds}; round++ )); do
    measure "kv get" kv get key
    measure "kv -v" kv -v value get key
    measure "kv incr" kv incr count
    {peers}
done
"""


def run() -> Iterator[str]:
    """Give the best round of each, and by how much the peers take longer."""
    with tempfile.TemporaryDirectory() as folder, redis(folder) as socket:
        script = SCRIPT.format(calls=CALLS, rounds=ROUNDS, peers="\n    ".join(peers(folder, socket)))
        environment = {
            **os.environ,
            "KVCLI": f"{sys.executable} -m kvcli",
            "KVCLI_STORE": os.path.join(folder, "store"),
            "PYTHONPATH": ROOT,
        }
        words = ["bash", "--norc", "-c", script]
        ran = subprocess.run(words, env=environment, cwd=folder, check=True, stdout=subprocess.PIPE, text=True)
    best: dict[str, int] = {}
    for line in ran.stdout.splitlines():
        name, _, number = line.rpartition(" ")
        best[name] = min(best.get(name, int(number)), int(number))
    for name, taken in best.items():
        bound = f" (at least {BOUND})" if name == "sqlite3" else ""
        yield f"{name:10} {taken:7,} us a call, {taken / best['kv get']:6.1f} x kv get{bound}"


def peers(folder: str, socket: str | None) -> Iterator[str]:
    """Give a line of the script for each peer that is there."""
    yield 'measure "kvcli get" $KVCLI get key'
    if shutil.which("sqlite3"):
        file = os.path.join(folder, "sqlite")
        made = "CREATE TABLE pairs (key TEXT PRIMARY KEY, value BLOB) WITHOUT ROWID; INSERT INTO pairs VALUES ('key', 'value')"
        subprocess.run(["sqlite3", file, made], check=True)
        yield f"measure sqlite3 sqlite3 {file} \"SELECT value FROM pairs WHERE key = 'key'\""
    if socket is not None:
        subprocess.run(["redis-cli", "-s", socket, "set", "key", "value"], check=True, stdout=subprocess.DEVNULL)
        yield f"measure redis-cli redis-cli -s {socket} get key"


@contextmanager
def redis(folder: str) -> Iterator[str | None]:
    """Have a server of Redis, where that is installed."""
    if not (shutil.which("redis-server") and shutil.which("redis-cli")):
        yield None
        return
    socket = os.path.join(folder, "redis")
    words = ["redis-server", "--port", "0", "--unixsocket", socket, "--save", "", "--dir", folder]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL) as server:
        end = time.monotonic() + SECONDS
        while not os.path.exists(socket) and time.monotonic() < end:
            time.sleep(0.05)
        yield socket
        server.terminate()
