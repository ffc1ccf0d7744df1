"""What a guest gets from every function of wasi:keyvalue, in every shape of it, by both links: through real guests."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import pytest

wasmtime = pytest.importorskip("wasmtime", reason="the extra wasm is not installed: pip install 'kvcli[wasm]'")

from wasmtime.component import Component, Variant

from kvcli.engine.transaction import Span
from kvcli.errors import KvError
from kvcli.store import Bucket, Store
from kvcli.wasm import store as store_room
from kvcli.wasm.border import Link, link_class, selftest
from kvcli.wasm.border.fast import FastLink
from kvcli.wasm.border.public import PublicLink, mend
from kvcli.wasm.grants import Grants, for_reading
from kvcli.wasm.store import VALUE_BYTES_MAX
from tests.conftest import make_foreign
from tests.wasm.forwarder import Forwarder
from tests.wasm.shapes import DRAFT, DRAFT2, NEWER, SHAPES, SPIN, Shape

LINKS: dict[str, type[Link]] = {"fast": FastLink, "public": PublicLink}
NO_SUCH_STORE, ACCESS_DENIED = Variant("no-such-store"), Variant("access-denied")


@pytest.fixture
def home(path: str) -> Iterator[Bucket]:
    """The bucket that guests have."""
    with Store(path) as store:
        yield store.open("default")


@pytest.fixture(params=LINKS)
def link(request: pytest.FixtureRequest) -> type[Link]:
    """Each of the links."""
    mend()
    return LINKS[request.param]


@pytest.fixture(params=SHAPES)
def shape(request: pytest.FixtureRequest) -> Shape:
    """Each of the shapes."""
    return SHAPES[request.param]


@pytest.fixture
def guest(home: Bucket, shape: Shape, link: type[Link]) -> Forwarder:
    """A guest of each shape, by each link."""
    return Forwarder(shape, Grants({"": home}), link)


def of(shape: Shape, home: Bucket, **buckets: Bucket) -> tuple[Forwarder, Any]:
    """Give a guest of one shape by the fast link, and its bucket."""
    guest = Forwarder(shape, Grants({"": home, **buckets}))
    return guest, guest("open", "")


def other(answer: Any) -> str:
    """Give the text of the error `other`."""
    assert isinstance(answer, Variant)
    assert answer.tag == "other"
    return str(answer.payload)


def test_store(guest: Forwarder) -> None:
    """Each method of bucket does what store.wit says, for keys that are there and for those that are not."""
    bucket = guest("open", "")
    assert guest("bucket-get", bucket, "k") is None
    assert guest("bucket-exists", bucket, "k") is False
    assert guest("bucket-delete", bucket, "k") is None
    assert guest("bucket-set", bucket, "k", b"one") is None
    assert guest("bucket-set", bucket, "k", b"\0two\xff") is None
    assert guest("bucket-get", bucket, "k") == b"\0two\xff"
    assert guest("bucket-exists", bucket, "k") is True
    page = guest("bucket-list-keys", bucket, None)
    assert (page.keys, page.cursor) == (["k"], None)
    assert guest("bucket-delete", bucket, "k") is None
    assert guest("bucket-get", bucket, "k") is None


def test_what_a_guest_writes_is_in_the_store(guest: Forwarder, home: Bucket) -> None:
    """It is the user's own bucket."""
    guest("bucket-set", guest("open", ""), "k", b"1")
    assert home.get("k") == b"1"


def test_odd_values(guest: Forwarder) -> None:
    """Empty values, all bytes, and keys of all of Unicode pass as they are."""
    bucket = guest("open", "")
    for key, value in {"empty": b"", "all": bytes(range(256)), "\N{SNOWMAN}\U0001f600\0x": b"\0"}.items():
        guest("bucket-set", bucket, key, value)
        assert guest("bucket-get", bucket, key) == value
    assert guest("bucket-list-keys", bucket, None).keys == ["all", "empty", "\N{SNOWMAN}\U0001f600\0x"]


