"""Limits: a guest may take so much time, memory and fuel; it runs on a thread of its own, which whoever waits can leave.

While a guest runs, its thread is in machine code that Python cannot interrupt: on the main thread Ctrl-C would do nothing.
So the main thread waits, and moves the engine's epoch on, at which the guest ends by a trap. One that waits inside of WASI, for
stdin say, does not see the epoch; it is left as it is, and gets no more answers.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, TypeVar

from kvcli.errors import GuestTimedOut

if TYPE_CHECKING:
    from collections.abc import Callable

GRACE_SECONDS = 0.2

Answer = TypeVar("Answer")


class Limits:
    """What one guest may take: seconds, bytes of memory, units of fuel; None is no limit."""

    __slots__ = ("fuel", "memory", "timeout")

    def __init__(self, timeout: float | None = None, memory: int | None = None, fuel: int | None = None) -> None:
        """Hold the limits."""
        self.timeout = timeout
        self.memory = memory
        self.fuel = fuel


def attend(work: Callable[[], Answer], stop: Callable[[], object], timeout: float | None = None) -> Answer:
    """Do some work on a thread of its own and wait for it; on Ctrl-C, or after `timeout` seconds, `stop` it and leave.

    Raises GuestTimedOut, KeyboardInterrupt, and what the work does.
    """
    done = threading.Event()  # Not Thread.join: once that was interrupted, the thread seems to have ended.
    answers: list[Answer] = []
    failures: list[BaseException] = []

    def run() -> None:
        try:
            answers.append(work())
        except BaseException as error:  # noqa: BLE001 - it is raised again, in the thread that waits
            failures.append(error)
        finally:
            done.set()

    threading.Thread(target=run, daemon=True).start()
    try:
        if not done.wait(timeout):
            raise GuestTimedOut(f"the guest did not end within {timeout:g} s: give it more with --timeout")  # noqa: TRY301 - it ends like Ctrl-C
    except BaseException:
        stop()
        done.wait(GRACE_SECONDS)
        raise
    if failures:
        raise failures[0]
    return answers[0]
