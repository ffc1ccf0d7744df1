"""Pipes: what a command prints goes to the stdin of a shell, byte for byte; only what was typed is read by the shell."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kvcli.commands.child import PIPE, outlast, start

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from typing import BinaryIO


def into(tail: str, variables: dict[str, str], work: Callable[[BinaryIO], int]) -> int:
    """Run `tail` in a shell, with `work` writing to its stdin. The exit code is that of work, or else that of the shell."""
    child = start(["/bin/sh", "-c", tail], variables, stdin=PIPE)
    code = 0
    try:
        code = work(child.stdin)  # type: ignore[arg-type] # It is a pipe, and a pipe of bytes.
    except BrokenPipeError:
        pass  # It has read as much as it wanted.
    finally:
        ended = _end(child)
    return code or ended


def _end(child: subprocess.Popen[bytes]) -> int:
    try:
        if child.stdin is not None:
            child.stdin.close()
    except BrokenPipeError:
        pass
    return outlast(child)
