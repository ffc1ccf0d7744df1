"""Channel: two pipes between one process of the shell and the server, neither of which ever makes the server wait."""

from __future__ import annotations

import os
from contextlib import suppress
from fcntl import F_GETPIPE_SZ, F_SETPIPE_SZ, fcntl
from time import time

from kvcli.commands.shell_init import VARIABLES

# Twice what a request may have: written in pieces, as bash does, each page of a pipe is more than half full.
REQUEST_PIPE_BYTES = 32 << 10
# The kernel counts what the pipes of a user may take, and gives less to who has many; so an idle shell takes little.
ANSWER_PIPE_BYTES = 16 << 10
READ_BYTES = 64 << 10
FIXED_FIELDS = 1 + len(VARIABLES)


class Channel:
    """One channel of a folder, and the process that has it."""

    def __init__(self, folder: str, number: int) -> None:
        """Make the pipes. Raises OSError, also where the kernel gives too little room."""
        self.folder = folder
        self._number = number
        self.owner: int | None = None
        self._received = b""
        self.unsent = b""
        self.requests = self.answers = -1
        self._open()

    def _open(self) -> None:
        requests, answers = self._file("q"), self._file("a")
        os.mkfifo(requests, 0o600)
        os.mkfifo(answers, 0o600)
        flags = os.O_NONBLOCK | os.O_CLOEXEC
        self.requests = os.open(requests, os.O_RDWR | flags)  # Also its writer, so that it has no end.
        reader = os.open(answers, os.O_RDONLY | flags)  # A pipe without a reader could not be opened to write.
        self.answers = os.open(answers, os.O_WRONLY | flags)
        os.close(reader)
        fcntl(self.requests, F_SETPIPE_SZ, REQUEST_PIPE_BYTES)
        fcntl(self.answers, F_SETPIPE_SZ, ANSWER_PIPE_BYTES)
        if fcntl(self.requests, F_GETPIPE_SZ) < REQUEST_PIPE_BYTES:
            raise OSError("this user has too many pipes")

    def renew(self) -> None:
        """Let another process have the channel, with pipes that nobody else has open, and nothing in them."""
        self.close()
        for end in ("q", "a"):
            with suppress(FileNotFoundError):
                os.unlink(self._file(end))
        self._open()
        with suppress(FileNotFoundError):
            os.unlink(self._file("lock"))  # Last: whoever makes it opens what is there by then.

    def claimant(self) -> int | None:
        """Give the process that says the channel is its own: 0 if it says so no more, None if nobody does."""
        try:
            with open(self._file("lock"), "rb") as file:
                is_old = os.fstat(file.fileno()).st_mtime < time() - 1
                return int(file.read() or (b"0" if is_old else b"-1"))  # Who has just made it has not written yet.
        except FileNotFoundError:
            return None
        except ValueError:
            return 0

    def receive(self) -> list[bytes] | None:
        """Read, and give the fields of a request when it is complete. Raises ValueError for what is none."""
        try:
            self._received += os.read(self.requests, READ_BYTES)
        except BlockingIOError:
            return None
        count, *fields = self._received.split(b"\0")
        if not fields or len(fields) <= FIXED_FIELDS + int(count):
            return None
        self._received = b""
        return fields[:-1]

    def send(self, answer: bytes = b"") -> None:
        """Write what the pipe takes now; `unsent` is what it does not. A process that is gone misses nothing."""
        self.unsent += answer
        try:
            while self.unsent:
                self.unsent = self.unsent[os.write(self.answers, self.unsent) :]
        except BlockingIOError:
            pass
        except BrokenPipeError:
            self.unsent = b""

    def close(self) -> None:
        """Close both pipes, and forget who had them."""
        os.close(self.requests)
        os.close(self.answers)
        self.owner, self._received, self.unsent = None, b"", b""

    def _file(self, end: str) -> str:
        return os.path.join(self.folder, f"{self._number}.{end}")
