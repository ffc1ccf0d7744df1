"""Transactions of the REPL over a server, which remembers no writes: they compare values."""

from __future__ import annotations

import pytest

from kvcli.batch import set_many
from kvcli.engine.draft import Draft
from kvcli.engine.transaction import Span
from kvcli.errors import Conflict
from kvcli.store import Bucket, Store
from tests.redis.servers import MISSING, Server

pytestmark = pytest.mark.skipif(bool(MISSING), reason=MISSING)


@pytest.fixture
def store(server: Server) -> Store:
    """An empty store on a server."""
    server.flush()
    return Store(server.url)


def planned(store: Store) -> tuple[Draft, Bucket]:
    """Begin a transaction."""
    draft = Draft(store.engine)
    return draft, Store.over(draft, store.path).open("default")


@pytest.mark.parametrize("looked", [True, False])
def test_commit_loses_to_another_value(store: Store, looked: bool) -> None:
    """Where a key that the transaction read or wrote has another value by then, nothing is written."""
    store.open("default").set("k", b"1")
    draft, bucket = planned(store)
    if looked:
        bucket.get("k")
        bucket.set("other", b"mine")
    else:
        bucket.set("k", b"mine")
    store.open("default").set("k", b"2")
    with pytest.raises(Conflict):
        draft.commit(1)
    assert store.open("default").list_keys().keys == ["k"]


def test_commit_writes_all(store: Store) -> None:
    """Where nobody meddled, all is written at once."""
    set_many(store.open("default"), [("a", b"1"), ("b", b"2")])
    draft, bucket = planned(store)
    bucket.set("c", (bucket.get("a") or b"") + b"!")
    bucket.delete("b")
    assert draft.commit(1) == 2
    assert store.read(lambda snapshot: snapshot.get_many(b"default", [b"a", b"b", b"c"])) == [b"1", None, b"1!"]


@pytest.mark.parametrize("count", [1, 2, 3, 100])
def test_pages_show_what_is_planned(store: Store, count: int) -> None:
    """Keys that are there, without those that are to go, and then new ones, each once, whatever the size of a page."""
    set_many(store.open("default"), [(key, b"") for key in "adegx"])
    _, bucket = planned(store)
    set_many(bucket, [(key, b"1") for key in "bcdz"])
    bucket.delete("e")
    seen: list[list[bytes]] = []
    place: bytes | None = None
    while not seen or place is not None:
        page, place = bucket.page(Span(), place, count)
        seen.append(page)
    assert sorted(b"".join(b"".join(page) for page in seen).decode()) == list("abcdgxz")
    assert max(map(len, seen)) <= count
