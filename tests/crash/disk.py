"""Disk: what of files and folders is durable, what is not yet, and what a power cut may leave of that.

A page that was written and not synced is there, or not, or torn between two sectors; a name that was made or removed is
so only once its folder was synced. Names change in order, pages in any.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from itertools import pairwise

from tests.crash.syscalls import Syscall

PAGE_BYTES, SECTOR_BYTES = 4096, 512
FOLDER = None

Names = dict[str, "File | None"]  # None is a folder.
Image = dict[str, bytes | None]


class Piece:
    """A write, or the part of it that is in one page."""

    __slots__ = ("data", "offset", "page")

    def __init__(self, offset: int, data: bytes) -> None:
        """Keep it."""
        self.offset, self.data = offset, data
        self.page = offset // PAGE_BYTES

    def sectors(self) -> list[Piece]:
        """Cut it at the ends of sectors, which are written whole or not at all."""
        end = self.offset + len(self.data)
        cuts = [self.offset, *range((self.offset // SECTOR_BYTES + 1) * SECTOR_BYTES, end, SECTOR_BYTES), end]
        return [Piece(low, self.data[low - self.offset : high - self.offset]) for low, high in pairwise(cuts)]


class File:
    """The bytes of a file: those that are durable, those that programs see, and the writes between."""

    def __init__(self, data: bytes = b"") -> None:
        """Begin with durable bytes."""
        self.durable, self.now = bytearray(data), bytearray(data)
        self.pending: list[Piece] = []

    def write(self, offset: int, data: bytes) -> range:
        """Write, and make nothing durable; give the pages."""
        overwrite(self.now, offset, data)
        pages = range(offset // PAGE_BYTES, (offset + len(data) - 1) // PAGE_BYTES + 1)
        for page in pages:
            low, high = max(offset, page * PAGE_BYTES), min(offset + len(data), (page + 1) * PAGE_BYTES)
            self.pending.append(Piece(low, data[low - offset : high - offset]))
        return pages

    def sync(self) -> None:
        """Make all of it durable."""
        self.durable, self.pending = bytearray(self.now), []

    def sync_pages(self, pages: range) -> None:
        """Make some pages durable, and what of the size they need."""
        for page in pages:
            low = page * PAGE_BYTES
            overwrite(self.durable, low, bytes(self.now[low : low + PAGE_BYTES]))
        self.pending = [piece for piece in self.pending if piece.page not in pages]

    def left(self, keep: Callable[[list[Piece]], list[Piece]], *, whole: bool) -> bytes:
        """Give what is left when only some of the writes came through, as long as they are or as the file was to be."""
        data = bytearray(self.durable)
        for piece in keep(self.pending):
            overwrite(data, piece.offset, piece.data)
        return bytes(data) + bytes(max(0, len(self.now) - len(data)) if whole else 0)


class Disk:
    """Files and folders below a root, as a sequence of system calls makes them."""

    def __init__(self, root: str) -> None:
        """Begin with what is there, all durable."""
        self.root = root
        self.durable: Names = {root: FOLDER}
        for folder, folders, files in os.walk(root):
            self.durable.update(dict.fromkeys([os.path.join(folder, name) for name in folders]))
            for name in files:
                with open(os.path.join(folder, name), "rb") as file:
                    self.durable[os.path.join(folder, name)] = File(file.read())
        self.now: Names = dict(self.durable)
        self.changes: list[list[tuple[str, File | None, bool]]] = []
        self._nameless: dict[str, File] = {}
        self._places: dict[tuple[int, str], int] = {}
        self._synced: set[tuple[str, str]] = set()  # Handles of which each write is synced.

    def holds(self, call: Syscall) -> bool:
        """Tell whether a call is about what is below the root."""
        paths = [call.path, call.made, *(call.paths if call.name not in WRITES else [])]
        return any(path.startswith(self.root) for path in paths)

    def do(self, call: Syscall) -> range | None:
        """Do what a call does; gives the pages that it is to make durable at its end, all of them if it is a sync."""
        if call.name in WRITES:
            return self._write(call)
        if call.name in {"fsync", "fdatasync"}:
            return ALL
        getattr(self, f"_{call.name.removesuffix('at').removesuffix('at2')}", self._ignore)(call)
        return None

    def settle(self, call: Syscall, pages: range) -> None:
        """Make durable what a call was to make so."""
        file = self._file(call)
        if file is not None and pages is ALL:
            file.sync()
        elif file is not None:
            file.sync_pages(pages)
        elif call.path in self.now:
            self._sync_folder(call.path)

    def crash(self, chance: random.Random, style: str) -> Image:
        """Give what a power cut may leave, by the path from the root; None stands for a folder."""
        keep, whole = keeping(chance, style), chance.random() < 0.5
        counts = {"none": 0, "all": len(self.changes)}
        names = dict(self.durable)
        for change in self.changes[: counts.get(style, chance.randint(0, len(self.changes)))]:
            apply(names, change)
        return {
            path[len(self.root) + 1 :]: file.left(keep, whole=whole) if file is not None else FOLDER
            for path, file in sorted(names.items(), key=lambda item: item[0])
            if path != self.root and self._reaches(names, path)
        }

    def _reaches(self, names: Names, path: str) -> bool:
        folder = os.path.dirname(path)
        return path == self.root or (folder in names and self._reaches(names, folder))

    def _file(self, call: Syscall) -> File | None:
        return self._nameless.get(call.path) or self.now.get(call.path)

    def _change(self, *change: tuple[str, File | None, bool]) -> None:
        apply(self.now, [*change])
        self.changes.append([*change])

    def _sync_folder(self, folder: str) -> None:
        done = [change for change in self.changes if os.path.dirname(change[-1][0]) == folder]
        self.changes = [change for change in self.changes if change not in done]
        for change in done:
            apply(self.durable, change)

    def _write(self, call: Syscall) -> range | None:
        file = self._file(call)
        if file is None:
            return None
        data = b"".join(call.strings)[: call.result]
        place = (call.thread, call.path)
        offset = call.last if call.name.startswith("p") else self._places.get(place, 0)
        self._places[place] = offset + len(data)
        pages = file.write(offset, data)
        return pages if (call.handle, call.path) in self._synced else None

    def _lseek(self, call: Syscall) -> None:
        self._places[call.thread, call.path] = call.result

    def _open(self, call: Syscall) -> None:
        if "O_TMPFILE" in call.flags:
            self._nameless[call.made] = File()
        elif "O_CREAT" in call.flags and call.made not in self.now:
            self._change((call.made, File(), True))
        handle = (str(call.result), call.made)
        (self._synced.add if "O_DSYNC" in call.flags else self._synced.discard)(handle)

    def _fallocate(self, call: Syscall) -> None:
        file, end = self._file(call), call.last
        if file is not None:
            file.now.extend(bytes(max(0, end - len(file.now))))

    _ftruncate = _fallocate  # Nobody cuts a file.

    def _link(self, call: Syscall) -> None:
        old, new = call.paths
        file = self._file(call) if call.name == "linkat" and call.path in self._nameless else self.now[old]
        self._change((new, file, True))

    def _rename(self, call: Syscall) -> None:
        old, new = call.paths
        self._change((old, self.now[old], False), (new, self.now[old], True))

    def _unlink(self, call: Syscall) -> None:
        (path,) = call.paths
        self._change((path, self.now[path], False))

    _rmdir = _unlink

    def _mkdir(self, call: Syscall) -> None:
        (path,) = call.paths
        self._change((path, FOLDER, True))

    def _ignore(self, call: Syscall) -> None:
        raise NotImplementedError(f"nobody thought of {call.name}")


WRITES = {"write", "writev", "pwrite64", "pwritev"}
ALL = range(-1)


def overwrite(data: bytearray, offset: int, new: bytes) -> None:
    """Put bytes into others, which grow by zeros where they end before."""
    data.extend(bytes(max(0, offset - len(data))))
    data[offset : offset + len(new)] = new


def apply(names: Names, change: list[tuple[str, File | None, bool]]) -> None:
    """Give names, or take them."""
    for path, file, is_there in change:
        if is_there:
            names[path] = file
        else:
            names.pop(path, None)


def keeping(chance: random.Random, style: str) -> Callable[[list[Piece]], list[Piece]]:
    """Make the function that says which of some writes came through."""

    def keep(pieces: list[Piece]) -> list[Piece]:
        if style == "torn":
            return [part for piece in pieces for part in piece.sectors() if chance.random() < 0.5]
        if style in {"one", "but one"} and pieces:
            one = chance.choice(pieces)
            return [piece for piece in pieces if (piece is one) == (style == "one")]
        share = {"none": 0.0, "all": 1.0}.get(style, 0.5)
        return [piece for piece in pieces if chance.random() < share]

    return keep


STYLES = ("none", "all", "some", "torn", "one", "but one")
