"""The host: what a guest finds behind its imports of wasi:keyvalue, and the things that it holds handles of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wasmtime.component import ResourceType

from kvcli.wasm import atomics, batch, store
from kvcli.wasm.handles import Handles
from kvcli.wasm.pollables import Pollables
from kvcli.wasm.shapes import FUTURES, interfaces, types_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from wasmtime import Engine, Store
    from wasmtime.component import Component, Linker, LinkerInstance

    from kvcli.atomics import Cas
    from kvcli.cache import Cache, Vacancy
    from kvcli.store import Bucket
    from kvcli.wasm.border import Link
    from kvcli.wasm.border.link import Function
    from kvcli.wasm.cache import Future, Outgoing
    from kvcli.wasm.grants import Grants
    from kvcli.wasm.shapes import Interface, Types
    from kvcli.wasm.watcher import Changes


def cached(room: str) -> Callable[[Host, Types], dict[str, Function]]:
    """Give what makes the functions of a part of the older text, whose room is loaded only for a guest that imports it."""

    def functions(host: Host, types: Types) -> dict[str, Function]:
        from kvcli.wasm import cache

        made: dict[str, Function] = getattr(cache, room)(host, types)
        return made

    return functions


INTERFACES: dict[str, Callable[[Host, Types], dict[str, Function]]] = {
    "store": store.functions,
    "atomics": atomics.functions,
    "batch": batch.functions,
    "cache": cached("functions"),
    "types": cached("values"),
    "wasi-keyvalue-error": cached("errors"),
}


class Host:
    """The things of one guest."""

    def __init__(
        self, grants: Grants, changes: Changes | None = None, cache: Callable[[], Cache] | None = None
    ) -> None:
        """Begin with nothing held. `changes` takes note of what the guest writes; `cache` opens the one for it."""
        self.grants, self.changes, self.cache = grants, changes, cache
        self.buckets: Handles[Bucket] = Handles()
        self.swaps: Handles[Cas] = Handles(weigh=lambda each: len(each.current() or b""))
        self.errors: Handles[str] = Handles()
        self.incoming: Handles[bytes] = Handles(weigh=len)
        self.outgoing: Handles[Outgoing] = Handles(lambda each: each.drop(), lambda each: len(each.value))
        self.futures: Handles[Future] = Handles(lambda each: each.drop(), lambda each: each.size)
        self.vacancies: Handles[Vacancy | None] = Handles(lambda each: None if each is None else each.drop())
        self._handles: dict[str, Handles[Any]] = {
            "bucket": self.buckets,
            "cas": self.swaps,
            "error": self.errors,
            "incoming-value": self.incoming,
            "outgoing-value": self.outgoing,
            "vacancy": self.vacancies,
            **dict.fromkeys(FUTURES, self.futures),
        }
        self.names: list[tuple[ResourceType, str]] = []  # The resources, as the types of the component have them.
        self._pollables: Pollables | None = None
        self.pollable: Callable[[], Any] = lambda: None

    def changed(self, bucket: Bucket, values: Mapping[str, bytes | None]) -> None:
        """Hear of what the guest wrote: values by key, None for what it deleted."""
        if self.changes is not None:
            self.changes.note(bucket, values)

    def define(
        self,
        linker: Linker,
        component: Component,
        engine: Engine,
        link_of: type[Link],
        load: Callable[[bytes], Component],
    ) -> Link:
        """Define what a component imports of wasi:keyvalue, each function in the shape that it is imported in.

        What is not known stays undefined, and is missed when the component is instantiated. `load` compiles a component.
        """
        known = [each for each in interfaces(component, engine) if each.name in INTERFACES]
        kinds = {name: ResourceType.host(number) for number, name in enumerate(self._handles, 1)}
        numbers = {name: number for number, name in enumerate(kinds, 1)}
        self.names = [(kind, name) for name, kind in kinds.items()]
        for interface in known:
            self.names += [(kind, name) for name, kind in interface.resources.items() if name in numbers]
        if any(interface.resources.keys() - numbers.keys() for interface in known):
            self._pollables = Pollables(engine, load)
            kinds |= self._pollables.kinds()
        link = link_of([(kind, numbers[name]) for kind, name in self.names], store.refuse)
        with linker.root() as root:
            for interface in known:
                with root.add_instance(interface.import_name) as instance:
                    self._define(instance, interface, kinds, types_of(interface.functions, self.names), link)
        return link

    def enter(self, guest: Store) -> None:
        """Make ready what has to be in the store of the guest."""
        if self._pollables is not None:
            self.pollable = self._pollables.source(guest)

    def close(self) -> None:
        """Drop what the guest still holds: somebody may wait for a vacancy of it."""
        for handles in self._handles.values():
            handles.close()

    def _define(
        self, instance: LinkerInstance, interface: Interface, kinds: dict[str, ResourceType], types: Types, link: Link
    ) -> None:
        for name in interface.resources.keys() & kinds.keys():
            handles = self._handles.get(name)
            leave = (lambda _, __: None) if handles is None else (lambda _, number, drop=handles.drop: drop(number))
            instance.add_resource(name, kinds[name], leave)
        functions = INTERFACES[interface.name](self, types)
        for name in types.keys() & functions.keys():
            link.define(instance, name, interface.functions[name], functions[name])
