"""Answering: a request to the bytes of its answer, by the parser, the commands and the output of the command line."""

from __future__ import annotations

import os
from collections import deque
from functools import lru_cache
from time import monotonic

from kvcli.cli import lane
from kvcli.cli.entry import guarded
from kvcli.cli.output import Output
from kvcli.cli.screen import escape_line
from kvcli.commands import Invocation, perform
from kvcli.commands.context import Context
from kvcli.commands.shell_init import VARIABLES
from kvcli.errors import Busy, KvError
from kvcli.shell import HEADER_BYTES, SHORT_BYTES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kvcli.commands import Listing

SERVED = {
    *("get", "set", "delete", "exists", "incr", "list"),
    *("cache_get", "cache_set", "cache_delete", "cache_exists"),
}
ANSWER_BYTES_MAX = 1 << 20  # Nobody waits long for another's answer; and a larger one takes the real command no longer.
# So long a writer lock is waited for, as everybody waits meanwhile; the real command waits longer.
PATIENCE_SECONDS = 0.1
OTHERS_SECONDS = 1.0  # So long a store stays open that calls do not name any more.
CONTEXTS_KEPT = 4  # Of as many calls the stores stay open, so that those which take turns need not be opened again.
INVOCATIONS_KEPT = 256  # Of as many different requests: a loop asks the same again and again.
UNSERVED = 999
SAID = ("--store", "KVCLI_STORE")  # Where a location comes from that somebody named for this very call.
Last = tuple[Context | None, object, object]  # A context, what it was chosen by, and what its store looked like.
NOTHING: Last = (None, None, None)


class Unserved(BaseException):
    """Raised where the real command is to be run; nothing was changed. No Exception, which would be taken for a bug."""


class Captured(Output):
    """Keeps what is printed, as if it were for the streams of whoever asked."""

    def __init__(self, flags: bytes, *, json: bool) -> None:
        """Look into the flags which streams are terminals."""
        super().__init__(json=json)
        self.terminal, self._shows_errors = b"o" in flags, b"e" in flags
        self.tells_answers = self.terminal and self._shows_errors
        self.out: list[bytes] = []
        self.err: list[bytes] = []
        self._size = 0

    def complain(self, error: KvError) -> int:
        """Leave it to the real command to wait for a lock as long as it likes, while others are answered here."""
        if isinstance(error, Busy):
            raise Unserved
        return super().complain(error)

    def tell(self, text: str) -> None:
        """Keep a line for stderr."""
        self.err.append(escape_line(text).encode("utf-8", "backslashreplace") + b"\n")

    def _show_listing(self, listing: Listing) -> int:
        if listing.limited and self._shows_errors:  # A person is told of the cursor in other words.
            raise Unserved
        return super()._show_listing(listing)

    def _write(self, data: bytes) -> None:
        self._size += len(data)
        if self._size > ANSWER_BYTES_MAX:
            raise Unserved  # It was read, and no more than that: what writes answers in a few bytes.
        self.out.append(data)


