"""The host: what a guest finds behind its imports of wasi:keyvalue, and the things that it holds handles of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wasmtime.component import ResourceType

from kvcli.wasm import atomics, batch, store
from kvcli.wasm.handles import Handles
from kvcli.wasm.shapes import interfaces

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wasmtime import Engine
    from wasmtime.component import Component, Linker

    from kvcli.atomics import Cas
    from kvcli.store import Bucket
    from kvcli.wasm.border import FastLink
    from kvcli.wasm.grants import Grants
    from kvcli.wasm.watcher import Changes

ROOMS: dict[str, Any] = {"store": store, "atomics": atomics, "batch": batch}
BUCKET, CAS = "bucket", "cas"


class Host:
    """The things of one guest."""

    def __init__(self, grants: Grants, changes: Changes | None = None) -> None:
        """Begin with nothing held. `changes` takes note of what the guest writes."""
        self.grants = grants
        self.changes = changes
        self.buckets: Handles[Bucket] = Handles()
        self.swaps: Handles[Cas] = Handles()
        self._handles: dict[str, Handles[Any]] = {BUCKET: self.buckets, CAS: self.swaps}

    def changed(self, bucket: Bucket, values: Mapping[str, bytes | None]) -> None:
        """Hear of what the guest wrote: values by key, None for what it deleted."""
        if self.changes is not None:
            self.changes.note(bucket, values)

    def number(self, resource: str) -> int:
        """Give the number by which wasmtime knows a resource of the host's."""
        return 1 + list(self._handles).index(resource)

    def define(self, linker: Linker, component: Component, engine: Engine, link_of: type[FastLink]) -> FastLink:
        """Define what a component imports of wasi:keyvalue, each function in the shape that it is imported in.

        What is not known stays undefined, and is missed when the component is instantiated.
        """
        known = [each for each in interfaces(component, engine) if each.name in ROOMS]
        resources = [(ResourceType.host(self.number(name)), self.number(name)) for name in self._handles]
        for interface in known:
            resources += [
                (kind, self.number(name)) for name, kind in interface.resources.items() if name in self._handles
            ]
        link = link_of(resources, store.refuse)
        with linker.root() as root:
            for interface in known:
                room = ROOMS[interface.name]
                functions = room.functions(self, interface.functions)
                with root.add_instance(interface.import_name) as instance:
                    for name in interface.resources.keys() & self._handles.keys():
                        kind, handles = ResourceType.host(self.number(name)), self._handles[name]
                        instance.add_resource(name, kind, lambda _, number, handles=handles: handles.drop(number))
                    for name in interface.functions.keys() & functions.keys():
                        link.define(instance, name, interface.functions[name], functions[name])
        return link
