"""What a guest gets from the older text of wasi:keyvalue, which has `cache`: futures, pollables, vacancies."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("wasmtime", reason="the extra wasm is not installed: pip install 'kvcli[wasm]'")

from wasmtime.component import Variant

from kvcli.cache import Cache, Occupied, Vacant
from kvcli.store import Store
from kvcli.wasm.border import Link
from kvcli.wasm.border.fast import FastLink
from kvcli.wasm.border.public import PublicLink, mend
from kvcli.wasm.grants import Grants
from tests.conftest import Run
from tests.wasm.cache import CacheShape, caching
from tests.wasm.forwarder import Forwarder

LINKS: dict[str, type[Link]] = {"fast": FastLink, "public": PublicLink}


@pytest.fixture
def cache(path: str) -> Iterator[Cache]:
    """The cache of a store."""
    with Store(path) as store, Cache(store) as opened:
        yield opened


@pytest.fixture(params=LINKS)
def guest(request: pytest.FixtureRequest, cache: Cache) -> Forwarder:
    """A guest, by each link."""
    mend()
    return Forwarder(CacheShape(), Grants({}), LINKS[request.param], cache)


def answer(guest: Forwarder, kind: str, function: str, *arguments: Any) -> Any:
    """Call a function, wait for its future, and give what that has."""
    future = guest(function, *arguments)
    pollable = guest(f"{kind}-listen-to-{kind}", future)
    guest("pollable-block", pollable)
    assert guest("pollable-ready", pollable) is True
    guest.drop(pollable)
    got = guest(f"{kind}-{kind}-get", future)
    guest.drop(future)
    while isinstance(got, Variant) and got.tag in {"some", "ok"}:
        got = got.payload
    return got


def outgoing(guest: Forwarder, value: bytes) -> Any:
    """Make a value to be set."""
    made = guest("outgoing-value-new-outgoing-value")
    assert guest("outgoing-value-outgoing-value-write-body-sync", made, value) is None
    return made


def get(guest: Forwarder, key: str) -> bytes | None:
    """Get a value."""
    incoming = answer(guest, "future-get-result", "get", key)
    if incoming is None:
        return None
    value = guest("incoming-value-incoming-value-consume-sync", incoming)
    assert guest("incoming-value-incoming-value-size", incoming) == len(value)
    return bytes(value)


def trace(guest: Forwarder, error: Any) -> str:
    """Give the text of an error."""
    return str(guest("error-trace", error.payload if isinstance(error, Variant) else error))


def test_values(guest: Forwarder, cache: Cache) -> None:
    """What is set can be got, exists, and is gone once it is deleted; it is in the store's own cache."""
    assert get(guest, "k") is None
    assert answer(guest, "future-exists-result", "exists", "k") is False
    assert answer(guest, "future-result", "set", "k", outgoing(guest, b"\0value"), None) is None
    assert get(guest, "k") == cache.get("k") == b"\0value"
    assert answer(guest, "future-exists-result", "exists", "k") is True
    assert answer(guest, "future-result", "delete", "k") is None
    assert cache.get("k") is None


def test_time_to_live(guest: Forwarder) -> None:
    """A value is gone after its TTL."""
    answer(guest, "future-result", "set", "k", outgoing(guest, b"1"), 50)
    time.sleep(0.1)
    assert get(guest, "k") is None


def test_errors(guest: Forwarder) -> None:
    """What is no key, and no TTL, is an error that can be traced."""
    for kind, function, *more in (
        ("future-get-result", "get"),
        ("future-exists-result", "exists"),
        ("future-result", "delete"),
        ("future-get-or-set-result", "get-or-set"),
        ("future-result", "set", outgoing(guest, b""), None),
    ):
        assert "1 to 511 bytes" in trace(guest, answer(guest, kind, function, "", *more)), function
    assert "1 ms to" in trace(guest, answer(guest, "future-result", "set", "k", outgoing(guest, b""), 0))


