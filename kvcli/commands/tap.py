"""A tap: what a command prints is taken as it comes, by a thread, so that a reader who is slow keeps nobody waiting."""

from __future__ import annotations

import os
import signal
from queue import Queue
from select import POLLIN, poll
from threading import Thread

from kvcli.commands import Replay
from kvcli.commands.child import LEAVE_SECONDS, exit_code, leave

TYPE_CHECKING = False
if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterable, Iterator
    from types import FrameType
    from typing import Any, BinaryIO

    Pieces = list[tuple[int, bytes]]

PIECE_BYTES = 1 << 16
INTERRUPTED = 130
PIECES_AHEAD = 16  # Of what is too much to be kept, no more is taken than this before it is read.


class Tap:
    """The output of a child, and what becomes of it."""

    def __init__(self, child: subprocess.Popen[bytes], room: int, keep: Callable[[Pieces | None, int], object]) -> None:
        """Start to take. `keep` gets all pieces and the exit code at the end; None where it was cut short, or is more than `room` bytes."""
        self.exit_code = 0
        self.is_too_much = self.is_interrupted = False
        self._child = child
        self._room = room
        self._keep = keep
        self._kept: Pieces = []
        self._queue: Queue[tuple[int, bytes] | None] = Queue()
        Thread(target=self._take_all, daemon=True).start()

    def pieces(self) -> Iterator[tuple[int, bytes]]:
        """Give what comes, 1 and a piece of stdout or 2 and a piece of stderr, until the child has ended.

        Ctrl-C reaches the child as well: what it still prints comes too, for a moment, and then KeyboardInterrupt.
        """
        before = self._listen()
        try:
            while (piece := self._queue.get()) is not None:
                yield piece
        except BaseException:
            if self.is_interrupted:
                self._child.terminate()
            else:
                leave(self._child)
            raise
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            for number, handler in before.items():
                signal.signal(number, handler)
        if self.is_interrupted:
            raise KeyboardInterrupt

    def _listen(self) -> dict[signal.Signals, Any]:
        """Hear Ctrl-C, wherever a piece is on its way to; gives who heard it before. Who was told to ignore it does."""
        if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
            return {}
        return {number: signal.signal(number, self._hear) for number in (signal.SIGINT, signal.SIGALRM)}

    def _hear(self, number: int, _frame: FrameType | None) -> None:
        """Wait for the child's last words at the first press; the second, or the end of the time, is the end."""
        if number != signal.SIGINT or self.is_interrupted:
            raise KeyboardInterrupt
        self.is_interrupted = True
        signal.setitimer(signal.ITIMER_REAL, LEAVE_SECONDS)

    def passing(self, replay: Replay, pieces: Iterable[tuple[int, bytes]]) -> Iterator[tuple[int, bytes]]:
        """Give pieces, and tell a replay at the end how the child did."""
        yield from pieces
        replay.exit_code = self.exit_code

    def _take_all(self) -> None:
        try:
            for piece in self._read():
                self._take(piece)
            self.exit_code = exit_code(self._child)
            if not self.is_too_much:
                # What Ctrl-C or another signal has ended is no answer; nor is what a command says that caught it.
                was_cut = self.is_interrupted or self._child.returncode < 0 or self.exit_code == INTERRUPTED
                self._keep(*(None, self.exit_code or INTERRUPTED) if was_cut else (self._kept, self.exit_code))
        finally:
            self._queue.put(None)

    def _take(self, piece: tuple[int, bytes]) -> None:
        self._room -= len(piece[1])
        if self._room >= 0:
            self._kept.append(piece)
        elif not self.is_too_much:
            self.is_too_much = True
            self._kept.clear()
            self._keep(None, 0)
            self._queue.maxsize = PIECES_AHEAD
        self._queue.put(piece)

    def _read(self) -> Iterator[tuple[int, bytes]]:
        streams = {file.fileno(): (number, file) for number, file in self._streams()}
        coming = poll()
        for handle in streams:
            coming.register(handle, POLLIN)
        while streams:
            for handle, _ in coming.poll():
                number, file = streams[handle]
                piece = os.read(handle, PIECE_BYTES)
                if piece:
                    yield number, piece
                else:
                    coming.unregister(handle)
                    del streams[handle]
                    file.close()

    def _streams(self) -> Iterator[tuple[int, BinaryIO]]:
        for number, file in ((1, self._child.stdout), (2, self._child.stderr)):
            if file is not None:
                yield number, file  # type: ignore[misc]
