"""Operations: the ten things that a line of a batch can ask for, as msgspec decodes them.

Only batch and import come here, and only they pay for loading msgspec. Text is text as everywhere in kvcli: bytes that
are no UTF-8, which came as base64, are surrogates as in os.fsdecode.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from kvcli.errors import KvError

LIST_KEYS, LIST_KEYS_MAX = 1000, 100_000


class Operation(Struct, tag_field="op", forbid_unknown_fields=True, gc=False, kw_only=True):
    """What every operation may have: a bucket, else that of the command; an id, given back as it came."""

    bucket: str | None = None
    id: Raw | UnsetType = UNSET

    writes: ClassVar[bool] = False
    makes: ClassVar[bool] = False  # May put something, and so needs a store.


class Get(Operation, tag="get"):
    """The value of a key, and with `token` what a later cas can swap with."""

    key: str
    token: bool = False


class Set(Operation, tag="set"):
    """A value for a key."""

    key: str
    value: str

    writes: ClassVar[bool] = True
    makes: ClassVar[bool] = True


class Delete(Operation, tag="delete"):
    """No value for a key."""

    key: str

    writes: ClassVar[bool] = True


class Exists(Operation, tag="exists"):
    """Whether a key is there."""

    key: str


class Incr(Operation, tag="incr"):
    """A sum; the number may come as text, since JSON readers and writers lose those of 64 bits."""

    key: str
    delta: int | str = 1

    writes: ClassVar[bool] = True
    makes: ClassVar[bool] = True


class Cas(Operation, tag="cas"):
    """A swap: against the value expected, null for an absent key, or against a token."""

    key: str
    new: str
    expect: str | UnsetType | None = UNSET
    token: str | UnsetType = UNSET

    writes: ClassVar[bool] = True
    makes: ClassVar[bool] = True


class List(Operation, tag="list"):
    """A page of keys, and the cursor of the next."""

    prefix: str = ""
    limit: Annotated[int, Meta(ge=1, le=LIST_KEYS_MAX)] = LIST_KEYS
    cursor: str | None = None


class GetMany(Operation, tag="get_many"):
    """The values of keys, in the order asked."""

    keys: list[str]


class Item(Struct, forbid_unknown_fields=True, gc=False):
    """A pair of set_many."""

    key: str
    value: str


class SetMany(Operation, tag="set_many"):
    """Values for keys; the last of equal keys wins."""

    items: list[Item]

    writes: ClassVar[bool] = True
    makes: ClassVar[bool] = True


class DeleteMany(Operation, tag="delete_many"):
    """No values for keys."""

    keys: list[str]

    writes: ClassVar[bool] = True


class Sets:
    """Many sets that came in a row without bucket and id, as the express lane reads them: as bytes, and not one by one."""

    __slots__ = ("pairs",)
    writes = makes = True
    bucket = None

    def __init__(self, pairs: list[tuple[bytes, bytes]]) -> None:
        """Hold key and value of each."""
        self.pairs = pairs

    def each(self) -> list[Set]:
        """Give them one by one."""
        return [Set(key=key.decode(), value=value.decode()) for key, value in self.pairs]


class Malformed(Struct, gc=False):
    """What stands for a line that is no operation: why, and what could be read of it."""

    error: KvError
    op: str | None = None
    id: Raw | UnsetType = UNSET

    writes: ClassVar[bool] = False
    makes: ClassVar[bool] = False
    bucket: ClassVar[None] = None


AnyOperation = Get | Set | Delete | Exists | Incr | Cas | List | GetMany | SetMany | DeleteMany
TAGS: dict[type, str] = {kind: kind.__struct_config__.tag for kind in AnyOperation.__args__}
