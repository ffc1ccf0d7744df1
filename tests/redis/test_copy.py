"""copy from and to stores on servers."""

from __future__ import annotations

import json

import pytest

from kvcli.batch import set_many
from kvcli.store import Store
from tests.conftest import Run
from tests.redis.cluster import Cluster, wait_until
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


@pytest.mark.parametrize("queries", [("?layout=flat", ""), ("", "?layout=flat")])
def test_two_layouts_of_one_database(kvcli: Run, url: str, queries: tuple[str, str]) -> None:
    """What was written would be found again under another name, without an end: it is refused, and nothing is written."""
    Store(url).open("default").set("k", b"v")
    done = kvcli("copy", *[url + query for query in queries])
    assert (done.returncode, b"one database in two layouts" in done.stderr) == (2, True), done.stderr
    assert Store(url + "?layout=flat").open("default").list_keys().keys == ["default:k"]


def test_two_layouts_of_one_database_by_two_names(kvcli: Run, server: Server) -> None:
    """It is the servers that are compared, not what they are called."""
    server.flush()
    other = server.url.replace("127.0.0.1", "localhost")
    assert kvcli("copy", server.url + "?layout=flat", other).returncode == 2


def test_two_layouts_of_a_server_and_its_replica(kvcli: Run, server: Server, tmp_path: object) -> None:
    """What is written to the one is soon read from the other."""
    replica = Server(str(tmp_path), "--replicaof", f"127.0.0.1 {server.port}")
    try:
        wait_until(lambda: "connected" in replica.cli("ROLE"))
        assert kvcli("copy", replica.url + "?layout=flat", server.url).returncode == 2
    finally:
        replica.stop()


def test_two_databases_in_two_layouts(kvcli: Run, server: Server) -> None:
    """Another number is another store, on the same server too."""
    server.flush()
    server.cli("SET", "k", "v")
    done = kvcli("copy", server.url + "?layout=flat", server.url[:-1] + "3")
    assert (done.returncode, server.cli("-n", "3", "GET", "default:k")) == (0, "v"), done.stderr


def test_what_is_there_is_larger_than_what_comes(kvcli: Run, path: str, url: str) -> None:
    """Values of several megabytes are not all looked at, to be overwritten."""
    pairs = [(f"k{number}", b"%d" % number) for number in range(20)]
    with Store(path) as store, Store(url) as far:
        set_many(store.open("default"), pairs)
        set_many(far.open("default"), [(key, bytes(300_000)) for key, _ in pairs])
    assert counted(kvcli, path, url) == {"copied": 20, "same": 0, "kept": 0, "refused": 0}
    with Store(url) as far:
        assert [far.open("default").get(key) for key, _ in pairs] == [value for _, value in pairs]
