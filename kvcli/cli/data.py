"""The grammar of the commands that move much data at once."""

from __future__ import annotations

from typing import Annotated

import typer

from kvcli.cli.grammar import declare
from kvcli.cli.root import app

Source = Annotated[str, typer.Argument(metavar="[FILE|-]", help="A file; stdin, if not said.", show_default=False)]


@declare(app, "batch", writing=True)
def batch(
    file: Source = "-",
    keep_going: Annotated[bool, typer.Option("--keep-going", help="Go on after a failure; then exit code 4.")] = False,
    atomic: Annotated[
        bool, typer.Option("--atomic", help="All in one transaction: everything happens or nothing.")
    ] = False,
    chunk: Annotated[
        int | None,
        typer.Option("--chunk", metavar="N", help="So many operations to a transaction.", show_default=False),
    ] = None,
    results: Annotated[str, typer.Option("--results", metavar="all|errors|none", help="What to answer.")] = "all",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only look whether the input is well formed.")] = False,
) -> None:
    """Run operations from JSON, one object a line (or one array), and answer each in a line.

    Examples:
      echo '{"op":"set","key":"a","value":"1"}' | kvcli batch
      kvcli batch --atomic changes.ndjson
      jq -c '{op:"set",key:.id,value:tojson}' users.ndjson | kvcli batch --results errors

    op is get, set, delete, exists, incr, cas, list, get_many, set_many or delete_many. An answer with "ok":true is on
    disk. Input that pauses is answered at once, so a program can talk to it line by line.

    """
