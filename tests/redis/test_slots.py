"""Slots of a cluster that move while something is held, or listed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kvcli.atomics import Cas, swap
from kvcli.cache import Cache
from kvcli.errors import KvError
from kvcli.store import Store
from tests.redis.cluster import Cluster
from tests.redis.servers import MISSING
from tests.redis.test_cache import vacancy_of
from tests.redis.test_failover import move

pytestmark = pytest.mark.skipif(bool(MISSING), reason=MISSING)


@pytest.fixture
def far(cluster: Cluster) -> Iterator[Store]:
    """An empty store on a cluster."""
    cluster.flush()
    with Store(cluster.url) as store:
        yield store


def test_lease_whose_slot_moved_is_had_still(cluster: Cluster, far: Store) -> None:
    """It is renewed, and ended, where it is now: a server that does not have it any more says nothing about whose it is."""
    with Cache(far) as cache:
        vacancy = vacancy_of(cache, "k")
        claim = vacancy._claim
        name = claim.name.decode("utf-8", "surrogateescape")  # type: ignore[union-attr]
        source = cluster.owner(name)
        target = next(server for server in cluster.masters() if server is not source)
        move(cluster, name, source, target)
        try:
            assert claim._held._if_mine(("PEXPIRE", claim.name, 60_000))  # type: ignore[union-attr]
            assert int(target.cli("PTTL", name)) > 50_000
            vacancy.drop()
            assert target.cli("EXISTS", name) == "0"
        finally:
            move(cluster, name, target, source)


def test_lease_of_who_may_not_look_is_not_another_ones(cluster: Cluster, far: Store) -> None:
    """What is refused is an error: the renewal tries again, and does not give up."""
    with Cache(far) as cache:
        vacancy = vacancy_of(cache, "k")
        claim = vacancy._claim
        owner = cluster.owner(claim.name.decode("utf-8", "surrogateescape"))  # type: ignore[union-attr]
        owner.cli("ACL", "SETUSER", "default", "-get")
        try:
            with pytest.raises(KvError):
                claim._held._if_mine(("PEXPIRE", claim.name, 60_000))  # type: ignore[union-attr]
        finally:
            owner.cli("ACL", "SETUSER", "default", "+get")
        vacancy.drop()


def test_handle_of_a_key_on_the_move(cluster: Cluster, far: Store) -> None:
    """While a slot moves, a key that is not there any more is watched, and swapped, where it is going to."""
    source = cluster.owner("default:{m}")
    target = next(server for server in cluster.masters() if server is not source)
    slot = source.cli("CLUSTER", "KEYSLOT", "default:{m}")
    target.cli("CLUSTER", "SETSLOT", slot, "IMPORTING", source.cli("CLUSTER", "MYID"))
    source.cli("CLUSTER", "SETSLOT", slot, "MIGRATING", target.cli("CLUSTER", "MYID"))
    try:
        bucket = far.open("default")
        swap(Cas.new(bucket, "{m}"), b"1")
        assert source.cli("CLUSTER", "COUNTKEYSINSLOT", slot) == "0"
        assert bucket.get("{m}") == b"1"
    finally:
        for server in (source, target):
            server.cli("CLUSTER", "SETSLOT", slot, "STABLE")
        cluster.flush()
