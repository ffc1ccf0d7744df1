"""Syntax: what may be typed, as data. It is read off Typer's declarations, or off the table that was made of them."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

HELP = ("--help", "-h")


class Option:
    """An option: its names, and what it takes, None for a flag. Those that all commands share are not in the way of a command's own."""

    __slots__ = ("help", "is_shared", "metavar", "name", "names")

    def __init__(self, name: str, names: list[str], metavar: str | None, about: str, *, is_shared: bool) -> None:
        """Hold the parts."""
        self.name = name
        self.names = names
        self.metavar = metavar
        self.help = about
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

    __slots__ = ("help", "is_many", "is_required", "metavar", "name")

    def __init__(self, name: str, metavar: str, *, is_many: bool, is_required: bool, about: str = "") -> None:
        """Hold the parts."""
        self.name = name
        self.metavar = metavar
        self.help = about
        self.is_many = is_many
        self.is_required = is_required


class Syntax:
    """A command: what it is called, what it takes, and what it does in a line."""

    __slots__ = ("arguments", "name", "options", "summary", "takes_command", "takes_dashes", "takes_numbers")

    def __init__(
        self,
        name: str,
        summary: str,
        arguments: list[Argument],
        options: list[Option],
        *,
        takes_numbers: bool,
        takes_command: bool,
        takes_dashes: bool,
    ) -> None:
        """Hold the parts.

        To one that `takes_numbers` -5 is no option. One that `takes_command` has no more options after a word; the last
        argument of one that `takes_dashes` is a command behind --.
        """
        self.name = name
        self.summary = summary
        self.arguments = arguments
        self.options = options
        self.takes_numbers = takes_numbers
        self.takes_command = takes_command
        self.takes_dashes = takes_dashes

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


class Commands:
    """All commands by name, those of a group by both words; the groups with what they are for; and what stands before all.

    `topics` is what there is help about besides.
    """

    def __init__(
        self, commands: dict[str, Syntax], groups: dict[str, str], root: Syntax, topics: dict[str, str]
    ) -> None:
        """Hold the parts."""
        self.commands = commands
        self.groups = groups
        self.root = root
        self.topics = topics

    def first_words(self) -> dict[str, str]:
        """Give what a line may start with, and what that does."""
        return {
            **{name: syntax.summary for name, syntax in self.commands.items() if " " not in name},
            **self.groups,
        }

    def inner_words(self, group: str) -> dict[str, str]:
        """Give what may follow the name of a group."""
        start = group + " "
        return {
            name.removeprefix(start): each.summary for name, each in self.commands.items() if name.startswith(start)
        }

    def beginnings(self) -> list[str]:
        """Give everything that a word that is no option, and no argument, may become."""
        return [word for name in [*self.commands, *self.groups] for word in name.split(" ")]


def meant(word: str, known: Iterable[str]) -> str | None:
    """Give what somebody may have meant who wrote a word that is not known."""
    from difflib import get_close_matches

    names = list(known)
    close = get_close_matches(word, names, 1) or [name for name in names if sorted(name) == sorted(word)]
    return close[0] if close else None
