"""States: what a store holds, as one dictionary, and what transactions make of it."""

from __future__ import annotations

import os
from collections.abc import Iterable

from lmdb.verify import VerifyError, verify

from kvcli.engine.transaction import Span
from kvcli.errors import KvError
from kvcli.store import Store

# `bucket/key` to its value, and `bucket/` for the bucket itself; None, in what a transaction does, removes.
State = dict[str, bytes]
Changes = dict[str, bytes | None]
EMPTY: State = {"default/": b""}


def after(state: State, transactions: Iterable[Changes]) -> State:
    """Give the state that transactions make of another."""
    made: Changes = dict(state)
    for changes in transactions:
        made.update(changes)
    return {key: value for key, value in made.items() if value is not None}


def reached(found: State, before: State, transactions: list[Changes]) -> list[int]:
    """Say after how many of the transactions the store holds what was found; nothing, where it never does."""
    wrong = {key for key in found.keys() | before.keys() if found.get(key) != before.get(key)}
    counts = [] if wrong else [0]
    for number, changes in enumerate(transactions, 1):
        for key, value in changes.items():
            (wrong.discard if found.get(key) == value else wrong.add)(key)
        counts += [] if wrong else [number]
    return counts


def between(old: State, new: State) -> Changes:
    """Give what makes one state of another."""
    return {**dict.fromkeys(old.keys() - new.keys()), **new}


def read(path: str) -> State:
    """Read a store, or a backup; one that is not there is empty."""
    if not os.path.exists(path if os.path.isfile(path) else os.path.join(path, "data.mdb")):
        return EMPTY
    found: State = {}
    with Store(path, read_only=True) as store:
        for name in store.buckets():
            found[f"{name}/"] = b""
            for page in store.open(name).item_pages(Span()):
                found.update({f"{name}/{key.decode()}": value for key, value in page})
    return found


def look(path: str) -> tuple[State, list[str]]:
    """Verify every page of a store, and read it if that finds nothing wrong; give what it holds, and what is wrong."""
    wrong = faults(path)
    try:
        return (EMPTY, wrong) if wrong else (read(path), [])
    except KvError as error:
        return EMPTY, [f"{type(error).__name__}: {error}"]


def faults(path: str) -> list[str]:
    """Say what is wrong with the pages of a store, or a backup; nothing, where there is none."""
    data = path if os.path.isfile(path) else os.path.join(path, "data.mdb")
    try:
        return [str(fault) for fault in verify(data, subdir=False)][:1] if os.path.exists(data) else []  # type: ignore[no-untyped-call]
    except VerifyError as error:
        return [f"it is no store: {error}"]


def difference(found: State, wanted: State) -> str:
    """Say how one state differs from another, shortly."""
    wrong = sorted(key for key in found.keys() | wanted.keys() if found.get(key) != wanted.get(key))
    key = wrong[0]
    return f"{len(wrong)} keys differ, {key} is {found.get(key)!r:.40} and not {wanted.get(key)!r:.40}"
