"""An import into a store on a server that was interrupted: the server keeps how far it came."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from kvcli.commands.import_ import note_name
from kvcli.store import Store
from tests.conftest import Run
from tests.redis.cluster import Cluster
from tests.redis.servers import MISSING, Server

pytestmark = pytest.mark.skipif(bool(MISSING), reason=MISSING)
GOOD = "key,value\na,1\nb,2\n"


@pytest.fixture(params=["server", "cluster"])
def servers(request: pytest.FixtureRequest) -> Server | Cluster:
    """An empty server, and an empty cluster."""
    servers: Server | Cluster = request.getfixturevalue(request.param)
    servers.flush()
    return servers


def interrupted(kvcli: Run, url: str, folder: object) -> str:
    """Import a file whose third record is bad, mend that, and give the file."""
    file = f"{folder}/pairs.csv"
    with open(file, "w", encoding="ascii") as out:
        out.write(GOOD + "bad\n")
    assert kvcli("import", file, "-s", url).returncode == 65
    with open(file, "w", encoding="ascii") as out:
        out.write(GOOD + "c,3\n")
    return file


def test_import_goes_on(kvcli: Run, servers: Server | Cluster, tmp_path: object) -> None:
    """With --resume it leaves out what is set already; the next one begins anew."""
    file = interrupted(kvcli, servers.url, tmp_path)
    bucket = Store(servers.url).open("default")
    bucket.set("a", b"changed meanwhile")
    done = kvcli("import", file, "--resume", "--json", "-s", servers.url)
    assert (json.loads(done.stdout), bucket.get("a"), bucket.get("c")) == ({"imported": 3}, b"changed meanwhile", b"3")
    assert kvcli("import", file, "--resume", "-s", servers.url).returncode == 0
    assert bucket.get("a") == b"1"


@pytest.mark.parametrize("query", ["", "?layout=flat"])
def test_how_far_it_came_is_no_data(kvcli: Run, server: Server, tmp_path: object, query: str) -> None:
    """It is neither listed, nor a bucket, nor left over in the end."""
    server.flush()
    file = interrupted(kvcli, server.url + query, tmp_path)
    store = Store(server.url + query)
    assert sorted(store.open("default").list_keys().keys) == ["a", "b"]
    assert store.buckets() == ["default"]
    assert kvcli("import", file, "--resume", "-s", server.url + query).returncode == 0
    assert server.cli("DBSIZE") == "3"


def test_import_by_who_may_only_write_keys(kvcli: Run, server: Server, tmp_path: object) -> None:
    """Who may not write what kvcli keeps for itself imports all the same, and cannot go on."""
    server.flush()
    server.cli("ACL", "SETUSER", "some", "reset", "on", ">pw", "~default:*", "+@all")
    url = server.url.replace("//", "//some:pw@")
    file = interrupted(kvcli, url, tmp_path)
    assert kvcli("import", file, "-s", url).returncode == 0
    done = kvcli("import", file, "--resume", "-s", url)
    assert (done.returncode, b"__kvcli__:note:" in done.stderr) == (77, True)


def test_import_from_another_machine_begins_anew(
    kvcli: Run, server: Server, tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file of the same name on another machine is another file."""
    server.flush()
    note = note_name("default", interrupted(kvcli, server.url, tmp_path), "csv")
    store = Store(server.url)
    assert store.read(lambda snapshot: snapshot.noted(note)) == (2).to_bytes(8, "big")
    monkeypatch.setattr("os.uname", lambda: SimpleNamespace(nodename="elsewhere"))
    assert store.read(lambda snapshot: snapshot.noted(note)) is None
