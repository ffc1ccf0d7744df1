"""Pages of a list on a server, whose answers are as long as it likes."""

from __future__ import annotations

import pytest

from kvcli import cursor as cursors
from kvcli.batch import delete_span, set_many
from kvcli.engine.redis.scan import Place
from kvcli.engine.transaction import Span
from kvcli.errors import InvalidArgument, InvalidCursor
from kvcli.remote_errors import Unavailable
from kvcli.store import Bucket, Store
from tests.redis.cluster import Cluster
from tests.redis.proxy import Proxy
from tests.redis.servers import MISSING, Server

pytestmark = pytest.mark.skipif(bool(MISSING), reason=MISSING)
KEYS = [f"u:{number:04}" for number in range(3000)]


@pytest.fixture(params=["server", "cluster"])
def filled(request: pytest.FixtureRequest) -> Bucket:
    """A bucket with thousands of keys, on one server and on a cluster."""
    servers: Server | Cluster = request.getfixturevalue(request.param)
    servers.flush()
    bucket = Store(servers.url).open("default")
    set_many(bucket, [(key, b"") for key in [*KEYS, "t", "v"]])
    return bucket


def walk(bucket: Bucket, span: Span, count: int) -> list[list[bytes]]:
    """Give all pages, each by another opening of the store, as another process would ask for it."""
    pages: list[list[bytes]] = []
    cursor: str | None = None
    while not pages or cursor is not None:
        with Store(bucket.store.path, read_only=True) as store:
            page, place = store.open(bucket.name.decode()).page(
                span, None if cursor is None else cursors.unpack(cursor), count
            )
        pages.append(page)
        cursor = None if place is None else cursors.pack(place)
    return pages


@pytest.mark.parametrize("count", [7, 100, 1000, 10_000])
def test_pages_lose_nothing_and_are_no_longer_than_asked(filled: Bucket, count: int) -> None:
    """Every key of a prefix comes once, whatever the size of a page, also when each is asked for by another process."""
    pages = walk(filled, Span.starting(b"u:"), count)
    assert sorted(key.decode() for page in pages for key in page) == KEYS
    assert max(map(len, pages)) <= count


def test_range_is_filtered(filled: Bucket) -> None:
    """Bounds hold exactly, though the keys are in no order."""
    pages = walk(filled, Span(b"u:0100", b"u:0200"), 50)
    assert sorted(key.decode() for page in pages for key in page) == KEYS[100:200]


def test_backwards_is_refused(filled: Bucket) -> None:
    """What has no order has no backwards."""
    with pytest.raises(InvalidArgument, match="no order"):
        filled.page(Span(reverse=True), None, 10)


def test_keys_that_stay_are_seen_while_others_come_and_go(filled: Bucket) -> None:
    """Writes between pages, which make the server's tables grow and shrink, hide no key that stays."""
    seen, place = [], None
    while True:
        page, place = filled.page(Span.starting(b"u:"), place, 100)
        seen += page
        if place is None:
            break
        set_many(filled, [(f"new:{len(seen)}:{number}", b"") for number in range(300)])
    assert {key.decode() for key in seen} == set(KEYS)


def test_prefix_is_deleted_whole(filled: Bucket) -> None:
    """Every key of the prefix goes, and no other."""
    assert delete_span(filled, Span.starting(b"u:")) == len(KEYS)
    assert sorted(filled.list_keys().keys) == ["t", "v"]


def test_place_holds_what_an_answer_had_too_many() -> None:
    """A place gives back its parts, whatever bytes the keys are made of."""
    place = Place.unpack(Place(b"mark", b"shape", 5, 17, [b"a b\n", b"", b"\xff\0"]).pack())
    assert (place.server, place.shape, place.at, place.left) == (b"mark", b"shape", 17, [b"a b\n", b"", b"\xff\0"])


@pytest.mark.parametrize(
    "text", [b"", b"k", b"r", b"r m\n", b"r m x\n", b"r m 0 1 5\nkey", b"r m 0 1 -1\n", b"r m 0 -1\n", b"user:1"]
)
def test_what_is_no_place_is_refused(text: bytes) -> None:
    """A cursor of another engine, or a broken one, is an error of ours."""
    with pytest.raises(InvalidCursor):
        Place.unpack(text)


