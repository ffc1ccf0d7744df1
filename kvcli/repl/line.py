r"""Lines: what is typed, as words, the way a shell splits them; and what is left for the shell itself.

    words          end at blanks; a line ends where its newline is in no quotes and no brackets
    'single'       as it stands
    "double"       with the escapes \n \t \r \e \0 \\ \" \xNN (a byte) and \u{N} (a character)
    \c             outside of quotes: c itself; at the end of a line, it goes on in the next
    {...} [...]    JSON, as it stands, over as many lines as it takes
    | CMD, > FILE  the rest of the line goes to the shell, which gets what is printed on its stdin
    # ...          nothing, at the start of a line

Nothing else is special: $, *, & and ; are characters like others.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from kvcli.cli.reading import Word
from kvcli.cli.screen import escape_line
from kvcli.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Iterator

BLANK = " \t\r"
OPERATORS = "|>"
PAIRS = {"{": "}", "[": "]"}
JSON_STARTS = {"{": {*'"}'}, "[": {*'"{[]-0123456789', "true", "false", "null"}}
ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "e": "\x1b", "0": "\0", "\\": "\\", '"': '"', "'": "'", "$": "$", "`": "`"}
ANY = re.compile(r".", re.DOTALL)
PLAIN = re.compile(r"[^ \t\r\n|>'\"\\{\[]+")
QUOTED = {"'": re.compile(r"[^']+"), '"': re.compile(r'[^"\\]+')}
AFTER = re.compile(r"[ \t\r]*(true|false|null|[^ \t\r\n])")
CODE = re.compile(r"x([0-9a-fA-F]{2})|u\{([0-9a-fA-F]{1,8})\}")
NAMES = {"\n": "\\n", "\t": "\\t", "\r": "\\r", "\x1b": "\\e", "\0": "\\0", "\\": "\\\\", '"': '\\"'}


class Line:
    """One command: its words, and what the shell gets; incomplete while a quote or bracket is open.

    It can be fed with more as long as it is incomplete, and reads nothing twice then.
    """

    __slots__ = ("_brackets", "_continues", "_quote", "_word", "end", "start", "tail", "tail_at", "text", "words")

    def __init__(self, text: str = "", start: int = 0) -> None:
        """Begin a line that starts at a place of a text."""
        self.text = text
        self.start = self.end = start
        self.words: list[Word] = []
        self.tail_at: int | None = None
        self.tail: str | None = None
        self._word: Word | None = None
        self._quote = ""  # The quote that is open; inside of brackets, that of a string of JSON.
        self._brackets: list[str] = []  # What closes the brackets that are open.
        self._continues = False  # It ends with a backslash.

    @property
    def is_complete(self) -> bool:
        """Whether nothing is open."""
        return not (self._quote or self._brackets or self._continues)

    def texts(self) -> list[str]:
        """Give the words. Raises InvalidArgument for one that is not well formed."""
        if not self.is_complete:
            raise InvalidArgument("a quote or a bracket is not closed")
        for word in self.words:
            if word.fault is not None:
                raise InvalidArgument(word.fault)
        return [word.text for word in self.words]

    def feed(self, text: str, at: int = 0) -> None:
        """Read on, up to the newline that ends the line, or the end of the text."""
        while at < len(text) and (self._quote or self._brackets or text[at] != "\n"):
            at = self._step(text, at)
        if at < len(text):
            self._continues = False  # By a blank line.
        self._end_word(at)
        self.end = at

    def _step(self, text: str, at: int) -> int:
        self._continues = False
        if self._brackets:
            return self._json(text, at)
        if self._quote:
            return self._quoted(text, at)
        char = text[at]
        if char in BLANK:
            self._end_word(at)
            return at + 1
        if char in OPERATORS or (char == "#" and not self.words):
            return self._leave_to_shell(text, at)
        if char == "\\" and text[at + 1 : at + 2] in {"", "\n"}:
            self._continues = True
            return min(at + 2, len(text))
        return self._plain(text, at)

    def _plain(self, text: str, at: int) -> int:
        char, word = text[at], self._begin_word(at)
        if char in "'\"":
            word.is_quoted, self._quote = True, char
            return at + 1
        if char == "\\":
            word.parts += _bytes(text[at + 1])
            return at + 2
        if char in PAIRS and at == word.start and is_json(text, at):
            self._brackets = [PAIRS[char]]
            word.parts += _bytes(char)
            return at + 1
        return self._take(PLAIN, text, at) or self._take(ANY, text, at)

    def _quoted(self, text: str, at: int) -> int:
        word = self._begin_word(at)
        if text[at] == self._quote:
            self._quote = ""
            return at + 1
        if text[at] == "\\" and self._quote == '"':
            return _escape(word, text, at + 1)
        return self._take(QUOTED[self._quote], text, at) or self._take(ANY, text, at)

    def _json(self, text: str, at: int) -> int:
        char, word = text[at], self._begin_word(at)
        if self._quote:
            self._quote = "" if char == '"' else '"'
            if char == "\\":
                word.parts += _bytes(text[at : at + 2])
                return at + 2
        elif char == '"':
            self._quote = char
        elif char in PAIRS:
            self._brackets.append(PAIRS[char])
        elif char == self._brackets[-1]:
            self._brackets.pop()
        run = QUOTED['"'] if self._quote and char != '"' else ANY
        return self._take(run, text, at)

    def _take(self, run: re.Pattern[str], text: str, at: int) -> int:
        """Take as many characters as a pattern allows; gives where they end, or 0."""
        found = run.match(text, at)
        if found is None:
            return 0
        self._begin_word(at).parts.extend(_bytes(found.group()))
        return found.end()

    def _begin_word(self, at: int) -> Word:
        if self._word is None:
            self._word = Word(at)
            self.words.append(self._word)
        return self._word

    def _end_word(self, at: int) -> None:
        if self._word is not None:
            self._word.end = min(at, len(self.text)) if self.text else at
            if self.is_complete:
                self._word = None

    def _leave_to_shell(self, text: str, at: int) -> int:
        self._end_word(at)
        end = text.find("\n", at)
        end = len(text) if end < 0 else end
        if text[at] != "#":
            self.tail_at = at
            rest = text[at:end].removesuffix("\r")
            self.tail = rest[1:] if rest.startswith("|") else "cat " + rest
        return end


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
    line.feed(text, at)
    return line


def last(text: str) -> Line:
    """Read the line that the end of a text stands in."""
    line = parse(text)
    while line.end < len(text):
        line = parse(text, line.end + 1)
    return line


def is_json(text: str, at: int) -> bool:
    """Tell whether a bracket begins JSON: what comes next in its line does, or nothing comes."""
    after = AFTER.match(text, at + 1)
    return after is None or after[1] in JSON_STARTS[text[at]]


def _escape(word: Word, text: str, at: int) -> int:
    """Read an escape, from behind its backslash on; gives where it ends."""
    char = text[at : at + 1]
    if char and char in ESCAPES:
        word.parts += _bytes(ESCAPES[char])
        return at + 1
    found = CODE.match(text, at)
    code = int(found[1] or found[2], 16) if found is not None else -1
    if found is None or (found[2] and (code > 0x10FFFF or 0xD800 <= code <= 0xDFFF)):
        if char:
            word.fault = f'\\{escape_line(char)} is no escape here: \\n \\t \\r \\e \\0 \\\\ \\" \\xNN and \\u{{N}} are'
        return at + len(char)
    word.parts += bytes([code]) if found[1] else chr(code).encode()
    return found.end()


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
