"""Pollables: handles of wasmtime's own resources, which no host in Python can make, had from a guest that can.

A guest of some lines imports what wasmtime has, a clock for instance, and passes on the pollable that it gets there. So the
pollable that another guest gets from the cache is one that wasi:io/poll knows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wasmtime import Engine, Store
from wasmtime.component import Linker, ResourceType

if TYPE_CHECKING:
    from collections.abc import Callable

    from wasmtime.component import Component, Func

# What `kinds` takes nobody ever gives it: it tells by its type which resources these are.
TEXT = """(component
  (import "wasi:io/poll@0.2.0" (instance $poll (export "pollable" (type (sub resource)))))
  (alias export $poll "pollable" (type $pollable))
  (import "wasi:io/streams@0.2.0" (instance $streams
    (export "input-stream" (type (sub resource))) (export "output-stream" (type (sub resource)))))
  (alias export $streams "input-stream" (type $input-stream))
  (alias export $streams "output-stream" (type $output-stream))
  (import "wasi:clocks/monotonic-clock@0.2.0" (instance $clock
    (export "pollable" (type $p (eq $pollable)))
    (export "subscribe-duration" (func (param "when" u64) (result (own $p))))))
  (core func $subscribe (canon lower (func $clock "subscribe-duration")))
  (core module $main
    (import "" "subscribe" (func $subscribe (param i64) (result i32)))
    (func (export "ready") (result i32) (call $subscribe (i64.const 0)))
    (func (export "kinds") (param i32 i32 i32)))
  (core instance $main (instantiate $main (with "" (instance (export "subscribe" (func $subscribe))))))
  (func (export "ready") (result (own $pollable)) (canon lift (core func $main "ready")))
  (func (export "kinds") (param "pollable" (own $pollable)) (param "input-stream" (own $input-stream))
    (param "output-stream" (own $output-stream)) (canon lift (core func $main "kinds")))
)"""


class Pollables:
    """The guest that passes pollables on."""

    def __init__(self, engine: Engine, load: Callable[[bytes], Component]) -> None:
        """Compile it, or load it, by `load`."""
        self._engine = engine
        self._linker = Linker(engine)
        self._linker.add_wasip2()
        self._component = load(TEXT.encode())

    def kinds(self) -> dict[str, ResourceType]:
        """Give wasmtime's own resource types, by name."""
        function = self._export(Store(self._engine), "kinds")
        return {name: kind.ty for name, kind in function.type(self._last).params}  # type: ignore[attr-defined]

    def source(self, store: Store) -> Callable[[], Any]:
        """Give what makes a pollable for a guest in the same store; it is ready at once."""
        function = self._export(store, "ready")
        return lambda: function(store)

    def _export(self, store: Store, name: str) -> Func:
        self._last = store
        function = self._linker.instantiate(store, self._component).get_func(store, name)
        if function is None:
            raise AssertionError(f"{name} is exported")
        return function
