"""A server that goes away and stays away: it is waited for, and not again and again."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import pytest

from kvcli.remote_errors import Unavailable
from kvcli.store import Store
from tests.processes import ROOT
from tests.redis.servers import MISSING, Server

pytestmark = pytest.mark.skipif(bool(MISSING), reason=MISSING)

PATIENCE = 1.0


def test_it_is_waited_for_once(tmp_path: object) -> None:
    """After it was waited for in vain, the next question fails at once; once it is back it is waited for again."""
    server = Server(str(tmp_path))
    bucket = Store(server.url, lock_timeout=PATIENCE).open("default")
    bucket.set("k", b"v")
    server.stop()
    with pytest.raises(Unavailable):
        bucket.get("k")
    begun = time.monotonic()
    with pytest.raises(Unavailable):
        bucket.get("k")
    assert time.monotonic() - begun < PATIENCE / 2
    server.restart()
    assert bucket.get("k") is None
    server.stop()


def test_batch_that_keeps_going_ends(tmp_path: object) -> None:
    """A long batch whose server dies tells of every operation, and does not wait anew at each flight."""
    server = Server(str(tmp_path))
    lines = b"".join(json.dumps({"op": "set", "key": "k", "value": "v"}).encode() + b"\n" for _ in range(40_000))
    words = ["-s", server.url, "--lock-timeout", str(PATIENCE), "batch", "--keep-going"]
    batch = subprocess.Popen(
        [sys.executable, "-m", "kvcli", *words], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert batch.stdin is not None
    assert batch.stdout is not None
    batch.stdin.write(lines[:100_000])
    batch.stdin.flush()
    batch.stdout.readline()
    server.stop()
    begun = time.monotonic()
    told = batch.communicate(lines[100_000:])[0]
    assert (batch.returncode, json.loads(told.splitlines()[-1])["i"]) == (4, 40_000 - 1)
    assert time.monotonic() - begun < PATIENCE * 5
