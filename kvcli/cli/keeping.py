"""The grammar of the commands that keep a store sound, and copies of it."""

from __future__ import annotations

from typing import Annotated

import typer

from kvcli.cli.grammar import declare
from kvcli.cli.root import Yes, app, configs

File = Annotated[str, typer.Argument(metavar="FILE", show_default=False)]


@declare(app, "backup")
def backup(file: File) -> None:
    """Copy the store to FILE, whole, while others read and write.

    Examples:
      kvcli backup notes.mdb
      kvcli backup "notes-$(date +%F).mdb"
      kvcli list --store notes.mdb

    The copy is looked through and on disk before it takes the name; a store in one file that has the name is replaced in
    one step, and nothing else ever is. It is such a store itself, which every reading command takes. What other programs
    keep in ways that kvcli cannot (several values to a key) is in it, but is for their tools to restore.

    """


@declare(app, "restore", writing=True)
def restore(file: File, yes: Yes = False) -> None:
    """Make the store hold exactly what the backup FILE holds.

    Examples:
      kvcli restore notes.mdb --yes
      kvcli restore notes.mdb --store copy

    All keys that are there now go, in one transaction: who has the store open sees what was before, or the backup. It
    asks first, unless the store is empty.

    """


@declare(app, "check")
def check() -> None:
    """Tell whether the store is sound, and what to do where it is not.

    Examples:
      kvcli check
      kvcli check --store notes.mdb

    Every page of a private copy is looked at (it needs as much room in $TMPDIR), kvcli's own notes, who may read the
    files, and the readers. Damage is exit code 74.

    """


@declare(app, "compact", writing=True)
def compact() -> None:
    """Give back to the disk what the store no longer needs; print its size before and after.

    Examples:
      kvcli compact
      kvcli compact --lock-timeout 60

    Nobody may have the store open meanwhile: it waits for that for --lock-timeout, then exit code 75. What was deleted
    is gone from the disk as well. Tokens from before lose.

    """


@declare(configs, "config_show")
def show(
    origin: Annotated[bool, typer.Option("--origin", help="Say what decided: an option, a variable, a file.")] = False,
) -> None:
    """Print the settings that hold here.

    Examples:
      kvcli config show
      kvcli config show --origin
      kvcli config show --profile work

    """
