"""Understanding: a line becomes an invocation, by the grammar of the command line or that of the REPL's own commands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kvcli.cli.app import understand as understand_fully
from kvcli.cli.entry import understand
from kvcli.cli.grammar import SHIELD
from kvcli.cli.reading import NAMES
from kvcli.commands import Invocation
from kvcli.errors import InvalidArgument
from kvcli.repl.tree import tree

if TYPE_CHECKING:
    from kvcli.repl.line import Line

HELP = {"--help", "-h"}


def options_of(words: list[str]) -> list[str]:
    """Give the words in front of --, which may be options."""
    return words[: words.index("--")] if "--" in words else words


def understood(line: Line) -> Invocation | int | None:
    """Give what a line asks for; an exit code where that is done already, None where it asks for nothing.

    Raises InvalidArgument.
    """
    words = line.texts()
    if words and words[0] in NAMES:
        del words[0], line.words[0]
    if not words:
        if line.tail is not None:
            raise InvalidArgument("there is nothing to print: a command stands before | and >")
        return None
    if HELP & set(options_of(words)):
        return Invocation("help", {"words": [word for word in options_of(words) if not word.startswith("-")]}, {})
    # What is in quotes is no option, which the grammar cannot see.
    shielded = [
        SHIELD + text if word.is_quoted and text[:1] in {"-", SHIELD} else text
        for word, text in zip(line.words, words, strict=True)
    ]
    invocation = _parsed(shielded, is_plain=shielded == words)
    if isinstance(invocation, Invocation) and invocation.command == "repl":
        raise InvalidArgument("this is the REPL already: help tells what there is")
    return invocation


def _parsed(words: list[str], *, is_plain: bool) -> Invocation | int:
    known = tree()
    if words[0] in known.own.commands:
        return known.understand_own(words)
    if not words[0].startswith("-") and words[0] not in known.first_words():
        raise InvalidArgument(known.unknown(words[0]))
    return understand(words, "") if is_plain else understand_fully(words, "")
