"""Glance: a look at a store on a server for the sake of whoever types, which nobody waits long for.

No thread can be stopped that waits for a server, and the prompt waits for the looks that it has begun. So a thread of its own
looks, one at a time, and what it finds too late is forgotten.
"""

from __future__ import annotations

from threading import Lock, Thread
from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    Seen = TypeVar("Seen")

PATIENCE_SECONDS = 1.0


class Glance:
    """The looks of one session."""

    def __init__(self) -> None:
        """Look at nothing yet."""
        self._turn = Lock()

    def at(self, look: Callable[[], Seen]) -> Seen | None:
        """Give what a look finds; None where that, or the look before it, takes too long."""
        deadline = monotonic() + PATIENCE_SECONDS
        if not self._turn.acquire(timeout=PATIENCE_SECONDS):
            return None
        found: list[Seen] = []

        def work() -> None:
            try:
                found.append(look())
            finally:
                self._turn.release()

        looking = Thread(target=work, name="glance", daemon=True)
        looking.start()
        looking.join(max(deadline - monotonic(), 0))
        return found[0] if found else None
