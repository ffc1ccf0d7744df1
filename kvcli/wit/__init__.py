"""The names of Spin's Python bindings (spin_sdk.wit.imports), over kvcli.

Code written for those runs unchanged once `alias("spin_sdk.wit")` has put these modules in their place. The store is
the one that KVCLI_STORE or the config file names, as for every program; `open` makes it where it is missing.
"""

from __future__ import annotations

import sys
from types import ModuleType

from kvcli.wit import atomics, batch, types, wasi_keyvalue_store

__all__ = ["alias", "atomics", "batch", "types", "wasi_keyvalue_store"]


def alias(name: str) -> None:
    """Let `import NAME.imports.atomics`, `from NAME import types` and the rest find these modules."""
    package = _package(name)
    imports = _package(f"{name}.imports")
    for folder, module in ((imports, atomics), (imports, batch), (imports, wasi_keyvalue_store), (package, types)):
        short = module.__name__.rpartition(".")[2]
        setattr(folder, short, module)
        sys.modules[f"{folder.__name__}.{short}"] = module


def _package(name: str) -> ModuleType:
    """Give the package of this name, and make it, and those it stands in, where they are not there."""
    if name in sys.modules:
        return sys.modules[name]
    package = sys.modules[name] = ModuleType(name)
    package.__path__ = []
    above, _, short = name.rpartition(".")
    if above:
        setattr(_package(above), short, package)
    return package
