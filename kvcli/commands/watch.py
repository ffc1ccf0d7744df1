"""kvcli watch: what changes, as it changes.

It looks again whenever the store has a new revision, and holds nothing open meanwhile. So two changes of a key between two
looks are one.
"""

from __future__ import annotations

import time
from binascii import b2a_base64
from hashlib import blake2b
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

POLL_SECONDS = 0.05
KEYS_PER_PAGE = 1000
DIGEST_BYTES = 16


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
        self._known: dict[bytes, bytes] = {}
        self._revision = -1
        self.look()

    def changes(self) -> Iterator[list[Event]]:
        """Look again and again, and give what changed, in the order of keys."""
        while True:
            time.sleep(POLL_SECONDS)
            if events := self.look():
                yield events

    def look(self) -> list[Event]:
        """Give what changed since the last look."""
        try:
            revision = int(self._context.store_to_read().stat()["revision"])
        except StoreReplaced:
            revision = 0
        if revision == self._revision and revision:
            return []
        if not revision:
            self._context.close()  # There is no store yet, or another one now.
        bucket = self._context.bucket_to_read()
        events, known = bucket.store.read(lambda snapshot: self._compare(snapshot, bucket.name))
        self._known, self._revision = known, revision
        return events

    def _compare(self, snapshot: Snapshot, bucket: bytes) -> tuple[list[Event], dict[bytes, bytes]]:
        known: dict[bytes, bytes] = {}
        events: list[Event] = []
        is_first = self._revision < 0
        for key, value in _all(snapshot, bucket, self._span):
            known[key] = _mark(value)
            if not is_first and self._known.get(key) != known[key]:
                events.append(("set", key, value))
        gone = [("delete", key, None) for key in self._known if key not in known]
        return sorted([*events, *gone], key=lambda event: event[1]), known


def _all(snapshot: Snapshot, bucket: bytes, span: Span) -> Iterator[tuple[bytes, bytes]]:
    while page := snapshot.items(bucket, span, KEYS_PER_PAGE):
        yield from page
        span = span.after(page[-1][0])


def _mark(value: bytes) -> bytes:
    """Give what tells a value from others in little room."""
    return value if len(value) < DIGEST_BYTES else blake2b(value, digest_size=DIGEST_BYTES).digest()


def _told(event: Event) -> dict[str, object]:
    kind, key, value = event
    return {"event": kind, **text("key", key), **({} if value is None else text("value", value))}


def _variable(key: bytes) -> dict[str, str]:
    if b"\0" in key:  # No variable can hold that.
        return {"KVCLI_KEY_B64": b2a_base64(key, newline=False).decode()}
    return {"KVCLI_KEY": key.decode("utf-8", "surrogateescape")}


def _run_each(watched: Watched, words: list[str]) -> Iterator[bytes]:
    from kvcli.commands.child import PIPE, start

    for events in watched.changes():
        for kind, key, value in events:
            start(words, {"KVCLI_EVENT": kind, **_variable(key)}, stdin=PIPE).communicate(value or b"")
            yield b""
