"""kvcli cache delete: remove entries."""

from __future__ import annotations

from kvcli.commands import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kvcli.commands.context import Context


def run(context: Context, keys: list[str]) -> Record:
    """Remove the values of `keys`; absent ones are fine (cache.wit, `delete`)."""
    return Record({"deleted": context.cache(remove=True).delete_many(keys)})
