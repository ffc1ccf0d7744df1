"""Commands of the user's that kvcli runs: started as a shell would, with all that kvcli itself was started with."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys

from kvcli.commands import Replay
from kvcli.errors import CommandFailed, Full

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

PIPE = subprocess.PIPE
LEAVE_SECONDS = 2.0
PRESSES_MAX = 3
SCARCE = {errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM}  # It is not for the command that it cannot be run.
# What a command in the background is started by: the kvcli that runs now, wherever it was loaded from.
AGAIN = "import runpy, sys; sys.path.append(sys.argv.pop(1)); runpy.run_module('kvcli', run_name='__main__')"
DATA = "data.mdb"  # LMDB lets children inherit its file; nobody else's is kept from them.


def start(
    command: list[str], variables: dict[str, str] | None = None, **streams: int | None
) -> subprocess.Popen[bytes]:
    """Start a command, with `variables` added to its environment. Raises CommandFailed with 127 where there is none, with 126 where it cannot be run; Full without room for it."""
    words = [word.encode("utf-8", "surrogateescape") for word in command]  # As they were typed, whatever the locale.
    added = {name.encode(): value.encode("utf-8", "surrogateescape") for name, value in (variables or {}).items()}
    try:
        return _start(words, added, streams)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise CommandFailed(f"no such command: {command[0]!r}", 127) from error
    except (OSError, ValueError) as error:
        found = shutil.which(command[0])
        if isinstance(error, OSError) and error.errno == errno.ENOEXEC and found is not None:
            return _start(
                [b"/bin/sh", os.fsencode(found), *words[1:]], added, streams
            )  # A script without #!, as execvp does.
        if found is None and "/" not in command[0]:
            raise CommandFailed(f"no such command: {command[0]!r}", 127) from error
        reason = error.strerror if isinstance(error, OSError) else str(error)
        if isinstance(error, OSError) and error.errno in SCARCE:
            raise Full(f"cannot run {command[0]!r}: {reason}") from error
        raise CommandFailed(f"cannot run {command[0]!r}: {reason}", 126) from error


def exit_code(child: subprocess.Popen[bytes]) -> int:
    """Wait for the end, and give the exit code as a shell does: 128 and more for a signal."""
    code = child.wait()
    return code if code >= 0 else 128 - code


def outlast(child: subprocess.Popen[bytes]) -> int:
    """Wait for the end as shells do: Ctrl-C is for the child, which may be an editor or a pager. Gives its exit code.

    A child that does not care is ended by the third.
    """
    presses = 0

    def hear(_number: int, _frame: FrameType | None) -> None:
        nonlocal presses
        presses += 1
        if presses >= PRESSES_MAX:
            child.kill()

    before = signal.signal(signal.SIGINT, hear)
    try:
        return exit_code(child)
    finally:
        signal.signal(signal.SIGINT, before)


def pass_through(command: list[str]) -> Replay:
    """Run a command as if kvcli were not there. Raises CommandFailed as start does."""
    child = start(command)

    def run() -> Iterator[tuple[int, bytes]]:
        try:
            replay.exit_code = exit_code(child)
        except BaseException:
            leave(child)
            raise
        yield from ()

    replay = Replay(run())
    return replay


def leave(child: subprocess.Popen[bytes]) -> None:
    """End a child, which may be about to end by itself: Ctrl-C has reached it as well."""
    try:
        child.wait(LEAVE_SECONDS)
    except subprocess.TimeoutExpired:
        child.terminate()
    except KeyboardInterrupt:
        child.terminate()
        raise


def start_again(words: list[str]) -> None:
    """Start kvcli with other words, in the background: in a session of its own, without streams; nobody waits for it."""
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    nothing = subprocess.DEVNULL
    child = subprocess.Popen(  # noqa: S603 - ourselves
        [sys.executable, "-P", "-c", AGAIN, root, *[word.encode("utf-8", "surrogateescape") for word in words]],
        stdin=nothing,
        stdout=nothing,
        stderr=nothing,
        start_new_session=True,
        env=environment(),
    )
    child.returncode = 0  # Nobody asks; without it Python would warn that it still runs.


def environment() -> dict[bytes, bytes]:
    """Give the environment without what Python adds to it where no locale is set (PEP 538)."""
    variables = dict(os.environb)
    if variables.get(b"LC_CTYPE") == b"C.UTF-8":
        with open("/proc/self/environ", "rb") as file:
            if not any(variable.startswith(b"LC_CTYPE=") for variable in file.read().split(b"\0")):
                del variables[b"LC_CTYPE"]
    return variables


def _start(
    words: list[bytes], variables: dict[bytes, bytes], streams: dict[str, int | None]
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(words, env={**environment(), **variables}, pass_fds=_inherited(), **streams)  # type: ignore[call-overload, no-any-return] # noqa: S603 - the user's


def _inherited() -> list[int]:
    """Give the descriptors that this process was started with, as <(...) of a shell makes them; ours are not inheritable."""
    handles = []
    for name in os.listdir("/proc/self/fd"):
        try:
            if int(name) > 2 and os.get_inheritable(int(name)) and DATA not in os.readlink(f"/proc/self/fd/{name}"):
                handles.append(int(name))
        except OSError:
            continue  # That of the listing itself.
    return handles
