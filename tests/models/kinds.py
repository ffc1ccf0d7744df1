"""The kinds of machines: who the clients of the bucket are."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any, ClassVar

from hypothesis.stateful import precondition, rule

from kvcli.store import Store
from tests.conftest import make_foreign
from tests.models.cached import CacheMachine
from tests.models.cached_words import CacheSaid
from tests.models.library import Library
from tests.models.lines import Lines, Process
from tests.models.machine import Machine, Planning
from tests.models.words import Typed, Words
from tests.processes import ROOT

SCRIPTED = 10  # Of so many sessions one is run again by a REPL in a process of its own.


class Opened(Machine):
    """Two stores of this process that are open at once, and a co-process."""

    lib_version = 0
    process: ClassVar[Process]

    @classmethod
    def set_up(cls, path: str) -> None:
        """Make the store, and start the co-process."""
        if cls.lib_version:
            make_foreign(path, lib_version=cls.lib_version)
        Store(path, adopt=True).close()
        cls.path, cls.process = path, Process(path)

    @classmethod
    def tear_down(cls) -> None:
        """End the co-process."""
        cls.seen["lines answered"] += cls.process.close()

    def clients(self) -> list[Any]:
        """See Machine.clients."""
        here = [Library(Store(self.path), self.name) for _ in range(2)]
        return [*here, Lines(self.process, self.path, self.name)]

    @precondition(lambda self: self.plan is None)
    @rule()
    def reopen(self) -> None:
        """Close a store and open it again."""
        self.all[0].close()
        self.all[0] = Library(Store(self.path), self.name)


class OpenedNewer(Opened):
    """The same in LMDB's newer format."""

    lib_version = 1


class Drafting(Opened, Planning):
    """The same, and the first has transactions."""


class Said(Opened):
    """A command line, one that reads its words by another session, and a co-process."""

    def clients(self) -> list[Any]:
        """See Machine.clients."""
        return [
            Words(self.path, self.name),
            Library(Store(self.path), self.name),
            Lines(self.process, self.path, self.name),
        ]

    def reopen(self) -> None:  # No rule: nothing is open.
        """Do nothing."""


class TypedIn(Opened, Planning):
    """A REPL with transactions, a store that is open beside it, and a co-process."""

    def clients(self) -> list[Any]:
        """See Machine.clients."""
        self.typed = Typed(self.path, self.name)
        return [self.typed, Library(Store(self.path), self.name), Lines(self.process, self.path, self.name)]

    def begun(self) -> Any:
        """See Planning.begun."""
        self.typed.begin()
        return self.typed

    def rolled_back(self) -> None:
        """See Planning.rolled_back."""
        self.typed.rollback()

    def reopen(self) -> None:  # No rule: a session stays.
        """Do nothing."""


class Scripted(TypedIn):
    """A REPL alone; every now and then one on a pipe, in a process of its own, gets the same lines, and prints the same."""

    def clients(self) -> list[Any]:
        """See Machine.clients."""
        self.typed = Typed(self.path, self.name)
        return [self.typed]

    def _beside_plan(self, number: int, *given: Any) -> Any:
        """Have no handles: tokens are those of one store."""

    def drop_and_create(self) -> None:  # No rule: it is not typed.
        """Do nothing."""

    def teardown(self) -> None:
        """Run the lines again."""
        if hasattr(self, "typed") and not int(self.name[1:]) % SCRIPTED:
            if self.plan is not None:
                self.rollback()
            ran = script(f"{self.path}-{self.name}", self.typed.lines)
            self.seen["scripts"] += 1
            assert (ran.returncode, ran.stdout, ran.stderr) == (0, self.typed.out, b"")
        super().teardown()


def script(path: str, lines: list[str]) -> subprocess.CompletedProcess[bytes]:
    """Run lines by a REPL on a pipe."""
    Store(path).close()
    words = [sys.executable, "-m", "kvcli", "repl", "-s", path]
    source = b"".join([os.fsencode(line) + b"\n" for line in lines])
    return subprocess.run(words, input=source, capture_output=True, cwd=ROOT)


KINDS: dict[str, type[Opened | CacheMachine]] = {
    "cache": CacheMachine,
    "cache commands": CacheSaid,
    "library": OpenedNewer,
    "library-0.9": Opened,
    "draft": Drafting,
    "command line": Said,
    "repl": TypedIn,
    "repl on a pipe": Scripted,
}
