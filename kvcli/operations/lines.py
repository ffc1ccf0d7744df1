"""Lines: input as it comes, cut into lines or into the elements of one JSON array, none held longer than it must be."""

from __future__ import annotations

import os
import re
from _codecs import utf_8_decode
from select import POLLIN, poll

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

PIECE_BYTES = 1 << 18
LINE_BYTES_MAX = 64 << 20
ELEMENT_BYTES_MAX = 16 << 20
TOKENS_MAX = 1_000_000  # Texts, commas and brackets of a line: some 500,000 keys, or 110,000 items, in one operation.
TOO_LONG = b"too long"  # By identity: stands for a line of more than LINE_BYTES_MAX.
CROWDED = b"crowded"  # By identity: stands for an element that is made of more than TOKENS_MAX.
UNCLOSED = b"unclosed"  # By identity: stands for the end that the array does not have.
ON_ONE_LINE = bytes.maketrans(b"\r\n", b"  ")  # Inside of strings JSON has neither.
BOM = b"\xef\xbb\xbf"

REST = rb'[^"\\]*+(?:\\.[^"\\]*+)*+'  # Of a string, up to its end or to what has not come yet.
TOKEN = re.compile(rb'"' + REST + rb'"|["{}\[\],]', re.DOTALL)  # A whole string, the start of another, or what nests.
REST_OF_STRING = re.compile(REST, re.DOTALL)


class Block:
    """Some lines as they were read: what they are called, the number of the first, and whether input has paused after them."""

    __slots__ = ("_lines", "number", "paused", "read", "text", "unit")

    def __init__(self, unit: str, number: int, content: bytes | list[bytes], *, paused: bool, read: int) -> None:
        """Hold them, in one piece or cut already. `unit` is line or element; `read` counts the bytes so far."""
        self.unit = unit
        self.number = number
        self.text = content if isinstance(content, bytes) else b""
        self._lines = content if isinstance(content, list) else None
        self.paused = paused
        self.read = read

    @property
    def lines(self) -> list[bytes]:
        """The lines, without their ends."""
        if self._lines is None:
            self._lines = self.text.split(b"\n")
            if not self._lines[-1]:
                del self._lines[-1]
            if len(self.text) > 2 * PIECE_BYTES:
                self.text = b""  # A long line is not to be in memory twice.
        return self._lines


def blocks(handle: int, *, arrays: bool = False) -> Iterator[Block]:
    """Read a file or pipe and give its lines in blocks, as they come; `arrays`: or the elements of JSON arrays.

    Memory is bounded: TOO_LONG stands for a line that is longer than any may be.
    """
    cut: _Lines | _Elements | None = None
    read, number, begin = 0, 1, b""
    for piece, paused in _pieces(handle):
        read += len(piece)
        if cut is None:
            begin += piece
            start = begin.removeprefix(BOM)
            if len(begin) < PIECE_BYTES and (BOM.startswith(begin) or (arrays and start.isspace())):
                continue  # Whether it is an array is not to be seen yet.
            cut = _Elements() if arrays and start.lstrip()[:1] == b"[" else _Lines()
            piece = start  # noqa: PLW2901 - of the text, to which a byte order mark does not belong
        content = cut.feed(piece)
        block = Block(cut.unit, number, content, paused=paused, read=read)
        number += content.count(b"\n") if isinstance(content, bytes) else len(content)
        if content or paused:
            del content, piece  # Whoever takes the block may let go of it.
            yield block
    if rest := begin.removeprefix(BOM) if cut is None else cut.end():
        yield Block("line" if cut is None else cut.unit, number, rest, paused=True, read=read)


def _pieces(handle: int) -> Iterator[tuple[bytes, bool]]:
    coming = poll()
    coming.register(handle, POLLIN)
    while True:
        try:
            piece = os.read(handle, PIECE_BYTES)
        except BlockingIOError:
            coming.poll()
            continue
        except OSError as error:
            error.filename = "input"
            raise
        if not piece:
            return
        yield piece, not coming.poll(0)


