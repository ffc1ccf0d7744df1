"""Entries: how a cache lies in its environment, and the rules by which entries go. All inside one transaction.

The main database of the environment has three rows for each entry:
    NAME                  deadline (8 bytes) | stored (8) | TTL (4, 0: none) | number (8) | value
    d DEADLINE NUMBER     NAME             in the order in which their time is up
    z NUMBER              DEADLINE NAME    in the order in which they were stored; at the end, where rows are appended
A name starts with a letter between those: k for a key, l for one that leaves no room for a letter, r for the recording
of a command.
`number` is the id of the transaction that stored it. The deadline in the first row is wall-clock time, which steps. So it
is not trusted alone: `stored`, and the DEADLINE of the others, are milliseconds since the boot, which only ever pass, and
an entry older than its TTL by either clock is gone. (Time namespaces differ in the latter: there, entries seem expired.)
"""

from __future__ import annotations

from struct import Struct
from struct import error as StructError  # noqa: N812 - struct's own name says nothing
from time import CLOCK_BOOTTIME, clock_gettime, time

from kvcli.engine import KEY_BYTES_MAX
from kvcli.errors import DamagedStore

TYPE_CHECKING = False
if TYPE_CHECKING:
    import lmdb

DEADLINE, KEY, LONG_KEY, RECORDING, ORDER = b"d", b"k", b"l", b"r", b"z"
HEADER = Struct(">QQLQ")
HEADER_BYTES = HEADER.size
unpack = HEADER.unpack_from
ROW = Struct(">QQ")
NUMBER = Struct(">Q")
NEVER = (1 << 64) - 1
ROWS_PER_ENTRY = 3
BYTES_PER_ENTRY = 256  # What the rows of an entry take besides its value, about.


class Clock:
    """The two clocks, in seconds. Tests have one that they turn."""

    wall = staticmethod(time)  # Since 1970, as far as this machine knows; it may be set.

    @staticmethod
    def boot() -> float:
        """Give the time since the machine was started, suspended or not."""
        return clock_gettime(CLOCK_BOOTTIME)


def unpacked(row: Struct, raw: bytes) -> tuple[int, ...]:
    """Read the start of a row. Raises DamagedStore for one that is too short to be a row of ours."""
    try:
        return row.unpack_from(raw)
    except StructError as error:
        raise DamagedStore("a row of the cache is cut short") from error


def live(raw: bytes, clock: Clock) -> bytes | None:
    """Give the value of an entry; None once its time is up."""
    deadline, stored, ttl, _ = unpacked(HEADER, raw)
    if ttl and not (0 <= clock.boot() * 1000 - stored < ttl and clock.wall() * 1000 < deadline):
        return None
    return raw[HEADER_BYTES:]


def age(raw: bytes, clock: Clock) -> int:
    """Give how long ago, in milliseconds, an entry was stored."""
    return max(int(clock.boot() * 1000) - unpacked(HEADER, raw)[1], 0)


def put(txn: lmdb.Transaction[bytes], name: bytes, value: bytes, ttl: int, clock: Clock) -> None:
    """Store an entry, in place of an older one; a `ttl` of 0 is none."""
    wall, boot, number = int(clock.wall() * 1000), int(clock.boot() * 1000), txn.id()
    deadline = boot + ttl if ttl else NEVER
    old = txn.replace(name, HEADER.pack(wall + ttl if ttl else NEVER, boot, ttl, number) + value)
    if old is not None:
        _remove_order(txn, old)
    txn.put(DEADLINE + ROW.pack(deadline, number), name)
    if not txn.put(ORDER + NUMBER.pack(number), NUMBER.pack(deadline) + name, append=True):
        raise DamagedStore("a row of the cache stands behind the last one")


def remove(txn: lmdb.Transaction[bytes], name: bytes) -> bytes | None:
    """Remove an entry and give what it was."""
    old = txn.pop(name)
    if old is not None:
        _remove_order(txn, old)
    return old


def _named(name: bytes) -> bytes:
    """Give back what can be the name of an entry. Raises DamagedStore."""
    if not 0 < len(name) <= KEY_BYTES_MAX:
        raise DamagedStore("a row of the cache names no entry")
    return name


def _remove_known(txn: lmdb.Transaction[bytes], name: bytes) -> bytes:
    """Remove an entry that another row names, and so must be there: else that row would stay, and be found for ever."""
    old = remove(txn, _named(name))
    if old is None:
        raise DamagedStore("a row of the cache names an entry that is not there")
    return old


def purge(txn: lmdb.Transaction[bytes], count: int, clock: Clock) -> int:
    """Remove at most `count` expired entries, the first to expire first; give how many."""
    now = clock.boot() * 1000
    for purged in range(count):
        first = _first(txn, DEADLINE)
        if first is None or unpacked(ROW, first[0])[0] > now:
            return purged
        _remove_known(txn, first[1])
    return count


def evict(txn: lmdb.Transaction[bytes], room: int, most: int) -> tuple[int, int]:
    """Remove the entries that were stored first, at most so many, until they come to `room` bytes; give how many, and that."""
    evicted = size = 0
    while size < room and evicted < most and (first := _first(txn, ORDER)) is not None:
        size += len(_remove_known(txn, first[1][NUMBER.size :])) + BYTES_PER_ENTRY
        evicted += 1
    return evicted, size


def bytes_used(txn: lmdb.Transaction[bytes]) -> int:
    """Give how many bytes of pages the entries take."""
    stat = txn.stat()
    return (stat["branch_pages"] + stat["leaf_pages"] + stat["overflow_pages"]) * stat["psize"]


def count(txn: lmdb.Transaction[bytes]) -> int:
    """Give how many entries there are, those expired and not yet purged too."""
    return txn.stat()["entries"] // ROWS_PER_ENTRY


def oldest(txn: lmdb.Transaction[bytes], clock: Clock) -> int | None:
    """Give how long ago, in milliseconds, the oldest entry was stored."""
    first = _first(txn, ORDER)
    raw = txn.get(_named(first[1][NUMBER.size :])) if first is not None else None
    return None if raw is None else age(raw, clock)


def next_expiry(txn: lmdb.Transaction[bytes], clock: Clock) -> int | None:
    """Give in how many milliseconds the next entry expires."""
    now = clock.boot() * 1000
    coming = _first(txn, DEADLINE, NUMBER.pack(int(now) + 1))
    deadline = NEVER if coming is None else unpacked(ROW, coming[0])[0]
    return None if deadline == NEVER else int(deadline - now)


def _first(txn: lmdb.Transaction[bytes], kind: bytes, low: bytes = b"") -> tuple[bytes, bytes] | None:
    cursor = txn.cursor()
    if not cursor.set_range(kind + low):
        return None
    row, value = cursor.item()
    return (row[1:], value) if row[:1] == kind else None


def _remove_order(txn: lmdb.Transaction[bytes], old: bytes) -> None:
    _, stored, ttl, number = unpacked(HEADER, old)
    txn.delete(DEADLINE + ROW.pack(min(stored + ttl, NEVER) if ttl else NEVER, number))
    txn.delete(ORDER + NUMBER.pack(number))
