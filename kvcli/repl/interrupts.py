"""Interrupts: when Ctrl-C is heard, and when it is not."""

from __future__ import annotations

import signal
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from kvcli.engine.calm import calm

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

AGAIN_SECONDS = 0.01


class Interrupts:
    """Ctrl-C stops what runs, once: between two commands, and while one is being stopped, it would end the loop itself.

    Where an object is being removed (__del__, the callback of a weak reference, the collector) the interpreter prints what
    is raised, and forgets it. No frame tells that one is there, but the interpreter's own hook for it is told.
    """

    def __init__(self) -> None:
        """Hear none from now on."""
        self._are_heard = False
        signal.signal(signal.SIGINT, self._hear)
        signal.signal(signal.SIGALRM, self._hear)  # The same once more, a moment later.
        self._tell_ignored, sys.unraisablehook = sys.unraisablehook, self._ignored

    @contextmanager
    def heard(self) -> Iterator[None]:
        """Raise KeyboardInterrupt, at most once, for Ctrl-C from here on."""
        self._are_heard = True
        try:
            yield
        finally:
            self._are_heard = False

    def _hear(self, _number: int, _frame: FrameType | None) -> None:
        if self._are_heard and calm.depth:
            signal.setitimer(signal.ITIMER_REAL, AGAIN_SECONDS)
        elif self._are_heard:
            self._are_heard = False
            raise KeyboardInterrupt

    def _ignored(self, ignored: sys.UnraisableHookArgs) -> None:
        if not issubclass(ignored.exc_type, KeyboardInterrupt):
            self._tell_ignored(ignored)
            return
        self._are_heard = True  # Still: what was being removed, was so inside of what Ctrl-C is to stop.
        signal.setitimer(signal.ITIMER_REAL, AGAIN_SECONDS)
