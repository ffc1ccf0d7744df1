"""Pipes: what a command prints goes to the stdin of a shell, byte for byte; only what was typed is read by the shell."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from kvcli.commands.child import PIPE, outlast, start

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator

STDOUT = 1


def into(tail: str, variables: dict[str, str], work: Callable[[], int]) -> tuple[int, bool]:
    """Run `tail` in a shell, with all that `work` prints on its stdin. Gives the exit code of work, or else of the shell.

    The second answer tells whether the shell read all of it.
    """
    child = start(["/bin/sh", "-c", tail], variables, stdin=PIPE)
    code, is_read = 0, True
    try:
        with _as_stdout(child):
            code = work()
    except BrokenPipeError:
        is_read = False
    finally:
        ended = outlast(child)
    return code or ended, is_read


@contextmanager
def _as_stdout(child: subprocess.Popen[bytes]) -> Iterator[None]:
    # The descriptor itself, as a shell does: so that the commands that kvcli runs print there too.
    sys.stdout.flush()
    kept = os.dup(STDOUT)
    try:
        os.dup2(child.stdin.fileno(), STDOUT)  # type: ignore[union-attr] # It is a pipe.
        child.stdin.close()  # type: ignore[union-attr]
        yield
        sys.stdout.flush()
    finally:
        os.dup2(kept, STDOUT)
        os.close(kept)
