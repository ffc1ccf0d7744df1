"""Output: answers to stdout, everything for people to stderr. It knows three shapes, not twenty commands."""

from __future__ import annotations

import errno
import os
import sys

from kvcli.commands import Listing, Progress, Record, Replay, Stream, Table
from kvcli.errors import KvError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from io import RawIOBase
    from typing import BinaryIO, TextIO

    from kvcli.commands import Answer


class Output:
    """The three standard streams of one run."""

    def __init__(self, *, json: bool = False) -> None:
        """Look which streams are terminals."""
        self.json = json
        self.terminal = _is_terminal(sys.stdout)
        self.prefix = "kvcli: "  # Before what is told to a person.
        self.tells_answers = self.terminal and _is_terminal(sys.stderr)  # A script reads the exit code instead.
        self._warned = False

    def show(self, answer: Answer) -> int:
        """Print an answer and give its exit code."""
        if isinstance(answer, Record):
            return self._show_record(answer)
        if isinstance(answer, Listing):
            return self._show_listing(answer)
        if isinstance(answer, Stream):
            return self._show_stream(answer)
        if isinstance(answer, Progress):
            return self._show_progress(answer)
        if isinstance(answer, Replay):
            return self._show_replay(answer)
        return self._show_table(answer)

    def complain(self, error: KvError) -> int:
        """Print one line about an error and give its exit code, which a stderr that takes nothing does not change."""
        try:  # noqa: SIM105 - contextlib is slow to load
            self._complain(error)
        except OSError:
            pass
        return error.exit_code

    def _complain(self, error: KvError) -> None:
        if os.environ.get("KVCLI_DEBUG"):
            self._trace(error)
        if self.json:
            from kvcli.cli.encoding import json_line

            # A path may hold bytes that are no UTF-8; the message stays a message all the same.
            message = str(error).encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
            self.tell(json_line({"error": {"code": error.code, "message": message}}, ascii_only=True).decode().rstrip())
        elif not error.is_answer or self.tells_answers:
            self.tell(f"{self.prefix}{error}")

    def complain_of_bug(self, error: Exception) -> int:
        """Print one line about an exception that nobody expected."""
        bug = KvError(f"this is a bug in kvcli ({type(error).__name__}: {error}); KVCLI_DEBUG=1 shows where")
        bug.__cause__ = error
        return self.complain(bug)

    def warn(self, text: str) -> None:
        """Print one line about what went wrong and was got over; one, as the rest mostly follows from that."""
        if self._warned:
            return
        self._warned = True
        try:
            if self.json:
                from kvcli.cli.encoding import json_line

                text = json_line({"warning": {"message": text}}, ascii_only=True).decode().rstrip()
            self.tell(text if self.json else f"{self.prefix}{text}")
        except OSError:
            pass

    def asker(self) -> Callable[[str], bool] | None:
        """Give the function that asks a person, None where there is none: both stdin and stderr must be terminals."""
        return self._ask if _is_terminal(sys.stdin) and _is_terminal(sys.stderr) else None

    def _show_record(self, record: Record) -> int:
        if record.output is not None and record.plain is not None:
            write_file(record.output, record.plain)
        if self.json:
            from kvcli.cli.encoding import json_line

            self._write(json_line(record.fields, ascii_only=self.terminal))
        elif record.plain is not None and record.output is None:
            self._write(self._plain(record, record.plain))
        if record.note is not None and not self.json:
            self._show_note(record.note)
        if record.error is not None:
            self.complain(record.error)
        return record.exit_code

    def _show_note(self, note: str) -> None:
        self.tell(note)

    def _plain(self, record: Record, plain: bytes) -> bytes:
        if not self.terminal:
            return plain if record.verbatim else plain + b"\n"
        if record.raw:
            return plain + b"\n"
        from kvcli.cli.screen import escape_text

        return escape_text(plain) + b"\n"

    def _show_listing(self, listing: Listing) -> int:
        encode = self._page_encoder()
        for page in listing.pages:
            if page:
                self._write(encode(page, listing, self.terminal))
        if listing.limited:
            self._show_cursor(listing.cursor)
        return 0

    def _show_stream(self, stream: Stream) -> int:
        with self._bar(stream.total, "keys") as advance:
            for page in stream.pages:
                self._write(self._safe(page, json=stream.json))
                advance(stream.done)
        return self.complain(stream.error) if stream.error is not None else 0

    def _show_progress(self, progress: Progress) -> int:
        with self._bar(progress.total, progress.unit) as advance:
            for done in progress.steps:
                advance(done)
        return self.show(progress.answer)

    def _show_replay(self, replay: Replay) -> int:
        """Pass on what a command prints. Where nobody reads any more it still runs to its end, if others wait for that."""
        if self.json and replay.fields is not None:
            value = b"".join([piece for _, piece in replay.pieces])
            return self._show_record(Record({**replay.fields, "value": value})) or replay.exit_code
        failures: dict[int, OSError] = {}
        for stream, piece in replay.pieces:
            if stream not in failures:
                try:
                    write_through(sys.stdout if stream == 1 else sys.stderr, self._shown(replay, piece))
                except OSError as error:
                    failures[stream] = error
            if 1 in failures and not replay.is_awaited:
                break
        if 1 in failures:
            raise failures[1]
        return replay.exit_code

    def _shown(self, replay: Replay, piece: bytes) -> bytes:
        return self._safe(piece, json=False) if replay.fields is not None else piece

    def _bar(self, total: int | None, unit: str) -> AbstractContextManager[Callable[[int], None]]:
        if total is None or self.terminal or not _is_terminal(sys.stderr):
            from contextlib import nullcontext

            return nullcontext(lambda _: None)
        from kvcli.cli.progress import bar

        return bar(total, unit)

    def _safe(self, page: bytes, *, json: bool) -> bytes:
        if not self.terminal:
            return page
        from kvcli.cli.screen import escape_json, escape_text

        return escape_json(page) if json else escape_text(page.replace(b"\r\n", b"\n"))  # The ends of CSV's rows.

    def _page_encoder(self) -> Callable[[list[tuple[bytes, bytes | None]], Listing, bool], bytes]:
        if self.json:
            from kvcli.cli.encoding import json_page

            return json_page
        if self.terminal:
            from kvcli.cli.screen import escape_page

            return escape_page
        return _raw_page

    def _show_cursor(self, cursor: str | None) -> None:
        if self.json:
            from kvcli.cli.encoding import json_line

            self._write(json_line({"cursor": cursor}, ascii_only=True))
        elif cursor is not None:
            self.tell(f"more: --cursor {cursor}" if _is_terminal(sys.stderr) else cursor)

    def _show_table(self, table: Table) -> int:
        if self.json:
            from kvcli.cli.encoding import json_line

            self._write(b"".join(json_line(row, ascii_only=self.terminal) for row in table.rows))
        elif self.terminal:
            from kvcli.cli.screen import print_table

            print_table(table, sys.stdout)
        else:
            self._write(b"".join(line + b"\n" for line in _tabbed(table)))
        return self.complain(table.error) if table.error is not None else 0

    def _write(self, data: bytes) -> None:
        write_through(sys.stdout, data)

    def tell(self, text: str) -> None:
        """Print a line on stderr."""
        if sys.stderr is None:
            return
        from kvcli.cli.screen import escape_line

        sys.stderr.write(escape_line(text) + "\n")
        sys.stderr.flush()

    def _ask(self, question: str) -> bool:
        from kvcli.cli.screen import escape_line

        sys.stderr.write(escape_line(question) + " [y/N] ")
        sys.stderr.flush()
        return sys.stdin.buffer.readline().strip().lower() in {b"y", b"yes"}  # As bytes: what is odd is a no.

    def _trace(self, error: BaseException) -> None:
        import traceback

        for line in "".join(traceback.format_exception(error)).splitlines():
            self.tell(line)


