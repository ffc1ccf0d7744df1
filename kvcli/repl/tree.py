"""The tree of commands: those of the command line, and the REPL's own."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, cast

from kvcli.cli.syntax import Commands, meant

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kvcli.commands import Invocation

# What the REPL's help tells of besides.
TOPICS = {"syntax": "Words, quotes, pipes.", "keys": "The keyboard.", "options": "Those of all commands."}


class Tree(Commands):
    """All commands that a line may hold."""

    def __init__(self) -> None:
        """Load Typer, which takes a while, and read what was declared."""
        from typer.main import get_command

        from kvcli.cli.app import tree as grammar
        from kvcli.cli.declared import declared
        from kvcli.repl.own import app

        self.own = cast("Any", get_command(app))
        self._parsers = {**grammar().commands, **self.own.commands}
        whole, own = declared(grammar()), declared(self.own)
        super().__init__({**whole.commands, **own.commands}, whole.groups, whole.root, {**TOPICS, **whole.topics})
        del self.commands["repl"]

    def parser(self, name: str) -> Any:
        """Give what parses a command, and writes its help."""
        first, _, second = name.partition(" ")
        return self._parsers[first].commands[second] if second else self._parsers[first]

    def understand_own(self, words: list[str]) -> Invocation | int:
        """Parse a line of the REPL's own commands. Raises InvalidArgument."""
        from kvcli.cli.app import understand

        return understand(words, "", self.own)

    def unknown(self, word: str, others: Iterable[str] = ()) -> str:
        """Say that there is no such command, and which one may have been meant, or which of others."""
        close = meant(word, [*self.first_words(), *others])
        return f"no command {word!r}; " + (f"did you mean {close!r}?" if close else "help lists all")


@cache
def tree() -> Tree:
    """Give the tree; the first call loads Typer."""
    return Tree()
