"""Write transactions on a server: what they read is watched, and all that they write is written in the end."""

from __future__ import annotations

import json

import pytest

from kvcli.atomics import Cas, compare_and_set, swap
from kvcli.engine.transaction import Span
from kvcli.engine.update import Update
from kvcli.errors import Busy, CasFailed, InvalidArgument
from kvcli.store import Bucket, Store
from tests.conftest import Run
from tests.redis.servers import MISSING, Server

pytestmark = pytest.mark.skipif(bool(MISSING), reason=MISSING)


@pytest.fixture
def bucket(server: Server) -> Bucket:
    """A bucket of a server, with a key in it."""
    server.flush()
    bucket = Store(server.url).open("default")
    bucket.set("k", b"1")
    return bucket


def test_work_is_run_again_where_others_wrote(bucket: Bucket, server: Server) -> None:
    """It sees what they wrote; and what was to be done meanwhile is done once."""
    seen: list[bytes] = []
    done: list[str] = []

    def work(update: Update) -> None:
        seen.append(update.get(b"default", b"k") or b"")
        if len(seen) == 1:
            server.cli("SET", "default:k", "2")
        update.put(b"default", b"k", b"%b!" % seen[-1])

    bucket.store.write(work, lambda: done.append("once"))
    assert (seen, bucket.get("k"), done) == ([b"1", b"2"], b"2!", ["once"])


def test_others_that_write_again_and_again(bucket: Bucket, server: Server) -> None:
    """Work that loses to them every time is given up, and nothing of it is written."""

    def work(update: Update) -> None:
        server.cli("SET", "default:k", f"{int(update.get(b'default', b'k') or b'')}0")
        update.put(b"default", b"k", b"mine")

    with Store(server.url, lock_timeout=0) as hasty, pytest.raises(Busy, match="again and again"):
        hasty.write(work)
    assert bucket.get("k") == b"10"


def test_list_in_a_transaction(bucket: Bucket) -> None:
    """It shows what is there; what was written before would be missing, so nothing is listed after that."""

    def listed(update: Update) -> tuple[list[bytes], bytes | None]:
        return update.page(b"default", Span(), None, 10)

    def late(update: Update) -> None:
        update.put(b"default", b"new", b"")
        listed(update)

    assert bucket.store.write(listed) == ([b"k"], None)
    with pytest.raises(InvalidArgument, match="list first"):
        bucket.store.write(late)
    assert not bucket.exists("new")


def test_atomic_batch_sees_its_own_writes(bucket: Bucket, kvcli: Run) -> None:
    """What it has set is there, and what it has deleted is not, before anything is written."""
    asked = [("set", "a"), ("exists", "a"), ("delete", "k"), ("exists", "k"), ("delete", "k")]
    lines = [json.dumps({"op": op, "key": key, **({"value": ""} if op == "set" else {})}) for op, key in asked]
    done = kvcli("batch", "--atomic", "-s", bucket.store.path, input="\n".join(lines).encode())
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert [told[1]["exists"], told[3]["exists"]] == [True, False], done.stderr
    assert (bucket.exists("a"), bucket.exists("k")) == (True, False)


def test_connection_that_watches_still_is_not_used_again(bucket: Bucket, server: Server) -> None:
    """Who may not end a watch loses the connection instead: else the next transaction on it would lose to nobody."""
    server.cli("ACL", "SETUSER", "some", "reset", "on", ">pw", "~*", "+@all", "-unwatch")
    with Store(server.url.replace("//", "//some:pw@"), lock_timeout=0) as store:
        other = store.open("default")
        with pytest.raises(CasFailed):
            compare_and_set(other, "k", b"another", b"2")
        bucket.set("k", b"3")
        compare_and_set(other, "new", None, b"v")
    assert bucket.get("new") == b"v"


def test_token_of_a_folder_loses(bucket: Bucket, tmp_path: object) -> None:
    """A token says of which store it is, and what it saw there says nothing of what is here."""
    with Store(f"{tmp_path}/folder") as store:
        own = store.open("default")
        own.set("k", b"1")
        token = Cas.new(own, "k").token()
    with pytest.raises(CasFailed):
        swap(Cas.from_token(bucket, "k", token), b"2")
    assert bucket.get("k") == b"1"
