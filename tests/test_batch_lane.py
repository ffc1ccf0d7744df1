"""The express lane of batch: what it accepts, the decoder understands as the same."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from kvcli.operations import Malformed, Operation, Set
from kvcli.operations.decoding import decode_block
from kvcli.operations.lane import read_sets
from kvcli.operations.lines import Block

texts = st.one_of(st.text(max_size=12), st.text('ab "\\\u00e9\x7f{},:', max_size=8))
sets = st.builds(lambda key, value: {"op": "set", "key": key, "value": value}, texts, texts)
others = st.one_of(
    st.builds(lambda key: {"op": "get", "key": key}, texts),
    st.builds(lambda key, value: {"op": "set", "value": value, "key": key}, texts, texts),
    st.builds(lambda each: {**each, "id": 1}, sets),
    st.builds(lambda each: {**each, "bucket": "b"}, sets),
)
SEPARATORS = [(",", ":"), (", ", ": "), (",", ": ")]
written = st.builds(
    lambda each, separators, ascii_only: json.dumps(each, separators=separators, ensure_ascii=ascii_only),
    st.one_of(sets, sets, sets, others),
    st.sampled_from(SEPARATORS),
    st.booleans(),
)
noise = st.sampled_from(
    ["", " ", "\r", "{}", '{"op":"set","key":"a","value":"b"} ', '{"op":"set","key":"a","key":"b","value":"c"}']
)


def block(text: bytes) -> Block:
    """Make a block as it is read."""
    return Block("line", 1, text, paused=False, read=len(text))


@given(st.lists(st.one_of(written, written, written, noise), max_size=5), st.booleans())
def test_lane_means_what_the_decoder_means(lines: list[str], ended: bool) -> None:
    """Whatever the lane accepts is the same list of sets to the decoder."""
    text = "\n".join(lines).encode("utf-8", "surrogatepass") + (b"\n" if ended else b"")
    accepted = read_sets(block(text))
    if accepted is not None:
        assert accepted.each() == decode_block(block(text))


@given(st.binary(max_size=80))
def test_lane_declines_rubbish(rubbish: bytes) -> None:
    """Bytes that are no JSON are never taken for a set."""
    line = b'{"op":"set","key":"a","value":"' + rubbish + b'"}\n'
    accepted = read_sets(block(line))
    if accepted is not None:
        assert json.loads(line) == {"op": "set", "key": "a", "value": rubbish.decode()}


def test_lane_takes_what_others_print() -> None:
    """The forms of jq -c and of json.dumps, with text beyond ASCII too, do not take the slow way."""
    rows = [{"op": "set", "key": "k\u00e9", "value": "{v}, \u65e5"}] * 3
    for separators in SEPARATORS[:2]:
        text = "".join(json.dumps(row, separators=separators, ensure_ascii=False) + "\n" for row in rows).encode()
        accepted = read_sets(block(text))
        assert accepted is not None
        assert accepted.pairs == [("k\u00e9".encode(), "{v}, \u65e5".encode())] * 3


@given(st.binary(max_size=200))
def test_decoder_survives_anything(rubbish: bytes) -> None:
    """Whatever stands in a line, there is an operation or a reason for each that is not blank."""
    found = decode_block(block(rubbish))
    assert len(found) == len([line for line in rubbish.split(b"\n") if line and not line.isspace()])
    assert all(isinstance(each, Operation | Malformed) for each in found)


@given(
    st.dictionaries(
        st.sampled_from(["op", "key", "value", "value_b64", "key_b64", "id", "bucket", "delta", "items", "keys"]),
        st.one_of(
            st.sampled_from(["get", "set", "incr", "set_many", "YQ==", "x", ""]),
            st.integers(),
            st.none(),
            st.lists(st.text(max_size=2), max_size=2),
        ),
    )
)
def test_decoder_takes_any_object(fields: dict[str, object]) -> None:
    """No object of fields that have the right names makes it fail."""
    (found,) = decode_block(block(json.dumps(fields).encode()))
    assert isinstance(found, Operation | Malformed)
    if isinstance(found, Set):
        assert fields["op"] == "set"
