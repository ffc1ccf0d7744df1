"""The greeting: where one is, what is there, and how to go on, in two lines."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from kvcli.cli.screen import escape_line
from kvcli.commands.stat import keys_of
from kvcli.engine import is_remote
from kvcli.errors import KvError
from kvcli.repl.values import size

if TYPE_CHECKING:
    from kvcli.repl.session import Session
    from kvcli.store import Store

FIRST = "Tab completes, help tells what there is, Ctrl-D leaves."


def greeting(session: Session) -> str:
    """Write the two lines. What is wrong with the store is told by the first command that needs it, and here as well."""
    context = session.context()
    try:
        location = context.location
        about = _about(context.store_to_read())
    except KvError as error:
        return f"{escape_line(str(error))}\n{FIRST}"
    finally:
        context.close()
    if not (is_remote(location.path) or os.path.exists(location.path)):
        about = "nothing is there yet: the first set makes it"
    mode = " · read-only" if session.settings.get("read_only") else ""
    return f"{escape_line(location.shown)} · {about}{mode}\n{FIRST}"


def _about(store: Store) -> str:
    names, keys = store.buckets(), store.read(keys_of)
    return f"{_many(len(names), 'bucket')}, {_many(keys, 'key')}, {size(int(store.stat()['bytes']))}"


def _many(count: int, noun: str) -> str:
    return f"{count:,} {noun}" + ("" if count == 1 else "s")
