"""Targets: what is small and text: tokens, cursors, times, sizes, and the config file."""

from __future__ import annotations

import os
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

from kvcli import cursor as cursors
from kvcli import token as tokens
from kvcli.atomics import S64_MAX, S64_MIN, parse_delta, parse_s64
from kvcli.engine.files import find
from kvcli.errors import InvalidArgument, InvalidCursor, InvalidToken, KvError, MalformedData, NoSuchStore
from kvcli.location import locate, setting
from kvcli.store import as_text, bucket_name, key_bytes, new_bucket_name
from kvcli.units import BYTES, TTL_MS_MAX, milliseconds, size

if TYPE_CHECKING:
    from tests.fuzz import Target

CONFIG = b'store = "a"\nprofile = "work"\ncache_max_size = "64M"\n[profiles.work]\nstore = "~/b"\n[profiles]\nplay.store = 7\n'
TOKEN = tokens.pack(bytes(range(16)), 7, bytes(16)).encode()


def token(data: bytes) -> None:
    """Read a token: what is one can be written down again, and means the same."""
    with suppress(InvalidToken):
        parts = tokens.unpack(as_text(data))
        assert tokens.unpack(tokens.pack(*parts)) == parts


def cursor(data: bytes) -> None:
    """Read a cursor: only what pack made is one."""
    with suppress(InvalidCursor):
        assert cursors.pack(cursors.unpack(as_text(data))) == as_text(data)
    if data:
        assert cursors.unpack(cursors.pack(data)) == data


def units(data: bytes) -> None:
    """Read times and sizes."""
    with suppress(InvalidArgument):
        assert 0 < milliseconds(as_text(data), "--ttl") <= TTL_MS_MAX
    with suppress(InvalidArgument):
        assert 0 <= size(as_text(data), "--max-size") < 10**18 * BYTES["T"]


def integer(data: bytes) -> None:
    """Read integers: what is one is written in one way only."""
    number = parse_s64(data)
    assert number is None or (b"%d" % number == data and S64_MIN <= number <= S64_MAX)
    delta = parse_delta(as_text(data))
    assert delta is None or S64_MIN <= delta <= S64_MAX


def name(data: bytes) -> None:
    """Read keys and bucket names: what is one is the same bytes."""
    for read in (key_bytes, bucket_name, new_bucket_name):
        with suppress(InvalidArgument):
            assert read(as_text(data)) == data


def config_in(folder: str) -> Target:
    """Make the target of config files, which lie in a folder."""
    os.makedirs(os.path.join(folder, "kvcli"), exist_ok=True)
    path, variables = os.path.join(folder, "kvcli", "config.toml"), {"XDG_CONFIG_HOME": folder}

    def config(data: bytes) -> None:
        with open(path, "wb") as file:
            file.write(data)
        for profile in (None, "work"):
            with suppress(MalformedData, NoSuchStore):
                assert isinstance(setting("cache_max_size", profile, variables), tuple | None)
            with suppress(KvError):
                find(locate(None, profile, variables).path)

    return config


def made(folder: str, _ends: ExitStack) -> dict[str, tuple[Target, list[bytes]]]:
    """Give each target with its seeds."""
    return {
        "token": (token, [TOKEN, b"t", b""]),
        "cursor": (cursor, [cursors.pack(key).encode() for key in (b"k", b"\xff\xfe", b"k" * 511)]),
        "units": (
            units,
            [b"500ms", b"30s", b"1h30m", b"1hour 30min", b"4294967295", b"64K", b"100MiB", b"1G", b" 2 TB"],
        ),
        "integer": (
            integer,
            [b"0", b"-0", b"7", b"-9223372036854775808", b"9223372036854775807", b"+5", "١٢".encode()],
        ),
        "name": (name, [b"k", "é".encode() * 255, b"@main", b"__kvcli__", b"a\0b", b"x" * 511]),
        "config": (config_in(folder), [CONFIG, b"store = " + b"[" * 50, b"store = 1" + b"0" * 5000, b"profile = [1]"]),
    }
