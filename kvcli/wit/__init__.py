"""The names of Spin's Python bindings (spin_sdk.wit.imports), over kvcli.

Code written for those runs unchanged once `alias("spin_sdk.wit")` has put these modules in their place. The store is
the one that KVCLI_STORE or the config file names, as for every program; `open` makes it where it is missing.
"""

from __future__ import annotations

import sys

from kvcli.wit import atomics, batch, types, wasi_keyvalue_store

__all__ = ["alias", "atomics", "batch", "types", "wasi_keyvalue_store"]


def alias(name: str) -> None:
    """Let `import NAME.imports.atomics`, `NAME.types` and the rest find these modules."""
    here = sys.modules[__name__]
    sys.modules.setdefault(name.partition(".")[0], here)
    sys.modules[name] = sys.modules[f"{name}.imports"] = here
    for module in (atomics, batch, types, wasi_keyvalue_store):
        short = module.__name__.rpartition(".")[2]
        sys.modules[f"{name}.{short}"] = sys.modules[f"{name}.imports.{short}"] = module
