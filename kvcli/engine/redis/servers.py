"""Servers: one, or the masters of a cluster; which of them has a key, links to them, and what to do when they fail.

An attempt is repeated after a pause, for so many seconds, where nothing can have happened: a read, a write that was not
sent, or one that was refused by a server that has lost its slot or its master's rank. Never a write without an answer.
"""

from __future__ import annotations

import os
import random
from time import monotonic, sleep
from typing import TYPE_CHECKING

from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot

from kvcli.engine.redis.link import Link
from kvcli.engine.redis.translation import MOVED, PASSING, Lost, Refused, lost, refused
from kvcli.errors import InvalidArgument, KvError, NoSuchStore, Other
from kvcli.remote_errors import CrossSlot, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any, TypeVar

    from kvcli.engine.redis.address import Address

    Answer = TypeVar("Answer")

IDLE_LINKS_MAX = 8
PAUSE_SECONDS, PAUSE_SECONDS_MAX = 0.01, 0.5


class Node:
    """A server, and links to it that nobody uses just now."""

    __slots__ = ("host", "id", "idle", "port")

    def __init__(self, host: str, port: int, name: str = "") -> None:
        """`name` is its id in a cluster."""
        self.host = host
        self.port = port
        self.id = name
        self.idle: list[Link] = []

    def take(self) -> Link | None:
        """Give one of the idle links; another thread may take the last one at this moment."""
        try:
            return self.idle.pop()
        except IndexError:
            return None


class Trip:
    """One attempt at some work. It takes a link to the server of the first key that is asked for, and keeps to that slot."""

    __slots__ = ("_at", "_link", "_node", "_servers", "_slot", "watches")

    def __init__(self, servers: Servers, at: Node | None) -> None:
        """`at` is a server that was named by another one: it is to be asked instead of the slot's own."""
        self._servers = servers
        self._at = at
        self._node: Node | None = None
        self._slot: int | None = None
        self._link: Link | None = None
        self.watches = False

    def to(self, key: bytes) -> Link:
        """Give the link for a key. Raises CrossSlot for one of another slot than the first."""
        slot = self._servers.slot_of(key)
        if self._link is not None and slot != self._slot:
            raise CrossSlot(
                "the keys are in several slots of the cluster, and one transaction has those of one: give them a common {tag}"
            )
        self._slot = slot
        return self._link or self.at(self._at or self._servers.node_of(slot))

    def at(self, node: Node) -> Link:
        """Give the link to a server."""
        if self._link is None:
            self._node = node
            self._link = self._servers.take(node)
            if self._at is not None:
                self._link.ask_once()
        return self._link

    def end(self) -> None:
        """Give the link back."""
        link, self._link = self._link, None
        if link is None or self._node is None:
            return
        try:
            if self.watches:
                link.call("UNWATCH")
        except (Lost, Refused):
            link.close()
            return
        self._servers.give_back(self._node, link)

    def drop(self) -> None:
        """Close the link: nobody knows what would be answered next."""
        link, self._link = self._link, None
        if link is not None:
            link.close()


