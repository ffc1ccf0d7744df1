"""Redis, Valkey and what speaks like them, as an engine. The only room that imports their client, and only for such a URL.

What LMDB promises and a server cannot, the class Remote declares; the README tells users of it.
"""

from __future__ import annotations

from kvcli.errors import NoSuchImport

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kvcli.engine import Engine


def open_remote(url: str, *, writable: bool) -> Engine:
    """Give the engine of a URL; nothing is connected yet. Raises InvalidArgument for a URL that is none, NoSuchImport."""
    try:
        import hiredis  # noqa: F401
        import redis  # noqa: F401
    except ImportError as error:
        raise NoSuchImport("a store on a server needs a client: pip install 'kvcli[redis]'") from error
    from kvcli.engine.redis.address import parse
    from kvcli.engine.redis.remote import Remote

    return Remote(parse(url), read_only=not writable)
