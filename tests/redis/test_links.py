"""Connections: how many are kept, and what becomes of them where somebody ends them, or answers otherwise than one thought."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kvcli.atomics import Cas, swap
from kvcli.engine.redis.scan import all_names
from kvcli.engine.update import Update
from kvcli.errors import CasFailed, Other
from kvcli.remote_errors import OutcomeUnknown, Unavailable
from kvcli.store import Store
from tests.redis.cluster import wait_until
from tests.redis.proxy import Proxy
from tests.redis.servers import MISSING, Server

pytestmark = pytest.mark.skipif(bool(MISSING), reason=MISSING)


@pytest.fixture
def lone(tmp_path: object) -> Iterator[Server]:
    """A server of a cluster of which it is all."""
    server = Server(str(tmp_path), "--cluster-enabled", "yes", "--cluster-require-full-coverage", "no")
    server.cli("CLUSTER", "ADDSLOTSRANGE", "0", "16383")
    yield server
    server.stop()


class Counted:
    """A user of a server, whose connections are counted: those of other tests may end at any moment."""

    def __init__(self, server: Server, name: str) -> None:
        """Have no connections."""
        server.cli("ACL", "SETUSER", name, "on", "nopass", "~*", "+@all")
        self.url = server.url.replace("//", f"//{name}:any@")
        self._server, self._name = server, name

    def connections(self) -> int:
        """Count them."""
        return self._server.cli("CLIENT", "LIST").count(f" user={self._name} ")


@pytest.fixture
def counted(server: Server, request: pytest.FixtureRequest) -> Counted:
    """A user for one test."""
    return Counted(server, request.node.name)


def test_few_idle_connections_are_kept(counted: Counted) -> None:
    """Work inside of work has as many connections as it needs; eight are left afterwards, and none once it is closed."""
    store = Store(counted.url)

    def work(depth: int) -> None:
        def deeper(update: Update) -> None:
            update.get(b"default", b"k")
            if depth:
                work(depth - 1)

        store.write(deeper)

    work(12)
    wait_until(lambda: counted.connections() == 8)
    store.close()
    wait_until(lambda: counted.connections() == 0)


def test_store_that_is_closed_under_way(counted: Counted, server: Server) -> None:
    """What is on its way ends as it would have, its connection is not kept, and nobody gets another one."""
    store = Store(counted.url)

    def work(update: Update) -> None:
        update.get(b"default", b"k")
        store.close()
        update.put(b"default", b"k", b"v")

    store.write(work)
    assert server.cli("GET", "default:k") == "v"
    wait_until(lambda: counted.connections() == 0)
    with pytest.raises(Other, match="closed"):
        store.open("default").get("k")


def test_handle_that_is_left_watches_no_more(counted: Counted) -> None:
    """Behind its `with` block it holds no connection, and its swap loses, since nobody knows what happened meanwhile."""
    bucket = Store(counted.url).open("default")
    bucket.set("k", b"1")
    with Cas.new(bucket, "k") as cas, Cas.new(bucket, "k"):
        assert counted.connections() == 2
    wait_until(lambda: counted.connections() == 0)
    with pytest.raises(CasFailed):
        swap(cas, b"2")
    assert bucket.get("k") == b"1"


def test_swap_without_an_answer(server: Server) -> None:
    """It may have happened: that is said, and it is no lost swap, which one would try again."""
    server.cli("SET", "default:k", "1")
    proxy = Proxy(server.port, b"EXEC", "swallow")
    bucket = Store(proxy.url).open("default")
    cas = Cas.new(bucket, "k")
    with pytest.raises(OutcomeUnknown, match="may have happened"):
        swap(cas, b"2")
    assert server.cli("GET", "default:k") == "2"
    proxy.close()


def test_second_transaction_of_a_connection_without_an_answer(server: Server) -> None:
    """It may have happened just as the first one may, so it is not tried again."""
    proxy = Proxy(server.port, b"second", "swallow")
    store = Store(proxy.url)

    def put(value: bytes) -> None:
        def work(update: Update) -> None:
            update.get(b"default", b"k")  # So it is watched, and written by MULTI.
            update.put(b"default", b"k", value)

        store.write(work)

    put(b"first")
    with pytest.raises(OutcomeUnknown, match="may have happened"):
        put(b"second")
    assert (server.cli("GET", "default:k"), proxy.connections) == ("second", 1)
    proxy.close()


def test_connection_that_ends_while_a_value_is_sent(server: Server) -> None:
    """Nobody knows how much of what was sent was done, also where not all of it was."""
    proxy = Proxy(server.port, b"SET", "cut")
    bucket = Store(proxy.url).open("default")
    with pytest.raises(OutcomeUnknown, match="may have happened"):
        bucket.set("k", bytes(32 << 20))  # More than the two of them and the system hold.
    proxy.close()


@pytest.mark.parametrize("seed", ["", ",nowhere.invalid"])
def test_cluster_that_comes_back_is_waited_for(lone: Server, seed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As one server is, though meanwhile nobody says who has which slot, and one of the seeds has left it for good."""
    store = Store(lone.url.replace("redis", "redis+cluster").replace("/0", seed))
    store.stat()
    lone.kill()
    pauses = iter([lambda: None, lone.restart])
    monkeypatch.setattr("kvcli.engine.redis.servers.sleep", lambda _: next(pauses)())
    assert store.stat()["masters"] == 1


def test_slots_that_nobody_has_for_a_while(lone: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is of all keys waits until somebody has them."""
    lone.cli("CLUSTER", "DELSLOTS", "7")
    store = Store(lone.url.replace("redis", "redis+cluster"))
    monkeypatch.setattr("kvcli.engine.redis.servers.sleep", lambda _: lone.cli("CLUSTER", "ADDSLOTS", "7"))
    assert store.stat()["masters"] == 1


def test_list_whose_master_is_none_any_more(lone: Server, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keys that it had are at another one: that is told, and it is not asked as if it had them still."""
    second = Server(str(tmp_path_factory.mktemp("second")), "--cluster-enabled", "yes")
    lone.cli("CLUSTER", "MEET", "127.0.0.1", str(second.port))
    name, own = second.cli("CLUSTER", "MYID"), lone.cli("CLUSTER", "MYID")
    wait_until(lambda: "handshake" not in (nodes := lone.cli("CLUSTER", "NODES")) and name in nodes)
    lone.cli("CLUSTER", "SETSLOT", "0", "NODE", name)
    try:
        servers = Store(lone.url.replace("redis", "redis+cluster")).engine.servers  # type: ignore[attr-defined]
        pages = all_names(servers, b"default:", 1)
        next(pages)
        lone.cli("CLUSTER", "SETSLOT", "0", "NODE", own)
        servers.refresh()  # As another thread does that found a slot moved.
        with pytest.raises(Unavailable, match="begin again"):
            list(pages)
    finally:
        second.stop()
