"""The gate: transactions pass through together; what must be alone (resize, reopen, drop, close) waits for them.

Every thread has a lock of its own, which it holds while it is inside; who must be alone takes them all. A `with` on a
lock of C is entered or it is not, so Ctrl-C at any moment leaves nobody inside; a counter could miss who left.
"""

from __future__ import annotations

import time
from _thread import RLock, allocate_lock, get_ident  # threading costs 2 ms at start-up and adds nothing here.

from kvcli.errors import Busy, Full

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    Answer = TypeVar("Answer")

ALONE_SECONDS_MAX = 10.0


class Gate:
    """Knows the transactions of one process in one environment. LMDB must not be resized or closed under them."""

    __slots__ = ("_locks", "_registering", "quiet")

    def __init__(self) -> None:
        """Start open and empty. While somebody holds `quiet`, nobody enters; those inside go on."""
        self._locks: dict[int, RLock] = {}
        self._registering = RLock()
        self.quiet = allocate_lock()

    def passage(self) -> RLock:
        """Give what this thread holds while it is inside: `with gate.passage():`."""
        if self.quiet.locked():
            with self.quiet:
                pass
        return self._locks.get(get_ident()) or self._register()

    def alone(self, work: Callable[[], Answer]) -> Answer:
        """Run `work` when every other thread is out, and keep them out. Raises Busy if that takes ten seconds.

        A thread of its own does that where there are others: Ctrl-C reaches only the main thread, so it cannot come
        between taking a lock and knowing that it was taken.
        """
        with self._registering:
            if self._locks.keys() <= {get_ident()}:
                return work()
        from kvcli.engine.writer import Call, start_thread

        call = Call(lambda _: self._alone(work))
        try:
            start_thread(call.run)
        except Full:
            call.run()  # Here then: what was done already must not seem to have failed for want of a thread.
        call.done.acquire()
        if call.error is not None:
            raise call.error
        return call.result  # type: ignore[return-value]

    def is_busy(self) -> bool:
        """Tell whether any other thread is inside."""
        return not all(is_free(door) for door in (self._registering, *self._locks.values()))

    def _register(self) -> RLock:
        with self._registering:
            return self._locks.setdefault(get_ident(), RLock())

    def _alone(self, work: Callable[[], Answer]) -> Answer:
        deadline = time.monotonic() + ALONE_SECONDS_MAX
        taken: list[RLock] = []
        for door in list(self._locks.values()):  # Who is inside for long is waited for before anybody is kept out.
            take(door, deadline)
            door.release()
        try:
            with self._registering:
                for door in self._locks.values():
                    take(door, deadline)
                    taken.append(door)
                return work()
        finally:
            for door in taken:
                door.release()


def take(door: RLock, deadline: float) -> None:
    """Take a lock. Raises Busy if that is not possible by the deadline."""
    if not door.acquire(timeout=max(deadline - time.monotonic(), 0)):
        raise Busy("transactions of this process did not end: try again")


def is_free(door: RLock) -> bool:
    """Tell whether no other thread holds a lock."""
    if not door.acquire(False):
        return False
    door.release()
    return True
