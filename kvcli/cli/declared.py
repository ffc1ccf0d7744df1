"""What is declared of the commands, read off Typer's tree of them. Help, man pages, completion and the REPL rest on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kvcli.cli.grammar import WRITING, CommandBehindDashes, NumbersAreWords
from kvcli.cli.syntax import Argument, Commands, Option, Syntax
from kvcli.cli.topics import TOPICS

if TYPE_CHECKING:
    from collections.abc import Iterator

CUT = 100  # A summary is one line.
EXAMPLES = "\b\nExamples:\n"  # As grammar.help_of writes it.


class Declared(Syntax):
    """A command, or a group of them, with what is told of it at length."""

    __slots__ = ("description", "examples", "inner")

    def __init__(self, name: str, command: Any) -> None:
        """Read a command of Typer's; what a group holds is `inner`, with what each does in a line."""
        parameters = [(each, each.param_type_name) for each in command.params]
        super().__init__(
            name,
            command.get_short_help_str(CUT),
            [_argument(each) for each, kind in parameters if kind == "argument"],
            [option(each) for each, kind in parameters if kind == "option"],
            takes_numbers=isinstance(command, NumbersAreWords),
            takes_command=not command.allow_interspersed_args,
            takes_dashes=isinstance(command, CommandBehindDashes),
        )
        self.description, self.examples = told(command.help or "")
        self.inner: dict[str, str] = summaries(command)


def declared(root: Any) -> Commands:
    """Give all commands of a tree, and its groups."""
    top, *rest = commands(root)
    groups = {each.name: each.summary for each in rest if each.inner}
    return Commands({each.name: each for each in rest if not each.inner}, groups, top, about())


def about() -> dict[str, str]:
    """Give the topics of help, each with what it is about in a line."""
    return {name: summary for name, (summary, _) in TOPICS.items()}


def commands(root: Any) -> Iterator[Declared]:
    """Give the root, then all commands by name, each group in front of its own."""

    def inside(group: Any, before: str) -> Iterator[Declared]:
        for name in summaries(group):
            command = group.commands[name]
            yield Declared(before + name, command)
            yield from inside(command, f"{before}{name} ")

    yield Declared("", root)
    yield from inside(root, "")


def summaries(group: Any) -> dict[str, str]:
    """Give what each command of a group does, in a line; none of what is no group. What is hidden is not told of."""
    inside = sorted(getattr(group, "commands", {}).items())  # They stand in the order in which modules were loaded.
    return {name: command.get_short_help_str(CUT) for name, command in inside if not command.hidden}


def told(text: str) -> tuple[list[str], list[str]]:
    """Divide a help text into paragraphs, each on one line, and the lines of the examples."""
    paragraphs = text.split("\n\n")
    examples = [part.removeprefix(EXAMPLES) for part in paragraphs if part.startswith(EXAMPLES)]
    return (
        [" ".join(part.split()) for part in paragraphs if not part.startswith(EXAMPLES)],
        [line.strip() for part in examples for line in part.splitlines()],
    )


def option(parameter: Any) -> Option:
    """Read an option of Typer's."""
    metavar = None if parameter.is_flag else parameter.metavar or "TEXT"
    names = [*parameter.opts]
    return Option(parameter.name, names, metavar, parameter.help or "", is_shared=parameter.name in WRITING)


def _argument(parameter: Any) -> Argument:
    many, required = parameter.nargs == -1, bool(parameter.required)
    return Argument(parameter.name, parameter.metavar, is_many=many, is_required=required, about=parameter.help or "")