def test_errors_of_every_function(guest: Forwarder, shape: Shape) -> None:
    """Each function that takes a key answers an impossible one with an error, and none of them traps."""
    bucket = guest("open", "")
    for name, (parameters, _) in shape.functions.items():
        if "string" not in parameters[1:] or name == "open":
            continue
        value = [b""] * (parameters[-1] == "(list u8)") + [1] * (parameters[-1] in {"s64", "u64"})
        export = name.replace("[method]", "").replace("[static]", "").replace(".", "-")
        assert "1 to 511 bytes" in other(guest(export, bucket, "", *value)), name
    for export, argument in {"get-many": ["x" * 512], "set-many": [("", b"")], "delete-many": [""]}.items():
        assert "1 to 511 bytes" in other(guest(export, bucket, argument))


def test_increment(guest: Forwarder, home: Bucket) -> None:
    """It keeps decimal text; what is no integer, and what would overflow, is an error and stays."""
    bucket = guest("open", "")
    assert guest("increment", bucket, "n", 5) == 5
    assert guest("increment", bucket, "n", 37) == 42
    assert home.get("n") == b"42"
    home.set("text", b"abc")
    assert "not a decimal integer" in other(guest("increment", bucket, "text", 1))
    home.set("max", b"9223372036854775807")
    assert "outside of 64 bits" in other(guest("increment", bucket, "max", 1))
    assert (home.get("text"), home.get("max")) == (b"abc", b"9223372036854775807")


@pytest.mark.parametrize("link_kind", LINKS.values(), ids=LINKS)
def test_increment_of_signed_shapes(home: Bucket, link_kind: type[Link]) -> None:
    """A delta may be negative, and so may the sum."""
    guest = Forwarder(DRAFT2, Grants({"": home}), link_kind)
    bucket = guest("open", "")
    assert guest("increment", bucket, "n", -3) == -3
    assert guest("increment", bucket, "n", -(1 << 62)) == -3 - (1 << 62)


def test_increment_of_the_unsigned_shape(home: Bucket) -> None:
    """0.2.0-draft has no negative numbers: a sum that is one is an error, and nothing changes."""
    guest, bucket = of(DRAFT, home)
    home.set("n", b"-5")
    assert "negative" in other(guest("increment", bucket, "n", 2))
    assert home.get("n") == b"-5"
    assert guest("increment", bucket, "n", 7) == 2
    assert "outside of 64 bits" in other(guest("increment", bucket, "n", (1 << 64) - 1))


def test_batch(guest: Forwarder, shape: Shape) -> None:
    """One answer for every key, in the order asked, misses and doubles too, in the shape's own form."""
    bucket = guest("open", "")
    assert guest("set-many", bucket, [("a", b"1"), ("b", b""), ("a", b"2")]) is None
    found = guest("get-many", bucket, ["b", "nope", "a", "b"])
    miss = ("nope", None) if shape is SPIN else None
    assert found == [("b", b""), miss, ("a", b"2"), ("b", b"")]
    assert guest("delete-many", bucket, ["a", "nope"]) is None
    assert guest("get-many", bucket, ["a", "b"]) == [("a", None) if shape is SPIN else None, ("b", b"")]
    assert guest("get-many", bucket, []) == []


def test_keyvalue_main_of_wasmtime(home: Bucket, link: type[Link]) -> None:
    """The assertions of wasmtime's crates/test-programs/src/bin/keyvalue_main.rs, in its order, on its shape."""
    home.set("atomics_key", b"5")
    guest = Forwarder(DRAFT, Grants({"": home}), link)
    bucket = guest("open", "")
    assert guest("increment", bucket, "atomics_key", 1) == 6
    page = guest("bucket-list-keys", bucket, None)
    assert (page.keys, page.cursor) == (["atomics_key"], None)
    guest("bucket-set", bucket, "hello", b"world")
    assert guest("bucket-get", bucket, "hello") == b"world"
    assert guest("bucket-exists", bucket, "hello") is True
    guest("bucket-delete", bucket, "hello")
    assert guest("bucket-exists", bucket, "hello") is False
    guest("set-many", bucket, [("a1", b"v1"), ("b1", b"v1"), ("c1", b"v1")])
    guest("delete-many", bucket, ["a1", "c1"])
    assert guest("get-many", bucket, ["a1", "b1", "c1"]) == [None, ("b1", b"v1"), None]


