"""Servers: one, or the masters of a cluster; which of them has a key, links to them, and what to do when they fail.

An attempt is repeated after a pause, for so many seconds, where nothing can have happened: a read, a write that was not
sent, or one that was refused by a server that has lost its slot or its master's rank. Never a write without an answer.
"""

from __future__ import annotations

import os
import random
from hashlib import blake2b
from time import monotonic, sleep
from typing import TYPE_CHECKING

from hiredis import ReplyError

from kvcli.engine.redis.link import Link
from kvcli.engine.redis.names import SLOTS, slot_of
from kvcli.engine.redis.translation import FOREIGN, MOVED, PASSING, Lost, Refused, failure, lost, refused
from kvcli.engine.redis.trip import Node, Trip
from kvcli.errors import InputOutput, InvalidArgument, KvError, NoSuchStore, Other
from kvcli.remote_errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any, TypeVar

    from kvcli.engine.redis.address import Address

    Answer = TypeVar("Answer")

IDLE_LINKS_MAX = 8
PAUSE_SECONDS, PAUSE_SECONDS_MAX = 0.01, 0.5


class Servers:
    """All servers of a store. Usable from several threads; after a fork it connects anew."""

    def __init__(self, address: Address) -> None:
        """Know where to begin; nothing is connected yet."""
        self.address = address
        self.is_closed = False
        self.shape = b""  # Who has which slots of a cluster, in short.
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
        return slot_of(key) if self.address.is_cluster else 0

    def node_of(self, slot: int) -> Node:
        """Give the server that has a slot. Raises Lost where nobody has it."""
        if not self._slots:
            self.refresh()
        node = self._slots[slot]
        if node is None:
            raise Lost(self.address.shown, Unavailable(f"slot {slot} is served by nobody"), [], writing=False)
        return node

    def reach(self, seconds: float) -> None:
        """See that somebody answers, before much is sent. Raises what is ours."""
        if self.address.is_cluster:
            self.find_masters(seconds)
        else:
            self.attempt(self._ping, seconds)

    def find_masters(self, seconds: float) -> None:
        """Know who has which slot. Raises what is ours."""
        if not self._slots:
            self.attempt(lambda _: self.refresh(), seconds)

    def look_again(self, seconds: float) -> None:
        """Ask a cluster anew who has which slot. Raises what is ours."""
        if self.address.is_cluster:
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
        link = Link.to(self.address, node.host, node.port)
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
        """Ask who has which slot. Raises Lost where nobody answers, NoSuchStore where there is not even a host."""
        if not self.address.is_cluster:
            return
        missed: Lost | NoSuchStore | None = None
        for node in [*self._nodes, *(Node(host, port) for host, port in self.address.seeds)]:
            try:
                link = self.take(node)
                table = link.call("CLUSTER", "SLOTS")
            except (Lost, NoSuchStore) as loss:  # Another seed may be there.
                missed = loss if isinstance(loss, Lost) else missed or loss  # One that was there may come back.
            except Refused as refusal:
                raise refused(refusal, self.address.shown) from refusal
            else:
                self.give_back(node, link)
                self._learn(table, node.host)
                return
        raise missed or Lost(self.address.shown, None, [], writing=False)

    def _ping(self, trip: Trip) -> None:
        (answer,) = trip.to(b"").exchange([("PING",)])
        if isinstance(answer, ReplyError) and Refused(answer).word != "NOPERM":  # Who may not ask this may ask others.
            raise failure(answer, self.address.shown)

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
        slots: list[Node | None] = [None] * SLOTS
        nodes: dict[tuple[str, int], Node] = {}
        for first, last, master, *_ in table:
            place = ((master[0] or b"").decode("utf-8", "replace") or host, int(master[1]))
            node = nodes.setdefault(place, known.get(place) or Node(*place))
            node.id = master[2].decode("utf-8", "replace") if len(master) > 2 else f"{place[0]}:{place[1]}"
            slots[first : last + 1] = [node] * (last + 1 - first)
        self._nodes, self._slots = [*nodes.values()], slots
        owners = sorted((row[0], row[1], slots[row[0]].id) for row in table)
        self.shape = blake2b(repr(owners).encode(), digest_size=4).hexdigest().encode()

    def _turn(self, refusal: Refused, deadline: float, pauses: Iterator[float]) -> Node | None:
        """Give the server that is to be asked once instead; None is the one that the table says now. Else it raises."""
        shown = self.address.shown
        if refusal.word in MOVED and not self.address.is_cluster:
            raise _part_of_cluster(shown) from refusal
        demoted = refusal.word == "READONLY" and self.address.is_cluster
        if monotonic() >= deadline or not (refusal.word in MOVED or refusal.word in PASSING or demoted):
            raise refused(refusal, shown) from refusal
        if refusal.word == "ASK":
            return self._other(str(refusal))
        if refusal.word != "MOVED":
            sleep(next(pauses))
        self._refresh_if_possible()
        return None

    def _other(self, told: str) -> Node:
        host, _, port = told.rpartition(" ")[2].rpartition(":")
        if not port.isdecimal() or len(port) > 5 or not 0 < int(port) < 1 << 16:
            raise InputOutput(f"{self.address.shown}: what answers there {FOREIGN}")
        return Node(host or self.address.seeds[0][0], int(port))

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
        # What is closed here, and not shut down, stays open there.
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
