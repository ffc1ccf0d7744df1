"""kvcli cache clear: remove everything that is cached."""

from __future__ import annotations

from kvcli.commands import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kvcli.commands.context import Context


def run(context: Context) -> Record:
    """Remove every entry. Nobody is asked: a cache may lose anything at any time."""
    return Record({"cleared": context.cache(remove=True).clear()})
