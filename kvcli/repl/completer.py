"""Completion: commands and options from the tree, buckets and keys from the store itself, files from the disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prompt_toolkit.completion import Completer, Completion, PathCompleter
from prompt_toolkit.document import Document

from kvcli.cli.completing import Wanted, wanted
from kvcli.cli.reading import Reading, Word
from kvcli.cli.screen import escape_line
from kvcli.prefixes import candidates, is_group
from kvcli.repl.line import last, quoted
from kvcli.repl.tree import tree
from kvcli.store import as_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prompt_toolkit.completion import CompleteEvent

    from kvcli.repl.session import Session


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
        reading = Reading(tree(), line.words)
        for value, shown, about in self._values(reading, word, complete_event):
            yield Completion(value, word.start - len(text), display=escape_line(shown), display_meta=escape_line(about))

    def _values(self, reading: Reading, word: Word, event: CompleteEvent) -> Iterator[tuple[str, str, str]]:
        """Give what to write, what to show and what to tell of it."""
        for each in wanted(reading, word):
            for value, shown, about in self._found(each, reading.value_of("bucket"), event):
                yield each.head + value, shown, about

    def _found(self, each: Wanted, bucket: str | None, event: CompleteEvent) -> Iterator[tuple[str, str, str]]:
        if each.kind == "keys":
            return self._keys(each.start, bucket, needs_dashes=each.needs_dashes)
        if each.kind == "buckets":
            return self._buckets(each.start)
        return self._files(each.start, event) if each.kind == "files" else iter(each.known)

    def _keys(self, start: str, bucket: str | None, *, needs_dashes: bool) -> Iterator[tuple[str, str, str]]:
        raw = start.encode("utf-8", "surrogateescape")
        found = self._session.look(lambda opened: candidates(opened, raw), bucket)
        for key in found or []:
            text = as_text(key)
            written = quoted(text)
            yield (
                f"-- {written}" if written.startswith("-") and needs_dashes else written,
                text,
                "..." if is_group(text, start) else "",
            )

    def _buckets(self, start: str) -> Iterator[tuple[str, str, str]]:
        for name in self._session.look(lambda bucket: bucket.store.buckets()) or []:
            if name.startswith(start):
                yield quoted(name), name, "bucket"

    def _files(self, start: str, event: CompleteEvent) -> Iterator[tuple[str, str, str]]:
        for found in self._paths.get_completions(Document(start, len(start)), event):
            yield quoted(start + found.text), found.display_text, ""
