"""Redis, Valkey and what speaks like them, as an engine. The only room that imports hiredis, and only for such a URL.

What LMDB promises and a server cannot, the class Remote declares; the README tells users of it.
"""

from __future__ import annotations

from kvcli.errors import NoSuchImport

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from kvcli.engine import Engine
    from kvcli.engine.entries import Clock
    from kvcli.engine.redis.remote import Remote
    from kvcli.engine.shelf import Shelf


def open_remote(url: str, *, writable: bool) -> Engine:
    """Give the engine of a URL; nothing is connected yet. Raises InvalidArgument for a URL that is none, NoSuchImport."""
    return _remote(url, writable=writable)


def open_remote_shelf(
    url: str, *, read_only: bool, cap: Callable[[], int], lock_timeout: float, clock: Clock | None
) -> Shelf:
    """Give the shelf of a URL, as open_remote gives its engine."""
    remote = _remote(url, writable=not read_only)
    from kvcli.engine.redis.shelf import RemoteShelf

    return RemoteShelf(remote, cap=cap, lock_timeout=lock_timeout, clock=clock)


def _remote(url: str, *, writable: bool) -> Remote:
    try:
        import hiredis  # noqa: F401
    except ImportError as error:
        raise NoSuchImport("a store on a server needs a client: pip install 'kvcli[redis]'") from error
    from kvcli.engine.redis.address import parse
    from kvcli.engine.redis.remote import Remote

    return Remote(parse(url), read_only=not writable)
