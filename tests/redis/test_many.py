"""Many processes on one server and on a cluster: nothing that they count is lost, and nothing is counted twice."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from kvcli.atomics import Cas, increment, swap
from kvcli.errors import CasFailed
from kvcli.store import Store
from tests.processes import ROOT
from tests.redis.cluster import Cluster
from tests.redis.servers import MISSING, Server

pytestmark = pytest.mark.skipif(bool(MISSING), reason=MISSING)
PROCESSES, TIMES = 8, 200


@pytest.mark.parametrize("how", ["increment", "swap"])
@pytest.mark.parametrize("where", ["server", "cluster"])
def test_eight_processes_count_exactly(request: pytest.FixtureRequest, where: str, how: str) -> None:
    """Eight processes that add, by increments or by swaps, come to the sum of what they added."""
    servers: Server | Cluster = request.getfixturevalue(where)
    servers.flush()
    words = [sys.executable, "-m", "tests.redis.worker", servers.url, how, str(TIMES)]
    workers = [subprocess.Popen(words, cwd=ROOT) for _ in range(PROCESSES)]
    assert [worker.wait(120) for worker in workers] == [0] * PROCESSES
    assert Store(servers.url).open("default").get("n") == b"%d" % (PROCESSES * TIMES)


@pytest.mark.parametrize("where", ["server", "cluster"])
def test_threads_share_a_store(request: pytest.FixtureRequest, where: str) -> None:
    """One opening serves many threads, each on a connection of its own."""
    servers: Server | Cluster = request.getfixturevalue(where)
    servers.flush()
    with Store(servers.url) as store, ThreadPoolExecutor(PROCESSES) as pool:
        bucket = store.open("default")
        sums = [*pool.map(lambda _: increment(bucket, "n", 1), range(400))]
        assert sorted(sums) == list(range(1, 401))


def test_child_connects_anew(server: Server) -> None:
    """After a fork, parent and child do not read each other's answers."""
    server.flush()
    bucket = Store(server.url).open("default")
    bucket.set("k", b"parent")
    child = os.fork()
    if not child:
        bucket.set("k", b"child")
        os._exit(bucket.get("k") != b"child")
    assert os.waitpid(child, 0)[1] == 0
    assert bucket.get("k") == b"child"


def test_handle_of_before_a_fork_is_the_parents(server: Server) -> None:
    """Of one handle in two processes one swap wins; they would talk on one connection."""
    bucket = Store(server.url).open("default")
    bucket.set("k", b"0")
    cas = Cas.new(bucket, "k")
    child = os.fork()
    if not child:
        try:
            swap(cas, b"child")
        except CasFailed:
            os._exit(0)
        os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
    swap(cas, b"parent")
    assert bucket.get("k") == b"parent"
