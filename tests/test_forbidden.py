"""What must not stand anywhere in kvcli is not there: found by reading the code."""

from __future__ import annotations

import ast
import os
from collections.abc import Callable

import pytest

from tests.bans import RULES, Modules, called, calls
from tests.test_house import modules

PLANTED = ("kvcli.planted", "kvcli.engine.planted")  # Some rules are about the engine, and some about the rest.


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_rule_is_kept(rule: Callable[[Modules], list[str]]) -> None:
    """Nothing in kvcli offends the rule."""
    assert rule(modules()) == []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_rule_sees_offenders(rule: Callable[[Modules], list[str]]) -> None:
    """Each line of a planted offence is found, so that a rule which is kept is known to have looked."""
    for offence in RULES[rule].splitlines():
        assert any(rule({module: ast.parse(offence)}) for module in PLANTED), offence


def test_lmdb_is_opened_somewhere() -> None:
    """The one call of lmdb.open is where the design says."""
    opened = [module for module, call in calls(modules()) if ast.unparse(call.func) == "lmdb.open"]
    assert opened == ["kvcli.engine.opening"]


def test_handles_are_opened_in_two_places() -> None:
    """One place opens the databases of an environment; creation opens those of one that nobody else knows.

    A cache has its main database alone, whose handle is always there.
    """
    opened = {module for module, call in calls(modules()) if called(call) == "open_db"}
    assert opened == {"kvcli.engine.creation", "kvcli.engine.environment", "kvcli.engine.generation"}


def test_environment_files_are_not_read_while_open() -> None:
    """Closing a second descriptor of the lock file would drop the process's locks, so only the data file is opened."""
    opened = {module for module, call in calls(modules()) if ast.unparse(call.func) == "os.open"}
    assert opened == {
        "kvcli.engine.files",
        "kvcli.engine.opening",
        *("kvcli.engine.copying", "kvcli.engine.solitude"),  # A new file; a lock file that nobody here has open.
        *("kvcli.engine.lives", "kvcli.engine.register"),
        "kvcli.engine.spin",  # A new file, of another engine's.
        "kvcli.commands.context",
        "kvcli.location",  # The config file, which may be a FIFO.
        "kvcli.cli.entry",
        *("kvcli.shell.channel", "kvcli.shell.folder", "kvcli.shell.start"),  # Pipes, and nothing of a store.
        *("kvcli.commands.edit", "kvcli.repl.history"),  # Files that nobody else may read.
    }


def test_no_page_tells_to_remove_a_lock() -> None:
    """The README does not say that a lock file could be removed."""
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    files = [os.path.join(root, "README.md")]
    for file in files:
        with open(file, encoding="utf-8") as opened:
            assert not [text for text in opened if "lock.mdb" in text and ("rm " in text or "remove" in text)]
