"""The guide: kvcli help, with an overview of the commands, their help, and the topics."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from kvcli.cli.declared import about, summaries
from kvcli.cli.grammar import declare
from kvcli.cli.root import app
from kvcli.cli.syntax import meant
from kvcli.commands import Record
from kvcli.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kvcli.cli.output import Output
    from kvcli.commands import Invocation

# The REPL has some of these commands and the command line others, so each passes over what it has not.
GROUPS = {
    "Keys": ("get", "set", "delete", "exists", "list", "incr", "cas", "edit", "watch"),
    "Much at once": ("batch", "export", "import", "copy"),
    "Buckets and the store": ("use", "bucket", "stat", "backup", "restore", "check", "compact"),
    "Cache": ("cache",),
    "Components": ("run",),
    "Transactions": ("begin", "commit", "rollback"),
    "Sessions and settings": (
        *("repl", "format", "timing", "source", "config", "completion", "shell-init", "help", "exit"),
    ),
}
WIDTH = 11
MORE = "kvcli help COMMAND tells more of a command, kvcli help TOPIC of a topic.\n"


def overview(known: dict[str, str], topics: dict[str, str], more: str) -> str:
    """Give all commands in groups, then the topics, each with what it does in a line, and at the end where there is more."""
    placed = {name for names in GROUPS.values() for name in names} | {"quit"}
    groups = {**GROUPS, "Others": tuple(name for name in known if name not in placed)}
    parts = {title: {name: known[name] for name in names if name in known} for title, names in groups.items()}
    parts["Topics"] = topics
    return (
        "\n".join(
            f"{title}\n" + "".join(f"  {name:<{WIDTH}} {about}\n" for name, about in part.items())
            for title, part in parts.items()
            if part
        )
        + "\n"
        + more
    )


@declare(app, "help")
def help_(
    words: Annotated[
        list[str] | None, typer.Argument(metavar="[COMMAND...|TOPIC]", help="What to tell of.", show_default=False)
    ] = None,
) -> None:
    """Tell what there is, what a command does, or about a topic.

    Examples:
      kvcli help
      kvcli help list
      kvcli help bucket drop
      kvcli help exit-codes

    What it tells of a command is what `kvcli COMMAND --help` prints. The topics are those that the overview ends with; one
    that has the name of a command follows its help.

    """


def tell(invocation: Invocation, output: Output) -> int:
    """Print what was asked for, and give the exit code. Raises InvalidArgument for what is neither command nor topic."""
    from kvcli.cli.app import tree, understand
    from kvcli.cli.topics import TOPICS

    words: Any = invocation.arguments.get("words") or []
    output.json = "json" in invocation.settings
    _, text = TOPICS.get(" ".join(words), ("", ""))
    command = _command(tree(), words) if words else None
    if not words:
        text = overview(summaries(tree()), about(), MORE)
    elif command is None and not text:
        raise InvalidArgument(_unknown(tree(), words))
    elif command is not None and not output.json:
        understand([*words, "--help"])  # In boxes, on a terminal.
        text = "\n" * bool(text) + text
    elif command is not None:
        text = page(command, f"kvcli {' '.join(words)}") + text
    return output.show(Record({"help": text}, text.removesuffix("\n").encode() if text else None))


def page(command: Any, name: str) -> str:
    """Let Typer write the help of a command, plain."""
    context = command.context_class(command, info_name=name)
    formatter = context.make_formatter()
    TyperCommand.__mro__[1].format_help(command, context, formatter)  # type: ignore[attr-defined] # Not in boxes.
    text: str = formatter.getvalue()
    return text


def _command(group: Any, words: list[str]) -> Any:
    """Find a command, or a group of them, from its group down; None where words name none."""
    for word in words:
        if word not in getattr(group, "commands", {}):
            return None
        group = group.commands[word]
    return group


def _unknown(root: Any, words: list[str]) -> str:
    """Say that there is no such thing, and what may have been meant."""
    known = [*about()]
    for name in summaries(root):
        known += [name, *[f"{name} {inner}" for inner in summaries(root.commands[name])]]
    name = " ".join(words)
    close = meant(name, known)
    return f"no command and no topic {name!r}; " + (f"did you mean {close!r}?" if close else "kvcli help lists all")
