"""Exports: the functions of a running guest, by interface, in whatever version that is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kvcli.wasm.shapes import signature

if TYPE_CHECKING:
    from wasmtime import Store
    from wasmtime.component import Component, Func, Instance

    from kvcli.wasm.shapes import Names


class Exports:
    """What an instance exports."""

    __slots__ = ("_instance", "_names", "_resources", "name", "store")

    def __init__(self, name: str, component: Component, store: Store, instance: Instance, resources: Names) -> None:
        """Hold the instance, whose guest is called `name`; `resources` are those that have names in types."""
        self.name, self.store = name, store
        self._instance, self._resources = instance, resources
        self._names = [*component.type.exports(store.engine)]

    def find(self, interface: str, function: str, kind: str) -> Func | None:
        """Find a function of a type, None where there is none."""
        for name in self._names:
            if name.partition("@")[0] == interface:
                outer = self._instance.get_export_index(self.store, name)
                index = self._instance.get_export_index(self.store, function, outer)
                found = None if index is None else self._instance.get_func(self.store, index)
                if found is not None and signature(found.type(self.store), self._resources) == kind:
                    return found
        return None
