"""The tree of commands, read off the one grammar that the command line has, and that of the REPL's own commands."""

from __future__ import annotations

from difflib import get_close_matches
from functools import cache
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from kvcli.commands import Invocation

CUT = 100  # A summary is one line.


class Option:
    """An option: its names, and what it takes, None for a flag."""

    __slots__ = ("help", "is_shared", "metavar", "name", "names")

    def __init__(self, parameter: Any, *, is_shared: bool) -> None:
        """Read a parameter of Typer's. Those that all commands share are not in the way of a command's own."""
        self.name: str = parameter.name
        self.names: list[str] = [*parameter.opts]
        self.metavar: str | None = None if parameter.is_flag else parameter.metavar or "TEXT"
        self.help: str = parameter.help or ""
        self.is_shared = is_shared

    @property
    def written(self) -> str:
        """All its names, and what it takes."""
        return ", ".join(sorted(self.names, key=len)) + (f" {self.metavar}" if self.metavar else "")

    @property
    def longest(self) -> str:
        """The name to show."""
        return max(self.names, key=len)


class Argument:
    """A word that a command takes, or many."""

    __slots__ = ("is_many", "is_required", "metavar", "name")

    def __init__(self, parameter: Any) -> None:
        """Read a parameter of Typer's."""
        self.name: str = parameter.name
        self.is_many = parameter.nargs == -1
        self.metavar: str = parameter.metavar
        self.is_required = bool(parameter.required)


class Syntax:
    """A command: what it is called, what it takes, and what it does in a line."""

    __slots__ = ("arguments", "name", "options", "parsed_by", "summary", "takes_command", "takes_numbers")

    def __init__(self, name: str, command: Any, shared: set[str]) -> None:
        """Read a command of Typer's."""
        from kvcli.cli.grammar import NumbersAreWords

        self.name = name
        self.parsed_by = command
        self.summary: str = command.get_short_help_str(CUT)
        self.arguments = [Argument(each) for each in command.params if each.param_type_name == "argument"]
        options = [each for each in command.params if each.param_type_name == "option"]
        self.options = [Option(each, is_shared=each.name in shared) for each in options]
        self.takes_numbers = isinstance(command, NumbersAreWords)
        self.takes_command = not command.allow_interspersed_args

    def option(self, word: str) -> Option | None:
        """Give the option that a word says, with or without its value."""
        name = word.partition("=")[0]
        return next((option for option in self.options if name in option.names), None)

    def usage(self) -> str:
        """Write the command with its arguments and its own options."""
        arguments = [each.metavar for each in self.arguments]
        options = [
            f"[{each.longest}{f' {each.metavar}' if each.metavar else ''}]"
            for each in self.options
            if not each.is_shared
        ]
        return " ".join([self.name, *arguments, *options])


class Tree:
    """All commands by name, those of a group by both words; and the options that may stand before each."""

    def __init__(self) -> None:
        """Load Typer, which takes a while, and read what was declared."""
        from typer.main import get_command

        from kvcli.cli.app import tree as grammar
        from kvcli.cli.grammar import WRITING
        from kvcli.repl.own import app as own

        shared = set(WRITING)
        root = grammar()
        self.own = cast("Any", get_command(own))
        self.commands: dict[str, Syntax] = {}
        self.groups: dict[str, str] = {}
        declared: list[tuple[str, Any]] = [*root.commands.items(), *self.own.commands.items()]
        for name, command in declared:
            if inside := getattr(command, "commands", None):
                self.groups[name] = command.get_short_help_str(CUT)
                for inner, each in inside.items():
                    self.commands[f"{name} {inner}"] = Syntax(f"{name} {inner}", each, shared)
            elif name != "repl":
                self.commands[name] = Syntax(name, command, shared)
        self.root = Syntax("", root, shared)

    def understand_own(self, words: list[str]) -> Invocation | int:
        """Parse a line of the REPL's own commands. Raises InvalidArgument."""
        from kvcli.cli.app import understand

        return understand(words, "", self.own)

    def unknown(self, word: str) -> str:
        """Say that there is no such command, and which one may have been meant."""
        known = list(self.first_words())
        close = get_close_matches(word, known, 1) or [name for name in known if sorted(name) == sorted(word)]
        return f"no command {word!r}; " + (f"did you mean {close[0]!r}?" if close else "help lists all")

    def first_words(self) -> dict[str, str]:
        """Give what a line may start with, and what that does."""
        return {
            **{name: syntax.summary for name, syntax in self.commands.items() if " " not in name},
            **self.groups,
        }

    def beginnings(self) -> list[str]:
        """Give everything that a word that is no option, and no argument, may become."""
        return [word for name in [*self.commands, *self.groups] for word in name.split(" ")]

    def inner_words(self, group: str) -> dict[str, str]:
        """Give what may follow the name of a group."""
        start = group + " "
        return {
            name.removeprefix(start): each.summary for name, each in self.commands.items() if name.startswith(start)
        }


@cache
def tree() -> Tree:
    """Give the tree; the first call loads Typer."""
    return Tree()