def test_cursor_ends_with_the_server_that_gave_it(tmp_path: object) -> None:
    """A server that was started anew keeps its keys in another order: a cursor from before is refused, not misread."""
    server = Server(str(tmp_path))
    try:
        set_many(Store(server.url).open("default"), [(key, b"") for key in KEYS])
        _, place = Store(server.url).open("default").page(Span(), None, 10)
        server.restart()
        with pytest.raises(InvalidCursor, match="anew"):
            Store(server.url).open("default").page(Span(), place, 10)
    finally:
        server.stop()


@pytest.mark.parametrize("where", ["another database", "another bucket", "another layout"])
def test_cursor_of_another_list(server: Server, where: str) -> None:
    """A cursor is refused where it would give keys that are not there: it holds some, and a place among others."""
    server.flush()
    store = Store(server.url)
    set_many(store.open("default"), [(key, b"") for key in KEYS[:100]])
    _, place = store.open("default").page(Span(), None, 3)
    store.create("others")
    urls = {"another database": server.url[:-1] + "1", "another layout": server.url + "?layout=flat"}
    other = Store(urls.get(where, server.url)).open("others" if where == "another bucket" else "default")
    with pytest.raises(InvalidCursor, match="another"):
        other.page(Span(), place, 3)


def test_cursor_with_another_prefix(server: Server) -> None:
    """What is left of the page before is given where it is asked for only."""
    server.flush()
    bucket = Store(server.url).open("default")
    set_many(bucket, [(key, b"") for key in KEYS[:100]])
    _, place = bucket.page(Span(), None, 3)
    assert bucket.page(Span.starting(b"x"), place, 50)[0] == []


def test_few_among_many(server: Server) -> None:
    """A short page finds the few keys of a prefix among very many others, instead of ending early and empty."""
    server.flush()
    bucket = Store(server.url).open("default")
    set_many(bucket, [(f"other{number}", b"") for number in range(30_000)])
    set_many(bucket, [("rare1", b""), ("rare2", b"")])
    keys, place = bucket.page(Span.starting(b"rare"), None, 5)
    assert (sorted(keys), place) == ([b"rare1", b"rare2"], None)


def test_walk_over_a_restart(tmp_path: object) -> None:
    """A copy or a list whose server is started anew in its midst is told to begin again, and of no cursor."""
    server = Server(str(tmp_path), "--appendonly", "yes")
    bucket = Store(server.url).open("default")
    set_many(bucket, [(key, b"") for key in KEYS])
    pages = bucket.pages(Span(), 10)
    next(pages)
    server.restart()
    with pytest.raises(Unavailable, match="begin again"):
        next(pages)
    server.stop()


def test_page_ends_early_where_nothing_is_found(filled: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bucket of few keys among very many of others comes in several pages, empty ones too, so that none takes long."""
    monkeypatch.setattr("kvcli.engine.redis.scan.STEPS_PER_PAGE", 1)
    monkeypatch.setattr("kvcli.engine.redis.scan.NAMES_PER_STEP", 100)
    filled.store.create("few")
    few = filled.store.open("few")
    set_many(few, [("a", b""), ("b", b"")])
    pages = walk(few, Span(), 1000)
    assert (sorted(key for page in pages for key in page), [] in pages) == ([b"a", b"b"], True)


def test_look_for_buckets_is_bounded(filled: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    """Buckets that were declared are listed all; of others those that a look at so many names comes upon."""
    monkeypatch.setattr("kvcli.engine.redis.scan.DISCOVERED_STEPS", 0)
    filled.store.create("declared")
    assert filled.store.buckets() == ["declared", "default"]


def test_server_that_does_not_say_which_one_it_is(server: Server) -> None:
    """Nothing tells then that it was started anew; but one page follows another."""
    server.flush()
    proxy = Proxy(server.port, b"", "cut", times=0, hidden=b"run_id")
    bucket = Store(proxy.url).open("default")
    set_many(bucket, [(key, b"") for key in KEYS])
    pages = walk(bucket, Span(), 1000)
    assert sorted(key.decode() for page in pages for key in page) == KEYS
    proxy.close()
