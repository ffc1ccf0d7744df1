"""Damages: the table of them, each tried whatever the seed; research/reliability.md, part B5, has what they did to LMDB."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator

from tests.crash.mutations import META, PAGE, Pages
from tests.crash.specimens import Specimen

Damage = Callable[[str], str]

KINDS = {"small", "foreign 0.9", "foreign 1.0", "single file 1.0"}
CUT_KINDS = {"small", "foreign 0.9", "foreign 1.0"}
GARBAGE = random.Random(1).randbytes(40_960)
CONTENTS = {
    "nothing": b"",
    "one byte": b"\0",
    "text": b"hello\n" * 5000,
    "zeros": bytes(40_960),
    "ones": b"\xff" * 40_960,
    "random": GARBAGE,
    "an SQLite file": b"SQLite format 3\0" + bytes(8176),
}
LOCKS = {"nothing": b"", "one byte": b"\1", "zeros": bytes(8192), "ones": b"\xff" * 8192, "random": GARBAGE[:8192]}
BOMB_BYTES = 100 << 30


def table(specimens: list[Specimen]) -> Iterator[tuple[Specimen, Damage]]:
    """Give every row: a sound store, and what is done to its data file."""
    for specimen in specimens:
        if specimen.name in KINDS:
            yield from ((specimen, damage) for damage in _damages())
        if specimen.name in CUT_KINDS:
            for page in range(1, len(specimen.content) // PAGE + 1):
                yield from ((specimen, _cut(page * PAGE + more)) for more in (-1, 0, 1))


def _damages() -> Iterator[Damage]:
    yield from (_overwritten(name) for name in CONTENTS)
    yield from (_locked(name) for name in LOCKS)
    yield from (_without_meta(page) for page in (0, 1))
    yield from (_lengthened, _swapped, _absurd_map)


def _overwritten(name: str) -> Damage:
    def damage(path: str) -> str:
        _write(path, CONTENTS[name])
        return f"{name} in its place"

    return damage


def _locked(name: str) -> Damage:
    def damage(path: str) -> str:
        folder, file = os.path.split(path)
        _write(os.path.join(folder, "lock.mdb" if file == "data.mdb" else f"{file}-lock"), LOCKS[name])
        return f"{name} as the lock file"

    return damage


def _without_meta(page: int) -> Damage:
    def damage(path: str) -> str:
        _change(path, lambda pages: pages.data.__setitem__(slice(page * PAGE, (page + 1) * PAGE), bytes(PAGE)))
        return f"meta page {page} is zero"

    return damage


def _cut(size: int) -> Damage:
    def damage(path: str) -> str:
        os.truncate(path, size)
        return f"{size} bytes long"

    return damage


def _lengthened(path: str) -> str:
    os.truncate(path, BOMB_BYTES)
    return "100 GiB long by a hole"


def _swapped(path: str) -> str:
    def swap(pages: Pages) -> None:
        pages.data[: 2 * PAGE] = pages.data[PAGE : 2 * PAGE] + pages.data[:PAGE]

    _change(path, swap)
    return "meta pages swapped"


def _absurd_map(path: str) -> str:
    def enlarge(pages: Pages) -> None:
        for page in (0, 1):
            pages.put(page * PAGE + pages.header + META["map size"][0], 8, 1 << 60)

    _change(path, enlarge)
    return "a map of 2**60 bytes"


def _change(path: str, change: Callable[[Pages], object]) -> None:
    pages = Pages(path)
    change(pages)
    pages.write(path)


def _write(path: str, data: bytes) -> None:
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(data)
