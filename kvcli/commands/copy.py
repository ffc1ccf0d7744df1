"""kvcli copy: pairs from one store into another, or from and to Spin's own file.

- What is in SRC is set in DST, buckets are made; what only DST has stays. A pair that DST has already is not written
  again, so an interrupted copy goes on by being run again: no position is kept that could be wrong, as rclone does it.
- A key that is there with another value is overwritten, unless --if-absent keeps it.
- What DST cannot take is told of at the end, with exit code 65, and keeps nothing else from being copied.
- Eight bytes may be one of Spin's counters or may not: only what is named as one is converted.
- Pages of SRC are read one by one, with no transaction open over them: what is written to SRC meanwhile may be seen or not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kvcli.atomics import parse_s64, set_if
from kvcli.batch import CHUNK_BYTES, CHUNK_PAIRS, put_pairs
from kvcli.commands import Progress, Table
from kvcli.engine import SPIN
from kvcli.engine.transaction import PAGE_BYTES_MAX, Span
from kvcli.errors import InvalidArgument, InvalidBucketName, InvalidKey, KvError, MalformedData, NotAnInteger, ReadOnly
from kvcli.location import without_password
from kvcli.store import PAGE_KEYS, Bucket, as_text, bucket_name, new_bucket_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kvcli.commands.context import Context
    from kvcli.engine.update import Update
    from kvcli.formats import Pair
    from kvcli.store import Store

    Convert = Callable[[bytes], bytes]

SHOWN_MAX = 60


def run(
    context: Context,
    source: str,
    target: str,
    *,
    bucket: list[str] | None = None,
    if_absent: bool = False,
    counter: list[str] | None = None,
    counter_prefix: list[str] | None = None,
) -> Progress:
    """Copy all buckets, or those that are said as NAME or NAME=BUCKET, from `source` into `target`."""
    if context.read_only:
        raise ReadOnly("this command writes: leave --read-only out")
    counters = Counters(source, target, counter or [], counter_prefix or [])
    origin = _opened(context, source, "SRC", writable=False)
    names = _names(context, origin, bucket or [])
    goal = _opened(context, target, "DST", writable=True)
    _refuse_itself(origin, goal)
    if len(names) > 1 and not goal.engine.has_buckets:
        raise InvalidArgument("DST has no buckets, and keys of several would be one there: name one with --bucket")
    _make(goal, [into for _, into in names])
    copies = [
        Copy(Bucket(origin, bucket_name(name)), Bucket(goal, bucket_name(into)), counters, if_absent=if_absent)
        for name, into in names
    ]
    table = Table([])
    progress = Progress(_steps(copies, table), table, "keys")
    progress.total = origin.read(lambda snapshot: sum([snapshot.count(copy.source.name) for copy in copies]))
    return progress


def _opened(context: Context, name: str, origin: str, *, writable: bool) -> Store:
    other = context.other(name, origin)
    if name.startswith(SPIN):
        from kvcli.engine.spin import Spin

        other.plan(Spin(name.removeprefix(SPIN), writable=writable, lock_timeout=context.lock_timeout))
    return other.store_to_write() if writable else other.store_to_read()


def _refuse_itself(origin: Store, goal: Store) -> None:
    """Raise InvalidArgument where what is written to DST would be read from SRC."""
    if _are_same(origin, goal):
        raise InvalidArgument(
            f"{without_password(origin.path)} and {without_password(goal.path)} are the same store: name another one"
        )
    if goal.engine.feeds(origin.engine):
        raise InvalidArgument(
            "SRC and DST are one database in two layouts, and what is copied would be found and copied again: "
            "name another database, or export to a file and import that"
        )


def _are_same(origin: Store, goal: Store) -> bool:
    # No server says which one it is. A copy of one into itself, by another name, finds all the same and writes nothing.
    if "://" in goal.path:
        return origin.path == goal.path
    return origin.read(lambda snapshot: snapshot.identity()) == goal.read(lambda snapshot: snapshot.identity())


def _names(context: Context, origin: Store, said: list[str]) -> list[tuple[str, str]]:
    """Say which bucket goes into which. Raises NoSuchBucket, UnsupportedBucket."""
    if not said and context.bucket_origin == "--bucket":
        said = [context.bucket_name]
    parts = [each.partition("=") for each in said]
    names = [(name, into if is_renamed else name) for name, is_renamed, into in parts]
    names = names or [(name, name) for name in origin.buckets()]
    for name, _ in names:
        origin.open(name)
    return names


def _make(goal: Store, names: list[str]) -> None:
    """Make the buckets that are not there; none is made where one cannot be. Raises InvalidBucketName."""
    known = goal.buckets()
    missing = [name for name in names if name not in known]
    for name in missing:
        try:
            new_bucket_name(name)
        except InvalidBucketName as error:
            raise InvalidBucketName(f"{error}, not {name!r}: --bucket SRC=DST copies it into another") from error
    for name in missing:
        goal.create(name)


def _steps(copies: list[Copy], table: Table) -> Iterator[int]:
    done = 0
    for copy in copies:
        for count in copy.steps():
            done += count
            yield done
    table.rows = [copy.row() for copy in copies]
    refused = sum([copy.refused for copy in copies])
    if refused:
        first = next(copy.fault for copy in copies if copy.fault is not None)
        table.error = MalformedData(f"{refused:,} not copied, which DST cannot take; the first is {first}")


class Counters:
    """Which keys are counters, and how they are kept on the other side: as decimal text, or eight bytes in Spin's file."""

    def __init__(self, source: str, target: str, keys: list[str], prefixes: list[str]) -> None:
        """Take what was said. Raises InvalidArgument where counters are kept alike on both sides."""
        self._keys = {key.encode("utf-8", "surrogateescape") for key in keys}
        self._prefixes = tuple(prefix.encode("utf-8", "surrogateescape") for prefix in prefixes)
        self._convert: Convert = from_spin if source.startswith(SPIN) else to_spin
        if (keys or prefixes) and source.startswith(SPIN) == target.startswith(SPIN):
            raise InvalidArgument("counters are kept alike in SRC and DST: leave --counter and --counter-prefix out")

    def converted(self, key: bytes, value: bytes) -> bytes:
        """Give a value as DST keeps it. Raises NotAnInteger."""
        return self._convert(value) if key in self._keys or key.startswith(self._prefixes) else value


