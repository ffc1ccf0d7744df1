"""Completion for shells: what the scripts in the folder completions/ ask, at each press of Tab.

    kvcli __complete bash LINE BREAKS TYPE       LINE up to the cursor, COMP_WORDBREAKS, COMP_TYPE
    kvcli __complete zsh|fish WORD... CURRENT    the words before the cursor's, which fish gives as it is typed

The first record of the answer says what to do: `words` are complete, `stems` may go on, `files HEAD` and `run N` are for the
shell itself (what stands before the file's name, at which word the command starts). The others are the candidates: for
bash as they are typed, for zsh each with what to show, for fish with what to tell. Records end with NUL, those for fish with a newline.
"""

from __future__ import annotations

import os
import sys

from kvcli.cli.bash import Typed, typed
from kvcli.cli.completing import Wanted, wanted
from kvcli.cli.output import write_through
from kvcli.cli.reading import Reading, Word
from kvcli.cli.screen import escape_line
from kvcli.cli.vocabulary import vocabulary
from kvcli.errors import KvError
from kvcli.prefixes import candidates, is_group
from kvcli.store import as_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from kvcli.commands.context import Context

    Candidate = tuple[str, str, str]  # What to write, what to show, what to tell of it.
    Found = tuple[Candidate, bool]  # And whether it would be taken for an option: it needs -- before it.

LISTING = "63"  # Readline asks what to show, and writes nothing.


def complete(words: list[str]) -> int:
    """Answer one press of Tab; where nothing is known, with nothing."""
    shell, *rest = words
    answer = _for_bash(*rest) if shell == "bash" else _for_zsh(rest) if shell == "zsh" else _for_fish(rest)
    end = "\n" if shell == "fish" else "\0"
    write_through(sys.stdout, "".join([record + end for record in answer]).encode("utf-8", "surrogateescape"))
    return 0


class Question:
    """The words that stand before the cursor's, and what that one may become."""

    def __init__(self, words: list[str], start: str) -> None:
        """Read the words; the first one is the program's name."""
        self._reading = Reading(vocabulary(), [Word.of(_expanded(word)) for word in words[1:]])
        self._place = [self._reading.value_of(name) for name in ("store", "profile", "bucket")]
        self.wanted = list(wanted(self._reading, Word.of(start)))

    def manner(self, found: list[Candidate], start: str) -> str:
        """Say what is to be done: with what was found, or, where nothing was, by the shell itself."""
        kinds = {each.kind: each for each in self.wanted}
        if not found and "files" in kinds:
            return f"files {kinds['files'].head}"
        if not found and "run" in kinds:
            return f"run {self._start_of_command()}"
        return "stems" if len(found) == 1 and is_group(found[0][0], start) else "words"

    def found(self) -> Iterator[Found]:
        """Give all that the word may become."""
        for each in self.wanted:
            for value, shown, about in _found(each, self._place):
                yield (each.head + value, shown, about), each.needs_dashes and value.startswith("-")

    def candidates(self) -> list[Candidate]:
        """Give what can stand where the word stands."""
        return [candidate for candidate, needs_dashes in self.found() if not needs_dashes]

    def _start_of_command(self) -> int:
        roles = [role.argument.name if role.argument is not None else "" for role in self._reading.roles]
        return 1 + (roles.index("words") if "words" in roles else len(roles))


def _found(each: Wanted, place: list[str | None]) -> list[Candidate]:
    if each.kind not in {"keys", "buckets"}:
        return each.known
    from kvcli.commands.context import Context

    store, profile, bucket = place
    context = Context(store=store, profile=profile, bucket=bucket)
    try:
        return _keys(context, each.start) if each.kind == "keys" else _buckets(context, each.start)
    except (KvError, OSError):
        return []  # Whoever presses Tab did not ask what is wrong with the store.
    finally:
        context.close()


def _keys(context: Context, start: str) -> list[Candidate]:
    found = candidates(context.bucket_to_read(), start.encode("utf-8", "surrogateescape"))
    return [(as_text(key), as_text(key), "") for key in found]


def _buckets(context: Context, start: str) -> list[Candidate]:
    return [(name, name, "bucket") for name in context.store_to_read().buckets() if name.startswith(start)]


def _for_bash(line: str, breaks: str = "", kind: str = "", *_more: str) -> Iterator[str]:
    *words, last = (known := Typed(line, breaks)).words
    question = Question(words, last)
    found = list(question.found())
    yield question.manner([candidate for candidate, _ in found], last)
    for (value, shown, _), needs_dashes in found:
        if kind == LISTING:
            yield escape_line(shown)
        elif value.startswith(known.head) and not (needs_dashes and (known.head or known.quote)):
            yield ("-- " if needs_dashes else "") + typed(value.removeprefix(known.head), known.quote)


def _for_zsh(words: list[str]) -> Iterator[str]:
    *before, last = words
    question = Question(before, last)
    found = question.candidates()
    yield question.manner(found, last)
    for value, shown, about in found:
        yield value
        yield escape_line(f"{shown}  {about}" if about else shown)


def _for_fish(words: list[str]) -> Iterator[str]:
    *before, current = words
    question = Question(before, Typed(current, "").words[-1])
    found = question.candidates()
    yield question.manner(found, current)
    for value, _, about in found:
        if escape_line(value) == value:  # A line cannot hold others, and fish would show them as they are.
            yield f"{value}\t{about}"


def _expanded(word: str) -> str:
    """Do what a shell would have done with a variable or a home folder, before kvcli sees the word."""
    return os.path.expanduser(os.path.expandvars(word)) if "$" in word or word.startswith("~") else word