class Servers:
    """All servers of a store. Usable from several threads; after a fork it connects anew."""

    def __init__(self, address: Address) -> None:
        """Know where to begin; nothing is connected yet."""
        self.address = address
        self.is_closed = False
        self._pid = os.getpid()
        self.marks: set[bytes] = set()  # Of servers at which a walk of this process is to go on.
        self._is_whole = False  # It is known that a single server has all keys.
        self._met = False  # Once a server has answered, one that does not is waited for.
        self._nodes = [Node(host, port) for host, port in address.seeds]
        self._slots: list[Node | None] = [] if address.is_cluster else [self._nodes[0]]

    def attempt(self, act: Callable[[Trip], Answer], seconds: float) -> Answer:
        """Do some work, and again where that is safe, for so many seconds. Raises what is ours."""
        deadline = monotonic() + seconds
        pauses = _pauses()
        at: Node | None = None
        while True:
            trip = Trip(self, at)
            try:
                answer = act(trip)
            except Refused as refusal:
                trip.end()
                at = self._turn(refusal, deadline, pauses)
            except Lost as loss:
                trip.drop()
                at = None
                self._wait_for(loss, deadline, pauses)
            except KvError:
                trip.end()
                raise
            except BaseException:
                trip.drop()
                raise
            else:
                trip.end()
                return answer

    def slot_of(self, key: bytes) -> int:
        """Give the slot of a key; without a cluster there is one."""
        return key_slot(key, REDIS_CLUSTER_HASH_SLOTS) if self.address.is_cluster else 0

    def node_of(self, slot: int) -> Node:
        """Give the server that has a slot. Raises Lost where nobody has it."""
        if not self._slots:
            self.refresh()
        node = self._slots[slot]
        if node is None:
            raise Lost(self.address.shown, Unavailable(f"slot {slot} is served by nobody"), [], writing=False)
        return node

    def find_masters(self, seconds: float) -> None:
        """Know who has which slot. Raises what is ours."""
        if not self._slots:
            self.attempt(lambda _: self.refresh(), seconds)

    def masters(self, seconds: float) -> list[Node]:
        """Give all servers that have keys, in an order that is everybody's. Raises what is ours, also for a slot of nobody."""
        self.find_masters(seconds)
        if not self.address.is_cluster:
            self._refuse_part(seconds)
        if None in self._slots:  # Its keys would be missing, and nobody would know.
            self.attempt(lambda _: self._find_all(), seconds)
        return sorted({id(node): node for node in self._slots if node is not None}.values(), key=lambda node: node.id)

    def still(self, node: Node) -> Node:
        """Give back a server that is one of the masters still. Raises Unavailable."""
        if node not in self._nodes:
            raise Unavailable(f"{self.address.shown}: the masters of the cluster have changed meanwhile: begin again")
        return node

    def take(self, node: Node) -> Link:
        """Give a link to a server."""
        if self.is_closed:
            raise Other("this store was closed")
        if self._pid != os.getpid():
            self._leave_to_parent()
        while (idle := node.take()) is not None:
            if idle.is_fresh():
                return idle
            idle.close()
        link = Link(self.address, node.host, node.port)
        self._met = True
        return link

    def give_back(self, node: Node, link: Link) -> None:
        """Keep a link for the next one."""
        link.rest()
        if self.is_closed or len(node.idle) >= IDLE_LINKS_MAX:
            link.close()
        else:
            node.idle.append(link)

    def close(self) -> None:
        """Close all links that nobody uses."""
        self.is_closed = True
        for node in self._nodes:
            while (link := node.take()) is not None:
                link.close()

    def refresh(self) -> None:
        """Ask who has which slot. Raises the last Lost where nobody answers."""
        if not self.address.is_cluster:
            return
        failure: Lost | NoSuchStore | None = None
        for node in [*self._nodes, *(Node(host, port) for host, port in self.address.seeds)]:
            try:
                link = self.take(node)
                table = link.call("CLUSTER", "SLOTS")
            except (Lost, NoSuchStore) as loss:  # Another seed may be there.
                failure = loss
            except Refused as refusal:
                raise refused(refusal, self.address.shown) from refusal
            else:
                self.give_back(node, link)
                self._learn(table, node.host)
                return
        raise failure or Lost(self.address.shown, None, [], writing=False)

    def _refuse_part(self, seconds: float) -> None:
        """Raise InvalidArgument where the one server is a part of a cluster: its keys are some of all, and none tells that."""
        if not self._is_whole:
            table = self.attempt(lambda trip: trip.at(self._nodes[0]).exchange([("CLUSTER", "SLOTS")])[0], seconds)
            if (
                isinstance(table, list) and len({tuple(row[2][:2]) for row in table}) > 1
            ):  # Else it is an error: it is none.
                raise _part_of_cluster(self.address.shown)
            self._is_whole = True

    def _find_all(self) -> None:
        if None in self._slots:
            self.node_of(self._slots.index(None))

    def _learn(self, table: list[Any], host: str) -> None:
        known = {(node.host, node.port): node for node in self._nodes}
        slots: list[Node | None] = [None] * REDIS_CLUSTER_HASH_SLOTS
        nodes: dict[tuple[str, int], Node] = {}
        for first, last, master, *_ in table:
            place = ((master[0] or b"").decode() or host, int(master[1]))
            node = nodes.setdefault(place, known.get(place) or Node(*place))
            node.id = master[2].decode() if len(master) > 2 else f"{place[0]}:{place[1]}"
            slots[first : last + 1] = [node] * (last + 1 - first)
        self._nodes, self._slots = [*nodes.values()], slots

    def _turn(self, refusal: Refused, deadline: float, pauses: Iterator[float]) -> Node | None:
        """Give the server that is to be asked once instead; None is the one that the table says now. Else it raises."""
        shown = self.address.shown
        if refusal.word in MOVED and not self.address.is_cluster:
            raise _part_of_cluster(shown) from refusal
        demoted = refusal.word == "READONLY" and self.address.is_cluster
        if monotonic() >= deadline or not (refusal.word in MOVED or refusal.word in PASSING or demoted):
            raise refused(refusal, shown) from refusal
        if refusal.word == "ASK":
            host, _, port = str(refusal).split()[2].rpartition(":")
            return Node(host or self.address.seeds[0][0], int(port))
        if refusal.word != "MOVED":
            sleep(next(pauses))
        self._refresh_if_possible()
        return None

    def _wait_for(self, loss: Lost, deadline: float, pauses: Iterator[float]) -> None:
        is_over = monotonic() >= deadline
        if loss.writing or loss.foreign or not self._met or is_over:
            self._met = self._met and (
                self.address.is_cluster or not is_over
            )  # One that stays away is waited for once.
            raise lost(loss, self.address.shown) from loss
        sleep(next(pauses))
        self._refresh_if_possible()

    def _refresh_if_possible(self) -> None:
        try:
            self.refresh()
        except Lost:
            return  # The next attempt will tell.

    def _leave_to_parent(self) -> None:
        # The library does not shut a connection down that another process made.
        self._pid = os.getpid()
        for node in self._nodes:
            node.idle = []


def _part_of_cluster(shown: str) -> InvalidArgument:
    return InvalidArgument(f"{shown}: the server is one of a cluster: write redis+cluster:// instead")


def _pauses() -> Iterator[float]:
    pause = PAUSE_SECONDS
    while True:
        yield pause * random.uniform(0.5, 1)  # noqa: S311 - so that not all come back at once
        pause = min(2 * pause, PAUSE_SECONDS_MAX)
