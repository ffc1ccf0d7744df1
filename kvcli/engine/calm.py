"""Calm: sections in which Ctrl-C waits, because half of them is worse than none: what is open would not be known, or not be open.

A program that ends with Ctrl-C needs none of it. One that goes on, as the REPL does, looks at `calm.depth` in its handler.
"""

from __future__ import annotations

from _thread import _local

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self


class Calm(_local):
    """How many such sections the running thread is in."""

    depth = 0

    def __enter__(self) -> Self:
        """Enter a section."""
        self.depth += 1
        return self

    def __exit__(self, *_: object) -> None:
        """Leave it."""
        self.depth -= 1


calm = Calm()
