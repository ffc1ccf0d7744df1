"""The border: the one room that knows how wasmtime's Python binding is made, what is wrong with it, and how to do without."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kvcli.wasm.border.link import Link

if TYPE_CHECKING:
    from collections.abc import Callable

    from wasmtime import Engine
    from wasmtime.component import Component

__all__ = ["Link", "link_class"]


def link_class(engine: Engine, load: Callable[[bytes], Component]) -> type[Link]:
    """Give the class of links that works with the installed wasmtime: the fast one, if it passes the self-test."""
    try:
        from kvcli.wasm.border.fast import FastLink
        from kvcli.wasm.border.selftest import works
    except (ImportError, AttributeError):
        pass  # A private name is gone.
    else:
        if works(FastLink, engine, load):
            return FastLink
    from kvcli.wasm.border.public import PublicLink, mend

    mend()
    return PublicLink
