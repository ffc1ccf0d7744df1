"""kvcli cache stats: figures about the cache."""

from __future__ import annotations

from kvcli.commands import Table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kvcli.commands.context import Context


def run(context: Context, *, max_size: str | None = None) -> Table:
    """Say what the cache holds, and how it fared."""
    cache = context.cache(max_size=max_size)
    return Table([{**cache.stats(), "max_bytes": cache.shelf.cap, "path": cache.shelf.folder}], tall=True)
