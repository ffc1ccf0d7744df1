"""Flights of very many commands, where a server takes its time, refuses, or is not there: each item has its answer."""

from __future__ import annotations

import contextlib
import signal
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from kvcli.batch import delete_many, set_many
from kvcli.engine.redis.names import slot_of
from kvcli.errors import AccessDenied
from kvcli.remote_errors import Unavailable
from kvcli.store import Store
from tests.redis.cluster import Cluster
from tests.redis.servers import MISSING, Server

pytestmark = pytest.mark.skipif(bool(MISSING), reason=MISSING)
PAIRS = [(b"a", b"1"), (b"b", b"2")]


class Silent:
    """A server that answers nothing. Who talks to it gets Ctrl-C, once it has heard the first bytes and is told to.

    Again and again, since one that comes just before a system call is heard when that is over; `hear` hears one.
    """

    def __init__(self) -> None:
        """Listen."""
        self.go, self.ended, self.heard = threading.Event(), threading.Event(), False
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.place = f"127.0.0.1:{self._listening.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def hear(self, _number: int, _frame: object) -> None:
        """Be the handler of Ctrl-C: once is enough."""
        if not self.heard:
            self.heard = True
            raise KeyboardInterrupt

    def _serve(self) -> None:
        client, _ = self._listening.accept()
        with contextlib.suppress(OSError), client, self._listening:
            client.recv(1)
            self.go.wait()
            while not self.heard:
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
                time.sleep(0.01)
            while client.recv(1 << 20):
                pass
        self.ended.set()


@pytest.fixture
def silent() -> Iterator[Silent]:
    """Start one, and hear one Ctrl-C."""
    server = Silent()
    before = signal.signal(signal.SIGINT, server.hear)
    yield server
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def partial(tmp_path: object) -> Iterator[str]:
    """A cluster of one server, which has not all slots."""
    server = Server(str(tmp_path), "--cluster-enabled", "yes")
    server.cli("CLUSTER", "ADDSLOTSRANGE", "0", "16000")
    yield server.url.replace("redis", "redis+cluster")
    server.stop()


@pytest.mark.parametrize("where", ["handshake", "greeting", "sending", "hearing"])
def test_interrupted_flight_ends_its_connection(silent: Silent, where: str) -> None:
    """After Ctrl-C nobody knows what would be answered next, wherever it came: the connection is not used again."""
    user = "u:p@" if where == "greeting" else ""
    scheme = "rediss" if where == "handshake" else "redis"
    value = bytes(32 << 20 if where == "sending" else 1)  # More than the two of them and the system hold.
    engine = Store(f"{scheme}://{user}{silent.place}").engine
    if where != "hearing":
        silent.go.set()
    with pytest.raises(KeyboardInterrupt) as caught:
        engine.fly([("put_many", b"default", [(b"k", value)])], 1, silent.go.set)
    assert silent.ended.wait(30), caught


def test_flight_to_a_cluster_that_is_not_there(deserted: int) -> None:
    """Each of its items is told that nobody answers."""
    engine = Store(f"redis+cluster://127.0.0.1:{deserted}").engine
    (answers,) = engine.fly([("put_many", b"default", PAIRS)], 0)
    assert [type(answer) for answer in answers] == [Unavailable] * 2


def test_flight_for_slots_that_nobody_has(partial: str) -> None:
    """It is waited for them once, and not anew for each item that is left."""
    keys = [key for key in map(b"%d".__mod__, range(1000)) if slot_of(b"default:" + key) > 16_000]
    (answers,) = Store(partial).engine.fly([("put_many", b"default", [(key, b"") for key in keys])], 0.05)
    assert {type(answer) for answer in answers} == {Unavailable}
    assert all("served by nobody" in str(answer) for answer in answers)


def test_flight_of_large_values(server: Server) -> None:
    """Each goes in a command of its own, since none is very long, and all arrive."""
    server.flush()
    server.cli("CONFIG", "RESETSTAT")
    store = Store(server.url)
    pairs = [(key, bytes(600_000)) for key in (b"a", b"b", b"c")]
    assert store.engine.fly([("put_many", b"default", pairs)], 1) == [[None] * 3]
    assert store.read(lambda snapshot: snapshot.get_many(b"default", [b"a", b"b", b"c"])) == [bytes(600_000)] * 3
    assert "cmdstat_mset:calls=3," in server.cli("INFO", "commandstats")


@pytest.mark.parametrize("how", ["set", "delete"])
def test_flight_of_which_a_part_is_refused_in_a_cluster(cluster: Cluster, how: str) -> None:
    """What is refused is told, and all else is done: there is no transaction of it."""
    cluster.flush()
    set_many(Store(cluster.url).open("default"), [("a", b"old"), ("b", b"old")])
    for server in cluster.alive():
        server.cli("ACL", "SETUSER", "some", "reset", "on", ">pw", "%R~*", "~default:a*", "+@all")
    bucket = Store(cluster.url.replace("//", "//some:pw@")).open("default")
    with pytest.raises(AccessDenied, match="default:b"):
        set_many(bucket, [("a", b"new"), ("b", b"new")]) if how == "set" else delete_many(bucket, ["a", "b"])
    assert (bucket.get("a"), bucket.get("b")) == (b"new" if how == "set" else None, b"old")
