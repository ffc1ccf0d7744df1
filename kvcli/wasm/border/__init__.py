"""The border: the one room that knows how wasmtime's Python binding is made, what is wrong with it, and how to do without."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kvcli.wasm.border.fast import FastLink
from kvcli.wasm.border.selftest import works

if TYPE_CHECKING:
    from collections.abc import Callable

    from wasmtime import Engine
    from wasmtime.component import Component

__all__ = ["FastLink", "link_class"]


def link_class(engine: Engine, load: Callable[[bytes], Component]) -> type[FastLink]:
    """Give the class of links that works with the installed wasmtime: the fast one, if it passes the self-test."""
    if works(FastLink, engine, load):
        return FastLink
    from kvcli.wasm.border.public import PublicLink, mend

    mend()
    return PublicLink
