"""A terminal for tests: a program in a real pty, and what a person would see of it, as pyte draws it."""

from __future__ import annotations

import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from fcntl import ioctl

import pyte

from tests.processes import ROOT

# A session's leader gets its terminal by opening one; without that no Ctrl-C would reach it.
LAUNCH = "import os, sys; os.open(os.ttyname(0), os.O_RDWR); os.execvp(sys.argv[1], sys.argv[1:])"
SECONDS = 20.0
POLL_SECONDS = 0.05
CTRL_C, CTRL_D, CTRL_R, TAB, UP, ENTER, RIGHT = "\x03", "\x04", "\x12", "\t", "\x1b[A", "\r", "\x1b[C"


class Screen(pyte.Screen):
    """A screen that answers when it is asked where the cursor is."""

    handle = -1

    def write_process_input(self, data: str) -> None:
        """Answer."""
        os.write(self.handle, data.encode())


class Terminal:
    """One program and its screen."""

    def __init__(
        self, *words: str, columns: int = 100, rows: int = 30, cwd: str = ROOT, env: dict[str, str] | None = None
    ) -> None:
        """Start the program."""
        self._master, slave = pty.openpty()
        ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.screen = Screen(columns, rows)
        self.screen.handle = self._master
        self._stream = pyte.ByteStream(self.screen)
        self.seen = b""
        self._is_fresh = True  # Nothing is typed in this line yet.
        self.child = subprocess.Popen(
            [sys.executable, "-c", LAUNCH, *words],
            cwd=cwd,
            env={**os.environ, "TERM": "xterm-256color", **(env or {})},
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
        )
        os.close(slave)

    def press(self, text: str) -> None:
        """Press keys at once, whether anybody waits for them or not."""
        os.write(self._master, text.encode())

    def type(self, text: str) -> None:
        """Type into a line, once the prompt for it is there: what is typed before that is the terminal's to echo."""
        if self._is_fresh:
            self.ready()
        self.press(text)
        self._is_fresh = text.endswith((ENTER, CTRL_C))

    def enter(self, text: str) -> None:
        """Type a line and Enter."""
        self.type(text + ENTER)

    def lines(self) -> list[str]:
        """Give the lines of the screen that are not blank."""
        return [line.rstrip() for line in self.screen.display if line.strip()]

    def text(self) -> str:
        """Give the screen as text."""
        return "\n".join(self.lines())

    def until(self, *texts: str, seconds: float = SECONDS) -> str:
        """Wait until all of the texts stand on the screen, and give it; a text that starts with ! must not stand there."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.read(POLL_SECONDS)
            shown = self.text()
            if all((text[1:] not in shown) if text.startswith("!") else (text in shown) for text in texts):
                return shown
        raise AssertionError(f"waited in vain for {texts}:\n{self.text()}")

    def ready(self) -> None:
        """Wait for the prompt: the cursor stands behind it, and nothing is typed yet."""
        end = time.monotonic() + SECONDS
        while not self.screen.display[self.screen.cursor.y].rstrip().endswith(">"):
            assert time.monotonic() < end, self.text()
            self.read(POLL_SECONDS)

    def read(self, seconds: float) -> bool:
        """Take what comes within some time; tell whether anything did."""
        if not select.select([self._master], [], [], seconds)[0]:
            return False
        try:
            data = os.read(self._master, 1 << 16)
        except OSError:  # Linux says EIO when the other side is closed.
            return False
        self.seen += data
        self._stream.feed(data)
        return bool(data)

    def rest(self, seconds: float) -> None:
        """Do nothing for a while but look: a terminal that is not read answers nothing either, and is waited for."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.read(left)

    def drain(self) -> bytes:
        """Give all that comes until the end, without drawing it."""
        parts = []
        try:
            while data := os.read(self._master, 1 << 16):
                parts.append(data)
        except OSError:  # Linux says EIO when the other side is closed.
            pass
        return b"".join(parts)

    def wait(self, seconds: float = SECONDS) -> int:
        """Wait for the end and give the exit code."""
        end = time.monotonic() + seconds
        while self.child.poll() is None and time.monotonic() < end:
            self.read(POLL_SECONDS)
        while self.read(0):
            pass
        return self.child.wait(1)

    def style_of(self, text: str) -> str:
        """Give the colour of the place where a text stands."""
        for row, line in enumerate(self.screen.display):
            if (at := line.find(text)) >= 0:
                colour: str = self.screen.buffer[row][at].fg
                return colour
        raise AssertionError(f"{text!r} is not there:\n{self.text()}")

    def echoes(self) -> bool:
        """Tell whether the terminal shows what is typed by itself, as it does for a shell."""
        flags: int = termios.tcgetattr(self._master)[3]
        return bool(flags & termios.ECHO and flags & termios.ICANON)

    def close(self) -> None:
        """End the program, whatever it does."""
        self.child.kill()
        self.child.wait()
        os.close(self._master)


@contextmanager
def repl(path: str, *words: str, columns: int = 100, rows: int = 30, cwd: str = ROOT, **env: str) -> Iterator[Terminal]:
    """Have a REPL on a terminal of its own, and wait for its prompt."""
    program = (sys.executable, "-m", "kvcli", *words)
    terminal = Terminal(*program, columns=columns, rows=rows, cwd=cwd, env={"KVCLI_STORE": path, **env})
    try:
        terminal.until(">")
        yield terminal
    finally:
        terminal.close()
