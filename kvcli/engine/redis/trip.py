"""Trip: one attempt at some work, on a link to the one server that has the key. Who attempts again, and where, Servers says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kvcli.engine.redis.translation import Lost, Refused
from kvcli.remote_errors import CrossSlot

if TYPE_CHECKING:
    from kvcli.engine.redis.link import Link
    from kvcli.engine.redis.servers import Servers


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
        """Take a link to a server, and give it."""
        self._node = node
        self._link = self._servers.take(node)
        if self._at is not None:
            self._link.ask_once()
        return self._link

    def keep(self) -> tuple[Node, Link]:
        """Take the link over, with the server that it is to."""
        node, link, self._link = self._node, self._link, None
        if node is None or link is None:
            raise AssertionError("nothing was asked yet")
        return node, link

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
