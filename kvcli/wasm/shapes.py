"""Shapes: what a component imports of wasi:keyvalue, told by its types.

A version says little: upstream and Spin call two different texts 0.2.0-draft2. So the host's functions take the types that the
component has for them, and ask here what they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from wasmtime.component import (
    U64,
    ComponentInstanceType,
    FuncType,
    ResourceType,
    TupleType,
)

if TYPE_CHECKING:
    from wasmtime import Engine
    from wasmtime.component import Component

PACKAGE = "wasi:keyvalue/"
Types = Mapping[str, FuncType]


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


def counts_cursors(types: Types) -> bool:
    """Tell whether the cursor of list-keys is a number, as in 0.2.0-draft, and no text."""
    return isinstance(_inside(_last(types, "[method]bucket.list-keys"), "payload"), U64)


def is_unsigned(types: Types) -> bool:
    """Tell whether increment adds a u64, as in 0.2.0-draft, and no s64."""
    return isinstance(_last(types, "increment"), U64)


def pairs_always(types: Types) -> bool:
    """Tell whether get-many gives a pair for every key, as in Spin's text, and no option of a pair."""
    return isinstance(_inside(_answer(types, "get-many"), "ok", "element"), TupleType)


def tells_value(types: Types) -> bool:
    """Tell whether cas-failed carries the value beside the handle, as in the text with new-with-read."""
    cases = dict(_inside(_answer(types, "swap"), "err", "cases") or ())
    return isinstance(cases.get("cas-failed"), TupleType)


def _last(types: Types, name: str) -> Any:
    return types[name].params[-1][1] if name in types else None


def _answer(types: Types, name: str) -> Any:
    return types[name].result if name in types else None


def _inside(kind: Any, *names: str) -> Any:
    """Go into a type, part by part; None where it has no such part."""
    for name in names:
        kind = getattr(kind, name, None)
    return kind