def write_through(stream: TextIO | None, data: bytes) -> None:
    """Write to the file itself: a buffer is one more place where bytes can get stuck, and with -u there is none anyway."""
    if stream is None:
        raise OSError(errno.EBADF, "an output is closed", "output")
    write_all(getattr(stream.buffer, "raw", stream.buffer), data)


def write_all(file: BinaryIO | RawIOBase, data: bytes) -> None:
    """Write to a file without a buffer, which may take a part at a time."""
    rest = memoryview(data)
    while rest:
        written = file.write(rest)  # May be a part, and None where a pipe that does not block is full.
        if written is None:
            wait_until_writable(file)
        rest = rest[written or 0 :]


def wait_until_writable(file: BinaryIO | RawIOBase) -> None:
    """Wait for room in a pipe that does not block."""
    from select import POLLOUT, poll

    room = poll()
    room.register(file, POLLOUT)
    room.poll()


def _is_terminal(stream: object) -> bool:
    return stream is not None and stream.isatty()  # type: ignore[attr-defined]


def _raw_page(page: list[tuple[bytes, bytes | None]], listing: Listing, _terminal: bool) -> bytes:
    end = b"\0" if listing.null else b"\n"
    if not listing.values:
        return end.join([key for key, _ in page]) + end
    between = b"\0" if listing.null else b"\t"
    return b"".join([key + between + (value or b"") + end for key, value in page])


def _tabbed(table: Table) -> list[bytes]:
    if table.tall:
        return [name.encode() + b"\t" + _cell(value) for row in table.rows for name, value in row.items()]
    return [b"\t".join(_cell(value) for value in row.values()) for row in table.rows]


def _cell(value: object) -> bytes:
    if value is None:
        return b"-"
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogateescape")


def write_file(name: str, content: bytes) -> None:
    """Write a file, as > of a shell does; but where that fails, nothing is left of one that was made for it."""
    is_there = os.path.lexists(name)
    with open(name, "wb", buffering=0) as file:
        try:
            write_all(file, content)
        except BaseException:
            if not is_there:
                os.unlink(name)
            raise
