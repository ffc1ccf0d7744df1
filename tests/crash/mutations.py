"""Mutations: what may befall the data file of an LMDB environment, at random or aimed at what LMDB trusts.

Each changes a file in place and says what it did. The layouts are those of lmdb/verify.py.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from random import Random

import lmdb

from kvcli.engine.transaction import PRIVATE, STATE

HEAD_BYTES = 1 << 20
PAGE, MAGIC = 4096, b"\xde\xc0\xef\xbe"
OVERFLOW, BRANCH_OR_LEAF, SUBDATA = 4, 3, 2
PAGE_FLAGS = (0, 1, 2, 4, 0x10, 0x12, 0x20, 0x22, 0x62, 0x42, 0x4000, 0x8000, 0xFFFF)
NUMBERS = (0, 1, 2, 3, 15, 16, 24, 127, 255, 1 << 12, (1 << 12) - 1, (1 << 15), (1 << 16) - 1, 1 << 31, (1 << 32) - 1)
LARGE = (1 << 40, 1 << 47, 1 << 60, (1 << 63) - 1, 1 << 63, (1 << 64) - 1)
RECORD = {"pad": (0, 4), "flags": (4, 2), "depth": (6, 2), "branches": (8, 8), "entries": (32, 8), "root": (40, 8)}
META = {
    "magic": (0, 4),
    "version": (4, 4),
    "address": (8, 8),
    "map size": (16, 8),
    "last page": (120, 8),
    "txnid": (128, 8),
}
META |= {f"free {name}": (24 + at, size) for name, (at, size) in RECORD.items()}
META |= {f"main {name}": (72 + at, size) for name, (at, size) in RECORD.items()}


class Pages:
    """The bytes of a data file, page by page."""

    def __init__(self, path: str) -> None:
        """Read the file, without the hole that may make it vast."""
        with open(path, "rb") as file:
            self.data = bytearray(file.read(HEAD_BYTES))
        self.size = os.path.getsize(path)
        if self.size > HEAD_BYTES:
            used = len(self.data.rstrip(b"\0"))
            del self.data[used + -used % PAGE :]
        self.header, self.base = (
            (16, 0) if self.data[16:20] == MAGIC else (24, 24)
        )  # In 1.0 places count from the header's end.
        self.count = len(self.data) // PAGE

    def write(self, path: str) -> None:
        """Write the file, in place."""
        with open(path, "r+b") as file:
            file.write(self.data)
            file.truncate(self.size)

    def number(self, at: int, size: int = 2) -> int:
        """Read a number."""
        return int.from_bytes(self.data[at : at + size], "little")

    def put(self, at: int, size: int, value: int) -> None:
        """Write a number, cut to its size."""
        self.data[at : at + size] = (value % (1 << size * 8)).to_bytes(size, "little")

    def flags(self, page: int) -> int:
        """Give what kind of page it is."""
        return self.number(page * PAGE + self.header - 6)

    def nodes(self, page: int) -> list[int]:
        """Give where the nodes of a page begin."""
        start = page * PAGE
        if not self.flags(page) & BRANCH_OR_LEAF or self.flags(page) & 0x20:
            return []
        lower = min(self.number(start + self.header - 4), PAGE)
        slots = range(start + self.header, start + self.base + lower, 2)
        return [start + self.base + self.number(at) for at in slots]


def random_bytes(pages: Pages, chance: Random) -> str:
    """Overwrite a few bytes anywhere."""
    size = chance.choice((1, 2, 8, 64))
    at = chance.randrange(len(pages.data) - size)
    pages.data[at : at + size] = chance.randbytes(size)
    return f"{size} bytes at {at}"


def flipped_bits(pages: Pages, chance: Random) -> str:
    """Flip bits anywhere."""
    places = [chance.randrange(len(pages.data)) for _ in range(chance.choice((1, 8, 200)))]
    for at in places:
        pages.data[at] ^= 1 << chance.randrange(8)
    return f"{len(places)} bits, the first at {places[0]}"


def whole_page(pages: Pages, chance: Random) -> str:
    """Lose a page, or put another one, or garbage, in its place."""
    page, other = chance.randrange(pages.count), chance.randrange(pages.count)
    this, that = slice(page * PAGE, page * PAGE + PAGE), slice(other * PAGE, other * PAGE + PAGE)
    kind = chance.choice(("zeros", "ones", "garbage", "copied", "swapped"))
    old = pages.data[this]
    pages.data[this] = {"zeros": bytes(PAGE), "ones": b"\xff" * PAGE, "garbage": chance.randbytes(PAGE)}.get(
        kind, pages.data[that]
    )
    if kind == "swapped":
        pages.data[that] = old
    return f"page {page} {kind}" + (f" with {other}" if kind in {"copied", "swapped"} else "")


def page_header(pages: Pages, chance: Random) -> str:
    """Change what a page says it is."""
    page = chance.randrange(2, pages.count)
    end = page * PAGE + pages.header
    field, at, size = chance.choice(
        (
            ("number", page * PAGE, 8),
            ("flags", end - 6, 2),
            ("pad", end - 8, 2),
            ("lower", end - 4, 2),
            ("upper", end - 2, 2),
        )
    )
    value = chance.choice(PAGE_FLAGS) if field == "flags" else _odd(pages.number(at, size), size, chance)
    pages.put(at, size, value)
    return f"{field} of page {page} is {value:#x}"


def overflow_count(pages: Pages, chance: Random) -> str:
    """Change how many pages a large value has; any page will do where there is none."""
    large = [page for page in range(2, pages.count) if pages.flags(page) & OVERFLOW]
    page = chance.choice(large or range(2, pages.count))
    at = page * PAGE + pages.header - 4
    value = _odd(pages.number(at, 4), 4, chance)
    pages.put(at, 4, value)
    return f"count of overflow page {page} is {value:#x}"


def node(pages: Pages, chance: Random) -> str:
    """Change where a node begins, how large it is, of what kind, or what it points to."""
    page, nodes = _with_nodes(pages, chance)
    if not nodes:
        return random_bytes(pages, chance)
    slot = chance.randrange(len(nodes))
    fields = {
        "offset": (page * PAGE + pages.header + 2 * slot, 2),
        "low": (nodes[slot], 2),
        "high": (nodes[slot] + 2, 2),
    }
    fields |= {"flags": (nodes[slot] + 4, 2), "key size": (nodes[slot] + 6, 2), "key": (nodes[slot] + 8, 1)}
    field = chance.choice(list(fields))
    at, size = fields[field]
    value = _odd(pages.number(at, size), size, chance)
    pages.put(at, size, value)
    return f"{field} of node {slot} of page {page} is {value:#x}"


def branch(pages: Pages, chance: Random) -> str:
    """Let a branch point to another page of the file, perhaps its own: a tree with a circle, or a page with two parents."""
    branches = [page for page in range(2, pages.count) if pages.flags(page) & 3 == 1 and pages.nodes(page)]
    if not branches:
        return page_header(pages, chance)
    page = chance.choice(branches)
    at, target = (
        chance.choice(pages.nodes(page)),
        chance.choice((page, chance.choice(branches), chance.randrange(pages.count))),
    )
    pages.put(at, 2, target)
    return f"a branch of page {page} is page {target}"


def record(pages: Pages, chance: Random) -> str:
    """Change the record of a sub-database."""
    found = [at for page in range(2, pages.count) for at in pages.nodes(page) if pages.number(at + 4) & SUBDATA]
    if not found:
        return node(pages, chance)
    at = chance.choice(found)
    field = chance.choice(list(RECORD))
    offset, size = RECORD[field]
    place = at + 8 + pages.number(at + 6) + offset
    value = chance.randrange(pages.count) if field == "root" and chance.random() < 0.5 else _odd(0, size, chance)
    pages.put(place, size, value)
    return f"{field} of the record at {at} is {value:#x}"


def meta(pages: Pages, chance: Random) -> str:
    """Change a field of one meta page, or of both."""
    field = chance.choice(list(META))
    offset, size = META[field]
    places = [page * PAGE + pages.header + offset for page in chance.choice(((0,), (1,), (0, 1)))]
    value = _odd(pages.number(places[0], size), size, chance)
    if "root" in field and chance.random() < 0.5:
        value = chance.randrange(pages.count)
    for at in places:
        pages.put(at, size, value)
    return f"{field} of {len(places)} meta pages is {value:#x}"


def cut(pages: Pages, chance: Random) -> str:
    """Cut the file, near the end of a page or anywhere."""
    size = chance.randrange(pages.count) * PAGE + chance.choice((-1, 0, 1, chance.randrange(PAGE)))
    pages.size = max(size, 0)
    del pages.data[pages.size :]
    return f"cut to {pages.size} bytes"


def several(pages: Pages, chance: Random) -> str:
    """Do more than one of these."""
    return "; ".join(chance.choice((whole_page, page_header, node, record, meta))(pages, chance) for _ in range(3))


KINDS: list[Callable[[Pages, Random], str]] = [
    *(
        random_bytes,
        flipped_bits,
        whole_page,
        page_header,
        overflow_count,
        node,
        node,
        branch,
        record,
        meta,
        cut,
        several,
    )
]


def mutate(path: str, chance: Random) -> str:
    """Damage a data file; say how."""
    if chance.random() < 0.06 and (told := notes(path, chance)):
        return told
    pages = Pages(path)
    kind = chance.choice(KINDS)
    told = f"{kind.__name__.replace('_', ' ')}: {kind(pages, chance)}"
    pages.write(path)
    return told


def notes(path: str, chance: Random) -> str:
    """Put garbage where kvcli keeps its own notes: to LMDB the file is sound. Nothing is said where there are none."""
    env = lmdb.open(path, subdir=False, lock=False, map_size=1 << 24, max_dbs=16)
    with env, env.begin(write=True) as txn, contextlib.suppress(lmdb.Error):
        private = env.open_db(PRIVATE, txn=txn, create=False)
        state = chance.choice((b"", b"x", chance.randbytes(33), b"\xff" * 33, bytes(33), chance.randbytes(2000), None))
        txn.put(STATE, state, db=private) if state is not None else txn.delete(STATE, db=private)
        for _ in range(chance.randrange(5)):
            name = chance.randbytes(chance.choice((1, 4, 6, 40)))
            txn.put(name, chance.randbytes(chance.choice((0, 1, 8, 9, 3000))), db=private)
        return f"notes: state of {-1 if state is None else len(state)} bytes"
    return ""


def _with_nodes(pages: Pages, chance: Random) -> tuple[int, list[int]]:
    found = [page for page in range(2, pages.count) if pages.nodes(page)]
    page = chance.choice(found) if found else 0
    return page, pages.nodes(page) if found else []


def _odd(value: int, size: int, chance: Random) -> int:
    """Give another number in the place of one: near it, at an edge, or any."""
    near = (value + 1, value - 1, value * 2, value + (1 << 16), value ^ 1 << chance.randrange(size * 8))
    return chance.choice(
        (chance.choice(near), chance.choice(NUMBERS), chance.choice(LARGE), chance.getrandbits(size * 8))
    ) % (1 << size * 8)
