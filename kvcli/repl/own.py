"""The commands that only a REPL has, in Typer's words: their signatures and their help. What they do is in session.py."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kvcli.cli.grammar import help_of, unshield
from kvcli.commands import Invocation

if TYPE_CHECKING:
    from collections.abc import Callable

app = typer.Typer(add_completion=False, rich_markup_mode=None, no_args_is_help=False)


def own(declared: Callable[..., Any]) -> Callable[..., Any]:
    """Declare a command by a function that gives its arguments."""
    name = declared.__name__.removesuffix("_")

    def understood(**values: Any) -> Invocation:
        return Invocation(name, declared(**{each: unshield(value) for each, value in values.items()}) or {}, {})

    understood.__signature__ = inspect.signature(declared, eval_str=True)  # type: ignore[attr-defined]
    understood.__doc__ = help_of(declared)
    app.command(name)(understood)
    return declared


@own
def use(bucket: Annotated[str, typer.Argument(metavar="BUCKET", show_default=False)]) -> dict[str, object]:
    """Choose the bucket of the commands that follow.

    Examples:
      use users
      use default

    """
    return {"bucket": bucket}


@own
def begin() -> None:
    """Begin a transaction: what follows is written by commit, all of it or nothing.

    Examples:
      begin

    Nothing is locked meanwhile, and nobody else sees it. Reads see it. If others change a key meanwhile that was read or
    written here, the commit is a conflict, and writes nothing; what list shows does not count. The cache is not part of it.

    """


@own
def commit() -> None:
    """Write what was done since begin, in one transaction.

    Examples:
      commit

    """


@own
def rollback() -> None:
    """Forget what was done since begin.

    Examples:
      rollback

    """


@own
def format_(
    how: Annotated[str, typer.Argument(metavar="[table|json|raw]", help="How to print.", show_default=False)] = "",
) -> dict[str, object]:
    """Choose how answers are printed, or tell how they are.

    Examples:
      format json
      format table

    table lays values out by what they are, json prints an object a line, raw the text alone. A pipe or a file gets the
    bytes themselves, or JSON.

    """
    return {"how": how}


@own
def timing(
    state: Annotated[str, typer.Argument(metavar="[on|off]", help="On or off.", show_default=False)] = "",
) -> dict[str, object]:
    """Print after each command how long it took, or stop that.

    Examples:
      timing on

    """
    return {"state": state}


@own
def source(file: Annotated[str, typer.Argument(metavar="FILE", show_default=False)]) -> dict[str, object]:
    """Run the lines of FILE, up to the first error.

    Examples:
      source setup.kv

    """
    return {"file": file}


@own
def help_(
    words: Annotated[list[str] | None, typer.Argument(metavar="[COMMAND...|TOPIC]", show_default=False)] = None,
) -> dict[str, object]:
    """Tell what there is, or what a command does; also about syntax, keys, options and more.

    Examples:
      help
      help list
      help syntax
      help keys
      help json

    """
    return {"words": words or []}


@own
def exit_() -> None:
    """Leave. Ctrl-D does too.

    Examples:
      exit

    """


@own
def quit_() -> None:
    """Leave, as exit does.

    Examples:
      quit

    """
