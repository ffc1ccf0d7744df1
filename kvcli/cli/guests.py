"""The grammar of the command that runs components."""

from __future__ import annotations

from typing import Annotated

import typer

from kvcli.cli.grammar import declare
from kvcli.cli.keeping import File
from kvcli.cli.root import app


@declare(app, "run", writing=True, takes_command=True)
def run(
    file: File,
    arguments: Annotated[
        list[str] | None, typer.Argument(metavar="[ARG...]", help="Arguments for it.", show_default=False)
    ] = None,
    bucket: Annotated[
        list[str] | None,
        typer.Option("--bucket", "-b", metavar="NAME=BUCKET[:ro]", help="What it calls NAME is BUCKET."),
    ] = None,
    deny: Annotated[
        list[str] | None, typer.Option("--deny", metavar="NAME", help="What it calls NAME is access-denied.")
    ] = None,
    env: Annotated[
        list[str] | None, typer.Option("--env", metavar="NAME[=VALUE]", help="A variable that it sees.")
    ] = None,
    dir: Annotated[
        list[str] | None,
        typer.Option("--dir", metavar="HOST::GUEST[:ro]", help="A folder that it sees as GUEST."),
    ] = None,
    timeout: Annotated[
        str | None, typer.Option("--timeout", metavar="T", help="End it after so long: 500ms, 30s, 10m.")
    ] = None,
    memory: Annotated[
        str | None,
        typer.Option("--memory", metavar="SIZE", help="Let a memory of it, and its tables, grow no larger: 64M."),
    ] = None,
    fuel: Annotated[
        int | None,
        typer.Option("--fuel", metavar="N", min=1, help="Let it run so many instructions, or about that."),
    ] = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="When it is done, tell the watcher that it exports of what it wrote.")
    ] = False,
) -> None:
    """Run a WebAssembly component that imports wasi:keyvalue.

    Examples:
      kvcli run app.wasm
      kvcli run --bucket people=users:ro --env LEVEL=1 app.wasm one two
      kvcli run --timeout 10s --memory 64M app.wasm

    It opens '' and `default`, which are the bucket of --bucket NAME or KVCLI_BUCKET, and what NAME=BUCKET grants. It sees
    no variables, folders or network but those. Its exit code is passed on; a trap is 134, a time-out 124.

    """
