"""wasi:keyvalue/watcher, which guests export: they are told of what changes through the host.

A guest cannot be entered while it waits for an import of its own, so it is told once it is done: of all that it wrote, in the
order in which it was written. Of what it writes on being told it is not told: a watcher that writes would have no end.
"""

from __future__ import annotations

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
ON_SET, ON_DELETE = "(own<bucket>, string, list<u8>) -> _", "(own<bucket>, string) -> _"
CHANGES_BYTES_MAX, CHANGE_BYTES = 64 << 20, 500  # Of more, each with what Python adds, a guest is not told.


class Changes:
    """What was written and not told yet."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._noted: list[tuple[Bucket, str, bytes | None]] = []
        self._room = CHANGES_BYTES_MAX
        self._is_told = False

    def note(self, bucket: Bucket, values: Mapping[str, bytes | None]) -> None:
        """Note values that were set, and as None what was deleted."""
        for key, value in values.items():
            self._room -= CHANGE_BYTES + len(key) + len(value or b"")
            if self._room >= 0 and not self._is_told:
                self._noted.append((bucket, key, value))

    def to_tell(self) -> list[tuple[Bucket, str, bytes | None]]:
        """Give all, and note no more."""
        self._is_told = True
        return self._noted


class Watcher:
    """The two functions of a guest's that are called."""

    def __init__(self, exports: Exports) -> None:
        """Find them. Raises MalformedData for a guest that does not export both."""
        self._store = exports.store
        self._on_set, self._on_delete = _found(exports, "on-set", ON_SET), _found(exports, "on-delete", ON_DELETE)

    def tell(self, changes: Changes, link: Link, buckets: Handles[Bucket]) -> None:
        """Call them, once for each change. Raises WasmtimeError for a trap."""
        for bucket, key, value in changes.to_tell():
            number = buckets.add(bucket)
            if value is None:
                link.call(self._on_delete, self._store, [number, key])
            else:
                link.call(self._on_set, self._store, [number, key, value])


def _found(exports: Exports, name: str, kind: str) -> Func:
    function = exports.find(WATCHER, name, kind)
    if function is None:
        raise MalformedData(f"{exports.name} exports no {name} of {WATCHER}: leave --watch out")
    return function
