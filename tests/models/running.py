"""Running a command line, or a line of the REPL, in this process: how it ends, and what it prints."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from typing import NamedTuple
from unittest import mock

from kvcli.cli import entry


class Ran(NamedTuple):
    """How a command ended, and what it printed."""

    code: int
    out: bytes
    err: bytes


def captured(work: Callable[[], int], stdin: bytes = b"") -> Ran:
    """Run some work with streams of its own."""
    given = io.TextIOWrapper(io.BytesIO(stdin))
    out, err = (
        io.TextIOWrapper(io.BytesIO(), write_through=True),
        io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True),
    )
    with mock.patch.object(sys, "stdin", given), redirect_stdout(out), redirect_stderr(err):
        code = work()
    return Ran(code, out.buffer.getvalue(), err.buffer.getvalue())


def run(words: list[str], stdin: bytes = b"") -> Ran:
    """Run one command line in this process."""
    return captured(lambda: entry.run(words), stdin)
