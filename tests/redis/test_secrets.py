"""Passwords: of any bytes, and never told, not even where a URL is wrong."""

from __future__ import annotations

import pytest

from kvcli.engine.redis.address import parse
from kvcli.errors import InvalidArgument
from kvcli.store import Store
from tests.conftest import Run
from tests.redis.servers import MISSING, Server

pytestmark = pytest.mark.skipif(bool(MISSING), reason=MISSING)


@pytest.mark.parametrize(
    "url", ["redis://:s3/s3@h", "redis://:s3?s3@h", "redis://:s3#s3@h", "redis://[u:s3@h", "redis://u:s3\u2100@h"]
)
def test_url_that_is_wrong_tells_nothing_of_its_password(url: str) -> None:
    """What was not percent-encoded is looked upon as another part of the URL, and yet it may be a secret."""
    with pytest.raises(InvalidArgument) as caught:
        parse(url, {})
    assert "s3" not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_password_of_any_bytes(server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    """A password need not be text."""
    servers = Store(server.url).engine.servers  # type: ignore[attr-defined]
    servers.attempt(lambda trip: trip.to(b"").call("ACL", "SETUSER", "odd", "on", b">p\xff", "~*", "+@all"), 1)
    with open(f"{tmp_path}/password", "wb") as file:
        file.write(b"p\xff\n")
    monkeypatch.setenv("KVCLI_REDIS_PASSWORD_FILE", f"{tmp_path}/password")
    Store(server.url.replace("//", "//odd@")).open("default").set("k", b"v")
    monkeypatch.setenv("KVCLI_REDIS_PASSWORD", "p\udcff")
    Store(server.url.replace("//", "//odd@")).open("default").set("k", b"v")
    Store(server.url.replace("//", "//odd:p%ff@")).open("default").set("k", b"v")


def test_copy_into_itself_tells_no_password(kvcli: Run, server: Server) -> None:
    """The two names in the line hold none."""
    server.cli("ACL", "SETUSER", "twice", "on", ">s3", "~*", "+@all")
    url = server.url.replace("//", "//twice:s3@")
    done = kvcli("copy", url, url)
    assert (done.returncode, b"twice:***@" in done.stderr, b"s3" in done.stdout + done.stderr) == (2, True, False)


def test_address_shows_no_password() -> None:
    """Not even to who debugs, and logs what an engine holds."""
    assert repr(parse("redis://u:s3@h/1", {})) == "Address('redis://u:***@h/1')"
