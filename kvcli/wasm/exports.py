"""Exports: the functions of a running guest, by interface, in whatever version that is."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wasmtime import Store
    from wasmtime.component import Component, Func, Instance


class Exports:
    """What an instance exports."""

    __slots__ = ("_instance", "_names", "name", "store")

    def __init__(self, name: str, component: Component, store: Store, instance: Instance) -> None:
        """Hold the instance, whose guest is called `name`."""
        self.name, self.store = name, store
        self._instance = instance
        self._names = [*component.type.exports(store.engine)]

    def find(self, interface: str, function: str) -> Func | None:
        """Find a function, None where there is none."""
        for name in self._names:
            if name.partition("@")[0] == interface:
                outer = self._instance.get_export_index(self.store, name)
                index = self._instance.get_export_index(self.store, function, outer)
                return None if index is None else self._instance.get_func(self.store, index)
        return None