class _Lines:
    """Cuts at newlines."""

    unit = "line"

    def __init__(self) -> None:
        self._pending = bytearray()  # Not a list of pieces: freed, such small ones stay with the process.
        self._bytes = 0

    def feed(self, piece: bytes) -> bytes | list[bytes]:
        """Give all lines that are whole now."""
        end = piece.rfind(b"\n") + 1
        if not end:
            self._keep(piece)
            return b""
        if self._bytes > LINE_BYTES_MAX:
            content: bytes | list[bytes] = [TOO_LONG, *piece[:end].split(b"\n")[1:-1]]
        else:
            content = b"".join([self._pending, piece[:end]])
        self._pending.clear()
        self._bytes = 0
        self._keep(piece[end:])
        return content

    def end(self) -> bytes | list[bytes]:
        """Give the last line, which no newline ends."""
        return [TOO_LONG] if self._bytes > LINE_BYTES_MAX else bytes(self._pending)

    def _keep(self, part: bytes) -> None:
        self._bytes += len(part)
        self._pending += part
        if self._bytes > LINE_BYTES_MAX:
            self._pending.clear()


class _Elements:
    """Cuts JSON arrays at the commas between their elements. What is wrong inside one, its decoder tells."""

    unit = "element"

    def __init__(self) -> None:
        self._buffer = b""
        self._at = 0  # Where to look on: what stands before was looked at.
        self._depth = 0
        self._tokens = 0  # Of this element.
        self._comma = False  # Stood in front of this element.
        self._inside = False  # Of a string that is not whole yet.
        self._over = False

    def feed(self, piece: bytes) -> list[bytes]:
        """Give all elements that are whole now."""
        if self._over:
            return []
        self._buffer += piece
        elements: list[bytes] = []
        start = self._scan(elements)
        self._buffer, self._at = self._buffer[start:], max(self._at - start, 0)
        if len(self._buffer) > ELEMENT_BYTES_MAX or self._tokens > TOKENS_MAX:
            elements.append(TOO_LONG if self._tokens <= TOKENS_MAX else CROWDED)
            self._buffer, self._over = b"", True  # Where the next one starts cannot be told any more.
        return elements

    def end(self) -> list[bytes]:
        """Give what is left, which is one too few or too many."""
        if self._over:
            return []
        if self._depth:
            return [UNCLOSED]
        return [self._buffer] if self._buffer.strip() else []

    def _scan(self, elements: list[bytes]) -> int:
        """Look at what is new; add elements that are whole now, and give where the one starts that is not."""
        start = 0
        if self._inside:
            self._skip_string()
        if self._inside:
            return start
        for token in TOKEN.finditer(self._buffer, self._at):
            self._at = token.end()
            self._tokens += 1
            mark = token[0]
            if mark == b'"':
                self._skip_string()
                break
            if len(mark) == 1:
                start = self._step(mark, start, elements)
        if not self._inside:
            self._at = len(self._buffer)
        return start

    def _skip_string(self) -> None:
        rest = REST_OF_STRING.match(self._buffer, self._at)
        self._at = rest.end() if rest is not None else self._at
        self._inside = self._buffer[self._at : self._at + 1] != b'"'
        self._at += not self._inside

    def _step(self, mark: bytes, start: int, elements: list[bytes]) -> int:
        """Take one mark, and give where the element that is being read starts."""
        before = self._depth
        self._depth = max(before + (mark in b"[{") - (mark in b"]}"), 0)
        outermost = before + (mark in b"[{") == 1
        if not outermost or mark == b"}":
            return start
        element = self._buffer[start : self._at - 1].translate(ON_ONE_LINE).strip()
        if element or mark == b"," or self._comma:
            self._tokens = 0
            elements.append(element or mark)  # Beside a comma stands nothing, and that is no JSON.
        self._comma = mark == b","
        return self._at


def is_utf8(text: bytes) -> bool:
    """Tell whether bytes are text. Piece by piece, as what is decoded takes one to four times the room."""
    view, at = memoryview(text), 0
    try:
        while at < len(view):
            at += utf_8_decode(view[at : at + PIECE_BYTES], "strict", at + PIECE_BYTES >= len(view))[1]
    except UnicodeDecodeError:
        return False
    return True
