"""Scan: names as the servers come upon them, which is in no order; pages of keys, and places where the next one starts.

A place is: which server, as its process is called, and in short who had which slots of a cluster; whose keys, as database and
bucket; where SCAN is to go on; and the keys that its last answer had too many, since an answer is as long as the server likes.
So no page loses a key, and none is longer than asked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from zlib import crc32

from kvcli.engine.redis.names import OWN, bucket_of, pattern
from kvcli.engine.transaction import Span
from kvcli.errors import InvalidArgument, InvalidCursor
from kvcli.remote_errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kvcli.engine.redis.servers import Servers
    from kvcli.engine.redis.trip import Node

NAMES_PER_STEP = 1000
STEPS_PER_PAGE = 200  # A page may end early, and empty, so that nothing takes very long; its place goes on.
DISCOVERED_STEPS = 100
UNKNOWN = b"-"
MARK_CHARS = 16  # Of a server's run id: when it starts anew, its names lie in another order.


class Place:
    """Where the next page starts."""

    __slots__ = ("at", "left", "of", "server", "shape")

    def __init__(self, server: bytes, shape: bytes, of: int, at: int, left: list[bytes]) -> None:
        """Hold the server's mark, who had which slots, the bucket's mark, SCAN's cursor (0: it is done), keys to be given first."""
        self.server = server
        self.shape = shape
        self.of = of
        self.at = at
        self.left = left

    def pack(self) -> bytes:
        """Write it down."""
        numbers = [self.of, self.at, *map(len, self.left)]
        return (
            b" ".join([b"r", b"%b.%b" % (self.server, self.shape), *(b"%d" % number for number in numbers)])
            + b"\n"
            + b"".join(self.left)
        )

    @classmethod
    def unpack(cls, text: bytes) -> Place:
        """Read it. Raises InvalidCursor."""
        head, newline, keys = text.partition(b"\n")
        mark, *words = head.split(b" ")
        try:
            server, of, at, *lengths = words[0], int(words[1]), int(words[2]), *map(int, words[3:])
        except (IndexError, ValueError):
            mark, of, at, lengths = b"", 0, 0, []
        if mark != b"r" or not newline or min(of, at, *lengths) < 0 or sum(lengths) != len(keys):
            raise InvalidCursor(
                "this is no cursor of a list on a server: take the one that the last page gave, or none"
            )
        left, start = [], 0
        for length in lengths:
            left.append(keys[start : start + length])
            start += length
        server, _, shape = server.partition(b".")
        return cls(server, shape, of, at, left)


def scan_page(
    servers: Servers, head: bytes, span: Span, place: bytes | None, count: int, seconds: float
) -> tuple[list[bytes], bytes | None]:
    """Give at most `count` keys of a span, each once, and the place of the next page, None at the end; see Snapshot.page."""
    if span.reverse:
        raise InvalidArgument("a server keeps its keys in no order, so there is no --reverse: sort what list prints")
    start = None if place is None else Place.unpack(place)
    of = crc32(b"%d %b" % (servers.address.database, head))
    if start is not None and start.of != of:
        raise InvalidCursor("this cursor is of another database or bucket: list again from the start")
    servers.look_again(seconds)
    shape = servers.shape if start is None else start.shape
    refuse_moved(servers, shape)
    nodes = servers.masters(seconds)
    at, index = (0, 0) if start is None else (start.at, _index(servers, nodes, start.server, seconds))
    found = dict.fromkeys(key for key in ([] if start is None else start.left) if span.holds(key) and span.reaches(key))
    if start is not None and not at:
        index += 1
    names = pattern(head + _stem(span))
    sparse = 1  # Where nothing is found, more names are looked at in one step.
    for _ in range(STEPS_PER_PAGE):
        if len(found) >= count or index == len(nodes):
            break
        width = min(NAMES_PER_STEP, max(count - len(found), 10) * sparse)
        at, more = _step(servers, nodes[index], at, names, width, seconds)
        keys = [name[len(head) :] for name in more if not name.startswith(OWN)]
        fresh = dict.fromkeys(key for key in keys if key and span.holds(key) and span.reaches(key))
        found |= fresh
        sparse = 1 if fresh else 2 * sparse
        index += not at
    page = [*found]
    left = page[count:]
    if index == len(nodes) and not left:
        servers.look_again(seconds)
        refuse_moved(servers, shape)
        return page, None
    last = index - (not at) if index else 0
    server = _mark(servers, nodes[max(last, 0)], seconds)
    servers.marks.add(server)
    return page[:count], Place(server, shape, of, at, left).pack()


