"""The folder of a server: made whole and then named, so that nobody finds half of one; a dead server's is replaced."""

from __future__ import annotations

import errno
import os
from fcntl import LOCK_EX, LOCK_NB, flock
from shutil import rmtree

from kvcli.shell import CHANNELS
from kvcli.shell.channel import Channel

ALIVE = "server"
TRIES = 16


class Folder:
    """The folder, what tells that its server lives, and its channels."""

    def __init__(self, path: str) -> None:
        """Make it under another name."""
        self.path = path
        self._new = f"{path}.{os.getpid()}"
        os.mkdir(self._new, 0o700)
        self._alive = os.open(os.path.join(self._new, ALIVE), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        flock(self._alive, LOCK_EX)
        self.channels: list[Channel] = []
        try:
            for number in range(CHANNELS):
                self.channels.append(Channel(self._new, number))
        except OSError:  # The rest does with fewer; a shell that finds none free runs the real command.
            if not self.channels:
                rmtree(self._new)
                raise

    def settle(self) -> bool:
        """Give it its name; false, and gone again, where another server has that."""
        for _ in range(TRIES):
            try:
                os.rename(self._new, self.path)
            except OSError as error:
                if error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
                    raise
                if not self._replaces():
                    break
            else:
                for channel in self.channels:
                    channel.folder = self.path
                return True
        rmtree(self._new)
        return False

    def _replaces(self) -> bool:
        """Put the folder that is there away, if its server is dead; false if it lives, or somebody else is at it."""
        try:
            held = os.open(os.path.join(self.path, ALIVE), os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return True  # It went meanwhile.
        if os.fstat(held).st_uid != os.geteuid():
            raise PermissionError(errno.EPERM, "the folder is somebody else's", self.path)
        try:
            flock(held, LOCK_EX | LOCK_NB)
            # Of those who find the same dead server one has this lock, and the folder may be another's new one by now.
            if os.path.samestat(os.fstat(held), os.stat(os.path.join(self.path, ALIVE))):
                self._put_away()
        except BlockingIOError:
            return False
        except FileNotFoundError:
            pass
        finally:
            os.close(held)
        return True

    def remove(self) -> None:
        """Remove it, the name first: who finds it finds all of it."""
        for channel in self.channels:
            channel.close()  # To remove it takes a descriptor or two.
        self._put_away()

    def _put_away(self) -> None:
        old = f"{self._new}.old"
        os.rename(self.path, old)
        rmtree(old, ignore_errors=True)
