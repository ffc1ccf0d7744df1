"""The prompt of a terminal that can do nothing (TERM=dumb): lines as the terminal itself lets them be typed, and no escapes."""

from __future__ import annotations

import sys

from kvcli.repl.line import Line

DUMB = ("dumb", "unknown")


def read_line(prompt: str, continuation: str) -> str:
    """Ask for a line, and for more while a quote or a bracket is open. Raises EOFError."""
    line, parts = Line(), list[str]()
    while not parts or not line.is_complete:
        sys.stdout.write(continuation if parts else prompt)
        sys.stdout.flush()
        raw = sys.stdin.buffer.readline()
        if not raw:
            raise EOFError
        parts.append(raw.decode("utf-8", "surrogateescape"))
        line.feed(parts[-1])
    return "".join(parts).removesuffix("\n")
