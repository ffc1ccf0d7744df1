"""Spans: what a snapshot gives of the keys between two bounds, over every engine and over drafts."""

from __future__ import annotations

import pytest

from kvcli.batch import set_many
from kvcli.engine.transaction import PAGE_BYTES_MAX, Span
from kvcli.store import Bucket

SPANS = {
    "all": (Span(), "abcde"),
    "from a key on": (Span(b"b"), "bcde"),
    "from beside a key on": (Span(b"bb"), "cde"),
    "up to a key, which is not in it": (Span(b"", b"d"), "abc"),
    "up to beside a key": (Span(b"", b"dd"), "abcd"),
    "between": (Span(b"b", b"d"), "bc"),
    "nothing": (Span(b"b", b"b"), ""),
    "the wrong way round": (Span(b"d", b"b"), ""),
    "behind the last": (Span(b"f"), ""),
    "before the first": (Span(b"", b"a"), ""),
    "backwards": (Span(reverse=True), "edcba"),
    "backwards from a key, which is not in it": (Span(b"", b"d", reverse=True), "cba"),
    "backwards from beside a key": (Span(b"", b"dd", reverse=True), "dcba"),
    "backwards down to a key": (Span(b"b", reverse=True), "edcb"),
    "backwards between": (Span(b"b", b"d", reverse=True), "cb"),
    "backwards from behind the last": (Span(b"", b"z", reverse=True), "edcba"),
    "backwards from before the first": (Span(b"", b"a", reverse=True), ""),
}


def keys(bucket: Bucket, span: Span, count: int) -> str:
    """Give the keys of a page, of one letter each, in one word."""
    return b"".join(bucket.store.read(lambda snapshot: snapshot.keys(bucket.name, span, count))).decode()


def items(bucket: Bucket, span: Span, count: int) -> dict[str, bytes]:
    """Give the pairs of a page, in order."""
    page = bucket.store.read(lambda snapshot: snapshot.items(bucket.name, span, count))
    return {key.decode(): value for key, value in page}


@pytest.mark.ordered
@pytest.mark.parametrize("name", SPANS)
def test_span_has_what_lies_between_its_bounds(bucket: Bucket, name: str) -> None:
    """The low bound is in it and the high bound is not, whichever way it is walked; pairs are of the same keys."""
    set_many(bucket, [(key, key.encode() * 2) for key in "cabed"])
    span, wanted = SPANS[name]
    assert keys(bucket, span, 10) == wanted
    assert list(items(bucket, span, 10).items()) == [(key, key.encode() * 2) for key in wanted]


@pytest.mark.ordered
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("count", [1, 2, 4, 5, 6])
def test_page_has_no_more_than_was_asked_for(bucket: Bucket, count: int, reverse: bool) -> None:
    """A page ends with the span or with so many keys; the next one goes on behind it, and sees each once."""
    set_many(bucket, [(key, key.encode()) for key in "abcde"])
    wanted = "edcba" if reverse else "abcde"
    for pages in (
        [[key.decode() for key in page] for page in bucket.pages(Span(reverse=reverse), count)],
        [[key.decode() for key, _ in page] for page in bucket.item_pages(Span(reverse=reverse), count)],
    ):
        assert pages == [list(wanted[at : at + count]) for at in range(0, 5, count)]


@pytest.mark.ordered
def test_walk_goes_on_within_its_bounds(bucket: Bucket) -> None:
    """Pages of a bounded span stay inside of it, forwards and backwards."""
    set_many(bucket, [(key, b"") for key in "abcdef"])
    assert [b"".join(page) for page in bucket.pages(Span(b"b", b"f"), 3)] == [b"bcd", b"e"]
    assert [b"".join(page) for page in bucket.pages(Span(b"b", b"f", reverse=True), 3)] == [b"edc", b"b"]


@pytest.mark.ordered
@pytest.mark.parametrize("reverse", [False, True])
def test_page_of_pairs_ends_with_a_megabyte(bucket: Bucket, reverse: bool) -> None:
    """Large values are few to a page, and the pair that reaches a megabyte is the last, so that memory has a bound."""
    half = bytes(PAGE_BYTES_MAX // 2 - 1)  # With its key exactly a half.
    set_many(bucket, [(key, half) for key in "abc"])
    assert list(items(bucket, Span(reverse=reverse), 10))[:2] == (["c", "b"] if reverse else ["a", "b"])
    assert len(items(bucket, Span(reverse=reverse), 10)) <= 3
    bucket.set("b", bytes(PAGE_BYTES_MAX + 1))
    assert list(items(bucket, Span(reverse=reverse), 10)) == (["c", "b"] if reverse else ["a", "b"])


@pytest.mark.ordered
def test_value_larger_than_a_page_is_a_page_of_its_own(bucket: Bucket) -> None:
    """No value is too large to be seen."""
    set_many(bucket, [("a", bytes(PAGE_BYTES_MAX * 2)), ("b", b"")])
    assert [[key for key, _ in page] for page in bucket.item_pages(Span())] == [[b"a"], [b"b"]]


@pytest.mark.parametrize(
    ("prefix", "low", "high"),
    [(b"", b"", None), (b"a", b"a", b"b"), (b"a\xff", b"a\xff", b"b"), (b"\xff\xff", b"\xff\xff", None)],
)
def test_prefix_is_a_span(prefix: bytes, low: bytes, high: bytes | None) -> None:
    """What starts with a prefix lies before the next text of its length, where there is one."""
    span = Span.starting(prefix)
    assert (span.low, span.high, span.reverse) == (low, high, False)
