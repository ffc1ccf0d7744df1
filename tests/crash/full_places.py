"""Places where there is no room: file systems that are full, and limits of a process. Each can be filled and freed."""

from __future__ import annotations

import contextlib
import errno
import os
import random
import subprocess
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from tests.crash.command import KVCLI
from tests.processes import mounted, release, take_slots

FILLER = "filler"
PAGE = 4096


class Place:
    """A folder for stores. Unless it is something else that is full, there is room in it for everything."""

    kind = "folder"
    is_full = False
    in_use: Mapping[str, tuple[int, ...]] = MappingProxyType({})  # What others keep from being done: its exit code.
    is_read = True  # What is in the store can be read while it is full.

    def __init__(self, folder: str, chance: random.Random) -> None:
        """Be in a folder."""
        self.folder = folder
        self.chance = chance
        self.limit = ""

    @property
    def program(self) -> tuple[str, ...]:
        """How kvcli is started here."""
        return ("sh", "-c", f'{self.limit}; exec "$@"', "sh", *KVCLI) if self.limit else KVCLI

    def fill(self, store: str) -> None:
        """Leave no room, or next to none."""

    def free(self) -> None:
        """Give the room back."""
        self.limit = ""


class Disk(Place):
    """A file system of a few megabytes."""

    kind = "disk"

    def fill(self, store: str) -> None:
        """Write a file until the disk is full, and cut a little off."""
        del store
        with open(os.path.join(self.folder, FILLER), "wb", buffering=0) as file:
            try:
                for size in (1 << 16, PAGE, 1):
                    self._write_until_full(file.fileno(), size)
                os.fsync(file.fileno())
            finally:
                file.truncate(max(file.tell() - self.chance.choice([0, 0, 1, 4, 12, 30]) * PAGE, 0))

    def _write_until_full(self, handle: int, size: int) -> None:
        try:
            while True:
                os.write(handle, bytes(size))
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise

    def free(self) -> None:
        """Remove the file."""
        os.remove(os.path.join(self.folder, FILLER))


class Inodes(Place):
    """A file system with room, but not for more files."""

    kind = "table of files"

    def fill(self, store: str) -> None:
        """Make files until none can be made."""
        del store
        os.mkdir(os.path.join(self.folder, FILLER))
        with contextlib.suppress(OSError):
            for number in range(10_000):
                os.close(os.open(os.path.join(self.folder, FILLER, str(number)), os.O_CREAT | os.O_WRONLY))

    def free(self) -> None:
        """Remove them."""
        for name in os.listdir(os.path.join(self.folder, FILLER)):
            os.remove(os.path.join(self.folder, FILLER, name))
        os.rmdir(os.path.join(self.folder, FILLER))


class FileSize(Place):
    """Files may not grow."""

    kind = "file size"

    def fill(self, store: str) -> None:
        """Limit them to about what the data file has."""
        size = os.path.getsize(os.path.join(store, "data.mdb"))
        self.limit = f"ulimit -f {size // 1024 + self.chance.choice([0, 4, 16, 64])}"


class AddressSpace(Place):
    """There are few addresses."""

    kind = "address space"

    def fill(self, store: str) -> None:
        """Limit them to what a program can begin with, or more."""
        del store
        self.limit = f"ulimit -v {self.chance.choice([48, 64, 80, 96, 128, 192, 256, 512]) * 1024}"


class OpenFiles(Place):
    """A process may have few files open."""

    kind = "open files"
    in_use = MappingProxyType({"edit": (2,)})  # The shell that is the editor wants a descriptor from 10 on.

    def fill(self, store: str) -> None:
        """Limit them to a few more than a program needs to begin."""
        del store
        self.limit = f"ulimit -n {self.chance.randrange(10, 20)}"


class Readers(Place):
    """Every slot of the table of readers is taken."""

    kind = "table of readers"
    in_use = MappingProxyType({"compact": (75,)})
    is_read = False

    def fill(self, store: str) -> None:
        """Take them all."""
        self._taker = take_slots(store, 511)

    def free(self) -> None:
        """Let them go."""
        release(self._taker)


@contextlib.contextmanager
def place(kind: str, home: str, chance: random.Random) -> Iterator[Place]:
    """Have a place of a kind. Raises pytest's Skipped where this user may not mount."""
    folder = os.path.join(home, "place")
    if kind == "tmpfs":
        with mounted(folder, f"size={chance.randrange(6, 10)}m,mode=0700"):
            yield Disk(folder, chance)
    elif kind == "ext4":
        image = os.path.join(home, "image")
        with open(image, "wb") as file:
            file.truncate(16 << 20)
        subprocess.run(["mkfs.ext4", "-q", "-m", "0", image], check=True, capture_output=True)
        with mounted(folder, "loop", "ext4", image):
            yield Disk(folder, chance)
    elif kind == "inodes":
        with mounted(folder, f"size=64m,mode=0700,nr_inodes={chance.randrange(30, 60)}"):
            yield Inodes(folder, chance)
    else:
        os.mkdir(folder, 0o700)
        yield LIMITS[kind](folder, chance)


LIMITS: dict[str, type[Place]] = {
    "file size": FileSize,
    "address space": AddressSpace,
    "open files": OpenFiles,
    "readers": Readers,
}
KINDS = ("tmpfs", "ext4", "inodes", *LIMITS)
