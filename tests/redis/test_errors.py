"""What a server refuses, and how connections end: each is an error of ours, with what to do; no password is ever shown."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kvcli.atomics import increment
from kvcli.engine.redis.address import parse
from kvcli.errors import (
    AccessDenied,
    Full,
    InvalidArgument,
    KvError,
    NoSuchStore,
    ReadOnly,
)
from kvcli.location import without_password
from kvcli.remote_errors import OutcomeUnknown, Unavailable
from kvcli.store import Store
from tests.conftest import Run
from tests.redis.cluster import Cluster
from tests.redis.proxy import Proxy
from tests.redis.servers import MISSING, Server

pytestmark = pytest.mark.skipif(bool(MISSING), reason=MISSING)
SECRET = "s3cret/@:"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that asks for a password."""
    server = Server(str(tmp_path_factory.mktemp("guarded")), "--requirepass", SECRET)
    yield server
    server.stop()


@pytest.fixture
def other() -> Iterator[list[Server]]:
    """A list for servers that are to be stopped."""
    servers: list[Server] = []
    yield servers
    for server in servers:
        server.stop()


def code_of(url: str, key: str = "k") -> tuple[int, str]:
    """Set a key, and give exit code and message of what that ends with."""
    with pytest.raises(KvError) as caught:
        Store(url, lock_timeout=0.3).open("default").set(key, b"v")
    return caught.value.exit_code, str(caught.value)


def test_nobody_answers(deserted: int) -> None:
    """A port where nobody listens is told at once, and names no password."""
    code, message = code_of(f"redis://u:{'x' * 9}@127.0.0.1:{deserted}")
    assert code == 75
    assert "connection refused" in message
    assert "x" * 9 not in message


def test_no_such_host() -> None:
    """A name that nobody has is a store that is not there."""
    assert code_of("redis://nowhere.invalid")[0] == NoSuchStore.exit_code


def test_name_that_no_host_can_have() -> None:
    """It is a store that is not there, as well."""
    assert code_of(f"redis://{'a' * 64}")[0] == NoSuchStore.exit_code


def test_password_for_a_server_without_one(server: Server) -> None:
    """It knows no such user and password: that is told, not passed over."""
    assert code_of(server.url.replace("//", "//:pw@"))[0] == AccessDenied.exit_code


def test_too_many_clients(other: list[Server], tmp_path: object) -> None:
    """A server that takes no more is not ready, whatever is said to it first."""
    other.append(Server(str(tmp_path), "--maxclients", "1"))
    with Store(other[0].url) as first:
        first.open("default").get("k")
        code, message = code_of(other[0].url.replace("//", "//:pw@"))
    assert (code, "clients" in message) == (Unavailable.exit_code, True)


def test_no_such_database(server: Server) -> None:
    """A database beyond those of the server is not there."""
    assert code_of(server.url + "99")[0] == NoSuchStore.exit_code