class Desk:
    """Answers requests, one after the other. Their stores stay open until it rests."""

    def __init__(self) -> None:
        """Open nothing."""
        self._contexts: deque[tuple[Context, object]] = deque()  # Each with what its store looked like.
        self._others_until = 0.0
        self._variables: list[bytes] = []
        self._last = NOTHING

    @property
    def is_open(self) -> bool:
        """Whether a store may be open."""
        return bool(self._contexts)

    def answer(self, fields: list[bytes], process: int) -> bytes:
        """Give the answer to a request of a process."""
        flags, variables, words = fields[0], fields[1 : 1 + len(VARIABLES)], fields[1 + len(VARIABLES) :]
        try:
            self._see(variables)
            code, out, err = self._run(tuple(words), flags, process)
        except (Unserved, OSError):
            code, out, err = UNSERVED, b"", b""
        return packed(code, out, err) if b"z" in flags else packed_for_bash(code, out, err)

    def _see(self, variables: list[bytes]) -> None:
        """Have the variables that are exported where the request comes from."""
        if variables == self._variables:
            return
        self._variables = []
        for name, variable in zip(VARIABLES, variables, strict=True):
            attributes, _, value = variable.partition(b"=")
            if value and b"x" in attributes:
                os.environb[name.encode()] = value
            else:
                os.environ.pop(name, None)
        if "HOME" not in os.environ or "KVCLI_DEBUG" in os.environ:  # Without a home, what the system says; and a trace
            raise Unserved  # shows the process whose it is.
        self._variables = variables

    def _run(self, words: tuple[bytes, ...], flags: bytes, process: int) -> tuple[int, bytes, bytes]:
        invocation = understood(words)
        if invocation is None:
            raise Unserved
        if not str(invocation.settings.get("store") or os.environ.get("KVCLI_STORE")).startswith("/"):
            os.chdir(f"/proc/{process}/cwd")  # Wherever that is now called, and whatever the shell's PWD says.
        output = Captured(flags, json=b"--json" in words)
        code = guarded(output, lambda: self._execute(invocation, output))
        return code, b"".join(output.out), b"".join(output.err)

    def _execute(self, invocation: Invocation, output: Output) -> int:
        context = self._context(invocation, output)
        output.json = "json" in invocation.settings
        return output.show(perform(invocation, context))

    def _context(self, invocation: Invocation, output: Output) -> Context:
        """Give what a command runs in: that of the call before, if it would be the same."""
        settings = {name: value for name, value in invocation.settings.items() if name != "json"}
        context, chosen, seen = self._last
        if context is None or chosen != (settings, self._variables) or seen is None or seen != look(context):
            context = self._open(settings)
        elif len(self._contexts) > 1 and monotonic() > self._others_until:
            self._close(but=context)
        if invocation.command.startswith("cache"):
            self._last = NOTHING  # Its cache may be another by the next call.
        context.warn = output.warn
        return context

    def _open(self, settings: dict[str, object]) -> Context:
        """Find the store anew, so that one that was removed or replaced is missed, or opened, as by the real command."""
        context = Context(**settings, lock_timeout=PATIENCE_SECONDS, stdin=False)  # type: ignore[arg-type]
        seen = look(context)
        if any(kept.location.path == context.location.path and before != seen for kept, before in self._contexts):
            self._close()  # It is open already, with the rights that there were.
        self._contexts.append((context, seen))
        # Where a config file or the working directory has a say, it is found anew for each call.
        is_said = context.location.origin in SAID and context.location.path.startswith("/")
        self._last = (context, (settings, self._variables), seen) if is_said else NOTHING
        self._others_until = monotonic() + OTHERS_SECONDS
        if len(self._contexts) > CONTEXTS_KEPT:
            self._contexts.popleft()[0].close()
        return context

    def _close(self, but: Context | None = None) -> None:
        for context, _ in self._contexts:
            if context is not but:
                context.close()
        self._contexts = deque([kept for kept in self._contexts if kept[0] is but])

    def rest(self) -> None:
        """Close every store, and leave the folder of whoever asked last: neither may be in anybody's way."""
        self._last = NOTHING
        self._close()
        os.chdir("/")


def look(context: Context) -> object:
    """Give what tells a store from another one in its place, and who may use it; None where that cannot be seen."""
    path, lstat = context.location.path, os.lstat
    try:  # Mode, inode, device, links, owner.
        return lstat(path)[:5], lstat(f"{path}/data.mdb")[:5], lstat(f"{path}/lock.mdb")[:5]
    except (OSError, ValueError):
        return None  # The command itself will say what is wrong.


@lru_cache(INVOCATIONS_KEPT)
def understood(words: tuple[bytes, ...]) -> Invocation | None:
    """Parse words; None for a command that is not short, or that reads anything but the store."""
    invocation = lane.parse([word.decode("utf-8", "surrogateescape") for word in words])
    if invocation is None or invocation.command not in SERVED:
        return None
    value = str(invocation.arguments.get("value", ""))
    return None if value == "-" or value.startswith("@") else invocation


def packed(code: int, out: bytes, err: bytes) -> bytes:
    """Write an answer down."""
    return header(code, b"b", out, err) + out + err


def packed_for_bash(code: int, out: bytes, err: bytes) -> bytes:
    """Write an answer down such that bash reads it fast, and NUL, which it could not read at all, as an escape."""
    if b"\0" in out:
        kind, out = b"e", out.replace(b"\\", b"\\\\").replace(b"\0", b"\\0000")
    else:
        kind = b"a" if out.isascii() and err.isascii() else b"b"
    if kind == b"a" and code != UNSERVED and not err and len(out) <= SHORT_BYTES - HEADER_BYTES:
        return (header(code, b"s", out, err) + out).ljust(SHORT_BYTES)
    return header(code, kind, out, err).ljust(SHORT_BYTES) + out + err


def header(code: int, kind: bytes, out: bytes, err: bytes) -> bytes:
    """Say what comes."""
    return b"%03d%c%8d%8d" % (code, kind, len(out), len(err))
