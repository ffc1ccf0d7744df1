"""Commands that write, each with what it does to a store, transaction by transaction."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from typing import NamedTuple

from kvcli.batch import CHUNK_PAIRS
from kvcli.store import Store
from tests.crash.state import EMPTY, Changes, State, between
from tests.tracing import Traced, traced

BEFORE: State = {
    **EMPTY,
    "default/n": b"1",
    "default/word": b"old",
    "spare/": b"",
    **{f"spare/{number}": bytes(3000) for number in range(9)},
    **{f"default/d{number}": b"x" * (number * 100) for number in range(30)},
}
BACKED_UP: State = {**EMPTY, "default/other": b"1", "more/": b"", "more/key": bytes(9000)}
LARGE = b"large" * 3000
TEXT = "b{}"  # The key that line so and so of a batch sets.
SETS, CHUNK = 10, 3
IMPORTED = CHUNK_PAIRS + 1000


class Command(NamedTuple):
    """A command that writes to a store, what it reads, and its transactions; `is_new` where there is no store before."""

    name: str
    words: list[str]
    transactions: list[Changes]
    stdin: bytes = b""
    is_new: bool = False

    @property
    def tells(self) -> bool:
        """Whether it says of each transaction what became of it; import says so only of all."""
        return self.words[0] != "import"

    @property
    def before(self) -> State:
        """What the store holds before it."""
        return EMPTY if self.is_new else BEFORE

    def acknowledged(self, code: int, out: bytes) -> list[int]:
        """Say which of its transactions were acknowledged, by its exit code or line by line."""
        if self.words[0] != "batch":
            return [] if code else list(range(len(self.transactions)))
        told = [json.loads(line) for line in out.splitlines()]
        done = {f"default/{TEXT.format(line['i'])}" for line in told if line["ok"]}
        return [number for number, changes in enumerate(self.transactions) if changes.keys() <= done]

    def run(self, store: str, options: list[str], shell: list[str] | None = None) -> Traced:
        """Run it on a store under strace, by a shell that prepares something if need be."""
        words = [*(shell or []), sys.executable, "-m", "kvcli", *self.words]
        return traced(options, words, stdin=self.stdin, variables={"KVCLI_STORE": store})


def commands(folder: str) -> list[Command]:
    """Make the commands, and the files in a folder that they read."""
    lines = [json.dumps({"op": "set", "key": TEXT.format(number), "value": f"{number}" * 99}) for number in range(SETS)]
    sets: list[Changes] = [{f"default/{TEXT.format(number)}": f"{number}".encode() * 99} for number in range(SETS)]
    batch = "\n".join(lines).encode()
    whole, chunks = joined(sets), [joined(sets[at : at + CHUNK]) for at in range(0, SETS, CHUNK)]
    delete_prefix: Changes = {key: None for key in BEFORE if key.startswith("default/d")}
    drop: Changes = {key: None for key in BEFORE if key.startswith("spare/")}
    return [
        Command("create", ["set", "word", "new"], [{"default/word": b"new"}], is_new=True),
        Command("create batch", ["batch", "--chunk", f"{CHUNK}"], chunks, batch, is_new=True),
        Command("set", ["set", "word", "new"], [{"default/word": b"new"}]),
        Command("set large", ["set", "word", "-"], [{"default/word": LARGE}], LARGE),
        Command("incr", ["incr", "n"], [{"default/n": b"2"}]),
        Command("cas", ["cas", "word", "new", "--expect", "old"], [{"default/word": b"new"}]),
        Command("delete", ["delete", "d1", "d2", "absent"], [{"default/d1": None, "default/d2": None}]),
        Command("delete prefix", ["delete", "--prefix", "d", "--yes"], [delete_prefix]),
        Command("batch chunks", ["batch", "--chunk", f"{CHUNK}"], chunks, batch),
        Command("batch keep-going", ["batch", "--chunk", "1", "--keep-going"], sets, batch),
        Command("batch atomic", ["batch", "--atomic"], [whole], batch),
        Command("import", ["import", import_file(folder, IMPORTED)], import_chunks()),
        Command("bucket create", ["bucket", "create", "fresh"], [{"fresh/": b""}]),
        Command("bucket drop", ["bucket", "drop", "spare", "--yes"], [drop]),
        Command("compact", ["compact"], []),
        Command("restore", ["restore", backup_file(folder), "--yes"], [between(BEFORE, BACKED_UP)]),
    ]


def joined(transactions: list[Changes]) -> Changes:
    """Make one transaction of many."""
    return {key: value for changes in transactions for key, value in changes.items()}


def fill(path: str, state: State) -> str:
    """Make a store, by the library, that holds just this."""
    with Store(path) as store:
        for name in sorted({key.partition("/")[0] for key in state}):
            store.create(name)
            bucket = store.open(name)
            for key in [key for key in state if key.startswith(f"{name}/") and not key.endswith("/")]:
                bucket.set(key.partition("/")[2], state[key])
    return path


def import_file(folder: str, count: int) -> str:
    """Write so many pairs for an import."""
    path = os.path.join(folder, f"pairs{count}.csv")
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(["key,value\n", *(f"i{number},{number}\n" for number in range(count))])
    return path


def import_chunks() -> list[Changes]:
    """Give the transactions of a large one: the first takes so many pairs or more, so the others count one by one."""
    pairs: list[Changes] = [{f"default/i{number}": b"%d" % number} for number in range(IMPORTED)]
    return [joined(pairs[:CHUNK_PAIRS]), *pairs[CHUNK_PAIRS:]]


def backup_file(folder: str, state: State = BACKED_UP) -> str:
    """Give a backup that can be restored: the data file of a store nobody has open."""
    return os.path.join(fill(tempfile.mkdtemp(dir=folder), state), "data.mdb")
