"""Rights: what a user may not do, and a server that knows a part only, keep nothing else from being done, and are told."""

from __future__ import annotations

import json

import pytest

from kvcli.errors import AccessDenied
from kvcli.store import Store
from tests.conftest import Run
from tests.redis.cluster import Cluster
from tests.redis.servers import MISSING, Server
from tests.redis.test_cli import lines, told

pytestmark = pytest.mark.skipif(bool(MISSING), reason=MISSING)


def user_of(server: Server, name: str, *rights: str) -> str:
    """Make a user with some rights, and give the URL of the store as they see it."""
    server.cli("ACL", "SETUSER", name, "reset", "on", ">p", *rights)
    return server.url.replace("//", f"//{name}:p@")


def test_keys_that_are_denied_deny_no_others(kvcli: Run, server: Server) -> None:
    """What goes to the server in one command is answered key by key, where a user may write some of the keys."""
    server.flush()
    url = user_of(server, "some", "~default:n*", "+@all")
    done = kvcli("batch", "--keep-going", "-s", url, input=lines(*(set_of(key) for key in ("n1", "m", "n2"))))
    assert [each["ok"] for each in told(done)] == [True, False, True], done.stdout
    assert "'m'" in str(told(done)[1]["error"])
    assert (server.cli("MGET", "default:n1", "default:m", "default:n2").splitlines()) == ["n1", "", "n2"]


def test_command_for_many_that_is_denied(kvcli: Run, server: Server) -> None:
    """A user who may GET and SET, and neither MGET nor MSET, has batches too."""
    server.flush()
    url = user_of(server, "single", "~*", "+get", "+set")
    gets = [{"op": "get", "key": key} for key in ("a", "b", "c")]
    done = kvcli("batch", "-s", url, input=lines(set_of("a"), set_of("b"), *gets))
    assert (done.returncode, [each.get("value") for each in told(done)]) == (0, [None, None, "a", "b", None])


def test_denied_set_does_not_win_over_a_later_one(server: Server) -> None:
    """A set that was refused with others is not done behind what was done with its key in the same flight."""
    server.flush()
    engine = Store(user_of(server, "late", "~default:n*", "+@all")).engine
    pairs = [(b"n1", b"1"), (b"m", b"2"), (b"n2", b"3")]
    done = engine.fly([("put_many", b"default", pairs), ("delete_many", b"default", [b"n1"])], 1)
    assert [isinstance(answer, AccessDenied) for answer in done[0]] == [True, True, False]
    assert (server.cli("EXISTS", "default:n1"), server.cli("GET", "default:n2")) == ("0", "3")


def set_of(key: str) -> dict[str, str]:
    """Give the operation that sets a key to its own name."""
    return {"op": "set", "key": key, "value": key}


@pytest.mark.parametrize(
    ("line", "code"),
    [("list", 2), ("export", 2), ("stat", 2), ("bucket stat", 2), ("delete --prefix k --yes", 2), ("batch", 65)],
)
def test_server_of_a_cluster_is_not_taken_for_all(kvcli: Run, cluster: Cluster, line: str, code: int) -> None:
    """One server of a cluster lists no part of the keys as if it were all: the line says which scheme is right."""
    cluster.flush()
    operation = json.dumps({"op": "get_many", "keys": ["a", "b", "c", "d"]}).encode()
    url = f"redis://127.0.0.1:{cluster.masters()[0].port}"
    done = kvcli(*line.split(), "-s", url, input=operation)
    assert (done.returncode, b"write redis+cluster:// instead" in done.stderr) == (code, True), done.stderr
