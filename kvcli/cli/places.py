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


@declare(app, "repl", writing=True)
def repl(
    file: Annotated[
        str, typer.Argument(metavar="[FILE|-]", help="Run the lines of FILE, and end.", show_default=False)
    ] = "-",
) -> None:
    """Type commands and see what they do, with completion, history and transactions.

    Examples:
      kvcli repl
      kvcli repl --bucket users --read-only
      kvcli repl < script
      kvcli repl setup.kv

    Where stdin is no terminal, or a FILE is named, it runs the lines, prints data only, and stops at the first error, with
    its exit code.

    """


@declare(app, "completion")
def completion(shell: Annotated[str, typer.Argument(metavar="bash|zsh|fish", show_default=False)]) -> None:
    """Print the script that completes commands, options, buckets and keys in a shell.

    Examples:
      eval "$(kvcli completion bash)"
      kvcli completion zsh > "${fpath[1]}/_kvcli"
      kvcli completion fish > ~/.config/fish/completions/kvcli.fish

    An installation puts them where shells look by themselves, below its prefix.

    """


@declare(app, "shell_init")
def shell_init(shell: Annotated[str, typer.Argument(metavar="bash|zsh", show_default=False)]) -> None:
    """Print a shell function `kv`: the plain commands, without the time that it takes to start a program.

    Examples:
      eval "$(kvcli shell-init bash)"
      kv set greeting hello
      kv -v text get greeting
      for n in 1 2 3; do kv incr visits; done

    The first call starts a process that answers all of them and ends with the shell. Streams and exit codes are those of
    kvcli; what is not served there is left to it. -v puts what would be printed into a variable, last newlines too.

    """
