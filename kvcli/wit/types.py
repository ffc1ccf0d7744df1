"""spin_sdk.wit.types: how the bindings raise a WIT error."""

from __future__ import annotations

from kvcli.wit.bindings import Err

__all__ = ["Err"]
