"""A master of a cluster that dies in the middle of a batch, and what a cluster cannot do at once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import IO, Any

import pytest

from kvcli.atomics import Cas, swap
from kvcli.engine.draft import Draft
from kvcli.engine.redis.names import slot_of
from kvcli.errors import CasFailed
from kvcli.remote_errors import CrossSlot
from kvcli.store import Store
from tests.processes import ROOT
from tests.redis.cluster import Cluster, wait_until
from tests.redis.servers import MISSING, Server

pytestmark = pytest.mark.skipif(bool(MISSING), reason=MISSING)
OPERATIONS = 30_000


@pytest.fixture
def mortal(tmp_path: os.PathLike[str]) -> Iterator[Cluster]:
    """A cluster that may be hurt."""
    folders = [os.path.join(tmp_path, str(number)) for number in range(6)]
    for folder in folders:
        os.mkdir(folder)
    started = Cluster(folders)
    yield started
    started.stop()


def lines(first: int, count: int) -> bytes:
    """Write sets of numbered keys."""
    return b"".join(b'{"op":"set","key":"k%06d","value":"%d"}\n' % (at, at) for at in range(first, first + count))


def start(url: str, *words: str) -> Batch:
    """Start a batch that reads from a pipe; its answers go to a file, where nobody has to take them meanwhile."""
    command = [sys.executable, "-m", "kvcli", "batch", "-s", url, *words]
    told = tempfile.TemporaryFile()  # noqa: SIM115 - Batch.end closes it
    batch = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=told, stderr=subprocess.PIPE)
    return Batch(batch, told)


class Batch:
    """A batch that runs."""

    def __init__(self, process: subprocess.Popen[bytes], told: IO[bytes]) -> None:
        """Hold it."""
        self.process = process
        self._told = told

    def feed(self, text: bytes) -> None:
        """Give it lines."""
        assert self.process.stdin is not None
        self.process.stdin.write(text)
        self.process.stdin.flush()

    def end(self, text: bytes = b"") -> tuple[list[dict[str, Any]], bytes]:
        """Give it its last lines, and give what it answered, and what it said."""
        _, err = self.process.communicate(text, timeout=90)
        with self._told:
            self._told.seek(0)
            return [json.loads(line) for line in self._told], err


@pytest.mark.parametrize("going", [True, False])
def test_master_is_killed_in_the_middle_of_a_batch(mortal: Cluster, going: bool) -> None:
    """Every operation is answered, or the batch says why it ended; what is said to be done is there, or died with the master."""
    batch = start(mortal.url, *(["--keep-going"] if going else []), "--chunk", "2000")
    victim = mortal.owner("default:k000000")
    ranges = slots_of(victim)
    lost = {at for at in range(OPERATIONS) if any(low <= slot(at) <= high for low, high in ranges)}
    batch.feed(lines(0, OPERATIONS // 2))
    wait_until(lambda: int(victim.cli("DBSIZE")) > 1000)
    victim.kill()
    told, err = batch.end(lines(OPERATIONS // 2, OPERATIONS // 2))
    assert [each["i"] for each in told] == list(range(len(told)))
    failed = [each for each in told if not each["ok"]]
    assert {each["error"]["code"] for each in failed} <= {"outcome-unknown", "unavailable"}
    assert batch.process.returncode in ({0, 4} if going else {0, 74, 75}), err
    assert len(told) == OPERATIONS or not going
    wait_until(mortal.is_whole)
    done = [each["i"] for each in told if each["ok"]]
    with Store(mortal.url) as store:
        keys = [b"k%06d" % at for at in done]
        found = store.read(lambda snapshot: snapshot.get_many(b"default", keys))
    missing = [at for at, value in zip(done, found, strict=True) if value != b"%d" % at]
    assert set(missing) <= lost


def slot(at: int) -> int:
    """Give the slot of a numbered key."""
    return slot_of(b"default:k%06d" % at)


def slots_of(victim: Server) -> list[tuple[int, int]]:
    """Give the slots of a master."""
    line = next(line for line in victim.cli("CLUSTER", "NODES").splitlines() if "myself" in line)
    parts = [each.split("-") for each in line.split()[8:]]
    return [(int(part[0]), int(part[-1])) for part in parts]


def test_reads_and_writes_go_on_after_a_failover(mortal: Cluster) -> None:
    """Who was connected before finds the new master, and a handle that watched at the old one loses rather than errs."""
    bucket = Store(mortal.url).open("default")
    bucket.set("k", b"1")
    victim = mortal.owner("default:k")
    time.sleep(0.5)  # For the replica to have it: it is told a moment later.
    cas = Cas.new(bucket, "k")
    victim.kill()
    assert bucket.get("k") == b"1"
    with pytest.raises(CasFailed) as lost:
        swap(cas, b"2")
    swap(lost.value.cas, b"2")
    assert bucket.get("k") == b"2"
    assert bucket.list_keys().keys == ["k"]


def test_slot_that_moved_is_followed(cluster: Cluster) -> None:
    """After slots moved to another master, keys are asked for there."""
    cluster.flush()
    bucket = Store(cluster.url).open("default")
    bucket.set("k", b"1")
    with cluster.moved("default:k") as target:
        assert bucket.get("k") == b"1"
        bucket.set("k", b"2")
        assert cluster.owner("default:k") is target
    assert bucket.get("k") == b"2"


def test_flight_follows_a_slot_that_has_moved(cluster: Cluster) -> None:
    """What flies together goes to the new master of its slot, as one key alone does, and not to the one of before."""
    cluster.flush()
    engine = Store(cluster.url).engine
    sets: Any = ("put_many", b"default", [(b"k", b"1"), (b"other", b"2")])
    engine.fly([sets], 2)
    with cluster.moved("default:k"):
        assert engine.fly([sets, ("get_many", b"default", [b"k", b"other"])], 2) == [[None, None], [b"1", b"2"]]


def test_key_on_the_move_is_asked_for_at_the_other_master(cluster: Cluster) -> None:
    """While a slot moves, keys that have moved are found by ASK, and new ones are made there."""
    cluster.flush()
    with cluster.moving("default:{m}") as (source, slot):
        bucket = Store(cluster.url).open("default")
        bucket.set("{m}", b"1")
        assert bucket.get("{m}") == b"1"
        assert source.cli("CLUSTER", "COUNTKEYSINSLOT", slot) == "0"


def test_transaction_over_several_slots_is_refused(cluster: Cluster) -> None:
    """What cannot be written at once is not written in part: the line says what to do."""
    cluster.flush()
    batch = start(cluster.url, "--atomic")
    told, err = batch.end(lines(0, 20))
    assert (batch.process.returncode, b"{tag}" in err, told) == (2, True, [])
    assert Store(cluster.url).read(lambda snapshot: snapshot.total()) == 0


def test_transaction_in_one_slot(cluster: Cluster) -> None:
    """Keys with a common tag can be written at once, by a batch as by a transaction of the REPL."""
    cluster.flush()
    batch = start(cluster.url, "--atomic")
    told, _ = batch.end(lines(0, 20).replace(b'"key":"', b'"key":"{t}'))
    assert (batch.process.returncode, len(told)) == (0, 20)
    store = Store(cluster.url)
    draft = Draft(store.engine)
    bucket = Store.over(draft, cluster.url).open("default")
    bucket.set("{t}a", b"1")
    bucket.set("{t}b", b"2")
    assert draft.commit(1) == 2
    bucket.set("c", b"1")
    with pytest.raises(CrossSlot):
        draft.commit(1)
