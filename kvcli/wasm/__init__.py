"""Components: a host of wasi:keyvalue for WebAssembly, over the buckets of a store. It needs the extra `wasm`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from kvcli.errors import NoSuchImport

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from kvcli.cache import Cache
    from kvcli.store import Bucket
    from kvcli.wasm.sandbox import Folder

__all__ = ["run"]


def run(
    component: str | os.PathLike[str],
    words: Sequence[str] = (),
    *,
    buckets: Mapping[str, Bucket],
    denied: Collection[str] = (),
    cache: Callable[[], Cache] | None = None,
    variables: Mapping[str, str] | None = None,
    folders: Sequence[Folder] = (),
    stdin: bool = True,
    timeout: float | None = None,
    memory: int | None = None,
    fuel: int | None = None,
    compiled: str | None = None,
    watch: bool = False,
) -> int:
    """Run the component in the file `component`, with `words` as its arguments, and give its exit code.

    `buckets` are those that it may open, by the identifier it uses; an identifier of `denied` is access-denied to it, any
    other no-such-store. `cache` opens the cache that it may use. It sees `variables`, `folders`, stdout and stderr, and stdin
    unless that is False. It may run for `timeout` seconds, take `memory` bytes, and burn `fuel`, a unit for most instructions.
    `compiled` is a folder of mode 0700 to keep machine code in. With `watch`, the watcher that the component exports is told
    of what it wrote, when it is done; of what it writes then it is not.
    Raises InvalidArgument for words that are no UTF-8, NoSuchImport, also without the extra `wasm`, OSError for the file,
    MalformedData for what is no component, NoSuchFile for a folder, GuestTrapped, GuestTimedOut.
    """
    require()
    from kvcli.wasm.grants import Grants
    from kvcli.wasm.guest import Guest
    from kvcli.wasm.host import Host
    from kvcli.wasm.limits import Limits
    from kvcli.wasm.sandbox import Sandbox
    from kvcli.wasm.watcher import Changes

    name = os.path.basename(os.fsencode(component)).decode("utf-8", "replace")
    sandbox = Sandbox([name, *words], variables, folders, stdin=stdin)
    with open(component, "rb") as file:
        guest = Guest(name, file.read(), Limits(timeout, memory, fuel), compiled)
    return guest.run(Host(Grants(buckets, denied), Changes() if watch else None, cache), sandbox)


def require() -> None:
    """Raise NoSuchImport unless wasmtime can be imported."""
    try:
        import wasmtime  # noqa: F401
    except ImportError as error:
        raise NoSuchImport("running a component needs wasmtime: pip install 'kvcli[wasm]'") from error
