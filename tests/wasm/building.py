"""Building components: the parts that all guests of the tests share, around a core module that does something."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.wasm.shapes import Shape

if TYPE_CHECKING:
    from tests.wasm.cache import CacheShape

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
    if kind == "u32":
        return ["i32"]
    if kind.startswith("(option"):
        return ["i32", *flat(kind.removeprefix("(option ").removesuffix(")"))]
    return ["i32"] if "own" in kind or "borrow" in kind else ["i32", "i32"]


def answering(answer: str) -> tuple[list[str], str]:
    """Give the parameter for the room that a result takes, and the result itself, where it takes none."""
    if not answer:
        return [], ""
    return ([], "(result i32)") if answer.startswith("(own") or answer == "bool" else (["i32"], "")


def plain(name: str) -> str:
    """Give a name that can stand everywhere: that of a method cannot be exported without its resource."""
    return name.replace("[method]", "").replace("[static]", "").replace(".", "-")


class Imports:
    """What a core module imports of the interfaces, lowered: functions by their plain names, with room for the result last."""

    def __init__(self, text: str = LIBC) -> None:
        """Begin with the text of the component's own imports, and the memory."""
        self.outside = [text]
        self.core = ['(import "libc" "memory" (memory 4))']
        self.core.append('(import "libc" "realloc" (func $realloc (param i32 i32 i32 i32) (result i32)))')
        self.given: list[str] = []

    def add(self, name: str, kinds: list[str], definition: str, answer: str = "") -> None:
        """Import a core function."""
        self.outside.append(f"(core func ${name} ({definition}))")
        parameters = f"(param {' '.join(kinds)})" if kinds else ""
        self.core.append(f'(import "host" "{name}" (func ${name} {parameters} {answer}))')
        self.given.append(f'(export "{name}" (func ${name}))')

    def add_shape(self, shape: Shape | CacheShape) -> None:
        """Import all functions of a shape, and what drops its handles."""
        for part, functions in shape.parts.items():
            for name, (parameters, answer) in functions.items():
                kinds = [kind for parameter in parameters for kind in flat(parameter)]
                room, given = answering(answer)
                self.add(plain(name), [*kinds, *room], f'canon lower (func ${part} "{name}") {OPTIONS}', given)
        for each in shape.handles:
            self.add(f"drop-{each}", ["i32"], f"canon resource.drop ${each}")

    def component(self, core: list[str], exports: str) -> str:
        """Write the component."""
        host = " ".join(self.given)
        return "\n".join(
            [
                "(component",
                *self.outside,
                "(core module $main",
                *self.core,
                *core,
                ")",
                f'(core instance $main (instantiate $main (with "libc" (instance $libc)) (with "host" (instance {host}))))',
                exports,
                ")",
            ]
        )
