"""The grammar of the commands about keys."""

from __future__ import annotations

from typing import Annotated

import typer

from kvcli.cli.grammar import declare
from kvcli.cli.root import Yes, app

Key = Annotated[str, typer.Argument(metavar="KEY", help="1 to 511 bytes.", show_default=False)]
Raw = Annotated[bool, typer.Option("--raw", help="Escape nothing, even on a terminal.")]
OutputFile = Annotated[str | None, typer.Option("--output", "-o", metavar="FILE", help="Write the value to FILE.")]
Value = Annotated[str, typer.Argument(metavar="VALUE|-|@FILE", help="The value; - is stdin.", show_default=False)]
Chomp = Annotated[bool, typer.Option("--chomp", help="Strip one newline from the end of the value.")]
Prefix = Annotated[str | None, typer.Option("--prefix", metavar="P", help="Only keys that start with P.")]


@declare(app, "get")
def get(
    key: Key,
    raw: Raw = False,
    output: OutputFile = None,
    token: Annotated[bool, typer.Option("--token", help="Print the CAS token too, to stderr.")] = False,
) -> None:
    """Print the value of KEY, exactly its bytes.

    Examples:
      kvcli get greeting
      kvcli get photo > photo.jpg
      kvcli get greeting || echo "no greeting"
      kvcli get --json --token greeting

    On a terminal the value is escaped and ends with a newline; elsewhere nothing is added. A missing key is exit code 1.

    """


@declare(app, "set", writing=True, numbers=True)
def set_(
    key: Key,
    value: Value,
    chomp: Chomp = False,
    if_absent: Annotated[
        bool, typer.Option("--if-absent", help="Only if KEY does not exist; else exit code 3.")
    ] = False,
    if_present: Annotated[bool, typer.Option("--if-present", help="Only if KEY exists; else exit code 3.")] = False,
) -> None:
    """Set KEY to VALUE. It is on disk when the command returns.

    Examples:
      kvcli set greeting hello
      kvcli set photo @photo.jpg
      date | kvcli set now - --chomp
      kvcli set lock "$$" --if-absent

    VALUE is taken as it is: - reads stdin, @FILE a file, @@x is the text @x.

    """


@declare(app, "delete", writing=True)
def delete(
    keys: Annotated[list[str] | None, typer.Argument(metavar="[KEY]...", show_default=False)] = None,
    prefix: Annotated[str | None, typer.Option("--prefix", metavar="P", help="Every key that starts with P.")] = None,
    must_exist: Annotated[
        bool, typer.Option("--must-exist", help="Fail, and delete nothing, if a KEY is missing.")
    ] = False,
    yes: Yes = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the keys that would go; delete nothing.")] = False,
) -> None:
    """Delete keys; those that do not exist are fine.

    Examples:
      kvcli delete greeting
      kvcli delete a b c --must-exist
      kvcli delete --prefix session: --dry-run
      kvcli delete --prefix session: --yes

    Keys that are named go in one transaction. A prefix asks first, and goes in transactions of a thousand keys.

    """


@declare(app, "exists")
def exists(key: Key) -> None:
    """Tell by exit code whether KEY exists: 0 yes, 1 no.

    Examples:
      kvcli exists lock && echo locked
      kvcli exists --json lock

    """


@declare(app, "list")
def list_(
    prefix: Prefix = None,
    start: Annotated[str | None, typer.Option("--start", metavar="K", help="From K on.")] = None,
    end: Annotated[str | None, typer.Option("--end", metavar="K", help="Up to K, without K itself.")] = None,
    reverse: Annotated[bool, typer.Option("--reverse", help="The last key first.")] = False,
    limit: Annotated[int | None, typer.Option("--limit", metavar="N", help="At most N keys; then the cursor.")] = None,
    cursor: Annotated[str | None, typer.Option("--cursor", metavar="C", help="Go on after a page.")] = None,
    values: Annotated[bool, typer.Option("--values", help="Print values too, after a tab.")] = False,
    null: Annotated[bool, typer.Option("-0", "--null", help="End keys and values with NUL, for xargs -0.")] = False,
) -> None:
    """List keys in byte order, one a line.

    Examples:
      kvcli list
      kvcli list --prefix user: --values
      kvcli list --limit 100 2> cursor
      kvcli list --limit 100 --cursor "$(cat cursor)"
      kvcli list -0 | xargs -0 -n 1 kvcli get --

    With --limit the cursor of the next page goes to stderr, and with --json into a last line {"cursor":...}. It stays
    valid whatever is written meanwhile.

    """


@declare(app, "incr", writing=True, numbers=True)
def incr(
    key: Key, delta: Annotated[str, typer.Argument(metavar="[DELTA]", help="An integer.", show_default=False)] = "1"
) -> None:
    """Add DELTA, or 1, to the integer at KEY and print the sum.

    Examples:
      kvcli incr visits
      kvcli incr stock -5

    A missing key counts as 0. The value is a decimal integer of 64 bits; anything else is exit code 5, and left alone.

    """


@declare(app, "cas", writing=True, numbers=True)
def cas(
    key: Key,
    words: Annotated[list[str] | None, typer.Argument(metavar="NEW | -- CMD...", show_default=False)] = None,
    expect: Annotated[
        str | None, typer.Option("--expect", metavar="OLD", help="KEY must hold OLD (or -, or @FILE).")
    ] = None,
    expect_absent: Annotated[bool, typer.Option("--expect-absent", help="KEY must not exist.")] = False,
    token: Annotated[
        str | None, typer.Option("--token", metavar="T", help="KEY must be untouched since get --token.")
    ] = None,
    update: Annotated[
        bool, typer.Option("--update", help="Pipe the value through CMD; again if it changed meanwhile.")
    ] = False,
) -> None:
    """Swap the value of KEY for NEW, if nobody changed it meanwhile.

    Examples:
      kvcli cas color red --expect blue
      kvcli cas leader "$HOSTNAME" --expect-absent
      kvcli cas doc @new.json --token "$token"
      kvcli cas doc --update -- jq .visits+=1

    A swap that is lost is exit code 3, and changes nothing; with --json it prints the current value and a fresh token.

    """


@declare(app, "edit", writing=True)
def edit(key: Key) -> None:
    """Change the value of KEY in $VISUAL or $EDITOR.

    Examples:
      kvcli edit note
      EDITOR="code --wait" kvcli edit config

    It is written back if nobody else changed it meanwhile; else that is exit code 3, and what you wrote is kept in a file.
    Editors end a file with a newline; one that the value did not have before is left out again.

    """


@declare(app, "watch", dashes=True)
def watch(
    key: Annotated[str | None, typer.Argument(metavar="[KEY]", show_default=False)] = None,
    words: Annotated[list[str] | None, typer.Argument(metavar="[-- CMD...]", show_default=False)] = None,
    prefix: Prefix = None,
) -> None:
    """Print what changes, as it changes, as JSON lines; Ctrl-C ends it.

    Examples:
      kvcli watch
      kvcli watch --prefix user:
      kvcli watch config -- sh -c 'cat > config.json; reload'

    With CMD, that is run for each change: KVCLI_EVENT is set or delete, KVCLI_KEY the key, and the value is on stdin. Two
    changes of a key within a moment may be told as one.

    """
