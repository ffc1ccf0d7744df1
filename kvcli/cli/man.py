"""Man pages, made of what was declared: `python -m kvcli.cli.man man` writes them all into a folder."""

from __future__ import annotations

import os
import sys

from kvcli import __version__
from kvcli.cli.declared import Declared, commands, option
from kvcli.cli.roff import bold, filled, italic, item, kept, plain, section
from kvcli.cli.surroundings import FILES, VARIABLES
from kvcli.cli.syntax import Option
from kvcli.cli.topics import TEXTS, is_kept
from kvcli.errors import EXIT_CODES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from kvcli.cli.surroundings import Surrounding

DATE = "2026-11-21"  # Not that of the day: the same declarations make the same pages.
SECTIONS = {"exit-codes": "EXIT STATUS", "environment": "ENVIRONMENT"}  # Of topics, where man pages call them so.


def pages() -> dict[str, str]:
    """Give all pages by the names of their files."""
    from kvcli.cli.app import tree

    known = list(commands(tree()))
    asking = option(_help(tree()))
    return {f"{title(each.name)}.1": page(each, asking, known) for each in known} | {"kv.1": ".so man1/kvcli.1\n"}


def title(name: str) -> str:
    """Give the name of the page of a command."""
    return "-".join(["kvcli", *name.split()])


def page(syntax: Declared, asking: Option, known: list[Declared]) -> str:
    """Write the page of a command, of a group, or of kvcli itself. `asking` is the option for help, `known` all pages."""
    head = f'.TH {plain(title(syntax.name).upper())} 1 {DATE} "kvcli {__version__}" "User Commands"\n.nh\n.ad l'
    parts = [
        head,
        section("NAME", filled(rf"{plain(title(syntax.name))} \- {plain(syntax.summary.rstrip('.'))}")),
        section("SYNOPSIS", synopsis(syntax)),
        section("DESCRIPTION", *[filled(plain(each)) for each in syntax.description], *arguments(syntax)),
        *([section("COMMANDS", *inner(syntax))] if syntax.inner else []),
        section("OPTIONS", *options(syntax, asking)),
        section("EXAMPLES", kept(examples(syntax, known))),
        *[topic(name) for name in TEXTS if name not in SECTIONS and syntax.name in {"", name}],
        *ending(syntax),
        section("SEE ALSO", filled(", ".join(rf"{bold(each)}(1)" for each in related(syntax, known)))),
    ]
    return "\n".join(parts) + "\n"


def synopsis(syntax: Declared) -> str:
    """Write what may be typed."""
    words = [each.metavar for each in syntax.arguments]
    if syntax.inner:
        words = ["COMMAND", "[ARG]..."] if syntax.name else ["[COMMAND [ARG]...]"]
    return filled(" ".join([bold(f"kvcli {syntax.name}".rstrip()), f"[{italic('OPTION')}]...", *map(italic, words)]))


def arguments(syntax: Declared) -> list[str]:
    """Tell of the arguments of which there is something to tell."""
    return [item(italic(each.metavar), each.help) for each in syntax.arguments if each.help]


def inner(syntax: Declared) -> list[str]:
    """Tell of the commands of a group, or of all."""
    return [item(bold(f"{syntax.name} {name}".lstrip()), summary) for name, summary in syntax.inner.items()]


def options(syntax: Declared, asking: Option) -> list[str]:
    """Tell of the options, a command's own ones first."""
    own = [_option(each) for each in syntax.options if not each.is_shared]
    shared = [_option(each) for each in [*[each for each in syntax.options if each.is_shared], asking]]
    return [*own, section("Shared options", *shared, level="SS")] if len(shared) > 1 else [*own, *shared]


def examples(syntax: Declared, known: list[Declared]) -> list[str]:
    """Give a command's examples, and for a group the first one of each of its commands."""
    of_group = [each.examples[0] for each in known if each.name.startswith(f"{syntax.name} ") and each.examples]
    return syntax.examples or of_group


def topic(name: str) -> str:
    """Give a topic as a section."""
    blocks = TEXTS[name][1].rstrip().split("\n\n")
    written = [
        kept([line[2:] for line in block.split("\n")]) if is_kept(block) else filled(plain(block)) for block in blocks
    ]
    return section(SECTIONS.get(name, name.upper()), *written)


def ending(syntax: Declared) -> list[str]:
    """Give what every page ends with; that of kvcli itself has the topics instead, which say more."""
    files = section("FILES", *concerning(FILES, syntax))
    if not syntax.name:
        return [topic("exit-codes"), topic("environment"), files]
    codes = [item(bold(str(code)), meaning) for code, meaning in EXIT_CODES.items()]
    return [
        section("EXIT STATUS", *codes),
        section("ENVIRONMENT", *concerning(VARIABLES, syntax)),
        files,
    ]


def concerning(surroundings: Iterable[Surrounding], syntax: Declared) -> list[str]:
    """Tell of the variables or files that a command has to do with."""
    found = [item(bold(each.name), each.text) for each in surroundings if each.concerns(syntax)]
    return found or ["None of its own."]


def related(syntax: Declared, known: list[Declared]) -> list[str]:
    """Name the pages to read next: kvcli's, that of the group, and those beside or inside of it."""
    group = syntax.name if syntax.inner else syntax.name.rpartition(" ")[0]
    names = [each.name for each in known if each.name.rpartition(" ")[0] == group or each.name == group]
    return [title(name) for name in dict.fromkeys(["", *names]) if name != syntax.name]


def _option(each: Option) -> str:
    names = ", ".join(bold(name) for name in sorted(each.names, key=len))
    return item(names + (f" {italic(each.metavar)}" if each.metavar else ""), each.help)


def _help(root: Any) -> Any:
    """Give the option that Typer itself adds to each command."""
    return root.get_help_option(root.context_class(root, **root.context_settings))


def write(folder: str) -> None:
    """Write all pages. Those of commands that are gone are for git to remove; a test finds them."""
    os.makedirs(folder, exist_ok=True)
    for name, text in pages().items():
        with open(os.path.join(folder, name), "w", encoding="ascii") as file:
            file.write(text)


if __name__ == "__main__":
    write(sys.argv[1])
