"""kvcli stat: figures about a store."""

from __future__ import annotations

from kvcli.commands import Table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kvcli.commands.context import Context
    from kvcli.engine.transaction import Snapshot


def run(context: Context) -> Table:
    """Say where the store is, how large, and what is in it."""
    store = context.store_to_read()

    def work(snapshot: Snapshot) -> dict[str, object]:
        names = snapshot.buckets()
        return {"buckets": len(names), "keys": sum(snapshot.count(name) for name in names)}

    return Table([{**store.stat(), **store.read(work), "origin": context.location.origin}], tall=True)
