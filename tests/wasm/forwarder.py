"""The forwarder: a guest that exports all functions that it imports, and passes every call on.

So a test can call each function of an interface from Python, and between the two stands a real guest: values cross its memory
by the canonical ABI, handles its table.
"""

from __future__ import annotations

from typing import Any

from wasmtime import Engine, Store
from wasmtime.component import Component, Linker

from kvcli.wasm.border import FastLink
from kvcli.wasm.grants import Grants
from kvcli.wasm.host import Host
from tests.wasm.shapes import BUCKET, CAS, Shape, signature

# Memory that is never given back: a guest lives for a test.
LIBC = """
(core module $libc
  (memory (export "memory") 4)
  (global $next (mut i32) (i32.const 65536))
  (func (export "realloc") (param i32 i32 i32 i32) (result i32)
    (local $at i32)
    (local.set $at (i32.and (i32.add (global.get $next) (i32.const 7)) (i32.const -8)))
    (global.set $next (i32.add (local.get $at) (local.get 3)))
    (block $enough
      (br_if $enough (i32.le_u (global.get $next) (i32.shl (memory.size) (i32.const 16))))
      (drop (memory.grow (i32.add (i32.shr_u (local.get 3) (i32.const 16)) (i32.const 1)))))
    (local.get $at)))
(core instance $libc (instantiate $libc))
"""
OPTIONS = '(memory (core memory $libc "memory")) (realloc (core func $libc "realloc"))'


def flat(kind: str) -> list[str]:
    """Give what a parameter is to core WebAssembly."""
    if kind in {"s64", "u64"}:
        return ["i64"]
    if kind.startswith("(option"):
        return ["i32", *flat(kind.removeprefix("(option ").removesuffix(")"))]
    return ["i32"] if "own" in kind or "borrow" in kind else ["i32", "i32"]


def exported(name: str) -> str:
    """Give the name of an export: that of a method would need the resource beside it."""
    return name.replace("[method]", "").replace("[static]", "").replace(".", "-")


def forwarder(shape: Shape) -> str:
    """Write a forwarder for a shape."""
    lower, core, exports, lift = [], [], [], []
    places = {name: part for part in ("store", "atomics", "batch") for name in getattr(shape, part)}
    for name, (parameters, _) in shape.functions.items():
        label = "$" + exported(name)
        lower.append(f'(core func {label} (canon lower (func ${places[name]} "{name}") {OPTIONS}))')
        kinds = [kind for parameter in parameters for kind in flat(parameter)]
        core.append(f'(import "kv" "{name}" (func {label} (param {" ".join(kinds)} i32)))')
        exports.append(f'(export "{name}" (func {label}))')
        lift.append(f'(func (export "{exported(name)}") {signature((parameters, shape.functions[name][1]))[5:-1]}')
        lift[-1] += f' (canon lift (core func $main "{name}") {OPTIONS}))'
        core.append(_forward(name, parameters, kinds))
    drops = ["bucket", *(["cas"] if shape.cas_error else [])]
    lower += [f"(core func $drop-{each} (canon resource.drop ${each}))" for each in drops]
    imports = [f'(import "kv" "drop-{each}" (func $drop-{each} (param i32)))' for each in drops]
    exports += [f'(export "drop-{each}" (func $drop-{each}))' for each in drops]
    functions = sorted(core, key=lambda each: not each.startswith("(import"))  # Imports come first.
    return "\n".join(
        [
            "(component",
            shape.imports() + LIBC,
            *lower,
            '(core module $main (import "libc" "realloc" (func $realloc (param i32 i32 i32 i32) (result i32)))',
            *imports,
            *functions,
            ")",
            f'(core instance $main (instantiate $main (with "libc" (instance $libc)) (with "kv" (instance {" ".join(exports)}))))',
            *lift,
            ")",
        ]
    )


def _forward(name: str, parameters: tuple[str, ...], kinds: list[str]) -> str:
    """Write the core function: room for the result, the call, and the end of what was borrowed."""
    arguments = " ".join(f"(local.get {at})" for at in range(len(kinds)))
    drops = {BUCKET: "(call $drop-bucket (local.get 0))", CAS: "(call $drop-cas (local.get 0))"}
    return f"""(func (export "{name}") (param {" ".join(kinds)}) (result i32) (local $room i32)
      (local.set $room (call $realloc (i32.const 0) (i32.const 0) (i32.const 8) (i32.const 64)))
      (call ${exported(name)} {arguments} (local.get $room)) {drops.get(parameters[0], "")} (local.get $room))"""


class Forwarder:
    """A forwarder that runs, with a host behind it. What it gives are the binding's values."""

    def __init__(self, shape: Shape, grants: Grants, link_class: type[FastLink] = FastLink) -> None:
        """Instantiate it."""
        self.engine = Engine()
        self.host = Host(grants)
        component, linker = Component(self.engine, forwarder(shape)), Linker(self.engine)
        self.link = self.host.define(linker, component, self.engine, link_class)
        self.store = Store(self.engine)
        self._instance = linker.instantiate(self.store, component)

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
