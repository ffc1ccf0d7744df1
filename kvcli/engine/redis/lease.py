"""Lease: the claim of who fills an entry on a server: a key that lives for some seconds, and is renewed while its owner does.

A server does not see a process die. So whoever dies loses the claim when its lease ends, and those who wait look again and
again, with growing pauses. Who was stopped for longer than a lease, and goes on, may fill the entry as well: a cache allows it.
"""

from __future__ import annotations

import os
import secrets
import threading
from time import sleep
from typing import TYPE_CHECKING

from kvcli.engine.claims import Claim
from kvcli.engine.redis.planning import Outrun, judge
from kvcli.engine.redis.translation import refuse_errors
from kvcli.errors import KvError

if TYPE_CHECKING:
    from kvcli.engine.redis.link import Command
    from kvcli.engine.redis.remote import Remote
    from kvcli.engine.redis.trip import Trip

LEASE_MS = 5000
RENEWALS_PER_LEASE = 3
PAUSE_SECONDS, PAUSE_SECONDS_MAX = 0.01, 0.5


class Lease(Claim):
    """The right to fill an entry, until it is released, forgotten, or its process ends and some seconds pass."""

    __slots__ = ("__weakref__", "_held", "_remote", "name")

    def __init__(self, remote: Remote, name: bytes, rank: int) -> None:
        """Want the claim of an entry; nothing is claimed yet."""
        self._remote = remote
        self.name = name
        self.path, self.place = f"{remote.servers.address.shown} {name!r}", rank
        self._held: Held | None = None

    def again(self) -> Lease:
        """Give another one for the same entry, that is not had yet."""
        return Lease(self._remote, self.name, self.place)

    def take(self) -> bool:
        """Claim, if nobody has."""
        token = secrets.token_bytes(16)
        words = ("SET", self.name, token, "NX", "PX", LEASE_MS)
        taken = self._remote.servers.attempt(
            lambda trip: trip.to(self.name).call(*words, writes=True), self._remote.patience
        )
        if taken is not None:
            self._held = Held(self._remote, self.name, token)
        return taken is not None

    def wait(self) -> None:
        """Claim, when nobody else has. Ctrl-C ends it."""
        pause = PAUSE_SECONDS
        while not self.take():
            sleep(pause)
            pause = min(2 * pause, PAUSE_SECONDS_MAX)

    def release(self) -> None:
        """Let the next one claim. Safe to call twice, and in a forked child, which has no claims."""
        held, self._held = self._held, None
        if held is not None:
            held.end()

    def __del__(self) -> None:
        """Release what was forgotten."""
        self.release()


class Held:
    """A claim that is had. A thread renews it, and knows nothing of the one who may forget it."""

    def __init__(self, remote: Remote, name: bytes, token: bytes) -> None:
        """Hold it from now on."""
        self._remote = remote
        self._name = name
        self._token = token
        self._pid = os.getpid()
        self._over = threading.Event()
        threading.Thread(target=self._renew, name="lease", daemon=True).start()

    def end(self) -> None:
        """Give it up, unless it is somebody else's by now, or another process's."""
        self._over.set()
        if self._pid != os.getpid():
            return
        try:
            self._if_mine(("DEL", self._name))
        except KvError:
            return  # It ends by itself.

    def _renew(self) -> None:
        pause = LEASE_MS / 1000 / RENEWALS_PER_LEASE
        while not self._over.wait(pause):
            try:
                if not self._if_mine(("PEXPIRE", self._name, LEASE_MS)):
                    return
            except KvError:
                continue  # The server may be back before the lease ends.

    def _if_mine(self, command: Command) -> bool:
        shown = self._remote.servers.address.shown

        def act(trip: Trip) -> bool:
            link = trip.to(self._name)
            trip.watches = True
            answers = link.exchange([("WATCH", self._name), ("GET", self._name)])
            refuse_errors(answers, shown)
            if answers[1] != self._token:
                return False
            try:
                judge(link.transact([command]), shown)
            except Outrun:
                return False
            trip.watches = False
            return True

        return self._remote.servers.attempt(act, self._remote.patience)
