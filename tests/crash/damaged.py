"""Damaged: one damaged store, and the judgement of what a command does there."""

from __future__ import annotations

import os
import random
import signal
import sys
import tempfile
from collections.abc import Callable
from typing import Self

from kvcli.engine.inspection import problems
from kvcli.engine.transaction import Span
from kvcli.errors import KvError
from kvcli.store import Store
from tests.crash.forked import MEMORY, Program, Ran, command_line, run, run_fresh
from tests.crash.mutations import META, PAGE, Pages
from tests.crash.specimens import Specimen

CODES = {0, 1, 3, 4, 5, 66, 74, 77}  # The others are about other things: usage, input, room, locks, and bugs.
ANSWERS = {0, 1, 3, 4, 5}
PEAK_BYTES_MAX = 600 << 20
HEAD_BYTES = 1 << 22  # What is looked at of a file that a hole makes vast.
WATCH_SECONDS = 0.1
LAST_REVISION = (1 << 64) - 1
INTEGER_KEYS, ALL_FLAGS = (
    0x08,
    0x3FFE,
)  # MDB_INTEGERKEY; the bits that are left out are flags of the environment, kept at the same place.
FRESH_SHARE = 0.02  # Of the runs so many are by a Python of their own.
WRITING = ("set", "incr", "cas", "delete", "batch", "bucket", "import", "compact")
ADOPTING = ("set", "incr", "cas", "delete", "batch", "import", "restore")
OWN = {"store", "target", "data.mdb", "lock.mdb", "store-lock", "target-lock", "big", "copy.mdb"}
MIX = b"""{"op":"set","key":"k1","value":"1"}
{"op":"get","key":"k2"}
{"op":"incr","key":"n"}
{"op":"list","prefix":"k","limit":20}
{"op":"cas","key":"k1","expect":"1","new":"2"}
{"op":"delete","key":"k3"}
{"op":"exists","key":"k4"}
{"op":"get_many","keys":["k1","k5","k77"]}
{"op":"set_many","items":[{"key":"a","value":"1"},{"key":"k9","value":"2"}]}
{"op":"delete_many","keys":["a","k0","k100"]}
"""
PAIRS = b"".join(b'{"op":"set","key":"k%d","value":"%d"}\n' % (number, number) for number in range(150))
INPUTS = {"batch": MIX, "import": PAIRS}

Content = tuple[int, bytes]


class Damaged:
    """A store in a folder of its own, with a sound one beside it, `target`; both are put right after every command."""

    def __init__(self, specimen: Specimen, damage: Callable[[str], str], program: Program) -> None:
        """Make the store and damage it; `damage` gives what it did."""
        self.specimen = specimen
        self._program = program
        self._folder = tempfile.TemporaryDirectory(dir=MEMORY)
        self._data = specimen.put(self._folder.name)
        self._target = specimen.put(self._folder.name, "target")
        self.told = f"{specimen.name}, {damage(self._data)}"
        with open(os.path.join(self._folder.name, "big"), "wb") as file:
            file.write(bytes(20_000))
        self._before = {path: content(path) for path in (self._data, self._target)}
        # To the walk an empty key is in order wherever it stands, as it is in front of a branch.
        self.is_clean = is_clean(self._data) and not (" key size of " in self.told and self.told.endswith(" 0x0"))

    def try_out(self, words: list[str], chance: random.Random) -> tuple[Ran, list[str]]:
        """Run a command, and say what was wrong with how it ended, or with what it left."""
        ran = self._ran(words, chance.random() < FRESH_SHARE)
        return ran, manners(ran, words[0]) + self._facts(ran, words)

    def _ran(self, words: list[str], is_fresh: bool) -> Ran:
        kind, folder, source = words[0], self._folder.name, INPUTS.get(words[0], b"")
        said = [*words, *([] if "--store" in words else ["--store", "store"]), *["--adopt"][: kind in ADOPTING]]
        if self._program is not command_line:
            return run(self._program, [self._data], folder)
        if kind == "library":
            return run(library, ["store"], folder)
        if is_fresh and kind != "watch":
            return run_fresh(said, folder, source)
        return run(command_line, said, folder, source, WATCH_SECONDS if kind == "watch" else None)

    def _facts(self, ran: Ran, words: list[str]) -> list[str]:
        """Say what is wrong with the files, and make them again what they were."""
        changed = {path for path, known in self._before.items() if content(path) != known}
        allowed = {self._target} if words[0] == "restore" else {self._data} if words[0] in WRITING else set()
        is_told = words[0] == "batch" and b'"ok":true' in ran.out
        found = ["a file was changed that was to be read"] if changed - allowed else []
        found += ["what was refused was changed"] if changed and ran.code not in ANSWERS and not is_told else []
        found += ["the walk calls it clean"] if self.is_clean and words[0] != "library" and ran.code == 74 else []
        found += ["the walk calls it clean"] if self.is_clean and (ran.code is None or ran.code < 0) else []
        found += ["it was clean and is not"] if self.is_clean and changed and not is_clean(self._data) else []
        found += [f"{name} was left" for name in names(self._folder.name) - OWN]
        for path in changed:
            put(path, self._before[path])
        return found

    def __enter__(self) -> Self:
        """Return self."""
        return self

    def __exit__(self, *_: object) -> None:
        """Remove the folder."""
        self._folder.cleanup()


