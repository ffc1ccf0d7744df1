"""Slots of a cluster that move while something is held, or listed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from kvcli.atomics import Cas, swap
from kvcli.batch import set_many
from kvcli.cache import Cache
from kvcli.engine.redis import scan
from kvcli.engine.transaction import Span
from kvcli.errors import KvError
from kvcli.remote_errors import Unavailable
from kvcli.store import Store
from tests.contract.test_cache import vacancy_of
from tests.redis.cluster import Cluster
from tests.redis.servers import MISSING

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
        with cluster.moved(name) as target:
            assert claim._held._if_mine(("PEXPIRE", claim.name, 60_000))  # type: ignore[union-attr]
            assert int(target.cli("PTTL", name)) > 50_000
            vacancy.drop()
            assert target.cli("EXISTS", name) == "0"


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


def test_list_over_slots_that_move_begins_again(cluster: Cluster, far: Store) -> None:
    """What moves to a server that was listed already would be missing: that is told, and no page is given."""
    bucket = far.open("default")
    set_many(bucket, [(f"k{number}", b"") for number in range(3000)])
    _, place = bucket.page(Span(), None, 10)
    with cluster.moved("default:other"):
        with pytest.raises(Unavailable, match="moved"):
            bucket.page(Span(), place, 10)
        assert len([key for page in bucket.pages(Span()) for key in page]) == 3000


@pytest.mark.parametrize("how", ["page", "count"])
def test_slots_that_move_before_the_end_of_a_list(
    cluster: Cluster, far: Store, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last page is looked at as well, and so is what goes through all names at once."""
    act: Any = {
        "page": lambda snapshot: snapshot.page(b"default", Span(), None, 9),
        "count": lambda s: s.count(b"default"),
    }
    step = scan._step
    with ExitStack() as moves:

        def step_and_move(*arguments: Any) -> Any:
            monkeypatch.undo()
            moves.enter_context(cluster.moved("default:other"))
            return step(*arguments)

        monkeypatch.setattr(scan, "_step", step_and_move)
        with pytest.raises(Unavailable, match="moved"):
            far.read(act[how])
        assert far.read(act[how]) in (0, ([], None))


def test_handle_of_a_key_on_the_move(cluster: Cluster, far: Store) -> None:
    """While a slot moves, a key that is not there any more is watched, and swapped, where it is going to."""
    with cluster.moving("default:{m}") as (source, slot):
        bucket = far.open("default")
        swap(Cas.new(bucket, "{m}"), b"1")
        assert source.cli("CLUSTER", "COUNTKEYSINSLOT", slot) == "0"
        assert bucket.get("{m}") == b"1"
