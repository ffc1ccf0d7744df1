"""The writer: the one thread of a process that begins, fills and commits write transactions of an environment.

LMDB waits for its writer lock in C, where no time-out and no Ctrl-C reaches it. So the thread waits and the caller
watches: on time-out or Ctrl-C the caller leaves, and the thread, should it win the lock later, aborts.
One thread for all, because a write transaction that ends on another thread keeps the lock for ever, and because
a thread for each write would cost more than handing over to one that is there.
"""

from __future__ import annotations

import time
from _thread import TIMEOUT_MAX, allocate_lock, start_new_thread

from kvcli.errors import Busy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

INTERRUPTED_SECONDS_MAX = 2.0
LOCK_SECONDS_MIN = 0.1  # To hand over takes a moment, also where the lock is free.


class Call:
    """One piece of work on its way through the writer thread."""

    __slots__ = ("_claim", "_claimed", "done", "error", "interrupted", "job", "result")

    def __init__(self, job: Callable[[Call], object]) -> None:
        """Keep the job; nobody has claimed it yet."""
        self.job = job
        self.result: object = None
        self.error: BaseException | None = None
        self.interrupted = False
        self.done = allocate_lock()
        self.done.acquire()
        self._claim = allocate_lock()
        self._claimed = False

    def proceed(self) -> None:
        """Go on if the caller still waits: asked with the lock in hand, and again before the commit."""
        self._claimed = self._claimed or self.claim()
        if self.interrupted or not self._claimed:
            raise GivenUp

    def claim(self) -> bool:
        """Decide the call: true once, for the thread that got the lock or for the caller that gave up."""
        return self._claim.acquire(False)


class GivenUp(Exception):
    """Ends the job of a caller that no longer waits."""


class Writer:
    """Runs jobs one at a time on a thread of its own."""

    def __init__(self) -> None:
        """Start without a thread: who only reads never needs one."""
        self._turn = allocate_lock()
        self._wake = allocate_lock()
        self._wake.acquire()
        self._call: Call | None = None
        self._running = False

    def run(self, job: Callable[[Call], object], lock_timeout: float) -> object:
        """Run `job` and give its result or raise its error. The job claims its call once it holds the writer lock.

        Raises Busy when the lock was not had within `lock_timeout` seconds; nothing was written then.
        KeyboardInterrupt leaves at once while waiting, and after the running transaction otherwise.
        """
        lock_timeout = min(max(LOCK_SECONDS_MIN, lock_timeout), TIMEOUT_MAX)
        deadline = time.monotonic() + lock_timeout
        call = Call(job)
        if not self._turn.acquire(timeout=lock_timeout):
            raise busy(lock_timeout)
        try:
            self._post(call)
        except BaseException:
            self._turn.release()  # No thread could be started.
            raise
        try:
            if not call.done.acquire(timeout=max(deadline - time.monotonic(), 0)):
                if call.claim():
                    raise busy(lock_timeout)
                call.done.acquire()
        except KeyboardInterrupt:
            if not call.claim():
                call.interrupted = True
                call.done.acquire(timeout=INTERRUPTED_SECONDS_MAX)
            raise
        if call.error is not None:
            raise call.error
        return call.result

    def is_idle(self) -> bool:
        """Tell whether no job is running or stuck behind the writer lock."""
        return not self._turn.locked()

    def stop(self) -> None:
        """End the thread, once its last job is done."""
        if self._running and self._turn.acquire(False):
            self._running = False
            self._post(None)

    def _post(self, call: Call | None) -> None:
        self._call = call
        if call is not None and not self._running:
            self._running = True
            start_new_thread(self._serve, ())
        self._wake.release()

    def _serve(self) -> None:
        while True:
            self._wake.acquire()
            call, self._call = self._call, None
            if call is None:
                self._turn.release()
                return
            try:
                call.result = call.job(call)
            except BaseException as error:  # noqa: BLE001 - it is raised again, in the thread that asked
                call.error = error
            self._turn.release()
            call.done.release()
            call = None


def busy(lock_timeout: float) -> Busy:
    """Make the error for a lock that was not free in time."""
    return Busy(f"another process is writing; its lock was not free within {lock_timeout:g} s: try again")