def manners(ran: Ran, kind: str) -> list[str]:
    """Say what is wrong with how a run ended."""
    if kind == "library" and ran.code is not None and ran.code < 0:
        return []  # A program that opens what it does not trust is told to verify it first.
    if ran.code is None or ran.code < 0:
        return [ran.ending]
    said = ran.err.decode("utf-8", "replace")
    is_refused = ran.code not in ANSWERS
    found = [] if ran.code in CODES or (kind == "watch" and ran.code == 130) else [f"{ran.ending}, {said.strip()!r}"]
    found += ["a traceback"] if "Traceback" in said else []
    lines = said.count("\n")
    found += [f"{lines} lines on stderr"] if lines > 1 or (is_refused and ran.code != 130 and lines != 1) else []
    return found + ([f"{ran.peak_bytes >> 20} MiB of memory"] if ran.peak_bytes > PEAK_BYTES_MAX else [])


def content(path: str) -> Content:
    """Give how long a file is, and its bytes."""
    with open(path, "rb") as file:
        return os.fstat(file.fileno()).st_size, file.read(HEAD_BYTES)


def put(path: str, known: Content) -> None:
    """Make a file what it was."""
    size, head = known
    with open(path, "r+b") as file:
        file.write(head)
        file.truncate(size)


def names(folder: str) -> set[str]:
    """Give the names of all that is in a folder."""
    return {name for _, folders, files in os.walk(folder) for name in (*folders, *files)}


def is_clean(path: str) -> bool:
    """Tell whether lmdb's walk, as kvcli corrects it, finds nothing wrong in a file that is as long as it counts.

    That the correction calls no sound file damaged is shown elsewhere, by files that LMDB made: test_inspection.py.

    A shorter one may be sound, but of a value of many pages lmdb looks for the first alone. What a hole makes vast it would
    have to walk through, and is not asked. Nor does it look how the list of free pages is marked: with a wrong mark a write
    takes its numbers for text; nor whether there can be another revision.
    """
    if os.path.getsize(path) > HEAD_BYTES or problems(path):
        return False
    pages = Pages(path)
    both = [
        {name: pages.number(page * PAGE + pages.header + at, size) for name, (at, size) in META.items()}
        for page in (0, 1)
    ]
    is_marked = all(meta["free flags"] & ALL_FLAGS == INTEGER_KEYS for meta in both)
    is_last = any(meta["txnid"] == LAST_REVISION for meta in both)
    return is_marked and not is_last and pages.size >= (max(meta["last page"] for meta in both) + 1) * PAGE


def library(words: list[str]) -> None:
    """Read all there is as a program would, that expects no errors but ours."""
    try:
        with Store(words[0], read_only=True) as store:
            for name in store.buckets():
                if "\0" not in name:  # As damage may have it. Such a name is listed, and nothing can be called so.
                    for page in store.open(name).item_pages(Span()):
                        sum(len(value) for _, value in page)
    except KvError as error:
        sys.stderr.write(f"{error!r}\n")
        sys.stderr.flush()
        os._exit(error.exit_code)


def dying(words: list[str]) -> None:
    """Die as LMDB does where a file is shorter than it says."""
    del words
    os.kill(os.getpid(), signal.SIGBUS)


def writing(words: list[str]) -> None:
    """Write to a file, and say that it was refused."""
    with open(words[0], "ab") as file:
        file.write(b"x")
    sys.stderr.write("kvcli: damaged\n")
    sys.stderr.flush()
    os._exit(74)
