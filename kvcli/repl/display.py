"""Display: answers for a person at the prompt. What goes into a pipe or a file is plain Output's."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from prompt_toolkit.formatted_text import FormattedText
from prompt_toolkit.shortcuts import print_formatted_text
from prompt_toolkit.utils import get_cwidth

from kvcli import cursor as cursors
from kvcli.cli.output import Output
from kvcli.cli.screen import escape_line, for_terminal
from kvcli.repl.plain import DUMB
from kvcli.repl.style import STYLE
from kvcli.repl.values import cut, laid_out, summary
from kvcli.store import as_text

if TYPE_CHECKING:
    from typing import TextIO

    from prompt_toolkit.formatted_text import StyleAndTextTuples

    from kvcli.commands import Listing, Record
    from kvcli.repl.session import Session

UNENDED = b"\x1b[7m%\x1b[27m"
ROWS_MAX = 1000  # A list without a limit ends here, on a screen.


class Display(Output):
    """Prints to the terminal of a REPL."""

    def __init__(self, session: Session) -> None:
        """Print as the session says."""
        super().__init__(json=session.format == "json")
        self.prefix = ""
        self.tells_answers = True
        self._session = session
        self.has_told = False

    def tell(self, text: str) -> None:
        """Print a line about the command, apart from its answer."""
        if sys.stderr is not None:
            show([("class:error", escape_line(text))], sys.stderr)
            self.has_told = True

    def note(self, text: str) -> None:
        """Print a line that is good to know."""
        if sys.stderr is not None:
            show([("class:note", escape_line(text))], sys.stderr)

    def _show_record(self, record: Record) -> int:
        plain, is_told = record.plain, not self.json and self._session.format == "table" and self.terminal
        if plain is None or not record.verbatim or record.raw or record.output is not None or not is_told:
            return super()._show_record(record)
        parts, note = laid_out(plain, width())
        show(parts, sys.stdout)
        if note:
            self.note(note)
        record.plain = None
        return super()._show_record(record)

    def _show_note(self, note: str) -> None:
        self.note(note)

    def _show_listing(self, listing: Listing) -> int:
        if listing.limited or not self.terminal:
            return super()._show_listing(listing)
        shown, last = 0, b""
        for page in listing.pages:
            if part := page[: ROWS_MAX - shown]:
                self._write(self._page(part, listing))
                shown, last = shown + len(part), part[-1][0]
            if len(part) < len(page):
                self.note(f"{shown:,} keys, and there are more: --cursor {cursors.pack(last)}, or `| less`")
                break
        return 0

    def _page(self, page: list[tuple[bytes, bytes | None]], listing: Listing) -> bytes:
        if self.json or self._session.format == "raw" or not listing.values:
            return self._page_encoder()(page, listing, self.terminal)
        return columns(page, width())


def columns(page: list[tuple[bytes, bytes | None]], room: int) -> bytes:
    """Lay out keys and values beside each other, a line each."""
    keys = [escape_line(as_text(key)) for key, _ in page]
    left = min(max([get_cwidth(key) for key in keys], default=0), room // 2)
    rows = []
    for key, (_, value) in zip(keys, page, strict=True):
        name = key if get_cwidth(key) <= left else cut(key, left)
        rows.append(
            f"{name}{' ' * (left - get_cwidth(name))}  {summary(value or b'', max(room - left - 2, 8))}".rstrip()
        )
    return for_terminal("".join([row + "\n" for row in rows]))


def width() -> int:
    """Give the number of columns of the terminal."""
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns or 80
    except (OSError, ValueError):
        return 80


def end_line() -> None:
    """Leave a line that a program did not end, with a mark behind it, as zsh does; at the beginning of one nothing is seen.

    Where the cursor is, only the terminal knows, and would have to be asked. The mark and blanks for the rest of a line reach
    the next one just if the line was begun.
    """
    if sys.stdout.isatty() and os.environ.get("TERM", "dumb") not in DUMB:
        sys.stdout.buffer.write(UNENDED + b" " * (width() - 1) + b"\r\x1b[K")
        sys.stdout.flush()


def show(parts: StyleAndTextTuples, file: TextIO) -> None:
    """Print styled text and a newline; plain where no colour is wanted, or nobody could see it."""
    text = "".join([part for _, part, *_ in parts])
    if not file.isatty() or os.environ.get("NO_COLOR") or os.environ.get("TERM", "dumb") in DUMB:
        file.flush()
        file.buffer.write((text + "\n").encode(file.encoding, "backslashreplace"))
    else:
        print_formatted_text(FormattedText(parts), style=STYLE, file=file)
    file.flush()
