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


Format = Annotated[
    str | None,
    typer.Option("--format", metavar="ndjson|csv|dump", help="dump is that of mdb_dump.", show_default=False),
]


@declare(app, "export")
def export(
    format: Annotated[
        str, typer.Option("--format", metavar="ndjson|csv|dump", help="dump is for mdb_load.")
    ] = "ndjson",
    prefix: Annotated[str | None, typer.Option("--prefix", metavar="P", help="Only keys that start with P.")] = None,
    key: Annotated[str, typer.Option("--key", metavar="NAME", help="What to call the column of keys.")] = "key",
    value: Annotated[str, typer.Option("--value", metavar="NAME", help="And that of values.")] = "value",
    base64: Annotated[bool, typer.Option("--base64", help="Columns in base64, for bytes that are no text.")] = False,
) -> None:
    """Print all keys and values of a bucket in a form that import, batch or other programs read.

    Examples:
      kvcli export > backup.ndjson
      kvcli export --prefix user: --format csv
      kvcli export --format dump | mdb_load -s default folder

    """


@declare(app, "import_", writing=True)
def import_(
    file: Source = "-",
    format: Format = None,
    key: Annotated[
        str | None,
        typer.Option("--key", metavar="FIELD", help="The field or column that is the key.", show_default=False),
    ] = None,
    value: Annotated[
        str | None, typer.Option("--value", metavar="FIELD", help="And the value; else the record.", show_default=False)
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Leave out what an interrupted import has set.")] = False,
) -> None:
    """Set keys and values from NDJSON, CSV, or what mdb_dump printed.

    Examples:
      kvcli import backup.ndjson
      kvcli import users.ndjson --key id
      kvcli import prices.csv --key article --value price
      mdb_dump -s default folder | kvcli import --format dump

    Without --format, the name and the first bytes of FILE tell it. A bad record is exit code 65, and those before it stay.

    """


@declare(app, "copy", writing=True, without=("store", "profile", "create"))
def copy(
    source: Annotated[str, typer.Argument(metavar="SRC", help="A store, or spin:FILE.", show_default=False)],
    target: Annotated[str, typer.Argument(metavar="DST", help="A store, or spin:FILE.", show_default=False)],
    bucket: Annotated[
        list[str] | None,
        typer.Option(
            "--bucket",
            "-b",
            metavar="NAME[=BUCKET]",
            help="Only this bucket, into BUCKET; KVCLI_BUCKET does not count.",
        ),
    ] = None,
    if_absent: Annotated[bool, typer.Option("--if-absent", help="Leave keys alone that DST has already.")] = False,
    counter: Annotated[
        list[str] | None,
        typer.Option("--counter", metavar="KEY", help="This is a counter, which Spin keeps in another way."),
    ] = None,
    counter_prefix: Annotated[
        list[str] | None, typer.Option("--counter-prefix", metavar="P", help="And so are all keys that start with P.")
    ] = None,
) -> None:
    """Copy all keys and values, bucket by bucket, from one store into another.

    Examples:
      kvcli copy notes notes-copy
      kvcli copy spin:.spin/sqlite_key_value.db notes --counter visits
      kvcli copy notes spin:exported.db --bucket default --bucket users=people

    A store is what --store takes; spin:FILE is the file in which Spin keeps its key-value stores, each a bucket here. DST
    and its buckets are made; a key that is there is overwritten, and one that only DST has stays. It counts what was
    copied, what was the same already, what --if-absent kept, and what DST cannot take: the first of those is named, exit
    code 65. If it was interrupted, run it again: only what is missing is written. Caches are not copied.

    """
