"""The grammar of the commands about stores and buckets."""

from __future__ import annotations

from typing import Annotated

import typer

from kvcli.cli.grammar import declare
from kvcli.cli.root import Yes, app, buckets

Name = Annotated[str, typer.Argument(metavar="NAME", show_default=False)]


@declare(app, "stat")
def stat() -> None:
    """Print figures about the store: where, how large, how many keys.

    Examples:
      kvcli stat
      kvcli stat --json

    """


@declare(buckets, "bucket_list")
def list_buckets() -> None:
    """List the buckets, one a line.

    Examples:
      kvcli bucket list

    """


@declare(buckets, "bucket_create", writing=True)
def create(name: Name) -> None:
    """Make a bucket; one that exists is fine.

    Examples:
      kvcli bucket create users

    """


@declare(buckets, "bucket_drop", writing=True)
def drop(name: Name, yes: Yes = False) -> None:
    """Remove a bucket and all its keys; asks first.

    Examples:
      kvcli bucket drop users
      kvcli bucket drop users --yes

    """


@declare(buckets, "bucket_stat")
def stat_bucket(name: Annotated[str | None, typer.Argument(metavar="[NAME]", show_default=False)] = None) -> None:
    """Print keys, bytes and depth of a bucket, or of all.

    Examples:
      kvcli bucket stat
      kvcli bucket stat users --json

    """
