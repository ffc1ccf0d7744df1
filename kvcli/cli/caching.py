"""The grammar of the commands about the cache."""

from __future__ import annotations

from typing import Annotated

import typer

from kvcli.cli.grammar import declare
from kvcli.cli.keys import Chomp, Key, OutputFile, Raw, Value
from kvcli.cli.root import caches

Command = Annotated[
    list[str] | None, typer.Argument(metavar="-- CMD...", help="A command and its words.", show_default=False)
]
Ttl = Annotated[
    str | None,
    typer.Option("--ttl", metavar="T", help="Keep it so long: 500ms, 30s, 10m, 1h30m or milliseconds. Else, for good."),
]
Timeout = Annotated[
    str | None,
    typer.Option("--timeout", metavar="T", help="Wait so long for others to run CMD; then run it as well."),
]
MaxSize = Annotated[
    str | None,
    typer.Option("--max-size", metavar="SIZE", help="The cap: 64M, 1G. (Or KVCLI_CACHE_MAX_SIZE.) Else 256M."),
]


@declare(caches, "cache_get")
def get(
    key: Key,
    raw: Raw = False,
    output: OutputFile = None,
) -> None:
    """Print the value that was set for KEY, within its time to live.

    Examples:
      kvcli cache get weather || echo "not cached"

    """


@declare(caches, "cache_set", numbers=True)
def set_(
    key: Key,
    value: Value,
    ttl: Ttl = None,
    chomp: Chomp = False,
    max_size: MaxSize = None,
) -> None:
    """Set KEY to VALUE for a time.

    Examples:
      kvcli cache set weather sunny --ttl 10m
      curl -s https://example.org | kvcli cache set page - --ttl 1h

    A cache may lose anything at any time, and does so when the machine starts anew. Where it reaches its cap, the entries
    that were stored first go first.

    """


@declare(caches, "cache_exists")
def exists(key: Key) -> None:
    """Tell by exit code whether a value is cached for KEY: 0 yes, 1 no.

    Examples:
      kvcli cache exists weather && echo cached

    """


@declare(caches, "cache_delete")
def delete(keys: Annotated[list[str], typer.Argument(metavar="KEY...", show_default=False)]) -> None:
    """Remove entries; those that are not there are fine.

    Examples:
      kvcli cache delete weather

    """


@declare(caches, "cache_get_or_set")
def get_or_set(
    key: Key,
    words: Command = None,
    ttl: Ttl = None,
    timeout: Timeout = None,
    max_size: MaxSize = None,
) -> None:
    """Print the value of KEY; if there is none, what CMD prints, and keep that.

    Examples:
      kvcli cache get-or-set weather --ttl 10m -- curl -s https://wttr.in

    Of many callers at the same moment one runs CMD, and the others wait and print the same. If CMD fails nothing is kept,
    its exit code is that of the one who ran it, and the next one runs it.

    """


@declare(caches, "cache_run", takes_command=True)
def run(
    words: Command = None,
    ttl: Ttl = None,
    stale: Annotated[
        str | None,
        typer.Option("--stale", metavar="T", help="From this age on, replay it and refresh it in the background."),
    ] = None,
    discard_failures: Annotated[bool, typer.Option("--discard-failures", help="Keep nothing where CMD fails.")] = False,
    env: Annotated[
        list[str] | None, typer.Option("--env", metavar="NAME", help="The output depends on this variable.")
    ] = None,
    cwd: Annotated[bool, typer.Option("--cwd", help="The output depends on the current folder.")] = False,
    modtime: Annotated[
        list[str] | None, typer.Option("--modtime", metavar="FILE", help="The output depends on this file's time.")
    ] = None,
    scope: Annotated[
        str | None, typer.Option("--scope", metavar="NAME", help="Apart from other scopes. (Or KVCLI_CACHE_SCOPE.)")
    ] = None,
    max_size: MaxSize = None,
    timeout: Timeout = None,
    force: Annotated[bool, typer.Option("--force", help="Run CMD, whatever there is.")] = False,
    warm: Annotated[bool, typer.Option("--warm", help="Run CMD in the background, and print nothing.")] = False,
    refresh: Annotated[
        bool, typer.Option("--refresh", help="Run CMD unless somebody does: what --warm and --stale start.")
    ] = False,
) -> None:
    """Run CMD, or replay what it printed when it was run last: stdout, stderr and exit code.

    Examples:
      kvcli cache run --ttl 1h -- gh api user
      kvcli cache run --ttl 1d --stale 10m --cwd -- git log --oneline
      kvcli cache run --modtime Cargo.lock -- cargo metadata

    A command is known by its words, and by what --env, --cwd, --modtime and --scope add. Of many callers at the same
    moment one runs it. KVCLI_CACHE_TTL stands in for --ttl. Nothing that is wrong with the cache makes CMD fail.

    """


@declare(caches, "cache_stats")
def stats(max_size: MaxSize = None) -> None:
    """Print figures: entries, bytes, hits, misses, evictions, the oldest, the next to expire.

    Examples:
      kvcli cache stats
      kvcli cache stats --json

    """


@declare(caches, "cache_purge")
def purge() -> None:
    """Remove all expired entries now; writes do that anyway, a few each.

    Examples:
      kvcli cache purge

    """


@declare(caches, "cache_clear")
def clear() -> None:
    """Remove all entries.

    Examples:
      kvcli cache clear

    """
