"""Completion: commands and options from the tree, buckets and keys from the store itself, files from the disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prompt_toolkit.completion import Completer, Completion, PathCompleter
from prompt_toolkit.document import Document

from kvcli.cli.screen import escape_line
from kvcli.prefixes import SEPARATORS, candidates
from kvcli.repl.line import Word, last, quoted
from kvcli.repl.reading import CHOICES, Reading, Role
from kvcli.repl.tree import tree
from kvcli.store import as_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prompt_toolkit.completion import CompleteEvent

    from kvcli.repl.session import Session

KEYS = ("key", "keys", "prefix", "start", "end")  # Arguments and options whose word is a key, or the start of one.
BUCKETS = ("bucket",)
FILES = ("file", "output", "modtime")
TOPICS = {"syntax": "Words, quotes, pipes.", "keys": "The keyboard.", "options": "Those of all commands."}


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
        for value, shown, about in self._values(reading, word, complete_event):
            yield Completion(value, word.start - len(text), display=escape_line(shown), display_meta=escape_line(about))

    def _values(self, reading: Reading, word: Word, event: CompleteEvent) -> Iterator[tuple[str, str, str]]:
        """Give what to write, what to show and what to tell of it."""
        if reading.awaits_command() and not word.text.startswith("-"):
            words = tree().inner_words(reading.group) if reading.group is not None else tree().first_words()
            yield from ((name, name, about) for name, about in words.items() if name.startswith(word.text))
            return
        role = reading.role(word) if word.end > word.start else reading.next_role()
        name, equals, start = word.text.partition("=")
        if role.kind == "option" and role.option is not None and equals:
            role.kind = "value"
            for value, shown, about in self._arguments(reading, role, start, event):
                yield f"{name}={value}", shown, about
        elif role.kind in {"argument", "value"} or role.argument is not None:
            yield from self._arguments(reading, role, word.text, event)
        if (
            word.text.startswith("-")
            and role.kind in {"option", "wrong", "separator"}
            and not (word.is_quoted or equals)
        ):
            yield from _options(reading, word.text)

    def _arguments(
        self, reading: Reading, role: Role, start: str, event: CompleteEvent
    ) -> Iterator[tuple[str, str, str]]:
        name = role.option.name if role.option is not None else role.argument.name if role.argument is not None else ""
        command = reading.syntax.name if reading.syntax is not None else ""
        if name in BUCKETS or (name == "name" and command.startswith("bucket ") and command != "bucket create"):
            yield from self._buckets(start)
        elif name in KEYS and not command.startswith("cache ") and command not in {"export", "import"}:
            needs_dashes = role.kind == "argument" and not reading.is_closed
            yield from self._keys(start, reading.value_of("bucket"), needs_dashes=needs_dashes)
        elif name in FILES or (start.startswith("@") and not start.startswith("@@")):
            yield from self._files(start, event)
        elif name == "words" and command == "help":
            yield from _topics(reading, start)
        else:
            yield from ((each, each, "") for each in CHOICES.get(name, ()) if each.startswith(start))

    def _keys(self, start: str, bucket: str | None, *, needs_dashes: bool) -> Iterator[tuple[str, str, str]]:
        raw = start.encode("utf-8", "surrogateescape")
        found = self._session.look(lambda opened: candidates(opened, raw), bucket)
        for key in found or []:
            text = as_text(key)
            is_group = key[-1] in SEPARATORS and len(key) > len(raw)
            written = quoted(text)
            yield (
                f"-- {written}" if written.startswith("-") and needs_dashes else written,
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


def _topics(reading: Reading, start: str) -> Iterator[tuple[str, str, str]]:
    before = [word.text for word in reading.line.words[1:]]
    group = before[0] if before and before[0] in tree().groups else None
    words = tree().inner_words(group) if group is not None else {**tree().first_words(), **TOPICS}
    yield from ((each, each, about) for each, about in words.items() if each.startswith(start))


def _options(reading: Reading, start: str) -> Iterator[tuple[str, str, str]]:
    syntax = reading.syntax or reading.tree.root
    for option in sorted(syntax.options, key=lambda option: option.is_shared):
        if option.longest.startswith(start) and (option.name not in reading.said or start == option.longest):
            shown = f"{option.longest} {option.metavar}" if option.metavar else option.longest
            yield option.longest, shown, option.help
