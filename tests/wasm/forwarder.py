"""The forwarder: a guest that exports all functions that it imports, and passes every call on.

So a test can call each function of an interface from Python, and between the two stands a real guest: values cross its memory
by the canonical ABI, handles its table.
"""

from __future__ import annotations

from typing import Any

from wasmtime import Engine, Store, WasiConfig
from wasmtime.component import Component, Linker

from kvcli.cache import Cache
from kvcli.wasm.border import Link
from kvcli.wasm.border.fast import FastLink
from kvcli.wasm.grants import Grants
from kvcli.wasm.host import Host
from tests.wasm.building import LIBC, OPTIONS, Imports, answering, flat, plain
from tests.wasm.cache import CacheShape
from tests.wasm.shapes import Shape, signature


def forwarder(shape: Shape | CacheShape) -> str:
    """Write a forwarder for a shape."""
    imports = Imports(shape.imports() + LIBC)
    imports.add_shape(shape)
    core, lift = [], []
    for name, (parameters, answer) in shape.functions.items():
        core.append(_forward(plain(name), parameters, answer))
        kind = signature((parameters, answer)).removeprefix("(func").removesuffix(")")
        lift.append(f'(func (export "{plain(name)}") {kind} (canon lift (core func $main "{plain(name)}") {OPTIONS}))')
    return imports.component(core, "\n".join(lift))


def _forward(name: str, parameters: tuple[str, ...], answer: str) -> str:
    """Write the core function: room for the result, the call, and the end of what was borrowed."""
    kinds = _kinds(parameters)
    arguments = " ".join(f"(local.get {at})" for at in range(len(kinds)))
    drops = "".join(
        f"(call $drop-{parameter.removeprefix('(borrow $').removesuffix(')')} (local.get {len(_kinds(parameters[:at]))}))"
        for at, parameter in enumerate(parameters)
        if parameter.startswith("(borrow")
    )
    room, _ = answering(answer)
    call = f"(call ${name} {arguments} (local.get $room)) {drops} (local.get $room)"
    if not answer:
        call = f"(call ${name} {arguments}) {drops}"
    elif not room:
        call = f"(local.set $room (call ${name} {arguments})) {drops} (local.get $room)"
    return f"""(func (export "{name}") (param {" ".join(kinds)}) {"(result i32)" if answer else ""} (local $room i32)
      (local.set $room (call $realloc (i32.const 0) (i32.const 0) (i32.const 8) (i32.const 64))) {call})"""


def _kinds(parameters: tuple[str, ...]) -> list[str]:
    return [kind for parameter in parameters for kind in flat(parameter)]


class Forwarder:
    """A forwarder that runs, with a host behind it. What it gives are the binding's values."""

    def __init__(
        self,
        shape: Shape | CacheShape,
        grants: Grants,
        link_class: type[Link] = FastLink,
        cache: Cache | None = None,
    ) -> None:
        """Instantiate it."""
        self.engine = Engine()
        self.host = Host(grants, cache=None if cache is None else lambda: cache)
        component, linker = Component(self.engine, forwarder(shape)), Linker(self.engine)
        linker.add_wasip2()
        self.link = self.host.define(linker, component, self.engine, link_class, self._load)
        self.store = Store(self.engine)
        self.store.set_wasi(WasiConfig())
        self.host.enter(self.store)
        self._instance = linker.instantiate(self.store, component)

    def _load(self, text: bytes) -> Component:
        return Component(self.engine, text)

    def __call__(self, name: str, *arguments: Any) -> Any:
        """Call an export; what failed in the host is raised."""
        function = self._instance.get_func(self.store, name)
        assert function is not None
        try:
            return function(self.store, *arguments)
        except Exception:
            if self.link.failure is not None:
                raise self.link.failure from None
            raise

    def drop(self, handle: Any) -> None:
        """Drop an own handle, as a guest does at the end of its use."""
        handle.drop(self.store)
