"""What answers is no server of Redis, or a proxy that answers nonsense: that is told, and is no bug of kvcli's."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from kvcli.batch import get_many, set_many
from kvcli.cli.entry import run
from kvcli.store import Store
from tests.redis.servers import MISSING, Server

pytestmark = pytest.mark.skipif(bool(MISSING), reason=MISSING)
HTTP = b"HTTP/1.1 400 Bad Request\r\n\r\n"
PAYLOADS = {
    "http": HTTP,
    "integer": b":7\r\n",
    "bool": b"#t\r\n",
    "double": b",1.5\r\n",
    "map": b"%1\r\n+a\r\n:1\r\n",
    "integers": b"*2\r\n:1\r\n:2\r\n",
    "empty array": b"*0\r\n",
    "nested array": b"*1\r\n*3\r\n:1\r\n:0\r\n*1\r\n$-1\r\n",
    "scan": b"*2\r\n$1\r\nx\r\n*1\r\n:1\r\n",
    "status": b"+\xff\r\n",
    "nothing": b"$-1\r\n",
    "error": b"-\r\n",
    "error of no text": b"-\xff \xff\r\n",
    "ask": b"-ASK\r\n",
    "ask nobody": b"-ASK 1 h:99999\r\n",
    "slots of nobody": b"*1\r\n*3\r\n:0\r\n:16383\r\n*3\r\n$9\r\n127.0.0.1\r\n:99999\r\n$1\r\nx\r\n",
    "slots of no host": b"*1\r\n*3\r\n:0\r\n:16383\r\n*3\r\n$1\r\n\xff\r\n:1\r\n$1\r\n\xff\r\n",
    "TLS": b"\x15\x03\x01\x00\x02\x02\x46",  # An alert.
}
COMMANDS = (
    *("get k", "set k v", "set k v --if-absent", "delete k", "delete --prefix k --yes", "exists k", "incr k", "list"),
    *("list --limit 1", "list --values", "get k -b users", "cas k v --expect w", "cas k v --expect-absent", "stat"),
    *("bucket list", "bucket create b", "bucket stat default", "bucket drop b --yes", "export", "cache set k v"),
    *("cache get k", "cache stats", "cache clear", "get k --token"),
)
FLIGHT = '{"op":"set","key":"a","value":"1"}\n{"op":"get","key":"a"}\n{"op":"get_many","keys":["a","b"]}\n{"op":"incr","key":"n"}\n'


Serve = Callable[[socket.socket, bytes], None]
Start = Callable[..., str]


@pytest.fixture
def answering() -> Iterator[Start]:
    """Start what answers every command alike, and give its place."""
    listening: list[socket.socket] = []

    def start(payload: bytes, how: Serve = serve) -> str:
        listening.append(socket.create_server(("127.0.0.1", 0)))
        threading.Thread(target=accept, args=(listening[-1], payload, how), daemon=True).start()
        return f"127.0.0.1:{listening[-1].getsockname()[1]}"

    yield start
    for each in listening:
        each.shutdown(socket.SHUT_RDWR)
        each.close()


def accept(listening: socket.socket, payload: bytes, how: Serve) -> None:
    """Take clients, one after the other."""
    while True:
        try:
            client, _ = listening.accept()
        except OSError:
            return
        threading.Thread(target=how, args=(client, payload), daemon=True).start()


def serve_endlessly(client: socket.socket, start: bytes) -> None:
    """Begin an answer, and go on with it until the client goes."""
    with client:
        try:
            client.recv(1 << 16)
            client.sendall(start)
            while True:
                client.sendall(bytes(1 << 16))
        except OSError:
            return


def greet(client: socket.socket, payload: bytes) -> None:
    """Answer to whatever comes first."""
    with client:
        client.recv(1 << 16)
        client.sendall(payload)


def serve_as_all(client: socket.socket, payload: bytes) -> None:
    """Have all slots, and answer alike to all that is not about them."""
    host, port = client.getsockname()
    slots = b"*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n$9\r\n%b\r\n:%d\r\n" % (host.encode(), port)
    with client:
        while said := client.recv(1 << 16):
            client.sendall(slots if b"SLOTS" in said else payload)


def serve(client: socket.socket, payload: bytes) -> None:
    """Answer until the client goes."""
    with client:
        try:
            while said := client.recv(1 << 16):
                client.sendall(payload * len(re.findall(rb"\*\d+\r\n\$", said)))
        except OSError:
            return


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("payload", PAYLOADS)
@pytest.mark.parametrize("scheme", ["redis", "redis+cluster"])
def test_nonsense_is_no_bug(
    answering: Start, capfd: pytest.CaptureFixture[str], scheme: str, payload: str, command: str
) -> None:
    """Whatever comes, the command ends as one that could not, or could, be answered: in one line."""
    url = f"{scheme}://{answering(PAYLOADS[payload])}"
    code = run([*command.split(), "-s", url, "--lock-timeout", "0.1"])
    assert code != 70
    assert capfd.readouterr().err.count("\n") <= 1


@pytest.mark.parametrize("payload", ["http", "integers", "double", "map", "TLS"])
@pytest.mark.parametrize("command", [*COMMANDS, "batch {file}", "batch {file} --atomic", "batch {file} --keep-going"])
def test_it_is_told_that_no_redis_answers(
    answering: Start,
    capfd: pytest.CaptureFixture[str],
    tmp_path: object,
    payload: str,
    command: str,
) -> None:
    """Every command says so, with the code of an I/O error, and where that is."""
    with open(f"{tmp_path}/lines", "w", encoding="utf-8") as file:
        file.write(FLIGHT)
    place = answering(PAYLOADS[payload])
    code = run([*command.format(file=f"{tmp_path}/lines").split(), "-s", f"redis://{place}"])
    told = capfd.readouterr()
    assert (code, told.out) == (74, "")
    assert f"what answers at {place} is not a Redis server" in told.err


@pytest.mark.parametrize("ask", [b"-ASK\r\n", b"-ASK 1 h:99999\r\n", b"-ASK 1 h:x\r\n"])
def test_it_is_told_of_a_key_that_is_nowhere(answering: Start, capfd: pytest.CaptureFixture[str], ask: bytes) -> None:
    """A cluster whose key is on the move to what is no place is none."""
    assert run(["get", "k", "-s", f"redis+cluster://{answering(ask, serve_as_all)}"]) == 74
    assert "is not a Redis server" in capfd.readouterr().err


@pytest.mark.parametrize("port", [b"0", b"65536"])
def test_port_that_there_is_none_of(answering: Start, capfd: pytest.CaptureFixture[str], port: bytes) -> None:
    """A cluster whose servers have such ones is none."""
    place = answering(b"*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n$9\r\n127.0.0.1\r\n:%b\r\n" % port)
    assert run(["get", "k", "-s", f"redis+cluster://{place}"]) == 74
    assert f"what answers at {place} is not a Redis server" in capfd.readouterr().err


def test_it_is_told_of_what_is_greeted_first(answering: Start, capfd: pytest.CaptureFixture[str]) -> None:
    """A user and a database are told first; what that is answered with is looked at as well."""
    place = answering(b":7\r\n")
    assert run(["get", "k", "-s", f"redis://u:p@{place}/1"]) == 74
    assert f"what answers at {place} is not a Redis server" in capfd.readouterr().err


def test_it_is_told_that_no_tls_is_spoken(answering: Start, capfd: pytest.CaptureFixture[str]) -> None:
    """Where another protocol answers to TLS, the line names the scheme without it."""
    assert run(["get", "k", "-s", f"rediss://{answering(HTTP, greet)}"]) == 74
    assert "redis:// is the scheme without TLS" in capfd.readouterr().err


@pytest.mark.parametrize("start", [b"$9000000000\r\n", b"+", b"*9\r\n$8000000000\r\n"])
def test_answer_without_an_end(
    answering: Start, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, start: bytes
) -> None:
    """What is longer than a value can be is no answer: it is not waited for until memory ends."""
    monkeypatch.setattr("kvcli.engine.redis.link.VALUE_BYTES_MAX", 1 << 20)
    place = answering(start, serve_endlessly)
    assert run(["get", "k", "-s", f"redis://{place}"]) == 74
    assert f"what answers at {place} sends more than" in capfd.readouterr().err


def test_values_as_long_as_they_may_be(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of many may be that long; what counts is what one command asks for."""
    monkeypatch.setattr("kvcli.engine.redis.link.VALUE_BYTES_MAX", 1 << 20)
    server.flush()
    bucket = Store(server.url).open("default")
    values = {f"k{number}": bytes(1 << 20) for number in range(20)}
    set_many(bucket, [*values.items()])
    assert bucket.get("k0") == values["k0"]
    assert [pair[1] for pair in get_many(bucket, [*values]) if pair] == [*values.values()]
