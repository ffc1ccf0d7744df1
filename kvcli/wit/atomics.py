"""spin_sdk.wit.imports.atomics (seeds 000 and 001): Cas, increment, swap and the cases of `cas-error`."""

from __future__ import annotations

from kvcli.wit import wasi_keyvalue_store
from kvcli.wit.bindings import Cas, CasError, CasError_CasFailed, CasError_StoreError, increment, swap

__all__ = ["Cas", "CasError", "CasError_CasFailed", "CasError_StoreError", "increment", "swap", "wasi_keyvalue_store"]
