"""Queues: those of this process who wait for a claim and may leave, by a time-out or cancelled.

Nothing but a signal ends a wait in the kernel. So a thread waits there, one for each claim, however many callers want it;
when it has the claim it gives it to the first who still waits, and releases it where nobody does.
"""

from __future__ import annotations

import os
from _thread import TIMEOUT_MAX, RLock, allocate_lock

from kvcli.engine.register import CLAIMS
from kvcli.engine.writer import acquired, start_thread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from kvcli.engine.claims import Claim

_queues: dict[tuple[str, int], list[Waiter]] = {}
_joining = RLock()


class Waiter:
    """One who waits for a claim."""

    __slots__ = ("_decision", "claim", "error", "is_gone", "then")

    def __init__(self, then: Callable[[], object]) -> None:
        """Be called by `then`, on another thread, when the wait is over."""
        self.then = then
        self.claim: Claim | None = None
        self.error: BaseException | None = None
        self.is_gone = False
        self._decision = allocate_lock()

    def decide(self) -> bool:
        """Decide how the wait ends: true once, for who gives the claim or for who waits no longer."""
        return self._decision.acquire(False)

    def had(self) -> Claim:
        """Give the claim, once `then` was called. Raises Full where files are too many, InputOutput."""
        if self.claim is None:
            from kvcli.engine.succession import ours

            error = self.error or AssertionError("then was not called yet")
            raise ours(error, CLAIMS) if isinstance(error, OSError) else error
        return self.claim


def line_up(claim: Claim, then: Callable[[], object]) -> Waiter:
    """Wait for a claim like this one, which somebody has."""
    waiter, place = Waiter(then), (claim.path, claim.place)
    with _joining:
        if place in _queues:
            _queues[place].append(waiter)
        else:
            _queues[place] = [waiter]
            start_thread(lambda: _serve(place, claim))
    return waiter


def leave(claim: Claim, waiter: Waiter) -> bool:
    """Wait no longer; false where the claim was given already, or is at this moment."""
    if not waiter.decide():
        return False
    with _joining:
        queue = _queues.get((claim.path, claim.place), [])
        if waiter in queue and len(queue) > 1:  # The thread of the last one stays until it has the claim.
            queue.remove(waiter)
    return True


def leave_for_good(claim: Claim, waiter: Waiter) -> None:
    """Wait no longer, and keep nothing that was given at this moment. Not by forgetting it: an exception remembers."""
    if not leave(claim, waiter):
        with _joining:
            waiter.is_gone = True
            if waiter.claim is not None:
                waiter.claim.release()


def bounded(seconds: float) -> float:
    """Give a time-out that the system takes; what is no number is none."""
    return min(seconds, TIMEOUT_MAX) if seconds > 0 else 0.0


def wait(claim: Claim, timeout: float) -> Claim | None:
    """Wait for a claim at most so many seconds. Ctrl-C ends it. Raises as Waiter.had."""
    done = allocate_lock()
    done.acquire()
    waiter = line_up(claim, done.release)
    try:
        if not acquired(done, bounded(timeout)):
            if leave(claim, waiter):
                return None
            done.acquire()
    except BaseException:
        leave_for_good(claim, waiter)
        raise
    return waiter.had()


def _serve(place: tuple[str, int], claim: Claim) -> None:
    """Get the claim for one after the other, until nobody waits."""
    while True:
        try:
            claim.wait()
            is_last = _give(place, claim)
            if is_last:
                return
            claim = claim.again()
        except BaseException as error:  # noqa: BLE001 - it is raised again, in the threads that wait
            _fail(place, error)
            return


def _give(place: tuple[str, int], claim: Claim) -> bool:
    """Give the claim to the first who still waits; tell whether nobody is left."""
    with _joining:
        queue = _queues[place]
        waiter = None
        while queue and waiter is None:
            first = queue.pop(0)
            waiter = first if first.decide() else None
        is_last = not queue
        if is_last:
            del _queues[place]
        if waiter is not None:
            waiter.claim = claim
        if waiter is None or waiter.is_gone:
            claim.release()
    if waiter is not None:
        waiter.then()
    return is_last


def _fail(place: tuple[str, int], error: BaseException) -> None:
    with _joining:
        waiters = [waiter for waiter in _queues.pop(place, []) if waiter.decide()]
    for waiter in waiters:
        waiter.error = error
        waiter.then()


def _forget() -> None:
    # In a child: the threads that wait are the parent's.
    global _joining  # noqa: PLW0603 - a lock cannot be freed by who does not hold it
    _joining = RLock()
    _queues.clear()


os.register_at_fork(after_in_child=_forget)
