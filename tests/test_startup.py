"""Start-up is a feature: which modules the hot commands load is said here, not how many milliseconds they take."""

from __future__ import annotations

import pytest

import kvcli
from kvcli.store import Store
from tests.processes import run

PROGRAM = """
import sys
import lmdb
before = set(sys.modules)
from kvcli.cli import entry
entry.raise_shield(entry.complain)
code = entry.run(entry.words(), "kvcli.repl")
print()
print(*sorted(set(sys.modules) - before), file=sys.stdout)
"""

GET = {
    *("kvcli", "kvcli.errors", "kvcli.location", "kvcli.store"),
    *(
        "kvcli.engine",
        "kvcli.engine.calm",
        "kvcli.engine.connection",
        "kvcli.engine.environment",
        "kvcli.engine.files",
        "kvcli.engine.gate",
    ),
    *("kvcli.engine.opening", "kvcli.engine.transaction"),
    *("kvcli.commands", "kvcli.commands.context", "kvcli.commands.get"),
    *("kvcli.cli", "kvcli.cli.entry", "kvcli.cli.lane", "kvcli.cli.output", "kvcli.cli.shield"),
}
# What a get loads besides: parts of the interpreter, and what lmdb loads when it opens.
GET_OTHERS = {"__future__", "_ctypes", "errno", "gc", "itertools", "lmdb._envid"}
SLOW = {
    *(
        "typer",
        "rich",
        "click",
        "prompt_toolkit",
        "json",
        "re",
        "enum",
        "typing",
        "dataclasses",
        "pathlib",
        "threading",
    ),
    *(
        "contextlib",
        "functools",
        "collections",
        "hashlib",
        "subprocess",
        "tempfile",
        "shutil",
        "logging",
        "inspect",
        "tomllib",
    ),
}


def loaded(path: str, *words: str) -> set[str]:
    """Give the modules that a command loads beyond those of `import lmdb`."""
    return set(run(PROGRAM, *words, "-s", path).decode().splitlines()[-1].split())


@pytest.fixture
def filled(path: str) -> str:
    """A store with a key in it."""
    with Store(path) as store:
        store.open("default").set("k", b"1")
    return path


def test_get_looks_for_no_garbage(filled: str) -> None:
    """It makes a thousand objects that stay, and ends before it could leave any behind."""
    program = """
import gc
from kvcli.cli.entry import main
gc.callbacks.append(lambda when, info: print("garbage", when))
main()
"""
    assert run(program, "get", "k", "-s", filled) == b"1"


def test_get_loads_just_these_modules(filled: str) -> None:
    """A get loads its own rooms and nothing else; a new name here is a decision."""
    modules = loaded(filled, "get", "k")
    assert {name for name in modules if name.startswith("kvcli")} == GET
    assert {name for name in modules if not name.startswith("kvcli")} == GET_OTHERS


@pytest.mark.parametrize(
    "words",
    [("set", "k", "2"), ("incr", "k"), ("exists", "k"), ("list",), ("delete", "k"), ("shell-init", "bash")],
    ids=" ".join,
)
def test_hot_commands_load_nothing_slow(filled: str, words: tuple[str, ...]) -> None:
    """No other hot command loads a module that takes milliseconds."""
    assert not loaded(filled, *words) & SLOW


def test_json_costs_json_alone(filled: str) -> None:
    """With --json the json module is loaded, and Typer still is not."""
    modules = loaded(filled, "get", "k", "--json")
    assert "json" in modules
    assert not modules & {"typer", "rich"}


def test_cached_run_loads_nothing_slow(filled: str) -> None:
    """A hit of `cache run` loads no slow module: neither Typer nor what runs commands."""
    words = ("cache", "run", "--ttl", "1h", "--", "true")
    loaded(filled, *words)
    modules = loaded(filled, *words)
    assert "kvcli.engine.shelf" in modules
    assert not modules & {
        *SLOW,
        "kvcli.commands.child",
        "kvcli.commands.tap",
        "kvcli.engine.lives",
        "kvcli.engine.writer",
    }


def test_version_is_told_without_typer() -> None:
    """Scripts ask for it; and Typer gives the same where more is said."""
    told, modules = run(PROGRAM, "--version").decode().rstrip("\n").split("\n\n")
    assert told == f"kvcli {kvcli.__version__}"
    assert "typer" not in modules.split()
    assert run(PROGRAM, "--json", "--version").decode().startswith(told)
