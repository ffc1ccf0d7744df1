"""The border: the one room that knows how wasmtime's Python binding is made, what is wrong with it, and how to do without."""

from kvcli.wasm.border.fast import Link

__all__ = ["Link"]