@pytest.mark.parametrize("given", ["none", "wrong in the URL", "wrong in the environment"])
def test_password_is_missing_or_wrong(guarded: Server, given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Access is denied, and the line says how to give a password."""
    url = guarded.url.replace("//", "//:wrongpassword@") if given == "wrong in the URL" else guarded.url
    if given == "wrong in the environment":
        monkeypatch.setenv("KVCLI_REDIS_PASSWORD", "wrongpassword")
    code, message = code_of(url)
    assert (code, "KVCLI_REDIS_PASSWORD" in message, "wrongpassword" in message) == (77, True, False)


@pytest.mark.parametrize("where", ["variable", "file", "URL"])
def test_password_opens(guarded: Server, where: str, monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    """A password comes from the environment, from a file, or from the URL, where it is percent-encoded."""
    url = guarded.url
    if where == "variable":
        monkeypatch.setenv("KVCLI_REDIS_PASSWORD", SECRET)
    elif where == "file":
        with open(f"{tmp_path}/password", "w", encoding="utf-8") as file:
            file.write(SECRET + "\n")
        monkeypatch.setenv("KVCLI_REDIS_PASSWORD_FILE", f"{tmp_path}/password")
    else:
        url = url.replace("//", "//:s3cret%2F%40%3A@")
    bucket = Store(url).open("default")
    bucket.set("k", b"v")
    assert bucket.get("k") == b"v"


@pytest.mark.parametrize(
    "words", [("get", "k"), ("config", "show"), ("stat",), ("backup", "f"), ("get", "k", "--json")]
)
def test_password_of_a_url_is_never_shown(kvcli: Run, deserted: int, words: tuple[str, ...]) -> None:
    """Neither an answer nor an error holds the password."""
    done = kvcli(*words, env={"KVCLI_STORE": f"redis://u:hunter2@127.0.0.1:{deserted}"})
    assert b"hunter2" not in done.stdout + done.stderr


def test_user_without_rights(guarded: Server) -> None:
    """What a user may not do is denied, with the word of the server for such rights."""
    url = guarded.url.replace("//", "//:s3cret%2F%40%3A@")
    admin = Store(url).engine
    words = ("ACL", "SETUSER", "reader", "on", ">p", "~*", "+@read", "+@connection", "+info")
    admin.servers.attempt(lambda trip: trip.to(b"").call(*words), 1)  # type: ignore[attr-defined]
    code, message = code_of(guarded.url.replace("//", "//reader:p@"))
    assert (code, "ACL" in message) == (77, True)


def test_full_memory(other: list[Server], tmp_path: object) -> None:
    """A server that may take no more memory is full; a value that did not fit is not there."""
    other.append(Server(str(tmp_path), "--maxmemory", "1", "--maxmemory-policy", "noeviction"))
    code, message = code_of(other[0].url)
    assert (code, "maxmemory" in message) == (Full.exit_code, True)


def test_replica(other: list[Server], server: Server, tmp_path: object) -> None:
    """A replica takes no writes: the line says to name the master."""
    other.append(Server(str(tmp_path), "--replicaof", f"127.0.0.1 {server.port}"))
    code, message = code_of(other[0].url)
    assert (code, "master" in message) == (ReadOnly.exit_code, True)


def test_one_of_a_cluster(cluster: Cluster) -> None:
    """A server of a cluster, named as one alone, knows who has a key; the line says how to name the cluster."""
    owner = cluster.owner("default:k")
    stranger = next(server for server in cluster.masters() if server is not owner)
    with pytest.raises(InvalidArgument, match=r"redis\+cluster://"):
        Store(stranger.url).open("default").set("k", b"v")


def test_server_too_slow(server: Server) -> None:
    """A read that is not answered in time is tried again for a while, then given up; nothing hangs."""
    bucket = Store(server.url + "?timeout=0.1", lock_timeout=0.3).open("default")
    bucket.get("k")
    server.cli("CLIENT", "PAUSE", "1500", "ALL")  # To end it earlier is paused as well.
    with pytest.raises(Unavailable, match="in time"):
        bucket.get("k")


@pytest.mark.parametrize("write", ["set", "increment", "flight"])
def test_write_without_an_answer_is_not_repeated(server: Server, write: str) -> None:
    """Where the answer was lost, the write may have happened: that is said, and it is not done twice."""
    server.flush()
    proxy = Proxy(server.port, {"set": b"SET", "increment": b"INCRBY", "flight": b"MSET"}[write], "swallow")
    store = Store(proxy.url)
    bucket = store.open("default")
    bucket.get("k")

    def fly() -> None:
        raise store.engine.fly([("put_many", b"default", [(b"n", b"1"), (b"m", b"1")])], 1)[0][0]

    act = {"set": lambda: bucket.set("n", b"1"), "increment": lambda: increment(bucket, "n", 1), "flight": fly}[write]
    with pytest.raises(OutcomeUnknown, match="may have happened"):
        act()
    assert server.cli("GET", "default:n") == "1"
    proxy.close()


def test_read_without_an_answer_is_repeated(server: Server) -> None:
    """A read changes nothing, so it is asked again on another connection."""
    server.cli("SET", "default:k", "v")
    proxy = Proxy(server.port, b"GET", "cut", times=3)
    assert Store(proxy.url).open("default").get("k") == b"v"
    assert (proxy.left, proxy.connections) == (0, 4)
    proxy.close()


def test_connection_that_ended_while_idle_is_not_used(server: Server) -> None:
    """A server that was away between two writes is connected to anew, and the second is no write of unknown outcome."""
    store = Store(server.url)
    bucket = store.open("default")
    bucket.set("k", b"1")
    server.cli("CLIENT", "KILL", "TYPE", "normal")
    bucket.set("k", b"2")
    assert bucket.get("k") == b"2"


def test_server_that_comes_back_is_waited_for(other: list[Server], tmp_path: object) -> None:
    """Once it has answered, a server that is away is waited for; a write that was not sent is sent then."""
    import threading

    other.append(Server(str(tmp_path)))
    bucket = Store(other[0].url).open("default")
    bucket.set("k", b"1")
    other[0].kill()
    back = threading.Timer(0.3, other[0].restart)
    back.start()
    bucket.set("k", b"2")
    back.join()
    assert bucket.get("k") == b"2"


@pytest.mark.parametrize(
    "url",
    [
        *(
            "redis://h:0",
            "redis://h:x",
            "redis://h:70000",
            "redis://h/x",
            "redis://h?layout=odd",
            "redis://h?layout=",
            "redis://h?odd=1",
        ),
        *(
            "rediss://h?key=f",
            "redis://a,b",
            "redis+cluster://a,b/1",
            "redis://h?timeout=0",
            "redis://h?timeout=x",
            "redis://h?ca=f",
        ),
    ],
)
def test_url_that_is_none(url: str) -> None:
    """What cannot be meant is a usage error that says what can."""
    with pytest.raises(InvalidArgument):
        parse(url, {})


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://h", "redis://h"),
        ("redis://u@h/0", "redis://u@h/0"),
        ("redis://:p@h:1/0?layout=flat", "redis://:***@h:1/0?layout=flat"),
        ("rediss://u:p:q@h", "rediss://u:***@h"),
        ("redis://u:p@q@h", "redis://u:***@h"),
        ("redis://:pa/ss@h", "redis://:***@h"),
        ("redis://u:pa?ss@h", "redis://u:***@h"),
        ("redis://u:pa#ss@h/0", "redis://u:***@h/0"),
        ("redis://u:p?pass@h", "redis://u:***@h"),
        ("redis://h?password=p", "redis://h?***"),
        ("/a:b@c", "/a:b@c"),
    ],
)
def test_url_is_shown_without_its_password(url: str, shown: str) -> None:
    """The rest stays, so that one sees which server is meant."""
    assert without_password(url) == shown


def test_address_of_a_cluster() -> None:
    """Hosts are separated by commas; a port that is not said is the usual one."""
    address = parse("rediss+cluster://a:1,b,[::1]:2", {})
    assert (address.seeds, address.is_cluster, address.tls) == ([("a", 1), ("b", 6379), ("::1", 2)], True, {})
