"""Remote: the engine of a store on servers, and what it declares."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Any

from hiredis import ReplyError

from kvcli.engine import DEFAULT_BUCKET, Engine
from kvcli.engine.redis.flight import WRITING, count_error, fly
from kvcli.engine.redis.guard import Guard
from kvcli.engine.redis.kinds import number
from kvcli.engine.redis.names import OWN, REGISTRY, Names
from kvcli.engine.redis.planning import Outrun, Planning
from kvcli.engine.redis.reading import Reading
from kvcli.engine.redis.scan import all_names, histories
from kvcli.engine.redis.servers import Servers
from kvcli.engine.redis.translation import failure, refuse_errors
from kvcli.errors import Busy, IntegerOverflow, ReadOnly

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TypeVar

    from kvcli.engine import Step
    from kvcli.engine.redis.address import Address
    from kvcli.engine.redis.trip import Trip
    from kvcli.engine.transaction import Snapshot
    from kvcli.engine.update import Update

    Answer = TypeVar("Answer")

KEY_BYTES_MAX = 1024  # A server takes half a gigabyte; somewhere a key ends and a value begins.
S64_MIN, S64_MAX = -(1 << 63), (1 << 63) - 1


class Remote(Engine):
    """A store on one server, or on a cluster. Usable from several threads, and after a fork."""

    ordered = False  # A hash table has no order.
    remembers = False  # Whether a key was written; only what value it has. Handles in a process watch, see Guard.
    flies = True
    key_bytes_max = KEY_BYTES_MAX

    def __init__(self, address: Address, *, read_only: bool) -> None:
        """Connect to nobody yet."""
        self.servers = Servers(address)
        self.names = Names(address.layout)
        self.read_only = read_only
        self.has_buckets = not self.names.is_flat
        self.reserved = (OWN,) if self.names.is_flat else ()
        self.transactional = not address.is_cluster
        self._found: set[bytes] = set()  # Buckets that nobody declared, and that hold keys.

    def read(self, work: Callable[[Snapshot], Answer]) -> Answer:
        """Let `work` ask. Not one snapshot: each question is answered as things are then."""
        return work(Reading(self, self.patience))

    def write(
        self, work: Callable[[Update], Answer], lock_timeout: float, meanwhile: Callable[[], object] | None = None
    ) -> Answer:
        """Run `work` until nobody wrote meanwhile what it read; durable it is when the server says so, see its appendonly."""
        self.refuse_reading_only()

        def act(trip: Trip) -> tuple[bool, Any]:
            planning = Planning(self, trip, lock_timeout)
            answer = work(planning)
            try:
                planning.write()
            except Outrun:
                return False, None
            return True, answer

        deadline = monotonic() + lock_timeout
        while True:
            done, answer = self.servers.attempt(act, max(deadline - monotonic(), 0))
            if done:
                if meanwhile is not None:
                    meanwhile()
                return answer  # type: ignore[no-any-return]
            if monotonic() >= deadline:
                raise Busy(f"others wrote the same keys for {lock_timeout:g} s, again and again: try again")

    def reach(self, lock_timeout: float) -> None:
        """See Engine.reach."""
        self.servers.reach(lock_timeout)

    def fly(
        self, steps: Sequence[Step], lock_timeout: float, meanwhile: Callable[[], object] | None = None
    ) -> list[list[Any]]:
        """See Engine.fly."""
        if any(step[0] in WRITING for step in steps):
            self.refuse_reading_only()
        return fly(self.servers, self.names, steps, lock_timeout, meanwhile)

    def add(self, bucket: bytes, key: bytes, delta: int, lock_timeout: float) -> int:
        """See Engine.add: INCRBY, which takes the same numbers as kvcli does."""
        self.refuse_reading_only()
        if not S64_MIN <= delta <= S64_MAX:
            raise IntegerOverflow(f"{delta} is outside of 64 bits; the value was left alone")
        Reading(self, lock_timeout).check(bucket)
        name = self.names.name(bucket, key)

        def act(trip: Trip) -> int:
            (answer,) = trip.to(name).exchange([("INCRBY", name, delta)], writes=True)
            if isinstance(answer, ReplyError):
                raise count_error(answer, key) or failure(answer, self.servers.address.shown)
            return int(answer)

        return self.servers.attempt(act, lock_timeout)

    def guard(self, bucket: bytes, key: bytes) -> Guard:
        """See Engine.guard: a watch on a link of its own."""
        Reading(self, self.patience).check(bucket)
        name = self.names.name(bucket, key)
        # To drop a bucket and make it again is to write its keys, also those that are not there.
        watched = [name, REGISTRY] if bucket != DEFAULT_BUCKET and self.transactional else [name]

        def act(trip: Trip) -> Guard:
            link = trip.to(name)
            trip.watches = True
            answers = link.exchange([("WATCH", *watched), ("GET", name)])
            refuse_errors(answers, self.servers.address.shown)
            return Guard(self, *trip.keep(), bucket, name, answers[1])

        return self.servers.attempt(act, self.patience)

    def feeds(self, other: Engine) -> bool:
        """See Engine.feeds: the same database in another layout, be it that of a replica."""
        if not isinstance(other, Remote) or self.names.is_flat == other.names.is_flat:
            return False
        if self.servers.address.database != other.servers.address.database:
            return False
        return bool(histories(self.servers, self.patience) & histories(other.servers, self.patience))

    def stat(self) -> dict[str, str | int]:
        """See Engine.stat."""
        abouts = [
            self.servers.attempt(lambda trip, node=node: trip.at(node).call("INFO"), self.patience)  # type: ignore[misc]
            for node in self.servers.masters(self.patience)
        ]
        told = [dict(line.split(b":", 1) for line in about.split(b"\r\n") if b":" in line) for about in abouts]
        return {
            "path": self.servers.address.shown,
            "bytes": sum(number(each.get(b"used_memory")) for each in told),
            "masters": len(told),
            "version": told[0].get(b"redis_version", b"").decode("utf-8", "backslashreplace"),
            "appendonly": "yes" if all(each.get(b"aof_enabled") == b"1" for each in told) else "no",
            "layout": self.servers.address.layout,
        }

    def finds(self, reading: Reading, bucket: bytes) -> bool:
        """Tell whether a bucket that nobody declared has keys."""
        if bucket not in self._found and reading.is_found(bucket):
            self._found.add(bucket)
        return bucket in self._found

    def drop(self, reading: Reading, bucket: bytes) -> None:
        """Remove a bucket: its declaration, and all its keys."""
        self.refuse_reading_only()
        self.servers.attempt(lambda trip: trip.to(REGISTRY).call("SREM", REGISTRY, bucket, writes=True), self.patience)
        self._found.discard(bucket)
        head = self.names.head(bucket)
        for page in all_names(self.servers, head, self.patience):
            keys = [name[len(head) :] for name in page]
            for answer in self.fly([("delete_many", bucket, keys)], self.patience)[0] if keys else []:
                if isinstance(answer, Exception):
                    raise answer
        reading._checked.discard(bucket)  # noqa: SLF001 - the same room

    def refuse_reading_only(self) -> None:
        """Raise ReadOnly where it was opened so."""
        if self.read_only:
            raise ReadOnly(f"{self.servers.address.shown} was opened read-only: leave --read-only out")

    def close(self) -> None:
        """See Engine.close."""
        self.servers.close()
