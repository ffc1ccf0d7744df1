"""Many processes on one server and on a cluster: nothing that they count is lost, and nothing is counted twice."""

from __future__ import annotations

import subprocess
import sys

import pytest

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
