"""Servers that are not there when a batch begins: nothing was sent, so nothing is answered, and one line says what to do."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator

import pytest

from tests.conftest import Run
from tests.redis.servers import MISSING, Server

pytestmark = pytest.mark.skipif(bool(MISSING), reason=MISSING)
LINES = b'{"op":"set","key":"a","value":"1"}\n{"op":"get","key":"a"}\n'


@pytest.fixture
def hanging_up() -> Iterator[int]:
    """A port that takes connections, and ends each at once."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            while True:
                try:
                    listening.accept()[0].close()
                except OSError:
                    return

        threading.Thread(target=serve, daemon=True).start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("scheme", ["redis", "redis+cluster"])
@pytest.mark.parametrize("option", [(), ("--keep-going",), ("--atomic",), ("-b", "users")])
def test_batch_on_a_server_that_is_not_there(kvcli: Run, deserted: int, scheme: str, option: tuple[str, ...]) -> None:
    """Nobody listens: no operation is answered."""
    done = kvcli("batch", *option, "-s", f"{scheme}://127.0.0.1:{deserted}", input=LINES)
    assert (done.returncode, done.stdout, done.stderr.count(b"\n")) == (75, b"", 1)
    assert b"see that the server runs" in done.stderr


@pytest.mark.parametrize("option", [(), ("--keep-going",), ("-b", "users")])
def test_batch_on_a_server_that_hangs_up(kvcli: Run, hanging_up: int, option: tuple[str, ...]) -> None:
    """It is gone before the first answer, and nothing that writes was sent."""
    place = ("-s", f"redis://127.0.0.1:{hanging_up}", "--lock-timeout", "0.3")
    done = kvcli("batch", *option, *place, input=LINES)
    assert (done.returncode, done.stdout, done.stderr.count(b"\n")) == (75, b"", 1)


def test_batch_whose_first_operation_is_no_flight(kvcli: Run, deserted: int) -> None:
    """A swap goes alone, and is as little answered as what flies."""
    line = b'{"op":"cas","key":"a","expect":null,"new":"1"}\n'
    done = kvcli("batch", "-s", f"redis://127.0.0.1:{deserted}", input=line)
    assert (done.returncode, done.stdout) == (75, b"")


def test_batch_sees_that_nobody_answers_before_it_reads(kvcli: Run, deserted: int) -> None:
    """Whoever writes into it learns at once, and what a person typed is not lost while a password is asked for."""
    reading, writing = os.pipe()
    try:
        done = kvcli("batch", "-s", f"redis://127.0.0.1:{deserted}", stdin=reading)
        os.write(writing, LINES)
        assert (done.returncode, done.stdout, os.read(reading, 1000)) == (75, b"", LINES)
    finally:
        os.close(reading)
        os.close(writing)


def test_batch_on_a_server_that_asks_for_a_password(kvcli: Run, tmp_path: object) -> None:
    """It answers, and yet nothing can be asked of it: that is told before anything is read."""
    guarded = Server(str(tmp_path), "--requirepass", "s3cret")
    done = kvcli("batch", "-s", guarded.url, input=LINES)
    guarded.stop()
    assert (done.returncode, done.stdout, b"KVCLI_REDIS_PASSWORD" in done.stderr) == (77, b"", True)
