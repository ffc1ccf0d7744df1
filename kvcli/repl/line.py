r"""Lines: what is typed, as words, the way a shell splits them; and what is left for the shell itself.

    words          end at blanks; a line ends where its newline is in no quotes and no brackets
    'single'       as it stands
    "double"       with the escapes \n \t \r \e \0 \\ \" \xNN (a byte) and \u{N} (a character)
    \c             outside of quotes: c itself
    {...} [...]    JSON, as it stands, over as many lines as it takes
    | CMD, > FILE  the rest of the line goes to the shell, which gets what is printed on its stdin
    # ...          nothing, at the start of a line

Nothing else is special: $, *, & and ; are characters like others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kvcli.cli.screen import escape_line
from kvcli.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Iterator

BLANK = " \t\r"
OPERATORS = "|>"
PAIRS = {"{": "}", "[": "]"}
JSON_STARTS = {"{": '"}', "[": '"{[]-0123456789tfn'}
ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "e": "\x1b", "0": "\0", "\\": "\\", '"': '"', "'": "'", "$": "$", "`": "`"}
NAMES = {"\n": "\\n", "\t": "\\t", "\r": "\\r", "\x1b": "\\e", "\0": "\\0", "\\": "\\\\", '"': '\\"'}


class Word:
    """One word: its text, where it stands, and what is wrong with it."""

    __slots__ = ("end", "fault", "is_quoted", "start", "text")

    def __init__(self, start: int) -> None:
        """Begin a word."""
        self.start = self.end = start
        self.text = ""
        self.is_quoted = False
        self.fault: str | None = None


class Line:
    """One command: its words, and from `tail_at` on what the shell gets; incomplete while a quote or bracket is open."""

    __slots__ = ("end", "is_complete", "start", "tail_at", "text", "words")

    def __init__(self, text: str, start: int) -> None:
        """Begin a line."""
        self.text = text
        self.start = self.end = start
        self.words: list[Word] = []
        self.tail_at: int | None = None
        self.is_complete = True

    @property
    def tail(self) -> str | None:
        """What the shell is to run, with what is printed on its stdin; None where nothing is said."""
        if self.tail_at is None:
            return None
        tail = self.text[self.tail_at : self.end]
        return tail[1:] if tail.startswith("|") else "cat " + tail

    def texts(self) -> list[str]:
        """Give the words. Raises InvalidArgument for one that is not well formed."""
        if not self.is_complete:
            raise InvalidArgument("a quote or a bracket is not closed")
        for word in self.words:
            if word.fault is not None:
                raise InvalidArgument(word.fault)
        return [word.text for word in self.words]


def lines(text: str) -> Iterator[Line]:
    """Split text into lines; blank ones and comments have no words."""
    at = 0
    while at < len(text):
        line = parse(text, at)
        yield line
        at = line.end + 1


def parse(text: str, at: int = 0) -> Line:
    """Read the line that starts at a place."""
    line = Line(text, at)
    while at < len(text) and text[at] != "\n":
        if text[at] in BLANK:
            at += 1
        elif text[at] in OPERATORS or (text[at] == "#" and not line.words):
            line.tail_at = at if text[at] != "#" else None
            at = _end_of_line(text, at)
        else:
            at = _word(line, at)
    line.end = at
    return line


def last(text: str) -> Line:
    """Read the line that the end of a text stands in."""
    line = parse(text)
    while line.end < len(text):
        line = parse(text, line.end + 1)
    return line


def _end_of_line(text: str, at: int) -> int:
    end = text.find("\n", at)
    return len(text) if end < 0 else end


def _word(line: Line, at: int) -> int:
    text, word, parts = line.text, Word(at), bytearray()
    line.words.append(word)
    while at < len(text) and text[at] not in BLANK + OPERATORS + "\n":
        char = text[at]
        if char in "'\"":
            word.is_quoted = True
            at = _quoted(line, word, parts, at)
        elif char in PAIRS and at == word.start and _is_json(text, at):
            end = _json_end(line, at)
            parts += _bytes(text[at:end])
            at = end
        elif char == "\\":
            line.is_complete = line.is_complete and at + 1 < len(text)
            parts += _bytes(text[at + 1 : at + 2].removeprefix("\n"))  # At the end of a line, it goes on in the next.
            at += 2
        else:
            parts += _bytes(char)
            at += 1
    word.text, word.end = parts.decode("utf-8", "surrogateescape"), min(at, len(text))
    return word.end


def _quoted(line: Line, word: Word, parts: bytearray, at: int) -> int:
    """Read what is in quotes, from the first one on; gives where it ends."""
    text, quote = line.text, line.text[at]
    at += 1
    while at < len(text) and text[at] != quote:
        if text[at] == "\\" and quote == '"':
            at = _escape(word, text, parts, at + 1)
        else:
            parts += _bytes(text[at])
            at += 1
    line.is_complete = line.is_complete and at < len(text)
    return at + 1 if at < len(text) else at


def _escape(word: Word, text: str, parts: bytearray, at: int) -> int:
    """Read an escape, from behind its backslash on; gives where it ends."""
    char = text[at : at + 1]
    if char in ESCAPES and char:
        parts += _bytes(ESCAPES[char])
        return at + 1
    digits = (
        text[at + 1 : at + 3] if char == "x" else text[at + 2 :].partition("}")[0] if text[at + 1 :][:1] == "{" else ""
    )
    try:
        code = int(digits, 16) if digits.isalnum() else -1
        if char == "x" and len(digits) == 2 and code >= 0:
            parts.append(code)
            return at + 3
        if char == "u" and not 0xD800 <= code <= 0xDFFF and code >= 0:
            parts += chr(code).encode()
            return at + 3 + len(digits)
    except (ValueError, OverflowError):
        pass
    if char:
        word.fault = f'\\{char} is no escape here: \\n \\t \\r \\e \\0 \\\\ \\" \\xNN and \\u{{N}} are'
    return at + len(char)


def _is_json(text: str, at: int) -> bool:
    after = text[at + 1 :].lstrip()[:1]
    return not after or after in JSON_STARTS[text[at]]


def _json_end(line: Line, at: int) -> int:
    """Give where the bracket that opens at a place is closed, or the end of the text."""
    text, open_ones = line.text, []
    while at < len(text):
        char = text[at]
        if char == '"':
            at += 1
            while at < len(text) and text[at] != '"':
                at += 2 if text[at] == "\\" else 1
        elif char in PAIRS:
            open_ones.append(PAIRS[char])
        elif open_ones and char == open_ones[-1]:
            open_ones.pop()
        at += 1
        if not open_ones:
            return min(at, len(text))
    line.is_complete = False
    return len(text)


def quoted(text: str) -> str:
    """Write a word so that it is read back as `text`, and nothing of it acts on a terminal; in quotes where it must be."""
    if text and not set(text) & set(BLANK + OPERATORS + "\n\\'\"{[#") and escape_line(text) == text:
        return text
    return '"' + "".join([_written(char) for char in text]) + '"'


def _written(char: str) -> str:
    if char in NAMES:
        return NAMES[char]
    if "\udc80" <= char <= "\udcff":
        return f"\\x{ord(char) - 0xDC00:02x}"
    return char if escape_line(char) == char else f"\\u{{{ord(char):x}}}"


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
