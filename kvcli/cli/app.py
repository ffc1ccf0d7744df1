"""The whole grammar, in Typer's words, and how words become an invocation by it."""

from __future__ import annotations

from functools import cache
from typing import Any

import typer
from typer.main import get_command

# Each module declares its commands when it is loaded.
from kvcli.cli import caching, data, guests, guide, keeping, keys, places
from kvcli.cli.root import UsageError, app
from kvcli.commands import Invocation
from kvcli.errors import InvalidArgument

__all__ = ["app", "caching", "data", "guests", "guide", "keeping", "keys", "places", "understand"]


@cache
def tree() -> Any:
    """Give the grammar as a tree of commands. It takes Typer ten milliseconds to make one of declarations."""
    return get_command(app)


def understand(words: list[str], name: str = "kvcli", grammar: Any = None) -> Invocation | int:
    """Parse words as Typer does; an exit code where it has done all there was to do. Raises InvalidArgument."""
    try:
        answer = (grammar or tree())(args=words, prog_name=name, standalone_mode=False)
    except typer.Abort as error:
        raise KeyboardInterrupt from error
    except UsageError as error:
        path = error.ctx.command_path if error.ctx is not None else name
        raise InvalidArgument(f"{error.format_message().rstrip('.')} (see {f'{path} --help'.strip()})") from error
    return answer if isinstance(answer, Invocation) else int(answer or 0)
