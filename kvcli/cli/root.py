"""The root of the grammar: what stands before a command."""

from __future__ import annotations

import os
import sys
from typing import Annotated, Any

import typer

from kvcli.cli import is_interactive, version
from kvcli.cli.grammar import (
    WRITING,
    Adopt,
    BucketName,
    Create,
    Durability,
    Json,
    LockTimeout,
    Profile,
    ReadOnly,
    Store,
    help_of,
    said,
)
from kvcli.commands import Invocation

UsageError: Any = typer.BadParameter.__bases__[0]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def _markup() -> Any:
    if os.environ.get("FORCE_COLOR"):
        return "rich"
    plain = not sys.stdout or not sys.stdout.isatty() or os.environ.get("TERM") == "dumb" or os.environ.get("NO_COLOR")
    return None if plain else "rich"


app = typer.Typer(
    name="kvcli",
    add_completion=False,
    rich_markup_mode=_markup(),
    context_settings={"help_option_names": ["-h", "--help"]},
    no_args_is_help=False,
)
buckets = typer.Typer(help="List, create, drop and measure buckets.", rich_markup_mode=_markup(), no_args_is_help=False)
app.add_typer(buckets, name="bucket")
caches = typer.Typer(
    help="Keep values for a time, and what commands print.", rich_markup_mode=_markup(), no_args_is_help=False
)
app.add_typer(caches, name="cache")
configs = typer.Typer(help="Show the settings.", rich_markup_mode=_markup(), no_args_is_help=False)
app.add_typer(configs, name="config")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(version())
        raise typer.Exit


def root(
    ctx: typer.Context,
    store: Store = None,
    profile: Profile = None,
    bucket: BucketName = None,
    json: Json = False,
    read_only: ReadOnly = False,
    lock_timeout: LockTimeout = None,
    create: Create = False,
    adopt: Adopt = False,
    durability: Durability = None,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> Invocation | None:
    """Keep keys and values in a folder.

    Examples:
      kvcli set greeting hello
      kvcli get greeting
      kvcli incr visits
      kvcli list --prefix user:
      kvcli

    Without a command, on a terminal, it is a REPL, as with `kvcli repl`.
    The options below may also stand after the command.

    """
    del version
    values = (store, profile, bucket, json, read_only, lock_timeout, create, adopt, durability)
    ctx.obj = said(dict(zip(WRITING, values, strict=True)))
    if ctx.invoked_subcommand is None:
        if not is_interactive():
            raise UsageError("Missing command", ctx=ctx)
        return Invocation("repl", {}, ctx.obj)
    return None


root.__doc__ = help_of(root)
app.callback(invoke_without_command=True)(root)
