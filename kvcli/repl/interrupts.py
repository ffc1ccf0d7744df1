"""Interrupts: when Ctrl-C is heard, and when it is not."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

from kvcli.engine.calm import calm

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

AGAIN_SECONDS = 0.01


class Interrupts:
    """Ctrl-C stops what runs, once: between two commands, and while one is being stopped, it would end the loop itself."""

    def __init__(self) -> None:
        """Hear none from now on."""
        self._are_heard = False
        signal.signal(signal.SIGINT, self._hear)
        signal.signal(signal.SIGALRM, self._hear)  # The same once more, a moment later.

    @contextmanager
    def heard(self) -> Iterator[None]:
        """Raise KeyboardInterrupt, at most once, for Ctrl-C from here on."""
        self._are_heard = True
        try:
            yield
        finally:
            self._are_heard = False

    def _hear(self, _number: int, frame: FrameType | None) -> None:
        if self._are_heard and (calm.depth or _is_in_destructor(frame)):
            signal.setitimer(signal.ITIMER_REAL, AGAIN_SECONDS)
        elif self._are_heard:
            self._are_heard = False
            raise KeyboardInterrupt


def _is_in_destructor(frame: FrameType | None) -> bool:
    """Tell whether the interpreter is removing an object: what is raised there is printed, and forgotten."""
    while frame is not None and frame.f_code.co_name != "__del__":
        frame = frame.f_back
    return frame is not None
