"""kvcli watch: what changes, as it changes.

It looks at the revision of the store again and again; where there is a new one, at the bucket's record; and where that is
another, at all keys that are watched. Nothing is read in between. So two changes of a key between two looks are one.
Not by inotify: it tells of writes to a file, not of commits, and a look is cheap.
"""

from __future__ import annotations

import os
import time
from binascii import b2a_base64
from typing import TYPE_CHECKING

from kvcli.commands import Stream
from kvcli.commands.list import span_of
from kvcli.engine.transaction import Span
from kvcli.errors import InvalidArgument, StoreReplaced
from kvcli.operations.answers import encode_lines, text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kvcli.commands.context import Context
    from kvcli.engine.transaction import Snapshot

    Event = tuple[str, bytes, bytes | None]

IDLE_SECONDS, EAGER_SECONDS = 0.03, 0.004  # Between two looks; and while things change.
EAGER_FOR_SECONDS = 1.0
REVISIONS_MAX = (
    2  # LMDB may use a page again three revisions later, and another tree then has the record of an older one.
)
KEYS_PER_PAGE, PAGE_BYTES = 1000, 1 << 20
NO_REVISION = -2  # Of an engine that knows none: all is looked at each time.
VARIABLES = ("KVCLI_KEY", "KVCLI_KEY_B64")


def run(
    context: Context, key: str | None = None, words: list[str] | None = None, *, prefix: str | None = None
) -> Stream:
    """Tell of every `set` and `delete` of `key`, of the keys that start with `prefix`, or of all keys of the bucket.

    With `words`, run that command for each: KVCLI_EVENT and KVCLI_KEY say what happened, the value is on its stdin.
    """
    if key is not None and prefix is not None:
        raise InvalidArgument("name a KEY or a --prefix, not both")
    raw = context.bucket_to_read().raw(key) if key is not None else b""
    watched = Watched(context, Span(raw, raw + b"\0") if key is not None else span_of(prefix))
    if words:
        return Stream(_run_each(watched, words))
    return Stream(encode_lines([_told(event) for event in events]) for events in watched.changes())


class Watched:
    """A span of keys, and what it was when it was looked at last."""

    def __init__(self, context: Context, span: Span) -> None:
        """Look for the first time."""
        self._context = context
        self._span = span
        self._known: dict[bytes, int] = {}  # Of each key the hash of its value, which is a secret of this process.
        self._seen = -1  # The revision of the last snapshot, which the mark is of.
        self._mark: bytes | None = None
        self.look()

    def changes(self) -> Iterator[list[Event]]:
        """Look again and again, and give what changed, page by page in the order of keys."""
        spent = eager_until = 0.0
        while True:
            pause = EAGER_SECONDS if time.monotonic() < eager_until else IDLE_SECONDS
            time.sleep(max(pause, spent))  # Where a look takes long, it takes half of a core and no more.
            begun = time.monotonic()
            keys = self.look()
            spent = time.monotonic() - begun
            if keys:
                eager_until = begun + EAGER_FOR_SECONDS
                yield from self._events(keys)

    def look(self) -> list[bytes]:
        """Give the keys whose values changed since the last look, or that are gone."""
        try:
            store = self._context.store_to_read()
            revision = int(store.stat()["revision"]) if store.engine.remembers else NO_REVISION
        except StoreReplaced:
            revision = 0
        if revision == self._seen and revision > 0:
            return []
        if not revision:
            self._context.close()  # There is no store yet, or another one now.
            self._mark = None
        bucket = self._context.bucket_to_read()
        return bucket.store.read(lambda snapshot: self._compare(snapshot, bucket.name))

    def _compare(self, snapshot: Snapshot, bucket: bytes) -> list[bytes]:
        # Not the revision that was asked for: while the last page of a commit is being synced, the file tells of it already,
        # and a snapshot does not show it yet.
        before, self._seen = self._seen, snapshot.revision
        mark, near = snapshot.mark(bucket), snapshot.revision <= before + REVISIONS_MAX
        if mark is not None and mark == self._mark and near:
            return []
        known: dict[bytes, int] = {}
        changed: list[bytes] = []
        for key, value in _all(snapshot, bucket, self._span):
            known[key] = hash(value)
            if self._known.get(key) != known[key]:
                changed.append(key)
        changed += [key for key in self._known if key not in known]
        self._known, self._mark = known, mark
        return sorted(changed) if before >= 0 else []

    def _events(self, keys: list[bytes]) -> Iterator[list[Event]]:
        """Tell what there is now under keys that changed: values are read a page at a time, however many there are."""
        while keys:
            page = keys[:KEYS_PER_PAGE]
            values = self._values(page)
            yield [self._event(key, value) for key, value in zip(page, values, strict=False)]
            keys = keys[len(values) :]

    def _values(self, keys: list[bytes]) -> list[bytes | None]:
        bucket = self._context.bucket_to_read()
        return bucket.store.read(lambda snapshot: snapshot.get_many(bucket.name, keys, PAGE_BYTES))

    def _event(self, key: bytes, value: bytes | None) -> Event:
        if value is None:
            self._known.pop(key, None)
            return "delete", key, None
        self._known[key] = hash(value)  # It may have changed again since.
        return "set", key, value


def _all(snapshot: Snapshot, bucket: bytes, span: Span) -> Iterator[tuple[bytes, bytes]]:
    place: bytes | None = None
    while True:
        page, place = snapshot.item_page(bucket, span, place, KEYS_PER_PAGE)
        yield from page
        if place is None:
            return


def _told(event: Event) -> dict[str, object]:
    kind, key, value = event
    return {"event": kind, **text("key", key), **({} if value is None else text("value", value))}


def _variable(key: bytes) -> dict[str, str]:
    if b"\0" in key:  # No variable can hold that.
        return {"KVCLI_KEY_B64": b2a_base64(key, newline=False).decode()}
    return {"KVCLI_KEY": key.decode("utf-8", "surrogateescape")}


def _run_each(watched: Watched, words: list[str]) -> Iterator[bytes]:
    from kvcli.commands.child import PIPE, start

    for name in VARIABLES:
        os.environ.pop(name, None)  # This watch may itself be run by one.
    for events in watched.changes():
        for kind, key, value in events:
            start(words, {"KVCLI_EVENT": kind, **_variable(key)}, stdin=PIPE).communicate(value or b"")
            yield b""
