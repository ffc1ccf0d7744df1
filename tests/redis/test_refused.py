"""What a server refuses to some: nothing is done behind a refusal, and what was done is told."""

from __future__ import annotations

import json

import pytest

from kvcli.atomics import Cas, compare_and_set, swap
from kvcli.errors import AccessDenied
from kvcli.store import Store
from tests.conftest import Run
from tests.redis.cluster import Cluster
from tests.redis.servers import MISSING, Server

pytestmark = pytest.mark.skipif(bool(MISSING), reason=MISSING)


def user(server: Server, *rights: str) -> str:
    """Empty a server, and give its URL for a user who may do so much."""
    server.flush()
    server.cli("ACL", "SETUSER", "some", "reset", "on", ">pw", "~*", "+@all", *rights)
    return server.url.replace("//", "//some:pw@")


@pytest.mark.parametrize(
    ("words", "command"), [(("list", "--limit", "1"), "info"), (("stat",), "info"), (("list",), "scan")]
)
def test_right_that_is_missing_is_named(server: Server, kvcli: Run, words: tuple[str, ...], command: str) -> None:
    """Whoever asks for more rights has to know which: the line names the command."""
    url = user(server, f"-{command}")
    server.cli("MSET", "default:a", "1", "default:b", "2")
    done = kvcli(*words, "-s", url)
    assert (done.returncode, f"'{command}'".encode() in done.stderr) == (77, True)


@pytest.mark.parametrize(
    "words",
    [
        *(("get", "k"), ("set", "k", "v"), ("incr", "k"), ("exists", "k"), ("delete", "k"), ("edit", "k")),
        *(("cas", "k", "v", "--expect-absent"), ("set", "k", "v", "--if-absent"), ("cache", "get", "k")),
    ],
)
def test_key_that_is_not_a_users_is_named(server: Server, kvcli: Run, words: tuple[str, ...]) -> None:
    """Rights are to names of keys as the server has them, so that is what the line names."""
    server.flush()
    server.cli("ACL", "SETUSER", "some", "reset", "on", ">pw", "~default:a*", "+@all")
    done = kvcli(*words, "-s", server.url.replace("//", "//some:pw@"), env={"EDITOR": "true"})
    name = b"__kvcli__:cache:k" if words[0] == "cache" else b"default:k"
    assert (done.returncode, name in done.stderr) == (77, True), done.stderr


@pytest.mark.parametrize("option", [(), ("--atomic",)])
def test_batch_names_the_key_that_is_not_a_users(server: Server, kvcli: Run, option: tuple[str, ...]) -> None:
    """What flies, and what a transaction writes, is told in the same way."""
    server.flush()
    server.cli("ACL", "SETUSER", "some", "reset", "on", ">pw", "%R~*", "~default:a*", "+@all")
    asked = b'{"op":"set","key":"ab","value":""}\n{"op":"set","key":"other","value":""}\n{"op":"incr","key":"n"}\n'
    done = kvcli("batch", *option, "-s", server.url.replace("//", "//some:pw@"), input=asked)
    assert (done.returncode, b"other" in done.stderr) == (77, True), done.stderr


@pytest.mark.parametrize("how", ["transaction", "handle"])
def test_swap_by_who_may_not_transact(server: Server, how: str) -> None:
    """Where MULTI is refused nothing is written: what follows it would be done at once, whatever is watched."""
    bucket = Store(user(server, "-multi")).open("default")
    bucket.set("k", b"old")
    cas = Cas.new(bucket, "k")
    with pytest.raises(AccessDenied):
        swap(cas, b"new") if how == "handle" else compare_and_set(bucket, "k", b"old", b"new")
    assert bucket.get("k") == b"old"


def test_atomic_batch_by_who_may_not_transact(server: Server, kvcli: Run) -> None:
    """All or nothing, and that is nothing."""
    lines = b'{"op":"set","key":"a","value":"1"}\n{"op":"set","key":"b","value":"2"}\n'
    done = kvcli("batch", "--atomic", "-s", user(server, "-multi"), input=lines)
    assert (done.returncode, done.stdout, server.cli("DBSIZE")) == (77, b"", "0")


def test_batch_tells_what_was_done_before_a_failure(server: Server, kvcli: Run) -> None:
    """Whatever a swap or a list fails with, what was done before it is told: else it would be done twice."""
    lines = b'{"op":"incr","key":"n"}\n{"op":"cas","key":"k","expect":null,"new":"v"}\n{"op":"get","key":"n"}\n'
    done = kvcli("batch", "-s", user(server, "-exec"), input=lines)
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert (done.returncode, [each["ok"] for each in told]) == (74, [True, False])
    done = kvcli("batch", "--keep-going", "-s", user(server, "-exec"), input=lines)
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert (done.returncode, [each["ok"] for each in told]) == (4, [True, False, True])


def test_seed_that_is_no_host(cluster: Cluster) -> None:
    """One of several hosts may have left the cluster, and its name with it."""
    bucket = Store(cluster.url.replace("://", "://nowhere.invalid,")).open("default")
    bucket.set("k", b"v")
    assert bucket.get("k") == b"v"


@pytest.mark.parametrize("words", [("list",), ("stat",), ("export",), ("bucket", "list")])
def test_cluster_some_of_whose_slots_nobody_has(kvcli: Run, tmp_path: object, words: tuple[str, ...]) -> None:
    """What is of all keys is of those in every slot: it is told where one is missing, not left out."""
    lone = Server(str(tmp_path), "--cluster-enabled", "yes")
    lone.cli("CLUSTER", "ADDSLOTSRANGE", "0", "16000")
    done = kvcli(*words, "-s", lone.url.replace("redis", "redis+cluster"), "--lock-timeout", "0.1")
    lone.stop()
    assert (done.returncode, b"served by nobody" in done.stderr) == (75, True)


def test_bucket_whose_keys_may_not_be_deleted(server: Server, kvcli: Run) -> None:
    """It is told which right is missing, not that the bucket is gone."""
    url = user(server, "-del")
    server.cli("SET", "users:ann", "1")
    done = kvcli("bucket", "drop", "users", "--yes", "-s", url)
    assert (done.returncode, b"'del'" in done.stderr, server.cli("EXISTS", "users:ann")) == (77, True, "1")


@pytest.mark.parametrize("words", [("incr", "n"), ("batch",)])
def test_sum_that_a_user_may_not_write(server: Server, kvcli: Run, words: tuple[str, ...]) -> None:
    """What has nothing to do with the number is told as what it is."""
    done = kvcli(*words, "-s", user(server, "-incrby"), input=b'{"op":"incr","key":"n"}\n')
    assert (done.returncode, b"'incrby'" in done.stderr) == (77, True), done.stderr
