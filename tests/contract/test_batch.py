"""wasi:keyvalue/batch, over every engine."""

from __future__ import annotations

import pytest

from kvcli.batch import delete_many, delete_span, get_many, set_many
from kvcli.engine.transaction import Span
from kvcli.errors import InvalidKey
from kvcli.store import Bucket


def test_get_many_answers_each_key_in_order(bucket: Bucket) -> None:
    """One answer per key asked, duplicates included, None for an absent key."""
    set_many(bucket, [("a", b"1"), ("b", b"")])
    assert get_many(bucket, ["b", "x", "a", "b"]) == [("b", b""), None, ("a", b"1"), ("b", b"")]
    assert get_many(bucket, []) == []


def test_set_many_lets_the_last_win(bucket: Bucket) -> None:
    """Of equal keys the last value stays."""
    set_many(bucket, [("k", b"1"), ("k", b"2")])
    assert bucket.get("k") == b"2"


@pytest.mark.parametrize("bad", ["", "k" * 2000, "\ud800"])
@pytest.mark.parametrize("place", [3, 1000])
def test_set_many_with_a_bad_key_sets_nothing(bucket: Bucket, bad: str, place: int) -> None:
    """A key that is none, early or late, leaves the bucket as it was, and says what is wrong."""
    pairs = [(f"{number}", b"") for number in range(place)]
    with pytest.raises(InvalidKey, match="key"):
        set_many(bucket, [*pairs, (bad, b""), ("z", b"")])
    assert bucket.list_keys().keys == []


def test_set_many_of_very_many(bucket: Bucket) -> None:
    """Ten thousand pairs are all there."""
    pairs = [(f"{number:05}", b"%d" % number) for number in range(10_000)]
    set_many(bucket, pairs)
    assert get_many(bucket, [key for key, _ in pairs]) == pairs


def test_delete_many_skips_absent_keys(bucket: Bucket) -> None:
    """Absent keys are skipped; the answer is how many there were."""
    set_many(bucket, [("a", b""), ("b", b""), ("c", b"")])
    assert delete_many(bucket, ["a", "x", "c", "a"]) == 2
    assert bucket.list_keys().keys == ["b"]


def test_delete_many_with_a_bad_key_deletes_nothing(bucket: Bucket) -> None:
    """All of it happens or nothing."""
    bucket.set("a", b"")
    with pytest.raises(InvalidKey):
        delete_many(bucket, ["a", ""])
    assert bucket.exists("a")


def test_delete_span_deletes_all_of_it_and_no_more(bucket: Bucket) -> None:
    """Every key of a span goes, though there are more than one transaction takes."""
    set_many(bucket, [(f"u:{number:04}", b"") for number in range(2500)] + [("t", b""), ("v", b"")])
    assert delete_span(bucket, Span(b"u:", b"u;")) == 2500
    assert bucket.list_keys().keys == ["t", "v"]
