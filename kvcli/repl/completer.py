"""Completion: commands and options from the tree, buckets and keys from the store itself, files from the disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prompt_toolkit.completion import Completer, Completion, PathCompleter
from prompt_toolkit.document import Document

from kvcli.cli.screen import escape_line
from kvcli.prefixes import SEPARATORS, candidates
from kvcli.repl.line import Word, last, quoted
from kvcli.repl.reading import Reading, Role
from kvcli.repl.session import FORMATS
from kvcli.repl.tree import tree
from kvcli.store import as_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prompt_toolkit.completion import CompleteEvent

    from kvcli.repl.session import Session

KEYS = ("key", "keys", "prefix", "start", "end")  # Arguments and options whose word is a key, or the start of one.
BUCKETS = ("bucket",)
FILES = ("file", "output", "modtime")
WORDS = {"how": FORMATS, "state": ("on", "off"), "durability": ("full", "fast"), "results": ("all", "errors", "none")}
TOPICS = {"syntax": "Words, quotes, pipes.", "keys": "The keyboard.", "options": "Those of all commands."}
FORMATS_OF_FILES = ("ndjson", "csv", "dump")


class KeyCompleter(Completer):
    """Completes the word before the cursor."""

    def __init__(self, session: Session) -> None:
        """Look into the session's store."""
        self._session = session
        self._paths = PathCompleter(expanduser=True)

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterator[Completion]:
        """Give what the word may become. Nothing that fails here is anybody's concern."""
        text = document.text_before_cursor
        line = last(text)
        if line.tail_at is not None or line.start > len(text):
            return
        word = line.words.pop() if line.words and line.words[-1].end == len(text) else Word(len(text))
        reading = Reading(tree(), line)
        role = reading.role(word) if word.start < len(text) else reading.next_role()
        for value, shown, about in self._values(reading, role, word, complete_event):
            yield Completion(value, word.start - len(text), display=escape_line(shown), display_meta=escape_line(about))

    def _values(self, reading: Reading, role: Role, word: Word, event: CompleteEvent) -> Iterator[tuple[str, str, str]]:
        """Give what to write, what to show and what to tell of it."""
        is_inner = reading.group is not None and reading.syntax is None
        if word.text.startswith("-") and role.kind in {"option", "wrong", "argument"} and not word.is_quoted:
            yield from _options(reading, word.text)
        if role.kind in {"argument", "value"}:
            yield from self._arguments(reading, role, word, event)
        elif role.kind in {"command", "group", "wrong"} and (not reading.roles[:-1] or reading.syntax is None):
            words = tree().inner_words(reading.group) if is_inner and reading.group else tree().first_words()
            yield from ((name, name, about) for name, about in words.items() if name.startswith(word.text))

    def _arguments(
        self, reading: Reading, role: Role, word: Word, event: CompleteEvent
    ) -> Iterator[tuple[str, str, str]]:
        name = role.option.name if role.option is not None else role.argument.name if role.argument is not None else ""
        command = reading.syntax.name if reading.syntax is not None else ""
        start = word.text.partition("=")[2] if role.kind == "option" else word.text
        if name in BUCKETS or (name == "name" and command.startswith("bucket ") and command != "bucket create"):
            yield from self._buckets(start)
        elif name in KEYS and not command.startswith("cache ") and command not in {"export", "import"}:
            yield from self._keys(reading, start)
        elif name in FILES or (start.startswith("@") and not start.startswith("@@")):
            yield from self._files(start, event)
        elif name == "words" and command == "help":
            words = {**tree().first_words(), **TOPICS}
            yield from ((each, each, about) for each, about in words.items() if each.startswith(start))
        else:
            choices = FORMATS_OF_FILES if name == "format" else WORDS.get(name, ())
            yield from ((each, each, "") for each in choices if each.startswith(start))

    def _keys(self, reading: Reading, start: str) -> Iterator[tuple[str, str, str]]:
        raw = start.encode("utf-8", "surrogateescape")
        found = self._session.look(lambda bucket: candidates(bucket, raw), reading.value_of("bucket"))
        for key in found or []:
            text = as_text(key)
            is_group = key[-1:] in [bytes([each]) for each in SEPARATORS] and len(key) > len(raw)
            written = quoted(text)
            yield (
                f"-- {written}" if written.startswith("-") and not reading.is_closed else written,
                text,
                "..." if is_group else "",
            )

    def _buckets(self, start: str) -> Iterator[tuple[str, str, str]]:
        for name in self._session.look(lambda bucket: bucket.store.buckets()) or []:
            if name.startswith(start):
                yield quoted(name), name, "bucket"

    def _files(self, start: str, event: CompleteEvent) -> Iterator[tuple[str, str, str]]:
        mark = "@" if start.startswith("@") else ""
        path = start.removeprefix(mark)
        for found in self._paths.get_completions(Document(path, len(path)), event):
            yield quoted(mark + path + found.text), found.display_text, ""


def _options(reading: Reading, start: str) -> Iterator[tuple[str, str, str]]:
    syntax = reading.syntax or reading.tree.root
    for option in sorted(syntax.options, key=lambda option: option.is_shared):
        if option.longest.startswith(start) and (option.name not in reading.said or start == option.longest):
            shown = f"{option.longest} {option.metavar}" if option.metavar else option.longest
            yield option.longest, shown, option.help
