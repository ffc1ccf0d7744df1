"""The writer: the one thread of a process that begins, fills and commits write transactions of an environment.

LMDB waits for its writer lock in C, where no time-out and no Ctrl-C reaches it. So the thread waits and the caller
watches: on time-out or Ctrl-C the caller leaves, and the thread, should it win the lock later, aborts.
One thread for all, because a write transaction that ends on another thread keeps the lock for ever, and because
a thread for each write would cost more than handing over to one that is there.

Callers take no lock here: Ctrl-C may come between any two steps, and a lock that was taken just before would stay so.
They line up in a list, and whoever leaves says so in the call.
"""

from __future__ import annotations

from _thread import TIMEOUT_MAX, allocate_lock, start_new_thread

from kvcli.errors import Busy, Full

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _thread import LockType
    from collections.abc import Callable

INTERRUPTED_SECONDS_MAX = 2.0
LOCK_SECONDS_MIN = 0.1  # To hand over takes a moment, also where the lock is free.
PIECE_SECONDS, PIECE_GROWTH = 0.01, 16


class Call:
    """One piece of work on its way through the writer thread."""

    __slots__ = ("_claim", "_claimed", "done", "ended", "error", "interrupted", "job", "result", "worked")

    def __init__(self, job: Callable[[Call], object]) -> None:
        """Keep the job; nobody has claimed it yet."""
        self.job = job
        self.result: object = None
        self.error: BaseException | None = None
        self.interrupted = False
        self.ended = False
        self.done = allocate_lock()
        self.done.acquire()
        self.worked = allocate_lock()
        self.worked.acquire()
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

    def settle(self) -> None:
        """Say that only the commit is left, if the caller still waits."""
        self.proceed()
        if self.worked.locked():  # The job may run again, where the map had to grow.
            self.worked.release()

    def wait(self, lock_timeout: float, meanwhile: Callable[[], object] | None) -> None:
        """Wait until the job is done; for its lock, at most so many seconds. Raises Busy."""
        if meanwhile is not None and acquired(self.worked, lock_timeout):
            meanwhile()
        elif acquired(self.done, lock_timeout if meanwhile is None else 0):
            return
        if self.claim():
            self.ended = True  # Nobody will do the job any more, so there is nothing to wait for.
            raise Busy(f"another process is writing; its lock was not free within {lock_timeout:g} s: try again")
        self.done.acquire()

    def run(self) -> None:
        """Do the job, unless the caller gave up before its turn came."""
        try:
            if not self._claim.locked():
                self.result = self.job(self)
        except BaseException as error:  # noqa: BLE001 - it is raised again, in the thread that asked
            self.error = error
        self.ended = True
        self.done.release()
        if self.worked.locked():
            self.worked.release()


class GivenUp(Exception):
    """Ends the job of a caller that no longer waits."""


class Writer:
    """Runs jobs one at a time, in the order they came, on a thread of its own."""

    def __init__(self) -> None:
        """Start without a thread: who only reads never needs one."""
        self._calls: list[Call] = []
        self._wake = allocate_lock()
        self._wake.acquire()
        self._serving = allocate_lock()
        self._stopped = False

    def run(
        self, job: Callable[[Call], object], lock_timeout: float, meanwhile: Callable[[], object] | None = None
    ) -> object:
        """Run `job` and give its result or raise its error. The job claims its call once it holds the writer lock.

        `meanwhile` is run here when the job says that only its commit is left, which leaves this thread nothing to do.

        Raises Busy when the lock was not had within `lock_timeout` seconds; nothing was written then.
        KeyboardInterrupt leaves at once while waiting, and after the running transaction otherwise.
        """
        lock_timeout = min(max(LOCK_SECONDS_MIN, lock_timeout), TIMEOUT_MAX)
        call = Call(job)
        try:
            self._post(call)
            call.wait(lock_timeout, meanwhile)
        except BaseException:
            if not (call.claim() or call.ended):
                call.interrupted = True
                call.done.acquire(timeout=INTERRUPTED_SECONDS_MAX)
            raise
        if call.error is not None:
            raise call.error
        return call.result

    def is_idle(self) -> bool:
        """Tell whether no job is running or stuck behind the writer lock."""
        return not self._calls

    def stop(self) -> bool:
        """End the thread; false, and it goes on, while a job is running or stuck behind the writer lock."""
        if not self.is_idle():
            return False
        self._stopped = True
        self._call()
        return True

    def _post(self, call: Call) -> None:
        if not self._serving.locked():
            start_thread(self._serve)  # One too many ends at once.
        self._calls.append(call)
        self._call()

    def _call(self) -> None:
        try:  # noqa: SIM105 - contextlib is slow to load
            self._wake.release()
        except RuntimeError:
            pass  # Another caller did, and the thread has not looked yet.

    def _serve(self) -> None:
        if not self._serving.acquire(False):
            return
        while not self._stopped:
            self._wake.acquire()
            while self._calls:
                self._calls[0].run()
                del self._calls[0]
        self._serving.release()


def acquired(lock: LockType, seconds: float) -> bool:
    """Acquire a lock within so many seconds. Ctrl-C ends it.

    In pieces: Ctrl-C in the very moment in which the interpreter goes to sleep is heard only when it wakes. That moment is
    long where a thread has just been started. Each piece is longer than the one before, so that who waits still sleeps.
    """
    piece = PIECE_SECONDS
    while seconds > piece:
        if lock.acquire(timeout=piece):
            return True
        seconds -= piece
        piece *= PIECE_GROWTH
    return lock.acquire(timeout=seconds)


def start_thread(work: Callable[[], None]) -> None:
    """Start a thread. Raises Full where the system gives none."""
    try:
        start_new_thread(work, ())
    except RuntimeError as error:
        raise Full("the system gave no thread: raise ulimit -u or -v, or lower -s") from error
