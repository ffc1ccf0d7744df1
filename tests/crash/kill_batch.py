"""kill -9 in the middle of a batch: what was answered ok is there, and the unanswered rest makes the store whole."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import time

from kvcli.engine.transaction import Span
from kvcli.store import Store
from tests.crash.report import Report
from tests.processes import ROOT

LINES = 60_000
KEYS = 20_000
CHUNKS = ("1000", "5000", None)


def campaign(seed: int, rounds: int, *, plant: bool = False) -> Report:
    """Kill a batch at a random moment, each round.

    `plant` loses a key that was answered, which the campaign must see.
    """
    chance = random.Random(seed)
    report = Report()
    for number in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            lines = program(chance)
            store = os.path.join(folder, "store")
            done = kill(store, lines, chance)
            report.seen["lines answered"] += done
            report.seen["runs cut short"] += done < len(lines)
            if plant:
                lose(store, lines, done)
            problems = compare(store, lines, done)
            report.check(not problems, f"round {number}: {'; '.join(problems)}")
    return report


def program(chance: random.Random) -> list[bytes]:
    """Make sets and deletions, which may be done twice without harm."""
    made = []
    for number in range(LINES):
        key = f"k{chance.randrange(KEYS)}"
        operation = (
            {"op": "delete", "key": key} if chance.random() < 0.2 else {"op": "set", "key": key, "value": f"v{number}"}
        )
        made.append(json.dumps(operation).encode() + b"\n")
    return made


def kill(store: str, lines: list[bytes], chance: random.Random) -> int:
    """Run the lines until a random moment; give how many were answered, in whole lines, before the end."""
    chunk = chance.choice(CHUNKS)
    command = [sys.executable, "-m", "kvcli", "batch", "-s", store, *(["--chunk", chunk] if chunk else [])]
    with tempfile.TemporaryFile() as source, tempfile.TemporaryFile() as out:
        source.writelines(lines)
        source.seek(0)
        child = subprocess.Popen(command, stdin=source, stdout=out, cwd=ROOT)
        time.sleep(0.1 + chance.random() * 0.6)
        child.kill()
        child.wait()
        out.seek(0)
        told = out.read()
    whole = told[: told.rfind(b"\n") + 1].splitlines()
    assert all(b'"ok":true' in line for line in whole)
    return len(whole)


def lose(store: str, lines: list[bytes], done: int) -> None:
    """Delete a key that the answered lines made and the others leave alone."""
    later = {json.loads(line)["key"] for line in lines[done:]}
    key = next((key for key in expected(lines[:done]) if key not in later), None)
    if key is not None:
        with Store(store) as opened:
            opened.open("default").delete(key)


def compare(store: str, lines: list[bytes], done: int) -> list[str]:
    """Look whether the answered lines are there, feed the rest, and look whether all is."""
    problems = []
    if not reachable(contents(store), lines, done):
        problems.append(f"after {done} answers the store has none of the states it may have")
    rest = b"".join(lines[done:])
    subprocess.run(
        [sys.executable, "-m", "kvcli", "batch", "-s", store],
        input=rest,
        check=True,
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
    )
    if contents(store) != expected(lines):
        problems.append("the rest did not make it whole")
    return problems


def reachable(state: dict[str, bytes], lines: list[bytes], done: int) -> bool:
    """Tell whether the store is what the answered lines make, or those and some that follow them."""
    made = expected(lines[:done])
    wrong = {key for key in made.keys() | state.keys() if made.get(key) != state.get(key)}
    for line in lines[done:]:
        if not wrong:
            break
        operation = json.loads(line)
        key, value = operation["key"], operation.get("value")
        agrees = state.get(key) == (None if value is None else value.encode())
        (wrong.discard if agrees else wrong.add)(key)
    return not wrong


def expected(lines: list[bytes]) -> dict[str, bytes]:
    """Give what a dictionary makes of the lines."""
    made: dict[str, bytes] = {}
    for line in lines:
        operation = json.loads(line)
        if operation["op"] == "set":
            made[operation["key"]] = operation["value"].encode()
        else:
            made.pop(operation["key"], None)
    return made


def contents(store: str) -> dict[str, bytes]:
    """Give what is in the store; nothing, while there is none."""
    if not os.path.exists(os.path.join(store, "data.mdb")):
        return {}
    with Store(store, read_only=True) as opened:
        return {key.decode(): value for page in opened.open("default").item_pages(Span()) for key, value in page}
