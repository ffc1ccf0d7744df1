"""Pages of list-keys and limits of keys, over every engine."""

from __future__ import annotations

import pytest

from kvcli import cursor
from kvcli.batch import delete_many, set_many
from kvcli.errors import InvalidCursor, InvalidKey
from kvcli.store import PAGE_KEYS, Bucket, Store
from tests.conftest import walk


def fill(bucket: Bucket, count: int) -> list[str]:
    """Set numbered keys, and give them in order."""
    keys = [f"{number:06}" for number in range(count)]
    set_many(bucket, [(key, b"") for key in keys])
    return keys


@pytest.mark.ordered
def test_exactly_a_page_has_no_cursor(bucket: Bucket) -> None:
    """A page that ends with the last key is the last page."""
    keys = fill(bucket, PAGE_KEYS)
    page = bucket.list_keys()
    assert (page.keys, page.cursor) == (keys, None)


@pytest.mark.ordered
def test_a_page_and_one_has_a_cursor_to_the_one(bucket: Bucket) -> None:
    """One key more makes a second page, of that key alone and without a cursor."""
    keys = fill(bucket, PAGE_KEYS + 1)
    first = bucket.list_keys()
    assert first.keys == keys[:-1]
    assert first.cursor is not None
    second = bucket.list_keys(first.cursor)
    assert (second.keys, second.cursor) == (keys[-1:], None)


@pytest.mark.ordered
def test_cursor_past_the_end_gives_an_empty_page(bucket: Bucket) -> None:
    """A cursor behind which nothing is left gives an empty last page, not an error."""
    fill(bucket, PAGE_KEYS + 1)
    after = bucket.list_keys().cursor
    delete_many(bucket, [f"{PAGE_KEYS:06}"])
    page = bucket.list_keys(after)
    assert (page.keys, page.cursor) == ([], None)


def test_same_cursor_gives_the_same_page(bucket: Bucket) -> None:
    """A cursor can be used again."""
    fill(bucket, PAGE_KEYS + 5)
    after = bucket.list_keys().cursor
    assert bucket.list_keys(after) == bucket.list_keys(after)


@pytest.mark.ordered
def test_walk_under_writes_sees_what_was_there_all_the_time_once(bucket: Bucket) -> None:
    """Inserts and deletes between pages, also of the cursor's own key, neither hide nor repeat a key that stays."""
    keys = fill(bucket, 3 * PAGE_KEYS)
    seen: list[str] = []
    ahead: list[str] = []
    page = bucket.list_keys()
    while True:
        seen += page.keys
        if page.cursor is None:
            break
        last = page.keys[-1]
        delete_many(bucket, [last, page.keys[0]])
        ahead.append(f"{last}-ahead")
        set_many(bucket, [(f"{page.keys[0]}-behind", b""), (ahead[-1], b"")])
        page = bucket.list_keys(page.cursor)
    assert [key for key in seen if "-" not in key] == keys
    assert [key for key in seen if key.endswith("-ahead")] == ahead
    assert not [key for key in seen if key.endswith("-behind")]


def test_cursor_of_a_longest_key_goes_on_after_it(bucket: Bucket) -> None:
    """What comes after a key of the greatest length is found, though no key could stand right behind it."""
    longest = bucket.store.key_bytes_max
    keys = [f"{number:0{longest}}" for number in range(PAGE_KEYS + 5)]
    set_many(bucket, [(key, b"") for key in keys])
    assert walk(bucket) == keys


def test_cursor_of_a_key_that_is_not_utf8(bucket: Bucket) -> None:
    """A walk crosses keys that are not UTF-8."""
    keys = [f"{number:06}".encode() + b"\xff" for number in range(PAGE_KEYS + 5)]
    names = [key.decode("utf-8", "surrogateescape") for key in keys]
    set_many(bucket, [(name, b"") for name in names])
    assert walk(bucket) == names


@pytest.mark.parametrize("foreign", ["0", "1000", "user:1", "000999", "MDAwOTk5", "tAAAA", "\udcff", "k\0"])
def test_cursor_of_another_host_is_refused(bucket: Bucket, foreign: str) -> None:
    """An offset, a plain key, base64 of one, or a token is no cursor, though keys are there to go on with."""
    fill(bucket, 5)
    with pytest.raises(InvalidCursor):
        bucket.list_keys(foreign)


def test_cursor_with_one_character_changed_is_refused(bucket: Bucket) -> None:
    """No change of a single character makes another cursor."""
    packed = cursor.pack(b"000999")
    for place in range(len(packed)):
        changed = packed[:place] + ("B" if packed[place] == "A" else "A") + packed[place + 1 :]
        with pytest.raises(InvalidCursor):
            bucket.list_keys(changed)


@pytest.mark.parametrize("key", ["a", "é" * 255 + "a", "\U0001f600" * 127 + "abc", "k" * 511, "\0", "\0" * 511])
def test_keys_of_1_to_511_bytes_are_keys(bucket: Bucket, key: str) -> None:
    """What counts is bytes: one byte, and 511 of them, whatever the characters, make a key."""
    bucket.set(key, b"1")
    assert (bucket.get(key), bucket.exists(key), bucket.list_keys().keys) == (b"1", True, [key])
    bucket.delete(key)
    assert not bucket.exists(key)


@pytest.mark.parametrize("key", ["k" * 512, "é" * 256, "\U0001f600" * 128, "\udcff" * 512])
def test_keys_of_512_bytes_are_refused_in_a_store_of_ours(path: str, key: str) -> None:
    """512 bytes are one too many, and nothing is set."""
    with Store(path) as store:
        bucket = store.open("default")
        with pytest.raises(InvalidKey, match="512 bytes"):
            bucket.set(key, b"1")
        assert bucket.list_keys().keys == []


@pytest.mark.committed
def test_pages_of_buckets_are_separate(store: Store) -> None:
    """A listing holds the keys of its own bucket only."""
    store.create("b")
    fill(store.open("default"), PAGE_KEYS + 5)
    store.open("b").set("only", b"")
    page = store.open("b").list_keys()
    assert (page.keys, page.cursor) == (["only"], None)


@pytest.mark.ordered
def test_page_shows_what_it_is(bucket: Bucket) -> None:
    """Two pages with the same content are equal, and a page can be read in a session."""
    fill(bucket, 2)
    page = bucket.list_keys()
    assert repr(page) == "KeyResponse(keys=['000000', '000001'], cursor=None)"
    assert page == bucket.list_keys()
    bucket.set("a", b"")
    assert page != bucket.list_keys()
    assert page != ["000000", "000001"]
