"""spin_sdk.wit.imports.batch: get_many, set_many, delete_many (seed 003, in the shape of Spin's bindings)."""

from __future__ import annotations

from kvcli.wit import wasi_keyvalue_store
from kvcli.wit.bindings import delete_many, get_many, set_many

__all__ = ["delete_many", "get_many", "set_many", "wasi_keyvalue_store"]
