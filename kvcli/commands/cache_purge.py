"""kvcli cache purge: remove what has expired."""

from __future__ import annotations

from kvcli.commands import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kvcli.commands.context import Context


def run(context: Context) -> Record:
    """Remove every expired entry now, which writes do by and by."""
    return Record({"purged": context.cache(remove=True).purge()})
