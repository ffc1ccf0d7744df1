"""Bash: what is typed on its command line as words, and words as it has them typed.

Readline replaces not a word, but what stands behind the last quote that is open, or else behind the last character that is
not quoted and breaks words (COMP_WORDBREAKS: a colon is one). So the rest of a word is what is given back, in the quotes that
are open there. It takes a quote at the start of that for the open one, and one at the end for what closes it.
"""

from __future__ import annotations

from kvcli.cli.screen import INVISIBLE

PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=.,/:@%")
ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "e": "\x1b", "E": "\x1b", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}
NAMED = {"\n": "\\n", "\t": "\\t", "\r": "\\r", "\x1b": "\\e", "\\": "\\\\", "'": "\\'"}
DIGITS = {"x": (16, 2), "u": (16, 4), "U": (16, 8)}
OCTAL = "01234567"
ANSI = "$'"


class Typed:
    """A command line up to the cursor: its `words`; and of the last one, `head`, which stays, and the `quote` open behind it."""

    def __init__(self, line: str, breaks: str) -> None:
        """Split a line as bash does, and find what readline would replace."""
        self.words: list[str] = []
        self.quote = ""
        self.head = ""
        self._outer = ""  # The head before the open quote.
        self._line = line
        self._breaks = breaks
        self._word: str | None = None
        at = 0
        while at < len(line):
            at = self._step(at)
        self.words.append(self._word or "")

    def _step(self, at: int) -> int:
        """Take what begins at a place, and give the next one."""
        if self.quote:
            return self._quoted(at)
        char, line = self._line[at], self._line
        if char == "\\":
            return self._add(line[at + 1 : at + 2], at + 2)
        if line.startswith(("'", '"', ANSI, '$"'), at):
            quote = line[at : at + 2].lstrip("$")[:1]
            return self._open(ANSI if line.startswith(ANSI, at) else quote, at + 1 + (char == "$"))
        if char in " \t\n":
            return self._end(at + 1)
        self._add(char, at + 1)
        return self._break(at + 1) if char in self._breaks else at + 1

    def _quoted(self, at: int) -> int:
        char, escaped = self._line[at], self._line[at + 1 : at + 2]
        if self.quote == ANSI and char == "\\":
            return self._add(*_unescaped(self._line, at))
        if char == self.quote[-1]:
            self.quote, self.head = "", self._outer
            return at + 1
        if self.quote == '"' and char == "\\" and escaped in {"$", "`", '"', "\\"}:
            return self._add(escaped, at + 2)
        return self._add(char, at + 1)

    def _add(self, text: str, at: int) -> int:
        self._word = (self._word or "") + text
        return at

    def _open(self, quote: str, at: int) -> int:
        self.quote, self._outer = quote, self.head
        return self._break(at)

    def _break(self, at: int) -> int:
        self.head = self._word = self._word or ""
        return at

    def _end(self, at: int) -> int:
        if self._word is not None:
            self.words.append(self._word)
        self.head, self._word = "", None
        return at


def typed(text: str, quote: str = "") -> str:
    """Write text so that bash reads it inside of the quotes that are open. No character of it acts on a terminal."""
    if not quote:
        return _plain(text)
    inside, mark = _in_ansi(text) if quote == ANSI else _in_quotes(text, quote), quote[-1]
    return mark * inside.startswith(mark) + inside + mark * inside.endswith(mark)


def _in_quotes(text: str, quote: str) -> str:
    if not _is_safe(text):
        return f"{quote}$'{_in_ansi(text)}'{quote}"
    if quote == "'":
        return text.replace("'", "'\\''")
    # In ", ! is history all the same, and a backslash before it would stay.
    return "".join([f"\\{char}" if char in '"\\$`' else "\"'!'\"" if char == "!" else char for char in text])


def _in_ansi(text: str) -> str:
    return "".join([NAMED.get(char) or (char if _is_safe(char) else _numbered(char)) for char in text])


def _plain(text: str) -> str:
    if not _is_safe(text):
        return f"$'{_in_ansi(text)}'"
    start = "\\" if text.startswith("~") else ""
    return start + "".join(
        [char if char in PLAIN or not char.isascii() or char == "~" else f"\\{char}" for char in text]
    )


def _is_safe(text: str) -> bool:
    return text.isprintable() and INVISIBLE.isdisjoint(text)


def _numbered(char: str) -> str:
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:  # A byte that is no UTF-8.
        return f"\\x{code - 0xDC00:02x}"
    return f"\\x{code:02x}" if code < 0x80 else f"\\U{code:08x}"


def _unescaped(line: str, at: int) -> tuple[str, int]:
    """Read an escape inside of $'...', and give the place behind it."""
    char = line[at + 1 : at + 2]
    if char in OCTAL and char:
        return _number(line, at + 1, 8, 3)
    if char in DIGITS:
        return _number(line, at + 2, *DIGITS[char])
    return ESCAPES.get(char, char), at + 2


def _number(line: str, at: int, base: int, length: int) -> tuple[str, int]:
    end = at
    while end < min(at + length, len(line)) and line[end] in "0123456789abcdefABCDEF"[: 8 if base == 8 else None]:
        end += 1
    code = int(line[at:end] or "0", base)
    is_byte = base != 16 or length == 2
    return chr(code + 0xDC00 if is_byte and 0x80 <= code <= 0xFF else min(code, 0x10FFFF)), end