def test_streams_cannot_be_had(guest: Forwarder) -> None:
    """That is an error, which says what to use."""
    error = guest("outgoing-value-outgoing-value-write-body-async", outgoing(guest, b""))
    assert "-sync" in trace(guest, error)


def test_get_or_set(guest: Forwarder, cache: Cache) -> None:
    """Who comes first gets the vacancy; filled, it is what others get, from then on."""
    entry = answer(guest, "future-get-or-set-result", "get-or-set", "k")
    vacancy = entry.payload if isinstance(entry, Variant) else entry
    value = guest("vacancy-vacancy-fill", vacancy, None)
    guest.drop(vacancy)  # The value is not written yet, and the others wait for that.
    assert isinstance(cache.get_or_set("k", timeout=0.1), Vacant)
    guest("outgoing-value-outgoing-value-write-body-sync", value, b"1")
    assert cache.get("k") == b"1"
    entry = answer(guest, "future-get-or-set-result", "get-or-set", "k")
    incoming = entry.payload if isinstance(entry, Variant) else entry
    assert guest("incoming-value-incoming-value-consume-sync", incoming) == b"1"


def test_vacancy_is_filled_once(guest: Forwarder) -> None:
    """The second time is an error."""
    entry = answer(guest, "future-get-or-set-result", "get-or-set", "k")
    value = guest("vacancy-vacancy-fill", entry.payload if isinstance(entry, Variant) else entry, None)
    assert guest("outgoing-value-outgoing-value-write-body-sync", value, b"1") is None
    error = guest("outgoing-value-outgoing-value-write-body-sync", value, b"2")
    assert "filled or dropped already" in trace(guest, error)


@pytest.mark.parametrize("how", ["vacancy", "value", "future", "end"])
def test_vacancy_that_is_dropped(guest: Forwarder, cache: Cache, how: str) -> None:
    """Whatever the guest drops, or leaves at its end, the next one gets the vacancy at once."""
    future = guest("get-or-set", "k")
    if how != "future":
        got = guest("future-get-or-set-result-future-get-or-set-result-get", future)
        while isinstance(got, Variant):
            got = got.payload
        if how == "value":
            value = guest("vacancy-vacancy-fill", got, None)
            guest.drop(got)
            guest.drop(value)
        elif how == "vacancy":
            guest.drop(got)
        else:
            guest.host.close()
    else:
        guest.drop(future)
    before = time.monotonic()
    entry = cache.get_or_set("k")
    assert isinstance(entry, Vacant)
    entry.vacancy.drop()
    assert time.monotonic() - before < 5


def test_future_while_somebody_else_fills(guest: Forwarder, cache: Cache) -> None:
    """It has nothing until the vacancy is filled, and then what it was filled with."""
    taken = cache.get_or_set("k")
    assert isinstance(taken, Vacant)
    future = guest("get-or-set", "k")
    look = "future-get-or-set-result-future-get-or-set-result-get"
    assert guest(look, future) is None
    taken.vacancy.fill(b"1")
    got = guest(look, future)
    assert got is not None
    assert isinstance(cache.get_or_set("k"), Occupied)


@pytest.mark.parametrize("options", [(), ("--bucket", "users", "--create")], ids=["home", "bucket"])
def test_cache_of_the_command(kvcli: Run, tmp_path: Path, options: tuple[str, ...]) -> None:
    """It is the store's own, whatever bucket the guest has beside it."""
    file = tmp_path / "caching.wat"
    file.write_text(caching(), encoding="utf-8")
    ran = kvcli("run", *options, str(file))
    assert (ran.returncode, ran.stderr) == (0, b"")
    assert kvcli("cache", "get", "k").stdout == b"value"


def test_without_a_cache(path: str) -> None:
    """A host that has none says so where the component is instantiated: what it imports is not there."""
    from wasmtime import WasmtimeError

    with Store(path), pytest.raises(WasmtimeError, match="matching implementation"):
        Forwarder(CacheShape(), Grants({}))
