"""The checker of histories: it accepts what can have happened one after the other, and nothing else."""

from __future__ import annotations

from tests.crash.linear import Call, contradiction

SET_1 = {"op": "set", "key": "a", "value": "1"}
SET_2 = {"op": "set", "key": "a", "value": "2"}
GET = {"op": "get", "key": "a"}


def test_order_of_time_binds() -> None:
    """A set that was answered is seen by every later get."""
    assert contradiction([Call(1, 2, SET_1), Call(3, 4, GET, "1")]) is None
    assert contradiction([Call(1, 2, SET_1), Call(3, 4, GET)])


def test_what_overlaps_has_any_order() -> None:
    """Two sets at one time leave either value, and all who look later agree on which."""
    sets = [Call(1, 5, SET_1), Call(2, 5, SET_2)]
    for value in "1", "2":
        assert contradiction([*sets, Call(6, 7, GET, value), Call(8, 9, GET, value)]) is None
    assert contradiction([*sets, Call(6, 7, GET, "1"), Call(8, 9, GET, "2")])


def test_what_is_in_doubt_happened_in_time_or_never() -> None:
    """A call of a killed process may show or not; it cannot go away again, nor come later than it may."""
    doubt = Call(1, 4, SET_1, in_doubt=True)
    assert contradiction([doubt, Call(5, 6, GET)]) is None
    assert contradiction([doubt, Call(2, 3, GET), Call(5, 6, GET, "1")]) is None
    assert contradiction([doubt, Call(2, 3, GET, "1"), Call(5, 6, GET)])
    assert contradiction([doubt, Call(5, 6, GET), Call(7, 8, GET, "1")])


def test_increments_count_each_other() -> None:
    """Two increments at one time are not answered alike."""
    incr = {"op": "incr", "key": "a", "delta": 1}
    assert contradiction([Call(1, 5, incr, "2"), Call(2, 4, incr, "1")]) is None
    assert contradiction([Call(1, 5, incr, "1"), Call(2, 4, incr, "1")])


def test_swaps_see_every_write() -> None:
    """A handle loses to a write of the same value, and to nothing else; the fresh one is good."""
    see = Call(3, 4, {"op": "see", "key": "a", "handle": "h"}, "1")
    swap = {"op": "swap", "key": "a", "handle": "h", "new": "3", "then": "h'"}
    again = {"op": "swap", "key": "a", "handle": "h'", "new": "3", "then": "h''"}
    start = [Call(1, 2, SET_1), see]
    assert contradiction([*start, Call(7, 8, swap, True)]) is None
    assert contradiction([*start, Call(7, 8, swap, ["1"])])
    written = [*start, Call(5, 6, SET_1)]
    assert contradiction([*written, Call(7, 8, swap, True)])
    assert contradiction([*written, Call(7, 8, swap, ["1"]), Call(9, 10, again, True)]) is None


def test_batches_are_one_deed() -> None:
    """Nobody sees half of what was written together."""
    both = {"op": "set_many", "items": [{"key": "a", "value": "1"}, {"key": "b", "value": "1"}]}
    look = {"op": "get_many", "keys": ["a", "b"]}
    for seen in [None, None], ["1", "1"]:
        assert contradiction([Call(1, 5, both), Call(2, 3, look, seen)]) is None
    assert contradiction([Call(1, 5, both), Call(2, 3, look, ["1", None])])
