"""The cache of a store on a server: the server ends lives, and leases say who fills."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from kvcli.cache import Cache, Occupied, Vacant
from kvcli.errors import Full, ReadOnly
from kvcli.store import Store
from tests.conftest import Run
from tests.contract.test_cache import vacancy_of
from tests.processes import ROOT
from tests.redis.cluster import Cluster, wait_until
from tests.redis.servers import MISSING, Server

pytestmark = pytest.mark.skipif(bool(MISSING), reason=MISSING)
FILLER = """
import sys, time
from kvcli.cache import Cache
from kvcli.store import Store
entry = Cache(Store(sys.argv[1])).get_or_set("k")
print("had", flush=True)
time.sleep(600)
"""


@pytest.fixture(params=["server", "cluster"])
def cache(request: pytest.FixtureRequest) -> Iterator[Cache]:
    """An empty cache, on a server and on a cluster."""
    servers: Server | Cluster = request.getfixturevalue(request.param)
    servers.flush()
    with Store(servers.url) as store, Cache(store) as opened:
        yield opened


def test_get_gives_what_was_set(cache: Cache) -> None:
    """Values come back as they were, empty and binary ones too, until they are deleted."""
    for value in (b"", b"\0\xff", b"v" * 100_000):
        cache.set("k", value)
        assert (cache.get("k"), cache.exists("k")) == (value, True)
    cache.delete("k")
    assert (cache.get("k"), cache.exists("k")) == (None, False)


def test_life_ends_with_its_ttl(cache: Cache) -> None:
    """What has a time to live goes when that is over; a set without one takes it away."""
    cache.set("short", b"v", 1)
    cache.set("kept", b"v", 50)
    cache.set("kept", b"w")
    wait_until(lambda: cache.get("short") is None)
    assert cache.get("kept") == b"w"


def test_entries_are_no_keys(cache: Cache) -> None:
    """Neither layout lists an entry, nor what kvcli keeps beside it; clear removes entries, and no key."""
    url = cache.shelf._remote.servers.address.shown  # type: ignore[attr-defined]
    with Store(url + "?layout=flat") as flat, Store(url) as store:
        store.open("default").set("k", b"v")
        cache.set("k", b"v")
        vacancy_of(cache, "other")
        assert (flat.open("default").list_keys().keys, store.buckets()) == (["default:k"], ["default"])
        assert cache.clear() == 1
        assert store.open("default").get("k") == b"v"


def test_vacancy_is_one_persons(cache: Cache) -> None:
    """Others wait until it is filled, and get what it was filled with."""
    vacancy = vacancy_of(cache, "k")
    got: list[object] = []
    threads = [threading.Thread(target=lambda: got.append(cache.get_or_set("k"))) for _ in range(4)]
    for thread in threads:
        thread.start()
    vacancy.fill(b"v")
    for thread in threads:
        thread.join()
    assert [each.value for each in got if isinstance(each, Occupied)] == [b"v"] * 4


def test_dropped_vacancy_is_the_next_ones(cache: Cache) -> None:
    """Dropping it, or forgetting it, lets the next one in."""
    vacancy_of(cache, "k").drop()
    vacancy_of(cache, "k")
    vacancy_of(cache, "k").fill(b"v")
    assert cache.get("k") == b"v"


def test_impatient_ones_get_a_vacancy_too(cache: Cache) -> None:
    """Who has waited for as long as it would gets a vacancy as well."""
    first = vacancy_of(cache, "k")
    entry = cache.get_or_set("k", timeout=0.05)
    assert isinstance(entry, Vacant)
    first.drop()


def test_lease_is_renewed_while_its_owner_lives(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    """A filler that takes longer than a lease keeps it."""
    monkeypatch.setattr("kvcli.engine.redis.lease.LEASE_MS", 1000)
    vacancy = vacancy_of(cache, "k")
    name = vacancy._claim.name  # type: ignore[union-attr]

    def left() -> int:
        shelf = cache.shelf
        return int(shelf._ask(name, "PTTL", name))  # type: ignore[attr-defined]

    seen = [left()]

    def is_renewed() -> bool:
        seen.append(left())
        return seen[-1] > seen[-2] > 0

    wait_until(is_renewed)
    vacancy.drop()
    assert left() == -2


def test_dead_filler_loses_its_lease(cache: Cache) -> None:
    """Who waits for a process that was killed gets the vacancy once its lease is over."""
    url = cache.shelf._remote.servers.address.shown  # type: ignore[attr-defined]
    filler = subprocess.Popen([sys.executable, "-c", FILLER, url], cwd=ROOT, stdout=subprocess.PIPE)
    assert filler.stdout is not None
    assert filler.stdout.readline() == b"had\n"
    filler.send_signal(signal.SIGKILL)
    filler.communicate()
    vacancy_of(cache, "k").fill(b"v")
    assert cache.get("k") == b"v"


def test_value_above_the_cap_and_reading_only(server: Server) -> None:
    """A value that is larger than the cap is refused, and so is a write to what is read-only."""
    server.flush()
    with Store(server.url) as store, Cache(store, max_size=1 << 20) as small, pytest.raises(Full):
        small.set("k", bytes(2 << 20))
    with Store(server.url, read_only=True) as store, Cache(store) as cache:
        assert cache.get("k") is None
        for write in (
            lambda: cache.set("k", b""),
            lambda: cache.delete("k"),
            cache.clear,
            lambda: cache.get_or_set("k"),
        ):
            with pytest.raises(ReadOnly):
                write()


def test_commands(kvcli: Run, server: Server) -> None:
    """The command line's cache works on a server, `run` included, and counts hits and misses."""
    server.flush()
    where = {"env": {"KVCLI_STORE": server.url}}
    assert kvcli("cache", "get-or-set", "k", "--ttl", "1h", "--", "echo", "made", **where).stdout == b"made\n"
    assert kvcli("cache", "get-or-set", "k", "--", "false", **where).stdout == b"made\n"
    first = kvcli("cache", "run", "--", "sh", "-c", "date +%N; exit 3", **where)
    again = kvcli("cache", "run", "--", "sh", "-c", "date +%N; exit 3", **where)
    assert (first.stdout, first.returncode) == (again.stdout, 3)
    figures = json.loads(kvcli("cache", "stats", "--json", **where).stdout)
    assert (figures["entries"], figures["path"]) == (2, server.url)
    assert kvcli("cache", "clear", **where).returncode == 0
    assert kvcli("cache", "get", "k", **where).returncode == 1


def test_purge_leaves_it_to_the_server(cache: Cache) -> None:
    """What has expired is gone already, so nothing is purged, and nothing else goes."""
    cache.set("k", b"v")
    assert (cache.purge(), cache.get("k")) == (0, b"v")


def test_close_twice(server: Server) -> None:
    """Closing is safe to repeat, and what was counted is counted once."""
    server.flush()
    with Store(server.url) as store:
        cache = Cache(store)
        cache.get("k")
        cache.close()
        cache.close()
    assert server.cli("HGET", "__kvcli__:cache-counts", "misses") == "1"
