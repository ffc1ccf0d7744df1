"""Planning: a write transaction on a server. What it reads is watched, what it writes is kept until its end.

Then all is written by MULTI and EXEC, which the server refuses where anybody wrote what was watched; the work is run again.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from kvcli.engine.redis.names import REGISTRY, note_of
from kvcli.engine.redis.reading import IDENTITY, Reading
from kvcli.engine.redis.translation import refuse_errors
from kvcli.engine.update import Update
from kvcli.errors import InvalidArgument, KvError
from kvcli.token import sight

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from kvcli.engine.redis.link import Command
    from kvcli.engine.redis.remote import Remote
    from kvcli.engine.redis.trip import Trip
    from kvcli.engine.transaction import Span

KEYS_AT_ONCE = 1000


class Outrun(Exception):
    """Others wrote meanwhile what was read; nothing was written."""


class Planning(Reading, Update):
    """One attempt at a transaction."""

    seen = 0

    def __init__(self, remote: Remote, trip: Trip, seconds: float) -> None:
        """Work on one trip, that is on one link."""
        super().__init__(remote, seconds)
        self._trip = trip
        self._known: dict[bytes, bytes | None] = {}  # Watched, with the value.
        self._there: dict[bytes, bool] = {}  # Watched, and whether it exists.
        self._changes: dict[bytes, bytes | None] = {}  # None where it is to go.
        self._notes: dict[bytes, bytes | None] = {}

    # What it reads

    def get(self, bucket: bytes, key: bytes) -> bytes | None:
        """See Snapshot.get."""
        return self.get_many(bucket, [key])[0]

    def get_many(self, bucket: bytes, keys: list[bytes], room: int | None = None) -> list[bytes | None]:  # noqa: ARG002
        """See Snapshot.get_many; all are read, since all are watched."""
        names = [self._name(bucket, key) for key in keys]
        unknown = [name for name in dict.fromkeys(names) if name not in self._changes and name not in self._known]
        for start in range(0, len(unknown), KEYS_AT_ONCE):
            part = unknown[start : start + KEYS_AT_ONCE]
            self._known.update(zip(part, self._watch(part, "GET"), strict=True))
        return [self._changes[name] if name in self._changes else self._known[name] for name in names]

    def has(self, bucket: bytes, key: bytes) -> bool:
        """See Snapshot.has."""
        return self._have(bucket, [key])[0]

    def page(self, bucket: bytes, span: Span, place: bytes | None, count: int) -> tuple[list[bytes], bytes | None]:
        """See Snapshot.page. It is not watched; and what was written here before would be missing, so that is refused."""
        if self._changes:
            raise InvalidArgument("on a server a transaction cannot list after it wrote: list first, or in another one")
        return super().page(bucket, span, place, count)

    # What it writes

    def put(self, bucket: bytes, key: bytes, value: bytes) -> None:
        """See Update.put."""
        name = self._name(bucket, key)
        self._changes[name] = _checked(value)

    def put_many(self, bucket: bytes, pairs: Iterable[tuple[bytes, bytes]], check: Callable[[bytes], object]) -> None:
        """See Update.put_many."""
        self.check(bucket)
        pairs = [*pairs]
        for key, value in pairs:
            check(key)
            _checked(value)
        self._changes.update([(self._names.name(bucket, key), value) for key, value in pairs])

    def delete(self, bucket: bytes, key: bytes) -> bool:
        """See Update.delete."""
        return bool(self.delete_many(bucket, [key]))

    def delete_many(self, bucket: bytes, keys: list[bytes]) -> int:
        """See Update.delete_many."""
        there = [
            self._name(bucket, key) for key, is_there in zip(keys, self._have(bucket, keys), strict=True) if is_there
        ]
        self._changes.update(dict.fromkeys(there))
        return len(set(there))

    def create(self, bucket: bytes) -> bool:
        """See Update.create. At once: a declaration is no part of the transaction."""
        if self._names.is_flat:
            return False
        self._names.checked(bucket)
        self._remote.refuse_reading_only()
        is_new = bucket != b"default" and bool(self._ask(REGISTRY, "SADD", REGISTRY, bucket))
        self._checked.add(bucket)
        return is_new

    def drop(self, bucket: bytes) -> None:
        """See Update.drop. Not all at one time: first the declaration goes, then its keys, as they are come upon."""
        if self._names.is_flat:
            raise InvalidArgument(
                "with layout=flat there are no buckets, and so none to drop: delete --prefix '' deletes keys"
            )
        self.check(bucket)
        self._remote.drop(self, bucket)
        self._checked.discard(bucket)

    def note(self, name: bytes, value: bytes | None) -> None:
        """See Update.note. It is kept once all else is written; where it cannot be, an older one stays."""
        self._notes[note_of(name)] = value

    def wrote(self, bucket: bytes, key: bytes) -> bool:
        """See Update.wrote."""
        return self._names.head(bucket) + key in self._changes

    def unchanged(self, bucket: bytes, key: bytes, identity: bytes, revision: int) -> bool:
        """See Update.unchanged. Nobody knows whether a key was written before, only whether it has the value that was seen."""
        if identity != IDENTITY or self.wrote(bucket, key):
            return False
        return not revision or revision == sight(self.get(bucket, key))

    # How it ends

    def write(self) -> None:
        """Write what was planned. Raises Outrun, Refused, Lost."""
        if self._changes:
            self._write_changes()
        for name, value in self._notes.items():
            with suppress(KvError):  # Not all users may write it; and what it is about is done already.
                self._ask(name, *(("DEL", name) if value is None else ("SET", name, value)), writes=True)

    def _write_changes(self) -> None:
        commands = _commands(self._changes)
        link = self._trip.to(next(iter(self._changes)))
        for name in self._changes:
            self._trip.to(name)  # Raises CrossSlot.
        if len(commands) == 1 and not self._trip.watches:
            refuse_errors(link.exchange(commands, writes=True), self._servers.address.shown)
            return
        answers = link.transact(commands)
        self._trip.watches = self._trip.watches and len(answers) == 1  # MULTI was refused.
        judge(answers, self._servers.address.shown)

    def _have(self, bucket: bytes, keys: list[bytes]) -> list[bool]:
        names = [self._name(bucket, key) for key in keys]
        known = self._there.keys() | self._changes.keys() | self._known.keys()
        unknown = [name for name in dict.fromkeys(names) if name not in known]
        for start in range(0, len(unknown), KEYS_AT_ONCE):
            part = unknown[start : start + KEYS_AT_ONCE]
            self._there.update(zip(part, map(bool, self._watch(part, "EXISTS")), strict=True))
        return [self._is_there(name) for name in names]

    def _is_there(self, name: bytes) -> bool:
        if name in self._changes:
            return self._changes[name] is not None
        return self._there[name] if name in self._there else self._known[name] is not None

    def _watch(self, names: list[bytes], word: str) -> list[Any]:
        links = [self._trip.to(name) for name in names]
        self._trip.watches = True
        answers = links[0].exchange([("WATCH", *names), *((word, name) for name in names)])
        refuse_errors(answers, self._servers.address.shown)
        return answers[1:]


def judge(answers: list[Any], shown: str) -> None:
    """Take the answers to MULTI, commands and EXEC. Raises Outrun, Refused, what is ours; then nothing was written."""
    refuse_errors(answers, shown)
    if answers[-1] is None:
        raise Outrun
    refuse_errors(answers[-1], shown)


def _commands(changes: dict[bytes, bytes | None]) -> list[Command]:
    commands: list[Command] = [("SET", name, value) for name, value in changes.items() if value is not None]
    gone = [name for name, value in changes.items() if value is None]
    if gone:
        commands.append(("DEL", *gone))
    return commands


def _checked(value: bytes) -> bytes:
    if not isinstance(value, bytes):
        raise TypeError(f"a value is bytes, not {type(value).__name__}: delete removes a key")
    return value
