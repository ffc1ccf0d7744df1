"""Colours as you type: what is a command, an option, a value, the shell's; and what is none of these, before Enter."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prompt_toolkit.lexers import Lexer

from kvcli.cli.reading import Reading, Role
from kvcli.repl.line import lines
from kvcli.repl.tree import Tree, tree

if TYPE_CHECKING:
    from collections.abc import Callable

    from prompt_toolkit.document import Document
    from prompt_toolkit.formatted_text import StyleAndTextTuples

    from kvcli.cli.reading import Word
    from kvcli.repl.line import Line

CHARS_MAX = 20_000
STYLES = {"command": "class:command", "group": "class:command", "option": "class:option", "wrong": "class:wrong"}


class WordLexer(Lexer):
    """Colours words by their role."""

    def lex_document(self, document: Document) -> Callable[[int], StyleAndTextTuples]:
        """Colour all lines of a text; those of one value may be several. What was pasted by the megabyte stays plain."""
        if len(document.text) > CHARS_MAX:
            return lambda number: [("", document.lines[number])] if number < document.line_count else []
        styles = [""] * len(document.text)
        for line in lines(document.text):
            _colour(tree(), line, styles)
        starts = [0]
        for row in document.lines:
            starts.append(starts[-1] + len(row) + 1)

        def row_of(number: int) -> StyleAndTextTuples:
            if number >= len(document.lines):
                return []
            begin = starts[number]
            return [(styles[begin + at], char) for at, char in enumerate(document.lines[number])]

        return row_of


def _colour(known: Tree, line: Line, styles: list[str]) -> None:
    reading = Reading(known, line.words)
    for word, role in zip(line.words, reading.roles, strict=True):
        style = _style(reading, word, role, is_end=word.end == len(line.text))
        styles[word.start : word.end] = [style] * (word.end - word.start)
    if line.tail_at is not None:
        styles[line.tail_at : line.end] = ["class:shell"] * (line.end - line.tail_at)


def _style(reading: Reading, word: Word, role: Role, *, is_end: bool) -> str:
    if word.fault is not None:
        return "class:wrong"
    is_first = reading.syntax is None
    if (
        role.kind == "wrong"
        and is_end
        and is_first
        and any(name.startswith(word.text) for name in reading.known.beginnings())
    ):
        return ""  # It may still become something.
    if role.kind in STYLES:
        return STYLES[role.kind]
    if word.is_quoted or word.text[:1] in {"{", "["}:
        return "class:string"
    return "class:number" if word.text.removeprefix("-").isdigit() and role.kind != "unknown" else ""