def test_cursor_far_behind_the_end(home: Bucket) -> None:
    """wasmtime's own test: cursor 1000 on a bucket of one key is an empty page, and no error."""
    guest, bucket = of(DRAFT, home)
    home.set("k", b"")
    for cursor in (1, 1000, (1 << 64) - 1):
        page = guest("bucket-list-keys", bucket, cursor)
        assert (page.keys, page.cursor) == ([], None)


@pytest.mark.parametrize("shape", [DRAFT, DRAFT2], ids=["number", "text"], indirect=False)
def test_pages(home: Bucket, shape: Shape) -> None:
    """All keys come once, page by page, and no cursor follows a page that is full and the last."""
    keys = [f"{number:04}" for number in range(2000)]
    home.store.write(lambda update: update.put_many(home.name, [(key.encode(), b"") for key in keys], home.check))
    guest, bucket = of(shape, home)
    first = guest("bucket-list-keys", bucket, None)
    second = guest("bucket-list-keys", bucket, first.cursor)
    assert (first.keys + second.keys, second.cursor) == (keys, None)
    assert isinstance(first.cursor, int if shape is DRAFT else str)


def test_numbers_go_on_where_the_last_page_ended(home: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next page is not counted from the first key on; any other number is, and gives the keys from that one on."""
    keys = [f"{number:04}" for number in range(4500)]
    home.store.write(lambda update: update.put_many(home.name, [(key.encode(), b"") for key in keys], home.check))
    read: list[bytes] = []
    pages = Bucket.pages

    def seen(self: Bucket, span: Span) -> Iterator[list[bytes]]:
        read.append(span.low)
        return pages(self, span)

    monkeypatch.setattr(Bucket, "pages", seen)
    guest, bucket = of(DRAFT, home)
    for start in (0, 1000, 2000, 3000, 4000, 1000, 2500, 3000):
        page = guest("bucket-list-keys", bucket, start or None)
        end = (start // 1000 + 1) * 1000
        assert (page.keys, page.cursor) == (keys[start:end], end if end < 4500 else None)
    assert read == [b"", *(b"%04d\0" % number for number in (999, 1999, 2999, 3999)), b"", b"", b"2999\0"]


def test_cursor_that_no_page_gave(home: Bucket) -> None:
    """It is an error."""
    guest, bucket = of(DRAFT2, home)
    assert "no cursor" in other(guest("bucket-list-keys", bucket, "1000"))


def test_keys_that_are_no_text(path: str) -> None:
    """A guest is not told of a key that is no UTF-8: it has no name for it."""
    make_foreign(path, default={b"a": b"1", b"\xff": b"2", "\N{SNOWMAN}".encode(): b"3"})
    with Store(path, read_only=True) as store:
        guest, bucket = of(DRAFT2, store.open("default"))
        assert guest("bucket-list-keys", bucket, None).keys == ["a", "\N{SNOWMAN}"]


@pytest.mark.parametrize("shape", [DRAFT2, SPIN], ids=["draft2", "spin"], indirect=False)
def test_swap(home: Bucket, shape: Shape, link: type[Link]) -> None:
    """A swap succeeds if nobody wrote; else the handle that comes with cas-failed sees the value of then, and works."""
    guest = Forwarder(shape, Grants({"": home}), link)
    bucket = guest("open", "")
    cas = guest("cas-new", bucket, "k")
    assert guest("cas-current", cas) is None
    assert guest("swap", cas, b"1") is None
    stale = guest("cas-new", bucket, "k")
    home.set("k", b"2")
    fresh = guest("swap", stale, b"3")
    assert (home.get("k"), guest("cas-current", fresh)) == (b"2", b"2")
    assert guest("swap", fresh, b"4") is None
    assert (home.get("k"), len(guest.host.swaps)) == (b"4", 0)


def test_swap_of_the_newer_shape(home: Bucket, link: type[Link]) -> None:
    """new-with-read gives the value beside the handle, and so does cas-failed."""
    guest = Forwarder(NEWER, Grants({"": home}), link)
    bucket = guest("open", "")
    cas, value = guest("cas-new-with-read", bucket, "k")
    assert value is None
    home.set("k", b"2")
    fresh, value = guest("swap", cas, b"3")
    assert value == b"2"
    assert guest("swap", fresh, b"4") is None
    cas, value = guest("cas-new-with-read", bucket, "k")
    assert value == b"4"
    home.delete("k")
    assert guest("swap", cas, b"5")[1] is None
    assert home.get("k") is None


@pytest.mark.parametrize("before", [None, b"a"], ids=["absent", "there"])
def test_no_change_escapes_a_swap(home: Bucket, before: bytes | None) -> None:
    """A-B-A, and to delete and make it again, and to make and delete what was absent: each makes a swap lose."""
    guest, bucket = of(DRAFT2, home)
    if before is not None:
        home.set("k", before)
    cas = guest("cas-new", bucket, "k")
    home.set("k", b"b")
    if before is None:
        home.delete("k")
    else:
        home.set("k", before)
    fresh = guest("swap", cas, b"new")
    assert guest("cas-current", fresh) == before
    assert home.get("k") == before


def test_error_of_swap_that_is_the_stores(home: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is store-error, with the error in it."""
    monkeypatch.setattr("kvcli.wasm.store.VALUE_BYTES_MAX", 100)
    guest, bucket = of(DRAFT2, home, read=for_reading(home))
    home.set("k", b"1")
    cas = guest("cas-new", guest("open", "read"), "k")
    assert guest("swap", cas, b"2") == ACCESS_DENIED
    assert "at most" in other(guest("swap", guest("cas-new", bucket, "k"), bytes(101)))
    assert home.get("k") == b"1"


def test_open_of_what_was_not_granted(home: Bucket, link: type[Link]) -> None:
    """It is no-such-store, whether or not there is such a bucket."""
    home.store.create("secret")
    guest = Forwarder(DRAFT2, Grants({"": home}), link)
    assert guest("open", "secret") == NO_SUCH_STORE
    assert guest("open", "nowhere") == NO_SUCH_STORE


def test_open_of_what_is_denied(home: Bucket) -> None:
    """It is access-denied, whether or not it is granted, and whether or not there is such a bucket."""
    guest = Forwarder(DRAFT2, Grants({"": home, "default": home, "users": home}, ["users", "nowhere", ""]))
    for name in ("users", "nowhere", "", "default"):
        assert guest("open", name) == ACCESS_DENIED


def test_bucket_that_is_gone(home: Bucket) -> None:
    """It is no-such-store: to open, and to a handle that was opened before."""
    home.store.create("users")
    guest, _ = of(DRAFT2, home, users=home.store.open("users"))
    users = guest("open", "users")
    home.store.drop("users")
    assert guest("bucket-get", users, "k") == NO_SUCH_STORE
    assert guest("open", "users") == NO_SUCH_STORE


def test_bucket_for_reading(home: Bucket, link: type[Link]) -> None:
    """Reading works; each function that writes is access-denied, and nothing changes."""
    home.set("k", b"1")
    guest = Forwarder(DRAFT2, Grants({"": for_reading(home)}), link)
    bucket = guest("open", "")
    assert guest("bucket-get", bucket, "k") == b"1"
    for name, *arguments in (
        ("bucket-set", "k", b"2"),
        ("bucket-delete", "k"),
        ("increment", "k", 1),
        ("set-many", [("k", b"2")]),
        ("delete-many", ["k"]),
    ):
        assert guest(name, bucket, *arguments) == ACCESS_DENIED, name
    assert home.get("k") == b"1"


def test_values_at_the_limit(home: Bucket) -> None:
    """A value of 2 MiB and a byte, which others have set, is an error in whatever way it is read."""
    guest, bucket = of(DRAFT2, home)
    largest = bytes(VALUE_BYTES_MAX)
    home.set("large", largest)
    home.set("too large", largest + b"x")
    assert "at most 2097152" in other(guest("bucket-get", bucket, "too large"))
    assert "at most 2097152" in other(guest("get-many", bucket, ["large", "too large"]))
    assert "at most 2097152" in other(guest("cas-current", guest("cas-new", bucket, "too large")))


def test_handles_are_given_back(guest: Forwarder) -> None:
    """A handle that the guest drops is nothing to the host any more."""
    bucket = guest("open", "")
    assert len(guest.host.buckets) == 1
    guest.drop(bucket)
    assert len(guest.host.buckets) == 0


def test_handles_have_an_end(home: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    """A guest that drops none does not fill the memory of the host: it gets an error."""
    monkeypatch.setattr("kvcli.wasm.handles.HANDLES_MAX", 2)
    guest, _ = of(DRAFT2, home)
    kept = guest("open", "")
    assert "drop some" in other(guest("open", ""))
    guest.drop(kept)
    assert not isinstance(guest("open", ""), Variant)


def test_failure_of_the_host(link: type[Link]) -> None:
    """What is no error of the family ends the guest, and is told as what it is; Ctrl-C too, which ended the process."""
    for failure in (RuntimeError("boom"), KeyboardInterrupt()):
        guest = Forwarder(DRAFT2, _Failing(failure), link)
        with pytest.raises(type(failure)):
            guest("open", "")


class _Failing(Grants):
    """Grants that are a bug."""

    def __init__(self, failure: BaseException) -> None:
        """Hold what comes."""
        self._failure = failure

    def open(self, identifier: str) -> Bucket:  # noqa: ARG002 - whatever it is
        """Fail."""
        raise self._failure


def test_link_that_was_closed(home: Bucket, link: type[Link]) -> None:
    """A guest that nobody waits for any more gets no answers, and changes nothing."""
    guest = Forwarder(DRAFT2, Grants({"": home}), link)
    bucket = guest("open", "")
    guest.link.closed = True
    with pytest.raises(KvError):
        guest("bucket-set", bucket, "k", b"1")
    assert home.get("k") is None


def compiled(wasm: bytes) -> Component:
    """Compile."""
    return Component(ENGINE, wasm)


ENGINE = wasmtime.Engine()


def test_self_test_passes(link: type[Link]) -> None:
    """Both links pass it with the wasmtime that is installed, so the fast one is used."""
    assert selftest.works(link, ENGINE, compiled)
    assert link_class(ENGINE, compiled) is FastLink


class _Shifted(FastLink):
    """A link that gives back something else than it was given."""

    def define(self, instance: Any, name: str, kind: Any, function: Any) -> None:
        """Change an answer."""
        super().define(instance, name, kind, (lambda: (b"x", "y", 1)) if name == "give" else function)


def test_self_test_sees_a_broken_link(monkeypatch: pytest.MonkeyPatch) -> None:
    """One by which other values arrive, and another layout, do not pass; then the public link is used."""
    assert not selftest.works(_Shifted, ENGINE, compiled)
    monkeypatch.setattr("kvcli.wasm.border.codec.LAYOUT", (32, 8, 48, 16, 8, 24))
    assert not selftest.works(FastLink, ENGINE, compiled)
    assert link_class(ENGINE, compiled) is PublicLink


def test_private_name_that_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wasmtime whose parts have other names has the public link."""
    monkeypatch.setitem(sys.modules, "kvcli.wasm.border.fast", None)
    assert link_class(ENGINE, compiled) is PublicLink


def test_rooms_of_the_host_are_what_it_defines(guest: Forwarder, shape: Shape) -> None:
    """Nothing that a shape imports is missed."""
    assert {*shape.functions} <= {
        *store_room.functions(guest.host, {}),
        *("increment", "swap", "[static]cas.new", "[static]cas.new-with-read", "[method]cas.current"),
        *("get-many", "set-many", "delete-many"),
    }
