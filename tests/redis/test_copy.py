"""copy from and to stores on servers."""

from __future__ import annotations

import json

import pytest

from kvcli.batch import set_many
from kvcli.store import Store
from tests.conftest import Run
from tests.redis.cluster import Cluster
from tests.redis.servers import MISSING, Server

pytestmark = pytest.mark.skipif(bool(MISSING), reason=MISSING)
PAIRS = [(f"k{number:04}", b"%d" % number) for number in range(2500)]


@pytest.fixture(params=["server", "cluster"])
def url(request: pytest.FixtureRequest) -> str:
    """An empty server, and an empty cluster."""
    servers: Server | Cluster = request.getfixturevalue(request.param)
    servers.flush()
    return servers.url


def counted(kvcli: Run, *words: str) -> dict[str, int]:
    """Copy, and give what became of the pairs."""
    done = kvcli("copy", *words, "--json")
    assert done.returncode == 0, done.stderr
    return {name: number for name, number in json.loads(done.stdout).items() if name != "bucket"}


def test_folder_is_copied_to_a_server_and_back(kvcli: Run, path: str, url: str) -> None:
    """All pairs arrive, and are found the same the second time; with --if-absent what is there is kept."""
    with Store(path) as store:
        set_many(store.open("default"), PAIRS)
    assert counted(kvcli, path, url) == {"copied": 2500, "same": 0, "kept": 0, "refused": 0}
    with Store(url) as store:
        store.open("default").set("k0000", b"other")
        store.open("default").delete("k0001")
    assert counted(kvcli, path, url, "--if-absent") == {"copied": 1, "same": 2498, "kept": 1, "refused": 0}
    assert counted(kvcli, url, path + "2") == {"copied": 2500, "same": 0, "kept": 0, "refused": 0}
    with Store(path + "2") as store:
        assert store.open("default").get("k0000") == b"other"
        assert store.open("default").list_keys().keys == [key for key, _ in PAIRS[:1000]]


def test_several_buckets_into_a_store_that_has_none(kvcli: Run, path: str, server: Server) -> None:
    """With layout=flat keys of one name would overwrite each other, so one bucket is to be named."""
    server.flush()
    with Store(path) as store:
        store.open("default").set("k", b"one")
        store.create("users")
        store.open("users").set("k", b"two")
    flat = server.url + "?layout=flat"
    done = kvcli("copy", path, flat)
    assert (done.returncode, b"--bucket" in done.stderr, server.cli("DBSIZE")) == (2, True, "0")
    assert kvcli("copy", path, flat, "--bucket", "users").returncode == 0
    assert server.cli("GET", "k") == "two"
