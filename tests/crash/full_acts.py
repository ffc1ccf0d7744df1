"""What is done where there is no room: every command that writes, and what it makes of a dictionary."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable
from typing import NamedTuple

Pairs = dict[str, bytes]


class Act(NamedTuple):
    """One command, with its input, and what the store has once it is done; `steps` are the states on the way, if it has any."""

    words: tuple[str, ...]
    source: bytes = b""
    after: Pairs | None = None  # None: the store is as before.
    steps: tuple[Pairs, ...] = ()
    files: tuple[str, ...] = ()  # What it makes beside the store.
    out: bytes | None = None  # What it prints, whether or not there is room.
    into: str = ""  # The file, if any, that the shell lets it print to.


Make = Callable[[random.Random, Pairs, str], Act]


def value(chance: random.Random) -> bytes:
    """Make a value, seldom a small one."""
    return chance.randbytes(1) * chance.choice([1, 30, 3000, 30_000, 300_000, 1_500_000])


def set_(chance: random.Random, state: Pairs, _folder: str) -> Act:
    """Set a key, new or old."""
    key, new = f"k{chance.randrange(30)}", value(chance)
    return Act(("set", key, "-"), new, {**state, key: new})


def incr(_chance: random.Random, state: Pairs, _folder: str) -> Act:
    """Add one."""
    return Act(("incr", "n"), after={**state, "n": b"%d" % (int(state.get("n", 0)) + 1)})


def cas(chance: random.Random, state: Pairs, _folder: str) -> Act:
    """Swap what is there."""
    new = str(chance.randrange(10**6))
    return Act(("cas", "n", new, "--expect", state["n"].decode()), after={**state, "n": new.encode()})


def update(chance: random.Random, state: Pairs, _folder: str) -> Act:
    """Swap what a command makes of it."""
    count = chance.choice([10, 30_000, 900_000])
    words = ("cas", "u", "--update", "--", "head", "-c", str(count), "/dev/zero")
    return Act(words, after={**state, "u": bytes(count)})


def sets(chance: random.Random, state: Pairs) -> tuple[bytes, tuple[Pairs, ...]]:
    """Make lines of sets, and the states after each of them."""
    lines, steps = [], [state]
    size = chance.choice([10, 1000, 20_000])
    for number in range(chance.randrange(5, 60)):
        key, text = f"b{number}", chance.choice("xyz") * size
        lines.append(json.dumps({"op": "set", "key": key, "value": text}) + "\n")
        steps.append({**steps[-1], key: text.encode()})
    return "".join(lines).encode(), tuple(steps)


def batch(chance: random.Random, state: Pairs, _folder: str) -> Act:
    """Set many, some in each transaction."""
    source, steps = sets(chance, state)
    return Act(("batch", "--chunk", str(chance.choice([1, 7, 1000]))), source, steps[-1], steps)


def atomic(chance: random.Random, state: Pairs, _folder: str) -> Act:
    """Set many or none."""
    source, steps = sets(chance, state)
    return Act(("batch", "--atomic", "--results", "none"), source, steps[-1])


def import_(chance: random.Random, state: Pairs, _folder: str) -> Act:
    """Import many."""
    source, steps = sets(chance, state)
    return Act(("import",), source, steps[-1], steps)


def delete(chance: random.Random, state: Pairs, _folder: str) -> Act:
    """Delete a few."""
    others = sorted(state.keys() - {"n", "large"})
    keys = chance.sample(others, min(2, len(others)))
    return Act(("delete", *keys, "absent"), after={key: each for key, each in state.items() if key not in keys})


def bucket(chance: random.Random, _state: Pairs, _folder: str) -> Act:
    """Make a bucket."""
    return Act(("bucket", "create", f"b{chance.randrange(10**6)}"))


def cache_set(chance: random.Random, _state: Pairs, _folder: str) -> Act:
    """Cache a value."""
    return Act(("cache", "set", "k", "-", "--ttl", "1h"), value(chance))


def cache_run(chance: random.Random, _state: Pairs, _folder: str) -> Act:
    """Run a command, and record it where there is room."""
    count = chance.choice([3, 3000, 3_000_000])
    return Act(("cache", "run", "--", "head", "-c", str(count), "/dev/zero"), out=bytes(count))


def get_or_set(chance: random.Random, _state: Pairs, _folder: str) -> Act:
    """Make a value, and keep it where there is room."""
    count = chance.choice([3, 3000, 3_000_000])
    words = ("cache", "get-or-set", f"g{chance.random()}", "--", "head", "-c", str(count), "/dev/zero")
    return Act(words, out=bytes(count))


def backup(chance: random.Random, _state: Pairs, folder: str) -> Act:
    """Back up, over an older backup or anew."""
    file = chance.choice(["old.mdb", "new.mdb"])
    return Act(("backup", os.path.join(folder, file)), files=(file,))


def compact(_chance: random.Random, _state: Pairs, _folder: str) -> Act:
    """Give room back, for which room is needed."""
    return Act(("compact",))


def restore(_chance: random.Random, _state: Pairs, folder: str) -> Act:
    """Take everything from a backup, which stands where there is room."""
    return Act(("restore", os.path.join(os.path.dirname(folder), "backup.mdb"), "--yes"), after=dict(BACKED_UP))


def edit(_chance: random.Random, state: Pairs, _folder: str) -> Act:
    """Add something in an editor; see EDITOR."""
    return Act(("edit", "n"), after={**state, "n": state["n"] + b"0"})


def output(chance: random.Random, _state: Pairs, folder: str) -> Act:
    """Write a value to a file."""
    file = f"out-{chance.randrange(10**6)}"
    return Act(("get", "large", "--output", os.path.join(folder, file)), files=(file,))


def export(chance: random.Random, _state: Pairs, folder: str) -> Act:
    """Print everything into a file."""
    file = f"export-{chance.randrange(10**6)}"
    return Act(("export",), files=(file,), into=os.path.join(folder, file))


EDITOR = "sh -c 'printf 0 >> \"$0\"'"
LARGE = bytes(400_000)
BACKED_UP: Pairs = {"n": b"7", "restored": bytes(200_000), "large": LARGE}
ACTS: dict[str, Make] = {
    "set": set_,
    "incr": incr,
    "cas": cas,
    "cas --update": update,
    "batch": batch,
    "batch --atomic": atomic,
    "import": import_,
    "delete": delete,
    "bucket create": bucket,
    "cache set": cache_set,
    "cache run": cache_run,
    "cache get-or-set": get_or_set,
    "backup": backup,
    "compact": compact,
    "restore": restore,
    "edit": edit,
    "get --output": output,
    "export": export,
}
UNFAILING = {"cache run", "cache get-or-set"}
