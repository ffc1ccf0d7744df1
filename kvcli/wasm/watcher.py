"""wasi:keyvalue/watcher, which guests export: they are told of what changes through the host.

A guest cannot be entered while it waits for an import of its own, so it is told once it is back: of all that it wrote, in the
order in which it was written, and then of what it writes on being told.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from kvcli.errors import MalformedData

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wasmtime.component import Func

    from kvcli.store import Bucket
    from kvcli.wasm.border import Link
    from kvcli.wasm.exports import Exports
    from kvcli.wasm.handles import Handles

WATCHER = "wasi:keyvalue/watcher"
CHANGES_MAX = 100_000  # That wait: of more than these a guest is not told.


class Changes:
    """What was written and not told yet."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.waiting: deque[tuple[Bucket, str, bytes | None]] = deque()

    def note(self, bucket: Bucket, values: Mapping[str, bytes | None]) -> None:
        """Note values that were set, and as None what was deleted."""
        for key, value in values.items():
            if len(self.waiting) < CHANGES_MAX:
                self.waiting.append((bucket, key, value))


class Watcher:
    """The two functions of a guest's that are called."""

    def __init__(self, exports: Exports, changes: Changes) -> None:
        """Find them. Raises MalformedData for a guest that does not export both."""
        self._exports, self._changes = exports, changes
        self._on_set, self._on_delete = self._found("on-set"), self._found("on-delete")

    def tell(self, link: Link, buckets: Handles[Bucket]) -> None:
        """Call them until nothing waits to be told. Raises WasmtimeError for a trap."""
        while self._changes.waiting:
            bucket, key, value = self._changes.waiting.popleft()
            number = buckets.add(bucket)
            if value is None:
                link.call(self._on_delete, self._exports.store, [number, key])
            else:
                link.call(self._on_set, self._exports.store, [number, key, value])

    def _found(self, name: str) -> Func:
        function = self._exports.find(WATCHER, name)
        if function is None:
            raise MalformedData(f"{self._exports.name} exports no {name} of {WATCHER}: leave --watch out")
        return function
