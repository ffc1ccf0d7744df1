"""Help: what there is, what a command does, the topics of the command line, and a few of the REPL's own."""

from __future__ import annotations

from copy import copy
from typing import Any

from kvcli.cli.guide import WIDTH, overview, page
from kvcli.cli.topics import TOPICS
from kvcli.errors import InvalidArgument
from kvcli.repl import line
from kvcli.repl.tree import Tree, tree

KEYS = """\
Tab               complete: commands, options, buckets, keys
Right, End        take the grey suggestion
Ctrl-R, Up, Down  look into the history
Ctrl-C            drop the line, or stop the command that runs
Ctrl-D            leave
Ctrl-X Ctrl-E     edit the line in $VISUAL or $EDITOR
F4                vi keys, or emacs keys again (KVCLI_EDITING_MODE=vi to begin with them)

The history is kept without the values that were typed; a line that starts with a blank is not kept at all.
"""
MORE = "help COMMAND and help TOPIC tell more. `get k | jq .` works, `list > file` too.\n"
WIDE = 24


def text(words: list[str]) -> str:
    """Give the page for what was asked. Raises InvalidArgument for what is neither command nor topic."""
    known = tree()
    name = " ".join(words)
    if not words:
        return overview(known.first_words(), known.topics, MORE)
    if name == "syntax":
        return (line.__doc__ or "").partition("\n\n")[2]
    if name == "keys":
        return KEYS
    if name == "options":
        return "".join([f"  {each.written:<{WIDE}} {each.help}\n" for each in known.root.options if each.is_shared])
    if name in known.groups:
        inner = known.inner_words(name)
        return f"{known.groups[name]}\n\n" + "".join(f"  {name} {each:<{WIDTH}} {inner[each]}\n" for each in inner)
    parts = [_page(known, name)] if name in known.commands else []
    parts += [TOPICS[name][1]] if name in TOPICS else []
    if not parts:
        raise InvalidArgument(known.unknown(name, known.topics))
    return "\n".join(parts)


def _page(known: Tree, name: str) -> str:
    """Let Typer write the page of a command, plain, and without the options that all commands have."""
    syntax = known.commands[name]
    command: Any = copy(known.parser(name))
    shared = {option.name for option in syntax.options if option.is_shared}
    command.params = [each for each in command.params if each.name not in shared]
    more = "\nOptions of all commands: help options.\n" if shared else ""
    return page(command, name).replace("  kvcli ", "  ") + more
