"""Guard: what a Cas handle holds on a server: a link of its own that watches the key, so that no write escapes it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from kvcli.engine.redis.planning import Outrun, judge
from kvcli.engine.redis.reading import IDENTITY
from kvcli.engine.redis.translation import Lost, Refused, lost

if TYPE_CHECKING:
    from kvcli.engine.redis.link import Link
    from kvcli.engine.redis.remote import Remote
    from kvcli.engine.redis.trip import Node


class Guard:
    """A key that is watched, and the value it had. Good for one swap."""

    identity, revision = IDENTITY, 0

    def __init__(self, remote: Remote, node: Node, link: Link, bucket: bytes, name: bytes, value: bytes | None) -> None:
        """Take over a link that watches."""
        self._bucket = bucket
        self._remote = remote
        self._servers = remote.servers
        self._node = node
        self._link: Link | None = link
        self._pid = os.getpid()
        self._name = name
        self.value = value

    def swap(self, value: bytes) -> bool:
        """Write, if nobody wrote the key since; false: somebody did, or the watch ended, and nothing was written."""
        self._remote.refuse_reading_only()
        if (
            not self._remote.transactional
        ):  # The declaration of the bucket could not be watched: it is on another server.
            self._remote.read(lambda snapshot: snapshot.check(self._bucket))
        link, self._link = self._link, None
        if link is None or self._pid != os.getpid() or not link.is_fresh():
            return False  # After a fork the link is the parent's: two would talk on it.
        try:
            judge(link.transact([("SET", self._name, value)]), self._shown)
        except (Outrun, Refused):  # What is refused for a while is tried again with a fresh handle.
            is_written = False
        except Lost as loss:
            raise lost(loss, self._shown) from loss
        except BaseException:
            link.close()
            raise
        else:
            is_written = True
        self._servers.give_back(self._node, link)
        return is_written

    def release(self) -> None:
        """Watch no more. Safe to call twice."""
        link, self._link = self._link, None
        if link is not None:
            link.close()

    def __del__(self) -> None:
        """Release what was forgotten."""
        self.release()

    @property
    def _shown(self) -> str:
        return self._servers.address.shown
