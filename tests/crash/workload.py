"""Workloads: what a power cut interrupts, as a sequence of system calls and of acknowledgements at their places in it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from typing import NamedTuple

import lmdb

from tests.crash.commands import BEFORE, Command, backup_file, commands, import_file
from tests.crash.state import EMPTY, Changes, State, after, between
from tests.crash.survivor import BACKUP, fingerprint
from tests.crash.syscalls import OPTIONS, Syscall, parse
from tests.tracing import Call, traced

SMALL_MAP_BYTES = 64 << 10
PROCESSES, LINES = 3, 8
PAIRS = 3000


class Told(NamedTuple):
    """So many transactions of a lane were acknowledged by now."""

    lane: int
    done: int


Step = Syscall | Told


class Workload:
    """Lanes of transactions, each one after the other; what is in one lane is in no other. This one has one lane."""

    keeps = True

    def __init__(self, name: str, folder: str, made: list[Command], start: State = EMPTY) -> None:
        """Have commands run in a folder of their own, on a store that holds `start`."""
        self.name, self.start, self.commands = name, start, made
        self.root = os.path.join(folder, name)
        os.mkdir(self.root)
        self.lanes = [[changes for command in made for changes in command.transactions]]

    def record(self) -> Iterator[Step]:
        """Run it, and give what happened."""
        count = 0
        for command in self.commands:
            ran = command.run(self.store, OPTIONS)
            assert ran.code == 0, ran.err
            out = b""
            for call in happened(ran.calls):
                if is_answer(call):
                    out += call.strings[0]
                    yield Told(0, count + len(command.acknowledged(-1, out[: out.rfind(b"\n") + 1])))
                else:
                    yield call
            count += len(command.transactions)
            yield Told(0, count)

    @property
    def store(self) -> str:
        """Where the store is, or will be."""
        return os.path.join(self.root, "store")


class Fast(Workload):
    """What was acknowledged last may get lost."""

    keeps = False


class Together(Workload):
    """Processes that write at once, each with a lane of its own."""

    def __init__(self, name: str, folder: str) -> None:
        """Write what they read."""
        super().__init__(name, folder, [])
        self.lanes = [[{f"default/{lane}-{at}": filling(at)} for at in range(LINES)] for lane in range(PROCESSES)]
        self._files = [write_lines(folder, lane) for lane in range(PROCESSES)]

    def record(self) -> Iterator[Step]:
        """See Workload.record."""
        batch = f"{sys.executable} -m kvcli batch --chunk 1"
        words = " & ".join(f"{batch} {file}" for file in self._files)
        ran = traced(OPTIONS, ["sh", "-c", f"{words} & wait"], variables={"KVCLI_STORE": self.store})
        assert ran.out.count(b'"ok":true') == PROCESSES * LINES, ran.err
        for call in happened(ran.calls):
            if not is_answer(call):
                yield call
                continue
            for line in call.strings[0].splitlines():
                lane, at = json.loads(line)["id"]
                yield Told(lane, at + 1)


def workloads(folder: str) -> list[Workload]:
    """Make all of them, each in a folder below one."""
    growing = Workload("growth", folder, [growth()])
    with (
        lmdb.open(growing.store, map_size=SMALL_MAP_BYTES, max_dbs=4, mode=0o700, lib_version=0) as env,
        env.begin(write=True) as txn,
    ):
        env.open_db(b"default", txn=txn)
    fast = Command("fast", ["batch", "--chunk", "1", "--durability", "fast"], sets(LINES), lines(LINES), is_new=True)
    pairs: Changes = {f"default/i{number}": b"%d" % number for number in range(PAIRS)}
    taken = Command("import", ["import", import_file(folder, PAIRS)], [pairs], is_new=True)
    return [
        Workload("life", folder, life(folder)),
        Workload("import", folder, [taken]),
        growing,
        Together("together", folder),
        Fast("fast", folder, [fast]),
    ]


def life(folder: str) -> list[Command]:
    """Let a store be made, filled, changed in all ways, and copied."""
    known = {command.name: command for command in commands(folder)}
    clear = Command("clear", ["delete", "--prefix", "b", "--yes"], [{f"default/b{at}": None for at in range(99)}])
    names = (
        *("cas", "set large", "incr", "delete", "delete prefix", "batch chunks", "backup", "clear"),
        *("batch keep-going", "clear", "batch atomic", "bucket create", "compact", "bucket drop", "backup", "restore"),
        *("backup", "compact", "create"),
    )
    made = [known["create"]]
    made.append(restored := replaced("restore", made, backup_file(folder, BEFORE), BEFORE))
    for name in names:
        state = after(EMPTY, [changes for command in made for changes in command.transactions])
        if name == "backup":
            made.append(backed_up(os.path.join(folder, "life", BACKUP), state))
        elif name == "restore":
            made.append(replaced("restore", made, restored.words[1], BEFORE))
        else:
            made.append(clear if name == "clear" else known[name])
    return made


def replaced(name: str, made: list[Command], file: str, state: State) -> Command:
    """Make a command that restores a backup, after others."""
    before = after(EMPTY, [changes for command in made for changes in command.transactions])
    kept = {key: value for key, value in before.items() if key == BACKUP}
    return Command(name, ["restore", file, "--yes"], [between(before, {**state, **kept})])


def backed_up(file: str, state: State) -> Command:
    """Make a command that backs up the store when it holds this."""
    held = {key: value for key, value in state.items() if key != BACKUP}
    return Command("backup", ["backup", file], [{BACKUP: fingerprint(held)}])


def growth() -> Command:
    """Let the map of a small store, which another program made, grow several times."""
    return Command("growth", ["batch", "--chunk", "1", "--adopt"], sets(LINES * 3), lines(LINES * 3))


def sets(count: int) -> list[Changes]:
    """Give what such lines do, each for itself."""
    return [{f"default/b{at}": filling(at)} for at in range(count)]


def lines(count: int) -> bytes:
    """Make lines of a batch."""
    told = [{"op": "set", "key": f"b{at}", "value": filling(at).decode()} for at in range(count)]
    return "\n".join(map(json.dumps, told)).encode()


def filling(at: int) -> bytes:
    """Give a value, of another size each time."""
    return f"{at}".encode() * (at * 997 % 5000)


def write_lines(folder: str, lane: int) -> str:
    """Write the lines of one of several processes."""
    path = os.path.join(folder, f"lane{lane}")
    with open(path, "w", encoding="utf-8") as file:
        for at in range(LINES):
            operation = {"op": "set", "key": f"{lane}-{at}", "value": filling(at).decode(), "id": [lane, at]}
            file.write(json.dumps(operation) + "\n")
    return path


def happened(calls: list[Call]) -> list[Syscall]:
    """Order calls by when they took effect: a sync when it ended, and an answer when it began."""
    parsed = [(call, done) for call in calls if (done := parse(call)) is not None]
    parsed.sort(key=lambda pair: pair[0].began if is_answer(pair[1]) else pair[0].ended)
    return [done for _, done in parsed]


def is_answer(call: Syscall) -> bool:
    """Tell whether a call tells the parent something."""
    return (call.name, call.handle) == ("write", "1") and call.path.startswith("pipe:")
