"""Inspection: every page of a data file, without LMDB. It is lmdb's own walk, corrected in some places.

Two things the walk leaves to trust, and a write relies on them. A key in a branch that does not bound what is below it
sends a write to the wrong leaf; nodes that do not fill the end of their page, one beside the other, are torn when one of
them is deleted. And it calls one thing damage that LMDB does: a value may have the pages of a longer one.
"""

from __future__ import annotations

import os
from itertools import pairwise
from struct import Struct

from lmdb.verify import (
    DUPSORT_ONLY_FLAGS,
    F_BIGDATA,
    MDB_DUPSORT,
    MDB_INTEGERKEY,
    MDB_REVERSEKEY,
    VerifyError,
    _even,
    _Verifier,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, BinaryIO

    Tree = dict[str, Any]  # What the walk of one tree knows.
    Head = tuple[int, ...]
    Bound = bytes | None

HEAD = Struct(
    "=HHHH"
)  # Of a node: two for the size of its value, flags, the size of its key. In a branch three for a page.
PAGE_NUMBER = Struct("=Q")
POINTER_BYTES = 2
PLACE_BYTES = {"0.9": 8, "1.0": 24}  # Of what stands for a value that has pages of its own.
UNBOUND = (None, None)
FLAGS = MDB_REVERSEKEY | MDB_DUPSORT | MDB_INTEGERKEY | DUPSORT_ONLY_FLAGS  # All that a database can have.


def problems(path: str) -> list[str]:
    """Say what is wrong in a data file; nothing, where the list is empty."""
    with open(path, "rb") as file:
        try:
            found: list[str] = Inspector(file).verify()
        except VerifyError as error:
            found = [str(error)]
    return found


class Inspector(_Verifier):
    """The walk. It is lmdb's and not our own, as that finds the trees, their comparators and all else that can be wrong."""

    def __init__(self, file: BinaryIO) -> None:
        """Look through an open file."""
        super().__init__(file, os.fstat(file.fileno()).st_size)
        self._bounds: dict[int, tuple[Bound, Bound]] = {}  # Of the pages that are still to be walked.

    def _verify_tree(self, name: str, db: Any, key_cmp: Any, dup_cmp: Any, is_free: bool) -> tuple[int, int]:
        # In the record of free pages other flags stand at this place, of which the header's reader knows.
        if not is_free and db.flags & ~FLAGS:
            self.err(f"{name} DB has flags that there are none of, {db.flags:#x}")
        pages: tuple[int, int] = super()._verify_tree(name, db, key_cmp, dup_cmp, is_free)
        return pages

    def _walk_branch(self, ctx: Tree, pgno: int, buf: bytes, depth: int) -> None:
        low, high = self._bounds.pop(pgno, UNBOUND)
        nodes = list(self._nodes(buf))
        keys = [low, *(key_of(buf, at, head) for at, head in nodes[1:]), high]
        for (_, head), bounds in zip(nodes, pairwise(keys), strict=False):
            self._bounds[head[0] | head[1] << 16 | head[2] << 32] = bounds
        self._check_packed(ctx, pgno, buf, {at: self._room(head, 0) for at, head in nodes})
        super()._walk_branch(ctx, pgno, buf, depth)

    def _walk_leaf(self, ctx: Tree, pgno: int, buf: bytes) -> None:
        nodes = list(self._nodes(buf))
        self._check_bounds(ctx, pgno, [key_of(buf, at, head) for at, head in (nodes[:1] + nodes[-1:])])
        self._check_packed(ctx, pgno, buf, {at: self._room(head, self._value(head)) for at, head in nodes})
        super()._walk_leaf(ctx, pgno, buf)

    def _walk_leaf2(self, ctx: Tree, pgno: int, buf: bytes) -> None:
        size, begin = self._pg_pad(buf, 0), self.hdrsz
        ends = range(begin, min(begin + self._numkeys(self._pg_lower(buf, 0)) * size, self.psize), size or self.psize)
        self._check_bounds(ctx, pgno, [buf[at : at + size] for at in ends])
        super()._walk_leaf2(ctx, pgno, buf)

    def _bigdata(
        self, ctx: Tree, pgno: int, i: int, buf: bytes, doff: int, dsize: int, want_bytes: bool
    ) -> bytes | None:
        # Written twice in one transaction, the shorter value stays where the longer one was. So the pages are counted by
        # what they say of themselves, where that is more: as many are counted as this one's, and given back with it.
        room = max(dsize, self._extent_bytes(buf[doff : doff + PAGE_NUMBER.size]))
        data: bytes | None = super()._bigdata(ctx, pgno, i, buf, doff, room, want_bytes)
        return None if data is None else data[:dsize]

    def _extent_bytes(self, number: bytes) -> int:
        first = self.read_page(PAGE_NUMBER.unpack(number)[0]) if len(number) == PAGE_NUMBER.size else None
        return 0 if first is None else self._pg_pages(first, 0) * self.psize - self.hdrsz

    def _nodes(self, buf: bytes) -> Iterator[tuple[int, Head]]:
        """Give where each node is, and its head; what lies outside of the page, which the walk reports, is left out."""
        count = min(self._numkeys(self._pg_lower(buf, 0)), (self.psize - self.hdrsz) // POINTER_BYTES)
        for at in (self._node_off(buf, 0, index) for index in range(count)):
            if at + HEAD.size <= self.psize:
                yield at, HEAD.unpack_from(buf, at)

    def _value(self, head: Head) -> int:
        return PLACE_BYTES[self.eng["name"]] if head[2] & F_BIGDATA else head[0] | head[1] << 16

    def _room(self, head: Head, value: int) -> int:
        size = _even(head[3]) if self.eng["has_txnid"] else head[3]
        return _even(HEAD.size + size + value)  # type: ignore[no-any-return]

    def _check_bounds(self, ctx: Tree, pgno: int, keys: list[bytes]) -> None:
        low, high = self._bounds.pop(pgno, UNBOUND)
        order = ctx["key_cmp"]
        if keys and low is not None and order(keys[0], low) < 0:
            self.err(f"{ctx['name']} DB: page {pgno} begins before the key of its branch")
        if keys and high is not None and order(keys[-1], high) >= 0:
            self.err(f"{ctx['name']} DB: page {pgno} ends after the next key of its branch")

    def _check_packed(self, ctx: Tree, pgno: int, buf: bytes, rooms: dict[int, int]) -> None:
        place = self._pg_upper(buf, 0) + self.pagebase
        for at in sorted(rooms):
            if at != place:
                break
            place += rooms[at]
        if rooms and place != self.psize:
            self.err(f"{ctx['name']} DB: the nodes of page {pgno} do not lie side by side")


def key_of(page: bytes, at: int, head: Head) -> bytes:
    """Give the key of a node."""
    return page[at + HEAD.size : at + HEAD.size + head[3]]
