"""Flights of which a server refuses a part for a while: what is run again is in order still."""

from __future__ import annotations

import socket
import threading

import pytest

from kvcli.remote_errors import Unavailable
from kvcli.store import Store
from tests.redis.servers import MISSING

pytestmark = pytest.mark.skipif(bool(MISSING), reason=MISSING)


class Busy:
    """A server that is busy with a script when the first command comes, and has ended it when the second does."""

    def __init__(self) -> None:
        """Listen."""
        self.values: dict[bytes, bytes] = {}
        self._asked = 0
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self._listening.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            client, _ = self._listening.accept()
            with client:
                while said := client.recv(1 << 16):
                    words = [word for word in said.split(b"\r\n") if word and word[:1] not in b"*$"]
                    while words:
                        client.sendall(self._answer(words))

    def _answer(self, words: list[bytes]) -> bytes:
        verb, key = words.pop(0), words.pop(0)
        value = words.pop(0) if verb == b"SET" else None
        self._asked += 1
        if self._asked == 1:
            return b"-BUSY Redis is busy running a script.\r\n"
        if value is not None:
            self.values[key] = value
            return b"+OK\r\n"
        found = self.values.get(key)
        return b"$-1\r\n" if found is None else b"$%d\r\n%b\r\n" % (len(found), found)


def test_two_sets_of_a_key() -> None:
    """The second one wins, whatever became of the first."""
    server = Busy()
    steps = [("put_many", b"default", [(b"k", b"first")]), ("put_many", b"default", [(b"k", b"second")])]
    first, second = Store(server.url).engine.fly(steps, 1)
    assert (server.values[b"default:k"], second) == (b"second", [None])
    assert isinstance(first[0], Unavailable)


@pytest.mark.parametrize(("other", "found"), [(b"k", Unavailable), (b"l", type(None))])
def test_set_before_a_get(other: bytes, found: type) -> None:
    """A get that was answered saw what was there, so a set before it is done only if it is of another key."""
    steps = [("put_many", b"default", [(b"k", b"v")]), ("get_many", b"default", [other])]
    first, second = Store(Busy().url).engine.fly(steps, 1)  # type: ignore[arg-type]
    assert (type(first[0]), second) == (found, [None])
