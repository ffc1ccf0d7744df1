"""The prompt of a terminal that can do nothing (TERM=dumb): lines as the terminal itself lets them be typed, and no escapes."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from kvcli.repl.line import last

if TYPE_CHECKING:
    from collections.abc import Callable

DUMB = ("dumb", "unknown")


def read_line(prompt: Callable[[], str], continuation: str) -> str:
    """Ask for a line, and for more while a quote or a bracket is open. Raises EOFError."""
    text, shown = "", prompt()
    while True:
        sys.stdout.write(shown)
        sys.stdout.flush()
        raw = sys.stdin.buffer.readline()
        if not raw:
            raise EOFError
        text += raw.decode("utf-8", "surrogateescape")
        if last(text.removesuffix("\n")).is_complete:
            return text.removesuffix("\n")
        shown = continuation
