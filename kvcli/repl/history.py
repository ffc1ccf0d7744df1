"""History: what was typed, for the next time. Values are not kept in the file, nor is a line that starts with a blank."""

from __future__ import annotations

import os
from stat import S_ISREG
from typing import TYPE_CHECKING

from prompt_toolkit.history import FileHistory, History, InMemoryHistory

from kvcli.cli.reading import Reading
from kvcli.location import history_file, without_password
from kvcli.repl.line import lines, quoted
from kvcli.repl.tree import tree

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kvcli.repl.line import Line

VALUES = {("set", "value"), ("cache set", "value"), ("cas", "words"), ("cas", "expect")}
LOADED_MAX = 10_000


def open_history(*, with_values: bool = False) -> History:
    """Give the history of this user; where its file cannot be had, one that ends with the session."""
    path = history_file()
    try:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        with open(path, "ab", opener=_private) as file:
            os.fchmod(file.fileno(), 0o600)
            is_file = S_ISREG(os.fstat(file.fileno()).st_mode)
    except OSError:
        is_file = False
    if not is_file:
        return Discreet()
    return Kept(path, with_values=with_values)


class Discreet(InMemoryHistory):
    """A history that forgets what starts with a blank."""

    def append_string(self, string: str) -> None:
        """Keep a line for this session."""
        if string.strip() and not string.startswith(" "):
            super().append_string(string)


class Kept(FileHistory):
    """A history in a file. In this session lines come back whole, in the next one without their values."""

    def __init__(self, path: str, *, with_values: bool) -> None:
        """Keep the file; and the values as well, for who wants that."""
        super().__init__(path)
        self._with_values = with_values

    def append_string(self, string: str) -> None:
        """Keep a line."""
        if string.strip() and not string.startswith(" "):
            super().append_string(string)

    def load_history_strings(self) -> Iterable[str]:
        """Give the last lines, the newest first; none where the file has gone."""
        try:
            return list(super().load_history_strings())[:LOADED_MAX]
        except OSError:
            return []

    def store_string(self, string: str) -> None:
        """Write down what may be known of a line."""
        for line in lines(string):
            kept = line.text[line.start : line.end] if self._with_values else without_values(line)
            if kept:
                try:
                    super().store_string(kept)
                except OSError:
                    return  # A full disk is no reason to stop.


def without_values(line: Line) -> str:
    """Write a line without the values in it; nothing of one that is no command, which could be anything."""
    reading = Reading(tree(), line.words)
    if reading.syntax is None or not line.is_complete or reading.missing():
        return ""
    words = []
    for word, role in zip(line.words, reading.roles, strict=True):
        named = role.argument or role.option
        if role.kind != "wrong" and (named is None or (reading.syntax.name, named.name) not in VALUES):
            words.append(quoted(without_password(word.text)))
    # A value that was not quoted ends in the tail.
    holds_values = any(command == reading.syntax.name for command, _ in VALUES)
    tail = line.text[line.tail_at : line.end] if line.tail_at is not None and not holds_values else ""
    return " ".join([*words, tail]).rstrip()


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK, 0o600)  # Of a fifo nobody may ever read.
