"""The commands as data, read off what is declared for Typer."""

from __future__ import annotations

from typing import Any

from kvcli.cli.grammar import WRITING, CommandBehindDashes, NumbersAreWords
from kvcli.cli.syntax import Argument, Commands, Option, Syntax

CUT = 100  # A summary is one line.


def declared(root: Any) -> Commands:
    """Read a tree of Typer's, of commands and of groups of commands."""
    commands: dict[str, Syntax] = {}
    groups: dict[str, str] = {}
    for name, command in root.commands.items():
        if inside := getattr(command, "commands", None):
            groups[name] = command.get_short_help_str(CUT)
            commands |= {f"{name} {inner}": _syntax(f"{name} {inner}", each) for inner, each in inside.items()}
        elif not command.hidden:
            commands[name] = _syntax(name, command)
    return Commands(commands, groups, _syntax("", root))


def _syntax(name: str, command: Any) -> Syntax:
    return Syntax(
        name,
        command.get_short_help_str(CUT),
        [_argument(each) for each in command.params if each.param_type_name == "argument"],
        [_option(each) for each in command.params if each.param_type_name == "option"],
        takes_numbers=isinstance(command, NumbersAreWords),
        takes_command=not command.allow_interspersed_args,
        takes_dashes=isinstance(command, CommandBehindDashes),
    )


def _argument(parameter: Any) -> Argument:
    many = parameter.nargs == -1
    return Argument(parameter.name, parameter.metavar, is_many=many, is_required=bool(parameter.required))


def _option(parameter: Any) -> Option:
    metavar = None if parameter.is_flag else parameter.metavar or "TEXT"
    names = [*parameter.opts]
    return Option(parameter.name, names, metavar, parameter.help or "", is_shared=parameter.name in WRITING)
