"""The vocabulary: the commands as data without Typer, for who cannot wait for it, from the table that was made of its declarations.

`python -m kvcli.cli.vocabulary` writes the table. A line of it is fields between tabs:
    command   name, n where it takes numbers, c where a command, d where one behind --; summary
    argument  name, metavar, m where it is many and r where it is required
    option    name, all its names between blanks, metavar, help
    common    the same, of an option that commands share
    shared    the names of those that the command has
    group     name, what it is for
    topic     name, what it is about
"""

from __future__ import annotations

from kvcli.cli.syntax import Argument, Commands, Option, Syntax
from kvcli.commands.completion import file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

TABLE = "words"


def vocabulary() -> Commands:
    """Read the table."""
    commands: dict[str, Syntax] = {}
    groups: dict[str, str] = {}
    topics: dict[str, str] = {}
    with open(file(TABLE), encoding="utf-8") as table:
        for line in table:
            kind, name, *fields = line.removesuffix("\n").split("\t")
            if kind == "command":
                kinds, summary = fields
                commands[name] = syntax = _syntax(name, kinds, summary)
            elif kind == "argument":
                metavar, kinds = fields
                syntax.arguments.append(Argument(name, metavar, is_many="m" in kinds, is_required="r" in kinds))
            elif kind in {"option", "common"}:
                names, metavar, about = fields
                common = kind == "common"
                syntax.options.append(Option(name, names.split(" "), metavar or None, about, is_shared=common))
            elif kind == "shared":
                syntax.options += [option for option in commands[""].options if option.name in name.split(" ")]
            else:
                (groups if kind == "group" else topics)[name] = fields[0]
    return Commands(commands, groups, commands.pop(""), topics)


def _syntax(name: str, kinds: str, summary: str) -> Syntax:
    numbers, command, dashes = [each in kinds for each in "ncd"]
    return Syntax(name, summary, [], [], takes_numbers=numbers, takes_command=command, takes_dashes=dashes)


def table(known: Commands) -> Iterator[str]:
    """Write the table."""
    for syntax in (known.root, *known.commands.values()):
        kinds = "n" * syntax.takes_numbers + "c" * syntax.takes_command + "d" * syntax.takes_dashes
        yield f"command\t{syntax.name}\t{kinds}\t{syntax.summary}\n"
        for each in syntax.arguments:
            yield f"argument\t{each.name}\t{each.metavar}\t{'m' * each.is_many}{'r' * each.is_required}\n"
        own = [option for option in syntax.options if not (option.is_shared and syntax.name)]
        for option in own:
            kind = "common" if option.is_shared else "option"
            yield f"{kind}\t{option.name}\t{' '.join(option.names)}\t{option.metavar or ''}\t{option.help}\n"
        if shared := [option.name for option in syntax.options if option not in own]:
            yield f"shared\t{' '.join(shared)}\n"
    for name, about in known.groups.items():
        yield f"group\t{name}\t{about}\n"
    for name, about in known.topics.items():
        yield f"topic\t{name}\t{about}\n"


def _write() -> None:
    from kvcli.cli.app import tree
    from kvcli.cli.declared import declared

    with open(file(TABLE), "w", encoding="utf-8") as written:
        written.writelines(table(declared(tree())))


if __name__ == "__main__":
    _write()
