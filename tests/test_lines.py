"""Lines and elements of arrays: the same, however the input is cut into pieces."""

from __future__ import annotations

import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvcli.operations import lines as module
from kvcli.operations.lines import blocks, is_utf8

values = st.recursive(
    st.one_of(st.none(), st.integers(), st.text('ab"\\[]{},:\u00e9\n', max_size=6)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text('a"\\,', max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)


def read(data: bytes, size: int) -> list[bytes]:
    """Read data that comes in pieces of a size."""
    ours, theirs = os.pipe()
    os.write(theirs, data)
    os.close(theirs)
    before, module.PIECE_BYTES = module.PIECE_BYTES, size
    try:
        return [line for block in blocks(ours, arrays=True) for line in block.lines]
    finally:
        module.PIECE_BYTES = before
        os.close(ours)


@given(st.lists(values, max_size=5), st.sampled_from([None, 1]), st.integers(1, 40))
def test_elements_are_those_of_the_array(elements: list[object], indent: int | None, size: int) -> None:
    """Whatever nests inside of them, and wherever a piece ends."""
    data = json.dumps(elements, indent=indent).encode()
    assert [json.loads(each) for each in read(data, size)] == elements


@given(st.lists(st.binary(max_size=9).map(lambda line: line.replace(b"\n", b"")), max_size=6), st.integers(1, 30))
def test_lines_are_those_of_the_text(lines: list[bytes], size: int) -> None:
    """Wherever a piece ends, also the first."""
    data = b"x\n" + b"\n".join(lines)
    expected = data.split(b"\n")
    assert read(data, size) == (expected if expected[-1] else expected[:-1])


@pytest.mark.parametrize("size", [3, 6, 1000])
def test_one_mark_of_byte_order_is_left_out(size: int) -> None:
    """The second is text, also where the first came alone."""
    bom = b"\xef\xbb\xbf"
    assert read(bom + bom + b'{"a":1}', size) == [bom + b'{"a":1}']


@given(st.binary(max_size=60), st.integers(1, 20))
def test_any_array_ends(data: bytes, size: int) -> None:
    """Rubbish behind a bracket is cut somehow, and never for ever."""
    assert isinstance(read(b"[" + data, size), list)


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_string_that_ends_in_escapes_is_whole(size: int) -> None:
    """A backslash at the end of a piece belongs to what comes."""
    elements = ["\\", '\\"', '"', "\\\\", 'a\\"b']
    assert [json.loads(each) for each in read(json.dumps(elements).encode(), size)] == elements


@given(
    st.lists(
        st.sampled_from([b"a", "\u00e9".encode(), "\U0001f600".encode(), b"\xff", b"\xf0\x9f", b"\xed\xa0\x80"]),
        max_size=9,
    )
)
def test_pieces_of_a_text_are_text_if_it_is(parts: list[bytes]) -> None:
    """Whether bytes are UTF-8 does not depend on where they are cut to look at them."""
    text = b"".join(parts)
    with pytest.MonkeyPatch.context() as patch:
        for size in range(4, 9):
            patch.setattr(module, "PIECE_BYTES", size)
            assert is_utf8(text) == (text.decode("utf-8", "replace").encode() == text)
