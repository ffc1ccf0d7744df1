"""What must not stand anywhere in kvcli, because LMDB punishes it: found by reading the code."""

from __future__ import annotations

import ast

from tests.test_house import modules


def calls(name: str) -> list[tuple[str, ast.Call]]:
    """Give every call of a function or method of this name, with its module."""
    return [
        (module, node)
        for module, tree in modules().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and name in {getattr(node.func, "attr", None), getattr(node.func, "id", None)}
    ]


def keywords(call: ast.Call) -> dict[str, object]:
    """Give the constant keywords of a call."""
    return {word.arg: getattr(word.value, "value", word.value) for word in call.keywords if word.arg}


def literals() -> set[str]:
    """Give every text that stands in the code, docstrings apart."""
    found = set()
    for tree in modules().values():
        docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        found |= {
            node.value
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs
        }
    return found


def test_lmdb_is_opened_in_one_place() -> None:
    """One call opens environments."""
    opened = [(module, call) for module, call in calls("open") if ast.unparse(call.func) == "lmdb.open"]
    assert [module for module, _ in opened] == ["kvcli.engine.opening"]


def test_databases_are_opened_in_a_transaction() -> None:
    """open_db without txn= waits for ever for a write transaction of its own thread."""
    opened = calls("open_db")
    assert {module for module, _ in opened} == {"kvcli.engine.creation", "kvcli.engine.environment"}
    assert all("txn" in keywords(call) for _, call in opened)


def test_nothing_unsafe_is_asked_for() -> None:
    """No sync=False, no writemap, no map_async, and no views of pages that outlive their transaction."""
    every = [keywords(node) for tree in modules().values() for node in ast.walk(tree) if isinstance(node, ast.Call)]
    assert not [words for words in every if words.get("sync") is False]
    assert not [words for words in every if {"writemap", "map_async", "buffers"} & set(words)]


def test_dbs_is_not_asked() -> None:
    """Environment.dbs() stops at max_dbs without a word."""
    assert calls("dbs") == []


def test_lock_file_is_only_made() -> None:
    """Its name stands in one place, and nobody removes, renames or truncates files but those they just made."""
    assert [text for text in literals() if "lock.mdb" in text] == ["lock.mdb"]
    removers = {
        module
        for name in ("unlink", "remove", "rename", "replace", "truncate")
        for module, call in calls(name)
        if ast.unparse(call.func).startswith("os.")
    }
    assert removers == {"kvcli.engine.opening"}
    assert {module for module, _ in calls("rmtree")} == {"kvcli.engine.creation"}


def test_nobody_forks() -> None:
    """A fork with an environment open shares what must not be shared."""
    assert calls("fork") == []
    assert not [text for text in literals() if text == "multiprocessing"]


def test_environment_files_are_not_read_while_open() -> None:
    """Closing a second descriptor of the lock file would drop the process's locks, so only the data file is opened."""
    opened = {module for module, call in calls("open") if ast.unparse(call.func) == "os.open"}
    assert opened == {"kvcli.engine.files", "kvcli.engine.opening", "kvcli.engine.creation", "kvcli.cli.entry"}
