"""spin_sdk.wit.imports.wasi_keyvalue_store (seed 002): open, Bucket, KeyResponse and the cases of `error`."""

from __future__ import annotations

from kvcli.wit.bindings import (
    Bucket,
    Error,
    Error_AccessDenied,
    Error_NoSuchStore,
    Error_Other,
    KeyResponse,
    open,  # noqa: A004 - the WIT's own word
)

__all__ = ["Bucket", "Error", "Error_AccessDenied", "Error_NoSuchStore", "Error_Other", "KeyResponse", "open"]
