"""The self-test: values of every kind go to a guest and come back, so that a link is known to work with the wasmtime at hand."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from wasmtime import Engine, Store, WasmtimeError
from wasmtime.component import Component, ComponentInstanceType, FuncType, Linker, ResourceType

from kvcli.errors import Other
from kvcli.wasm.border import codec

if TYPE_CHECKING:
    from collections.abc import Callable

    from kvcli.wasm.border.link import Link

NAME, THING, NUMBER, FUEL = "kvcli:border/test", "thing", 1, 1_000_000
LAYOUT = (32, 8, 48, 16, 8, 16)  # See codec.LAYOUT. With another one the test itself might end the process.
GIVEN = (bytes(range(256)), "fünf \N{SNOWMAN}", -(1 << 62))
REASON, CURSOR = "a reason", (1 << 64) - 1

# It asks for the values, gives back what it got in its memory, and wants to be told a reason; then it is called itself.
TEXT = f"""(component
  (import "{NAME}" (instance $t
    (export "thing" (type $thing (sub resource)))
    (type $e- (variant (case "none") (case "other" string)))
    (export "e" (type $e (eq $e-)))
    (export "make" (func (result (own $thing))))
    (export "give" (func (result (result (option (tuple (list u8) string s64)) (error $e)))))
    (export "take" (func (param "a" (list u8)) (param "b" string) (param "c" s64) (param "d" (option u64))
      (param "e" (borrow $thing)) (result (result (error $e)))))))
  (alias export $t "thing" (type $thing))
  (core module $libc
    (memory (export "memory") 1)
    (global $next (mut i32) (i32.const 1024))
    (func (export "realloc") (param i32 i32 i32 i32) (result i32)
      (global.get $next)
      (global.set $next (i32.and (i32.add (i32.add (global.get $next) (local.get 3)) (i32.const 7)) (i32.const -8)))))
  (core instance $libc (instantiate $libc))
  (core func $make (canon lower (func $t "make")))
  (core func $give (canon lower (func $t "give") (memory (core memory $libc "memory")) (realloc (core func $libc "realloc"))))
  (core func $take (canon lower (func $t "take") (memory (core memory $libc "memory")) (realloc (core func $libc "realloc"))))
  (core func $drop (canon resource.drop $thing))
  (core module $main
    (import "" "memory" (memory 1))
    (import "" "make" (func $make (result i32)))
    (import "" "give" (func $give (param i32)))
    (import "" "take" (func $take (param i32 i32 i32 i32 i64 i32 i64 i32 i32)))
    (import "" "drop" (func $drop (param i32)))
    (func $main (local $thing i32)
      (local.set $thing (call $make))
      (call $give (i32.const 64))
      (if (i32.or (i32.load8_u (i32.const 64)) (i32.ne (i32.load8_u (i32.const 72)) (i32.const 1))) (then unreachable))
      (call $take (i32.load (i32.const 80)) (i32.load (i32.const 84)) (i32.load (i32.const 88)) (i32.load (i32.const 92))
        (i64.load (i32.const 96)) (i32.const 1) (i64.const -1) (local.get $thing) (i32.const 128))
      (if (i32.ne (i32.load8_u (i32.const 128)) (i32.const 1)) (then unreachable))
      (if (i32.ne (i32.load8_u (i32.const 132)) (i32.const 1)) (then unreachable))
      (if (i32.ne (i32.load (i32.const 140)) (i32.const {len(REASON)})) (then unreachable))
      (call $drop (local.get $thing)))
    (func (export "told") (param i32 i32 i32)
      (if (i32.ne (local.get 2) (i32.const {len(REASON)})) (then unreachable))
      (call $drop (local.get 0)))
    (start $main))
  (core instance $main (instantiate $main (with "" (instance (export "memory" (memory $libc "memory"))
    (export "make" (func $make)) (export "give" (func $give)) (export "take" (func $take)) (export "drop" (func $drop))))))
  (func (export "told") (param "a" (own $thing)) (param "b" string)
    (canon lift (core func $main "told") (memory (core memory $libc "memory")) (realloc (core func $libc "realloc"))))
)"""


def works(link_class: type[Link], engine: Engine, load: Callable[[bytes], Component]) -> bool:
    """Tell whether values pass by a link of this class. `load` compiles the guest, or remembers it."""
    try:
        return codec.LAYOUT == LAYOUT and _passes(link_class, engine, load)
    except Exception:  # noqa: BLE001 - a private name that is gone, or means something else now, may be any error
        return False


def _passes(link_class: type[Link], engine: Engine, load: Callable[[bytes], Component]) -> bool:
    component = load(TEXT.encode())
    kind = component.type.imports(engine)[NAME].ty
    assert isinstance(kind, ComponentInstanceType)  # noqa: S101 - for the types
    types = {name: item.ty for name, item in kind.exports(engine).items()}
    host, seen = ResourceType.host(NUMBER), []
    link = link_class([(host, NUMBER), (types[THING], NUMBER)], lambda error: ("other", str(error)))  # type: ignore[list-item]

    def take(*values: Any) -> None:
        seen.append(values)
        raise Other(REASON)

    linker = Linker(engine)
    with linker.root() as root, root.add_instance(NAME) as instance:
        instance.add_resource(THING, host, lambda _, number: seen.append(number))
        for name, function in {"make": lambda: 7, "give": lambda: GIVEN, "take": take}.items():
            function_type = types[name]
            assert isinstance(function_type, FuncType)  # noqa: S101 - for the types
            link.define(instance, name, function_type, function)
    store = Store(engine)
    store.set_epoch_deadline(1)
    with suppress(WasmtimeError):  # Where no fuel is burnt, none can be given.
        store.set_fuel(FUEL)
    told = linker.instantiate(store, component).get_func(store, "told")
    link.call(told, store, [8, REASON])
    return seen == [(*GIVEN, CURSOR, 7), 7, 8]
