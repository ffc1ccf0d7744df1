"""Lines: how what is typed becomes words, and what is left for the shell."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvcli.errors import InvalidArgument
from kvcli.repl.line import Line, lines, parse, quoted

text = st.text(st.characters(codec="utf-8") | st.sampled_from("'\"\\{}[]|># \n\t\x1b\x9b\u202e\u200b\ufe0f"))
keys = st.binary(min_size=1, max_size=20).map(lambda raw: raw.decode("utf-8", "surrogateescape")) | text


@pytest.mark.parametrize(
    ("typed", "words", "tail"),
    [
        ("get k", ["get", "k"], None),
        ("  get   k  ", ["get", "k"], None),
        ("", [], None),
        ("# set k v", [], None),
        ("set k #1", ["set", "k", "#1"], None),
        ("set k 'a b'", ["set", "k", "a b"], None),
        ("set k 'a\\n'", ["set", "k", "a\\n"], None),
        ('set k "a\\n\\t\\\\\\"\\0\\e"', ["set", "k", 'a\n\t\\"\0\x1b'], None),
        ('set k "\\xff\\xc3\\xa9\\u{1f600}"', ["set", "k", "\udcff\xe9\U0001f600"], None),
        ("set k ''", ["set", "k", ""], None),
        ("set k a\\ b\\|c", ["set", "k", "a b|c"], None),
        ("set k a'b'\"c\"d", ["set", "k", "abcd"], None),
        ("set k $HOME*&;", ["set", "k", "$HOME*&;"], None),
        ('set k {"a": "}", "b": [1, 2]}', ["set", "k", '{"a": "}", "b": [1, 2]}'], None),
        ('set k [1, "\\"]"] x', ["set", "k", '[1, "\\"]"]', "x"], None),
        ('set k {"a":\n 1}', ["set", "k", '{"a":\n 1}'], None),
        ("set k {a b", ["set", "k", "{a", "b"], None),
        ("get [k", ["get", "[k"], None),
        ("get k | jq .name", ["get", "k"], " jq .name"),
        ("get k|jq .", ["get", "k"], "jq ."),
        ("get k > 'a b'", ["get", "k"], "cat > 'a b'"),
        ("get k >> f", ["get", "k"], "cat >> f"),
        ("get 'a|b'", ["get", "a|b"], None),
        ("get k\r", ["get", "k"], None),
        ("get a\\\nb", ["get", "ab"], None),
    ],
)
def test_words_are_those_of_a_shell(typed: str, words: list[str], tail: str | None) -> None:
    """Quotes, escapes, JSON and the rest for the shell, as help syntax says."""
    line = parse(typed)
    assert (line.texts(), line.tail) == (words, tail)


@pytest.mark.parametrize("typed", ["set k 'a", 'set k "a', 'set k {"a":1', "set k [1,", "set k [", "get k\\"])
def test_what_is_open_goes_on(typed: str) -> None:
    """A quote, a bracket or a backslash at the end asks for another line."""
    assert not parse(typed).is_complete
    with pytest.raises(InvalidArgument, match="not closed"):
        parse(typed).texts()


def test_line_that_goes_on_ends_at_a_blank_one() -> None:
    """A backslash at the end asks for one more line, and a blank one is one: what follows is the next command."""
    assert [line.texts() for line in lines("set a b\\\n\nget a\n")] == [["set", "a", "b"], ["get", "a"]]
    line = Line()
    line.feed("set a b\\\n")
    assert not line.is_complete
    line.feed("\n")
    assert line.texts() == ["set", "a", "b"]


@pytest.mark.parametrize("escape", ["\\q", "\\x1", "\\xzz", "\\x+1", "\\u12", "\\u{}", "\\u{110000}", "\\u{d800}"])
def test_bad_escape_is_refused(escape: str) -> None:
    """An escape that is none is an error, and not what somebody meant to store."""
    line = parse(f'set k "{escape}"')
    assert line.words[2].fault is not None
    with pytest.raises(InvalidArgument, match="is no escape here"):
        line.texts()


def test_lines_end_at_newlines_outside_of_quotes() -> None:
    """Several lines are several commands; a value may have newlines."""
    assert [line.texts() for line in lines("set a 'x\ny'\n\nget a\n")] == [["set", "a", "x\ny"], [], ["get", "a"]]


@given(keys)
def test_quoted_word_is_read_back(key: str) -> None:
    """What completion writes for a key is read as that key, one word, whatever is in it; and nothing of it is a control."""
    written = quoted(key)
    line = parse(f"get {written}")
    assert (line.texts(), line.tail) == (["get", key], None)
    assert written.isprintable()


@given(text)
def test_any_text_is_read(typed: str) -> None:
    """Whatever is typed, reading it ends, all words lie within the text, and nothing is read twice."""
    seen = 0
    for line in lines(typed):
        assert line.start >= seen
        seen = line.end
        assert all(line.start <= word.start < word.end <= line.end for word in line.words)
