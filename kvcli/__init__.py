"""wasi:keyvalue for people and scripts, over LMDB. Names are loaded when first touched, for the sake of start-up."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kvcli.async_cache import AsyncCache, AsyncVacancy, AsyncVacant
    from kvcli.atomics import Cas, increment, swap
    from kvcli.batch import delete_many, get_many, set_many
    from kvcli.cache import Cache, Occupied, Vacancy, Vacant
    from kvcli.errors import AccessDenied, CasFailed, KvError, NoSuchStore, Other
    from kvcli.store import Bucket, KeyResponse, Store, open  # noqa: A004 - the WIT's own word

__version__ = "0.1.0"

__all__ = [  # noqa: RUF022 - in the order of the interfaces
    "open",
    "Store",
    "Bucket",
    "KeyResponse",
    "Cas",
    "increment",
    "swap",
    "get_many",
    "set_many",
    "delete_many",
    "Cache",
    "Occupied",
    "Vacant",
    "Vacancy",
    "AsyncCache",
    "AsyncVacant",
    "AsyncVacancy",
    "KvError",
    "NoSuchStore",
    "AccessDenied",
    "CasFailed",
    "Other",
    "__version__",
]

_ROOMS = {
    "store": ("open", "Store", "Bucket", "KeyResponse"),
    "atomics": ("Cas", "increment", "swap"),
    "batch": ("get_many", "set_many", "delete_many"),
    "cache": ("Cache", "Occupied", "Vacant", "Vacancy"),
    "async_cache": ("AsyncCache", "AsyncVacant", "AsyncVacancy"),
    "errors": ("KvError", "NoSuchStore", "AccessDenied", "CasFailed", "Other"),
}


def __getattr__(name: str) -> object:
    for room, names in _ROOMS.items():
        if name in names:
            return getattr(__import__(f"kvcli.{room}", fromlist=[name]), name)
    raise AttributeError(f"module 'kvcli' has no attribute {name!r}")
