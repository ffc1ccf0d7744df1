"""kvcli bucket list: the names of all buckets."""

from __future__ import annotations

from kvcli.commands import Table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kvcli.commands.context import Context


def run(context: Context) -> Table:
    """List the buckets in byte order; `@main` is the main database of an environment that another program made."""
    names = context.store_to_read().read(lambda snapshot: snapshot.buckets())
    return Table([{"bucket": name} for name in names])
