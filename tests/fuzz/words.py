"""Targets: what somebody types: on a command line, in the REPL, and the Tab key in all shells."""

from __future__ import annotations

import io
import os
import sys
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout, suppress
from typing import TYPE_CHECKING

from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document
from prompt_toolkit.formatted_text import to_plain_text

from kvcli.cli import lane
from kvcli.cli.app import understand
from kvcli.cli.completion import complete
from kvcli.commands import Invocation
from kvcli.errors import InvalidArgument
from kvcli.repl.completer import KeyCompleter
from kvcli.repl.hint import hint
from kvcli.repl.history import without_values
from kvcli.repl.lexer import WordLexer
from kvcli.repl.line import Line, lines, parse, quoted
from kvcli.repl.session import Session
from kvcli.repl.toolbar import bar
from kvcli.repl.understanding import understood
from kvcli.store import Store, as_text
from tests.fuzz.seeds import operations, typed, words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.fuzz import Target

KEYS = ("user:1", "user:2", "user:3/a", "it's", 'a "b"', "\udcff", "\x1b[2J", "$HOME", "-5", "é用", "a\nb")
PLACE = 2  # So many bytes in front of a text say where the cursor is in it.
SHELLS = ("bash", "zsh", "fish")


@contextmanager
def captured() -> Iterator[None]:
    """Let what is printed go nowhere."""
    with redirect_stdout(io.TextIOWrapper(io.BytesIO())), redirect_stderr(io.TextIOWrapper(io.BytesIO())):
        yield


def express_lane(data: bytes) -> None:
    """Parse words: what the express lane accepts is the same to Typer."""
    said = as_text(data).split("\0")
    accepted = lane.parse(said)
    assert accepted is None or understand(said) == accepted


def command_line(data: bytes) -> None:
    """Parse words by Typer: an invocation, help, or a usage error."""
    with captured(), suppress(InvalidArgument):
        assert isinstance(understand(as_text(data).split("\0")), Invocation | int)


def line(data: bytes) -> None:
    """Split lines: all words lie within, they are the same however the text comes, and each can be quoted."""
    text, seen = as_text(data), 0
    for each in lines(text):
        assert each.start >= seen
        seen = each.end
        assert all(each.start <= word.start < word.end <= each.end for word in each.words)
        for word in each.words:
            assert parse(f"get {quoted(word.text)}").texts() == ["get", word.text]
    _fed(text)


def _fed(text: str) -> None:
    """Feed a script row by row, as the REPL does: that makes the same lines."""
    fed, one = [], Line()
    for row in text.splitlines(keepends=True) if "\r" not in text else [text]:
        if any(row.endswith(end) for end in "\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"):
            return  # No ends of lines in a file.
        one.feed(row)
        if one.is_complete:
            fed.append(one)
            one = Line()
    whole = [each for each in lines(text) if each.is_complete]
    if len(fed) == len(whole):
        assert [_said(each) for each in fed] == [_said(each) for each in whole]


def _said(one: Line) -> tuple[list[str], str | None]:
    return [word.text for word in one.words], one.tail


def meaning(data: bytes) -> None:
    """Understand a line of the REPL: an invocation, nothing, or a usage error."""
    with captured(), suppress(InvalidArgument):
        assert isinstance(understood(parse(as_text(data))), Invocation | int | None)


def lexer(data: bytes) -> None:
    """Colour any text: it stays the same text."""
    document = Document(as_text(data))
    row_of = WordLexer().lex_document(document)
    assert [to_plain_text(row_of(at)) for at in range(document.line_count)] == document.lines


class Typing:
    """A REPL whose store has odd keys, into which anything is typed, with the cursor anywhere."""

    def __init__(self, folder: str) -> None:
        """Fill the store."""
        path = os.path.join(folder, "typing")
        with Store(path) as store:
            for key in KEYS:
                store.open("default").set(key, b"v")
        self.session = Session({"store": path})
        self._variables = {"KVCLI_STORE": path, "HOME": folder}

    def typing(self, data: bytes) -> None:
        """Complete, hint, tell in the bar and keep in the history: nothing fails, and nothing that is shown acts."""
        place, text = int.from_bytes(data[:PLACE], "big"), as_text(data[PLACE:])
        document = Document(text, place % (len(text) + 1))
        for each in KeyCompleter(self.session).get_completions(document, CompleteEvent()):
            assert each.start_position <= 0
            assert (each.text + each.display_text + each.display_meta_text).isprintable()
        assert isinstance(hint(text), str)
        assert isinstance(to_plain_text(bar(self.session, text, 80)), str)
        for each_line in lines(text):
            assert isinstance(without_values(each_line), str)

    def tab(self, data: bytes) -> None:
        """Answer the Tab key of any shell."""
        shell, said = SHELLS[data[0] % len(SHELLS)] if data else "zsh", as_text(data[1:]).split("\0")
        asked = [said[0], " \t\n\"'><=;|&(:", "9"] if shell == "bash" else ["kvcli", *said]
        before = {name: os.environ.get(name) for name in self._variables}
        os.environ.update(self._variables)
        try:
            with captured():
                assert complete([shell, *asked]) == 0
        finally:
            for name, value in before.items():
                os.environ.update({name: value}) if value is not None else os.environ.pop(name)
        assert sys.stdout is not None


def made(folder: str, ends: ExitStack) -> dict[str, tuple[Target, list[bytes]]]:
    """Give each target with its seeds."""
    typing = Typing(folder)
    ends.callback(typing.session.close)
    texts = [
        *typed(),
        b'set k "a\\n\\xff\\u{1f600}" | wc',
        b"set k {\"a\":\n 1} > 'a b'",
        b"get a\\\nb",
        *operations()[:5],
    ]
    return {
        "express-lane": (express_lane, words()),
        "command-line": (command_line, words()),
        "line": (line, [*texts, b"\n".join(texts)]),
        "meaning": (meaning, texts),
        "lexer": (lexer, [*texts, b"\n".join(texts)]),
        "typing": (typing.typing, [b"\xff\xff" + text for text in texts]),
        "tab": (
            typing.tab,
            [bytes([at % 3]) + each for at, each in enumerate([*texts, *words(), b"get us", b"get it\\'"])],
        ),
    }
