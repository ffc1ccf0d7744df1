"""Targets: what lies in files and pipes: headers, the rows of a cache, what kvcli notes, requests of a shell."""

from __future__ import annotations

import os
import struct
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any, cast
from zlib import crc32

from kvcli.cache import Cache, name_of
from kvcli.commands.cache_run import Memo
from kvcli.commands.recording import exit_code_of, pieces_of, recorded
from kvcli.commands.shell_init import VARIABLES
from kvcli.engine.bookkeeping import faults
from kvcli.engine.entries import DEADLINE, HEADER, ORDER
from kvcli.engine.files import MAGIC, META_BYTES, Files, read_header
from kvcli.engine.revisions import Ledger
from kvcli.engine.transaction import STATE_BYTES, identity_of, is_record
from kvcli.errors import DamagedStore, NoSuchStore
from kvcli.shell.answering import Desk, understood
from kvcli.shell.channel import Channel
from kvcli.store import Store
from tests.fuzz.seeds import words

if TYPE_CHECKING:
    from tests.fuzz import Target

PLACES = (b"-s", b"--store")
ANSWER_HEADER_BYTES = 20


class Notes:
    """A transaction and a snapshot in which every note is the same bytes."""

    def __init__(self, data: bytes) -> None:
        """Hold them."""
        self.revision = 7
        self._data = data
        self._pages = [[(b"name", data), (b"stripe", data)], []]

    def id(self) -> int:
        """See lmdb.Transaction.id."""
        return self.revision

    def get(self, *_: object, **__: object) -> bytes:
        """See lmdb.Transaction.get."""
        return self._data

    noted = get

    def drop(self, *_: object, **__: object) -> None:
        """See lmdb.Transaction.drop."""

    check = drop

    def items(self, *_: object) -> list[tuple[bytes, bytes]]:
        """See Snapshot.items."""
        return self._pages.pop(0)


def notes(data: bytes) -> None:
    """Read what kvcli noted beside the values: it makes a handle lose, and nothing else."""
    assert len(identity_of(data, 7)) == 16
    assert isinstance(is_record(data), bool)
    ledger = Ledger(cast("Any", Notes(data)), cast("Any", object()), b"k")
    assert len(ledger.identity) == 16
    assert isinstance(ledger.unchanged(b"b", b"k", 6), bool)
    assert all(isinstance(each, str) for each in faults(cast("Any", Notes(data))))


def header_in(folder: str) -> Target:
    """Make the target of data files."""
    path = os.path.join(folder, "data.mdb")

    def header(data: bytes) -> None:
        with open(path, "wb") as file:
            file.write(data)
        for files in (Files(folder, single=False), Files(path, single=True)):
            with suppress(DamagedStore, NoSuchStore):
                assert isinstance(read_header(files).is_short(), bool)

    return header


class Rows:
    """A cache in which one row is any bytes, as nobody but another program could have written them."""

    def __init__(self, folder: str, ends: ExitStack) -> None:
        """Make it."""
        store = ends.enter_context(Store(os.path.join(folder, "cached")))
        self._cache = ends.enter_context(Cache(store))
        self._memo = Memo(["true"], name_of("k"), None, None, discard_failures=True)

    def row(self, data: bytes) -> None:
        """Look at an entry and write over it: a row that is none is damage, and the cache starts anew."""
        chosen, cache = crc32(data), self._cache
        name = (name_of("k"), DEADLINE + data[:16], ORDER + data[:8])[chosen % 3]
        works = (cache.get, cache.exists, self._find, cache.delete, self._set, self._stat)
        cache.set("other", b"v")
        cache.shelf._write(lambda txn, _: txn.put(name, data), make=True)
        works[chosen // 3 % len(works)]("k")

    def _find(self, _: str) -> None:
        if (found := self._memo._find(self._cache)) is not None:
            assert 0 <= exit_code_of(found[0]) < 256
            assert all(isinstance(piece, bytes) for _, piece in pieces_of(found[0]))

    def _set(self, key: str) -> None:
        self._cache.set(key, b"v", 1000)
        assert self._cache.get(key) in {b"v", None}  # The damage may be found when room is made afterwards.

    def _stat(self, _: str) -> None:
        self._cache.stats()
        self._cache.purge()


class Requests:
    """A channel of a shell, into which any bytes are written."""

    def __init__(self, folder: str) -> None:
        """Make its pipes, and a store to ask about."""
        self._path = os.path.join(folder, "asked")
        Store(self._path).close()
        self._channel = Channel(folder, 0)
        self._desk = Desk()

    def request(self, data: bytes) -> None:
        """Hear any bytes: no request yet, none at all, or one with an answer."""
        self._channel._received = b""
        os.write(self._channel.requests, data or b"\0")
        try:
            fields = self._channel.receive()
        except ValueError:
            return  # The server gives the channel new pipes.
        if fields is not None:
            self._answer(fields[0], fields[1 + len(VARIABLES) :])

    def _answer(self, flags: bytes, asked: list[bytes]) -> None:
        understood(tuple(asked))
        if any(word.startswith(PLACES) for word in asked):
            return  # It could be any place of this machine.
        before = dict(os.environ)
        try:
            answer = self._desk.answer([flags, *self._variables(), *asked], os.getpid())
        finally:
            os.environ.clear()
            os.environ.update(before)
        code, kind, out, err = answer[:3], answer[3:4], answer[4:12], answer[12:20]
        assert code.isdigit() and code != b"070"  # noqa: PT018 - it is one thing
        assert kind in b"abes"
        assert len(answer) >= ANSWER_HEADER_BYTES + int(out) + int(err)

    def close(self) -> None:
        """Close the pipes, and what the desk has open."""
        here = os.getcwd()
        self._channel.close()
        self._desk.rest()
        os.chdir(here)

    def _variables(self) -> list[bytes]:
        said = {"KVCLI_STORE": self._path, "HOME": "/nowhere"}
        return [b"x=" + os.fsencode(said[name]) if name in said else b"" for name in VARIABLES]


def made(folder: str, ends: ExitStack) -> dict[str, tuple[Target, list[bytes]]]:
    """Give each target with its seeds."""
    requests = Requests(folder)
    ends.callback(requests.close)
    fixed = b"".join([field + b"\0" for field in requests._variables()])
    asked = [b"%d\0b\0%s%s\0" % (each.count(b"\0") + 1, fixed, each) for each in words()]
    page = struct.pack("=QHHI", 0, 0, 8, 0) + struct.pack("=IIQQI", MAGIC, 1, 0, 1 << 20, 4096)
    meta = page.ljust(16 + META_BYTES, b"\1")
    now = HEADER.pack((1 << 63), 0, 0, 7)
    return {
        "header": (header_in(folder), [meta, meta.ljust(4096, b"\0") + meta, (b"\0" * 8 + meta).ljust(8192, b"\0")]),
        "row": (
            Rows(folder, ends).row,
            [now + recorded([(1, b"out"), (2, b"err")], 3), now + b"v", HEADER.pack(1, 1, 1, 1)],
        ),
        "notes": (notes, [bytes(STATE_BYTES), bytes(16) + b"\0" * 7 + b"\6" + bytes(8) + b"k", b"\xff" * 8, b""]),
        "request": (requests.request, asked),
    }
