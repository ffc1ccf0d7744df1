"""The guide: kvcli help, with an overview of the commands, their help, and the topics."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from kvcli.cli.declared import summaries
from kvcli.cli.grammar import help_of
from kvcli.cli.root import UsageError, app
from kvcli.cli.syntax import meant

# The REPL has some of these commands and the command line others, so each passes over what it has not.
GROUPS = {
    "Keys": ("get", "set", "delete", "exists", "list", "incr", "cas", "edit", "watch"),
    "Much at once": ("batch", "export", "import"),
    "Buckets and the store": ("use", "bucket", "stat", "backup", "restore", "check", "compact"),
    "Cache": ("cache",),
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


def topics() -> dict[str, str]:
    """Give the topics, each with what it is about in a line."""
    from kvcli.cli.topics import TOPICS

    return {name: summary for name, (summary, _) in TOPICS.items()}


def help_(
    ctx: typer.Context,
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
    from kvcli.cli.app import understand
    from kvcli.cli.topics import TOPICS

    root: Any = ctx.find_root().command
    _, topic = TOPICS.get(" ".join(words or []), ("", ""))
    is_command = bool(words) and _is_command(root, words or [])
    if not words:
        typer.echo(overview(summaries(root), topics(), MORE), nl=False)
    elif not is_command and not topic:
        raise UsageError(_unknown(root, words), ctx=ctx)
    elif is_command:
        understand([*words, "--help"])
    typer.echo("\n" * bool(is_command and topic) + topic, nl=False)


def _is_command(group: Any, words: list[str]) -> bool:
    """Tell whether words name a command, or a group of them, from its group down."""
    for word in words:
        if word not in getattr(group, "commands", {}):
            return False
        group = group.commands[word]
    return True


def _unknown(root: Any, words: list[str]) -> str:
    """Say that there is no such thing, and what may have been meant."""
    known = [*topics()]
    for name in summaries(root):
        known += [name, *[f"{name} {inner}" for inner in summaries(root.commands[name])]]
    name = " ".join(words)
    close = meant(name, known)
    return f"no command and no topic {name!r}; " + (f"did you mean {close!r}?" if close else "kvcli help lists all")


help_.__doc__ = help_of(help_)
app.command("help")(help_)