def refuse_moved(servers: Servers, shape: bytes) -> None:
    """Raise Unavailable where slots have moved: keys that went to a server that was gone through would be missing."""
    if servers.shape != shape:
        raise Unavailable(f"{servers.address.shown}: slots of the cluster have moved, and keys with them: list again")


def count_names(servers: Servers, head: bytes, seconds: float) -> int:
    """Count the names that start with `head`."""
    seen: set[int] = set()  # A server may give a name twice.
    for names in _walk(servers, head, seconds):
        seen.update(hash(name) for name in names if head or not name.startswith(OWN))
    return len(seen)


def has_names(servers: Servers, head: bytes, seconds: float) -> bool:
    """Tell whether a name starts with `head`."""
    return any(_walk(servers, head, seconds))


def all_names(servers: Servers, head: bytes, seconds: float) -> Iterator[list[bytes]]:
    """Give all names that start with `head`, page by page; a page may be empty."""
    return _walk(servers, head, seconds)


def discovered(servers: Servers, seconds: float) -> set[bytes]:
    """Give buckets that a look at some hundred thousand names comes upon."""
    found: set[bytes] = set()
    for step, page in enumerate(_walk(servers, b"", seconds)):
        found.update(bucket for bucket in map(bucket_of, page) if bucket is not None)
        if step == DISCOVERED_STEPS:
            break
    return found


def _walk(servers: Servers, head: bytes, seconds: float) -> Iterator[list[bytes]]:
    names = pattern(head)
    servers.look_again(seconds)
    shape = servers.shape
    for node in servers.masters(seconds):
        at, page = _step(servers, node, 0, names, NAMES_PER_STEP, seconds)
        yield page
        while at:
            at, page = _step(servers, node, at, names, NAMES_PER_STEP, seconds)
            yield page
    servers.look_again(seconds)
    refuse_moved(servers, shape)


def _step(servers: Servers, node: Node, at: int, names: bytes, count: int, seconds: float) -> tuple[int, list[bytes]]:
    answer = servers.attempt(
        lambda trip: trip.at(servers.still(node)).call("SCAN", at, "MATCH", names, "COUNT", count), seconds
    )
    return int(answer[0]), answer[1]


def histories(servers: Servers, seconds: float) -> set[bytes]:
    """Give what the histories of all masters are called, which a replica shares with its master."""
    nodes = servers.masters(seconds)
    return {_about(servers, node, "replication", b"master_replid", seconds) for node in nodes} - {UNKNOWN}


def _mark(servers: Servers, node: Node, seconds: float) -> bytes:
    return _about(servers, node, "server", b"run_id", seconds)[:MARK_CHARS]


def _about(servers: Servers, node: Node, section: str, name: bytes, seconds: float) -> bytes:
    about: bytes = servers.attempt(lambda trip: trip.at(node).call("INFO", section), seconds)
    for line in about.split(b"\r\n"):
        if line.startswith(name + b":"):
            return line.partition(b":")[2]
    return UNKNOWN


def _index(servers: Servers, nodes: list[Node], mark: bytes, seconds: float) -> int:
    for index, node in enumerate(nodes):
        if _mark(servers, node, seconds) == mark:
            return index
    if mark in servers.marks:  # Nobody gave a cursor: it is a walk that cannot go on.
        shown = servers.address.shown
        raise Unavailable(
            f"{shown}: a server was started anew, or is master no more, in the midst of a list: begin again"
        )
    raise InvalidCursor("the server that gave this cursor was started anew, or is gone: list again from the start")


def _stem(span: Span) -> bytes:
    """Give what all keys of a span start with."""
    for length in range(len(span.low), 0, -1):
        whole = Span.starting(span.low[:length])
        if span.high is not None and whole.high is not None and span.high <= whole.high:
            return span.low[:length]
    return b""
