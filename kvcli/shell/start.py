"""Start: how a server leaves the shell that starts it. The shell goes on when a server is there, this or another one."""

from __future__ import annotations

import os
import signal
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn


def main() -> NoReturn:
    """Start a server for the folder and the shell that the command line names; exit code 1 where that fails.

    Without a folder, write what is said to stdout, as the real command does.
    """
    folder, shell = sys.argv[1:]
    if not folder:
        _write(shell)
    os.closerange(
        3, os.sysconf("SC_OPEN_MAX")
    )  # A pipe of the shell's that stayed open here would never end for its reader.
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in the terminal is for the call.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    is_ready, ready = os.pipe()
    if os.fork():
        os.close(ready)
        os._exit(0 if os.read(is_ready, 1) else 1)
    os.setsid()
    if os.fork():  # Not the leader of a session: so it never gets a terminal.
        os._exit(0)
    os.close(is_ready)
    _become(folder, int(shell), ready)


def _write(text: str) -> NoReturn:
    from kvcli.cli.entry import PIPE_CLOSED, guarded
    from kvcli.cli.output import Output, write_through

    def work() -> int:
        write_through(sys.stdout, os.fsencode(text))
        return 0

    try:
        code = guarded(Output(), work)
    except BrokenPipeError:
        code = PIPE_CLOSED
    os._exit(code)


def _become(path: str, shell: int, ready: int) -> NoReturn:
    """Be the server, to its end."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):
        os.dup2(nothing, stream)
    os.close(nothing)
    os.umask(0o077)
    os.chdir("/")
    try:
        if sys.stderr.encoding != "utf-8":  # The real command would print in that encoding; so let it.
            os._exit(1)
        sys.stdin = sys.stdout = sys.stderr = None
        _serve(path, shell, ready)
    finally:
        os._exit(0)


def _serve(path: str, shell: int, ready: int) -> None:
    from kvcli.shell.folder import Folder
    from kvcli.shell.server import Server

    folder = Folder(path)
    if not folder.settle():
        os.write(ready, b"1")
        return
    try:
        server = Server(folder, shell)
        os.write(ready, b"1")
        os.close(ready)
        server.serve()
    finally:
        folder.remove()
