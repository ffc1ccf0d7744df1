"""Shapes: what a component imports of wasi:keyvalue, told by its types.

A version says little: upstream and Spin call two different texts 0.2.0-draft2. So the host's functions take the types that the
component has for them, written as text, and ask what is in there. A type that no text has is not met: the import is missed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from wasmtime.component import (
    BorrowType,
    ComponentInstanceType,
    FuncType,
    ListType,
    OptionType,
    OwnType,
    RecordType,
    ResourceType,
    ResultType,
    TupleType,
    VariantType,
)

if TYPE_CHECKING:
    from wasmtime import Engine
    from wasmtime.component import Component

PACKAGE = "wasi:keyvalue/"
Types = Mapping[str, str]
Names = Sequence[tuple[ResourceType, str]]

ERROR = "variant{no-such-store, access-denied, other(string)}"
OF_KEY, OF_KEYS = "(borrow<bucket>, string)", "(borrow<bucket>, list<string>)"
VALUE, PAIR = "option<list<u8>>", "tuple<string, list<u8>>"


def result(ok: str = "_", error: str = ERROR) -> str:
    """Write a result."""
    return f"result<{ok}, {error}>"


OF_ERROR = "own<error>"  # Of the older text, whose error is a resource.
FUTURES = {
    "future-get-result": "option<own<incoming-value>>",
    "future-exists-result": "bool",
    "future-result": "_",
    "future-get-or-set-result": "variant{occupied(own<incoming-value>), vacant(own<vacancy>)}",
}

# All types that are in use. A resource of wasmtime's own, as a pollable is, has no name here.
KNOWN: dict[str, tuple[str, ...]] = {
    "open": (f"(string) -> {result('own<bucket>')}",),
    "[method]bucket.get": (f"{OF_KEY} -> {result(VALUE)}",),
    "[method]bucket.set": (f"(borrow<bucket>, string, list<u8>) -> {result()}",),
    "[method]bucket.delete": (f"{OF_KEY} -> {result()}",),
    "[method]bucket.exists": (f"{OF_KEY} -> {result('bool')}",),
    "[method]bucket.list-keys": tuple(
        f"(borrow<bucket>, option<{each}>) -> {result(f'record{{keys: list<string>, cursor: option<{each}>}}')}"
        for each in ("string", "u64")
    ),
    "increment": tuple(f"(borrow<bucket>, string, {each}) -> {result(each)}" for each in ("s64", "u64")),
    "[static]cas.new": (f"{OF_KEY} -> {result('own<cas>')}",),
    "[static]cas.new-with-read": (f"{OF_KEY} -> {result(f'tuple<own<cas>, {VALUE}>')}",),
    "[method]cas.current": (f"(borrow<cas>) -> {result(VALUE)}",),
    "swap": tuple(
        f"(own<cas>, list<u8>) -> {result('_', f'variant{{store-error({ERROR}), cas-failed({each})}}')}"
        for each in ("own<cas>", f"tuple<own<cas>, {VALUE}>")
    ),
    "get-many": tuple(
        f"{OF_KEYS} -> {result(f'list<{each}>')}" for each in (f"option<{PAIR}>", f"tuple<string, {VALUE}>")
    ),
    "set-many": (f"(borrow<bucket>, list<{PAIR}>) -> {result()}",),
    "delete-many": (f"{OF_KEYS} -> {result()}",),
    "get": ("(string) -> own<future-get-result>",),
    "exists": ("(string) -> own<future-exists-result>",),
    "set": ("(string, borrow<outgoing-value>, option<u32>) -> own<future-result>",),
    "delete": ("(string) -> own<future-result>",),
    "get-or-set": ("(string) -> own<future-get-or-set-result>",),
    "[method]vacancy.vacancy-fill": ("(borrow<vacancy>, option<u32>) -> own<outgoing-value>",),
    "[method]error.trace": ("(borrow<error>) -> string",),
    "[static]outgoing-value.new-outgoing-value": ("() -> own<outgoing-value>",),
    "[method]outgoing-value.outgoing-value-write-body-sync": (
        f"(borrow<outgoing-value>, list<u8>) -> {result('_', OF_ERROR)}",
    ),
    "[method]outgoing-value.outgoing-value-write-body-async": (
        f"(borrow<outgoing-value>) -> {result('own<>', OF_ERROR)}",
    ),
}
for _name, _answer in FUTURES.items():
    KNOWN[f"[method]{_name}.{_name}-get"] = (f"(borrow<{_name}>) -> option<{result(_answer, OF_ERROR)}>",)
    KNOWN[f"[method]{_name}.listen-to-{_name}"] = (f"(borrow<{_name}>) -> own<>",)
for _function in ("[method]incoming-value.{}", "[static]incoming-value.{}"):
    _of = "(borrow<incoming-value>)" if "method" in _function else "(own<incoming-value>)"
    for _how, _answer in {"incoming-value-consume-sync": "list<u8>", "incoming-value-consume-async": "own<>"}.items():
        KNOWN[_function.format(_how)] = (f"{_of} -> {result(_answer, OF_ERROR)}",)
for _name in ("incoming-value-size", "size"):
    KNOWN[f"[method]incoming-value.{_name}"] = tuple(
        f"(borrow<incoming-value>) -> {each}" for each in ("u64", result("u64", OF_ERROR))
    )


class Interface:
    """One imported interface: the name it is imported by, its own name, its functions and its resources."""

    __slots__ = ("functions", "import_name", "name", "resources")

    def __init__(self, import_name: str, kind: ComponentInstanceType, engine: Engine) -> None:
        """Read the types."""
        self.import_name = import_name
        self.name = import_name.removeprefix(PACKAGE).partition("@")[0]
        items = {name: item.ty for name, item in kind.exports(engine).items()}
        self.functions = {name: item for name, item in items.items() if isinstance(item, FuncType)}
        self.resources = {name: item for name, item in items.items() if isinstance(item, ResourceType)}


def interfaces(component: Component, engine: Engine) -> list[Interface]:
    """Give the interfaces of wasi:keyvalue that a component imports, in whatever version."""
    found = [(name, item.ty) for name, item in component.type.imports(engine).items() if name.startswith(PACKAGE)]
    return [Interface(name, kind, engine) for name, kind in found if isinstance(kind, ComponentInstanceType)]


def types_of(functions: Mapping[str, FuncType], names: Names) -> dict[str, str]:
    """Write the types of functions, but for those that have one that is not known. `names` are those of the resources."""
    written = {name: signature(kind, names) for name, kind in functions.items()}
    return {name: kind for name, kind in written.items() if kind in KNOWN.get(name, ())}


def signature(kind: FuncType, names: Names) -> str:
    """Write the type of a function."""
    return f"({', '.join(spelled(each, names) for _, each in kind.params)}) -> {spelled(kind.result, names)}"


def spelled(kind: Any, names: Names) -> str:
    """Write a type as the interface's text would, without names of its own."""
    if kind is None:
        return "_"
    if isinstance(kind, OwnType | BorrowType):
        name = next((name for resource, name in names if resource == kind.ty), "")
        return f"{_word(kind)}<{name}>"
    if isinstance(kind, RecordType):
        return f"record{{{', '.join(f'{name}: {spelled(each, names)}' for name, each in kind.fields)}}}"
    if isinstance(kind, VariantType):
        cases = [name if each is None else f"{name}({spelled(each, names)})" for name, each in kind.cases]
        return f"variant{{{', '.join(cases)}}}"
    parts = [spelled(each, names) for each in _parts(kind)]
    return f"{_word(kind)}<{', '.join(parts)}>" if parts else _word(kind)


def _parts(kind: Any) -> Sequence[Any]:
    if isinstance(kind, ListType):
        return [kind.element]
    if isinstance(kind, OptionType):
        return [kind.payload]
    if isinstance(kind, ResultType):
        return [kind.ok, kind.err]
    return kind.elements if isinstance(kind, TupleType) else ()


def _word(kind: Any) -> str:
    return type(kind).__name__.removesuffix("Type").lower()


def counts_cursors(types: Types) -> bool:
    """Tell whether the cursor of list-keys is a number, as in 0.2.0-draft, and no text."""
    return "u64" in types.get("[method]bucket.list-keys", "")


def is_unsigned(types: Types) -> bool:
    """Tell whether increment adds a u64, as in 0.2.0-draft, and no s64."""
    return "u64" in types.get("increment", "")


def pairs_always(types: Types) -> bool:
    """Tell whether get-many gives a pair for every key, as in Spin's text, and no option of a pair."""
    return f"tuple<string, {VALUE}>" in types.get("get-many", "")


def tells_value(types: Types) -> bool:
    """Tell whether cas-failed carries the value beside the handle, as in the text with new-with-read."""
    return "cas-failed(tuple" in types.get("swap", "")
