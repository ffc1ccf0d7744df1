"""The gate: transactions pass through together; what must be alone (resize, reopen, drop, close) waits for them."""

from __future__ import annotations

import time
from _thread import allocate_lock  # threading costs 2 ms at start-up and adds nothing here.

from kvcli.errors import Busy

POLL_SECONDS = 0.0005
ALONE_SECONDS_MAX = 10.0


class Gate:
    """Counts the transactions of one process in one environment. LMDB must not be resized or closed under them."""

    __slots__ = ("_inside", "_turnstile")

    def __init__(self) -> None:
        """Start open and empty."""
        self._turnstile = allocate_lock()
        self._inside: list[None] = []

    def __enter__(self) -> None:
        """Pass, unless somebody is alone inside."""
        with self._turnstile:
            self._inside.append(None)  # A list, because append and pop are atomic in every build of Python.

    def __exit__(self, *_: object) -> None:
        """Leave."""
        self._inside.pop()

    def alone(self) -> Alone:
        """Give a context that keeps everybody else out."""
        return Alone(self)

    def is_busy(self) -> bool:
        """Tell whether anybody is inside."""
        return bool(self._inside) or self._turnstile.locked()

    def shut(self) -> None:
        """Let nobody in and wait until the last one left. Raises Busy after ten seconds.

        Rare, so it polls instead of making every passage signal.
        """
        deadline = time.monotonic() + ALONE_SECONDS_MAX
        self._turnstile.acquire()
        try:
            while self._inside and time.monotonic() < deadline:
                time.sleep(POLL_SECONDS)
            if self._inside:
                give_up()
        except BaseException:
            self._turnstile.release()
            raise

    def open(self) -> None:
        """Let everybody in again."""
        self._turnstile.release()


class Alone:
    """The time somebody is alone inside the gate."""

    __slots__ = ("_gate",)

    def __init__(self, gate: Gate) -> None:
        """Belong to a gate."""
        self._gate = gate

    def __enter__(self) -> None:
        """Shut the gate."""
        self._gate.shut()

    def __exit__(self, *_: object) -> None:
        """Open it again."""
        self._gate.open()


def give_up() -> None:
    """Raise Busy: a transaction of this very process did not end."""
    raise Busy("transactions of this process did not end: try again")