def from_spin(value: bytes) -> bytes:
    """Turn Spin's counter into that of `incr`."""
    from kvcli.engine.rows import unpack_counter

    number = unpack_counter(value)
    if number is None:
        raise NotAnInteger(f"the value is no counter of Spin's: that has 8 bytes, and this {len(value)}")
    return str(number).encode()


def to_spin(value: bytes) -> bytes:
    """Turn the counter of `incr` into Spin's."""
    from kvcli.engine.rows import pack_counter

    number = parse_s64(value)
    if number is None:
        raise NotAnInteger("the value is not a decimal integer of 64 bits")
    return pack_counter(number)


class Copy:
    """The copy of one bucket. It counts what became of each pair; `fault` is what was wrong with the first one refused."""

    def __init__(self, source: Bucket, target: Bucket, counters: Counters, *, if_absent: bool) -> None:
        """Do nothing yet."""
        self.source = source
        self.copied = self.same = self.kept = self.refused = 0
        self.fault: str | None = None
        self._target = target
        self._counters = counters
        self._if_absent = if_absent
        # As many as a page has: a server may walk past all names of other buckets, so many at a time.
        self._is_new = not target.store.read(lambda snapshot: snapshot.keys(target.name, Span(), PAGE_KEYS))

    def row(self) -> dict[str, object]:
        """Give the counts by name."""
        counts = {name: getattr(self, name) for name in ("copied", "same", "kept", "refused")}
        return {"bucket": self.source.name, **counts}

    def steps(self) -> Iterator[int]:
        """Copy, many pairs to a transaction; give the number of pairs of each page that was read."""
        pending: list[Pair] = []
        held = 0
        for page in self.source.item_pages(Span()):
            fresh = self._fresh(self._taken(page))
            pending += fresh
            held += sum([len(key) + len(value) for key, value in fresh])
            if len(pending) >= CHUNK_PAIRS or held >= CHUNK_BYTES:
                self._set(pending)
                pending, held = [], 0
            yield len(page)
        self._set(pending)

    def _taken(self, page: list[Pair]) -> list[Pair]:
        """Give those that DST can take, as it keeps them."""
        taken = []
        for key, value in page:
            try:
                self._check(key)
                taken.append((key, self._counters.converted(key, value)))
            except (InvalidKey, NotAnInteger) as error:
                self._refuse(key, error)
        return taken

    def _check(self, key: bytes) -> None:
        self._target.check(key)
        if self._target.store.engine.are_keys_text:
            try:
                key.decode()
            except UnicodeDecodeError as error:
                raise InvalidKey("the key is no UTF-8") from error

    def _refuse(self, key: bytes, error: KvError) -> None:
        self.refused += 1
        if self.fault is None:
            shown = key.decode("utf-8", "backslashreplace")
            shown = shown[:SHOWN_MAX] + "..." if len(shown) > SHOWN_MAX else shown
            self.fault = f"{shown!r} in bucket {as_text(self.source.name)!r}: {error}"

    def _fresh(self, pairs: list[Pair]) -> list[Pair]:
        """Give those that are to be written, by what is there now."""
        if self._is_new:
            return pairs
        keys = [key for key, _ in pairs]
        there = self._target.store.read(lambda snapshot: snapshot.get_many(self._target.name, keys, PAGE_BYTES_MAX))
        unseen = pairs[len(there) :]  # What is there is larger than a page.
        seen = list(zip(pairs, there, strict=False))
        same = sum([old == value for (_, value), old in seen])
        fresh = [pair for pair, old in seen if old is None or (old != pair[1] and not self._if_absent)]
        self.same += same
        self.kept += len(seen) - same - len(fresh)
        return fresh + unseen

    def _set(self, pairs: list[Pair]) -> None:
        name = self._target.name

        def work(update: Update) -> int:
            new = [pair for pair in pairs if not update.has(name, pair[0])] if self._if_absent else pairs
            update.put_many(name, new, self._target.check)
            return len(new)

        if not self._target.store.engine.transactional:
            count = self._set_one_by_one(pairs)
        else:
            count = self._target.store.write(work) if pairs else 0
        self.copied += count
        self.kept += len(pairs) - count

    def _set_one_by_one(self, pairs: list[Pair]) -> int:
        """Set pairs in a cluster, which takes no transaction of them; give how many were set."""
        if not self._if_absent:
            put_pairs(self._target, pairs)
            return len(pairs)
        return sum([set_if(self._target, as_text(key), value, present=False) for key, value in pairs])
