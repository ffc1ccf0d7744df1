"""The first sixty seconds with the REPL (research/ux_anchors.md, part 5), on a real terminal, each step looked at."""

from __future__ import annotations

import os
import stat

import pytest

from kvcli.store import Store
from tests.terminal import CTRL_C, CTRL_D, CTRL_R, TAB, UP, repl

USERS = 3000


@pytest.fixture
def peopled(path: str) -> str:
    """A store with users, a counter, a picture, and a bucket beside `default`."""
    with Store(path) as store:
        bucket = store.open("default")
        store.create("cached")
        pairs = [(f"user:{number}", b'{"name":"ann %d","n":1.50,"tags":["a"]}' % number) for number in range(USERS)]
        pairs += [("visits", b"41"), ("photo", bytes(range(256)) * 4), ("note", b"two\nlines"), ("evil", b"\x1b[2Jx")]
        for key, value in pairs[USERS:]:
            bucket.set(key, value)
        store.write(lambda update: update.put_many(b"default", [(k.encode(), v) for k, v in pairs], lambda _: None))
    return path


def test_first_sixty_seconds(peopled: str, tmp_path: os.PathLike[str]) -> None:  # noqa: PLR0915 - it is one walk
    """From the greeting to leaving, everything is seen that the contract of the REPL names."""
    with repl(peopled, XDG_STATE_HOME=str(tmp_path), EDITOR="sed -i s/two/three/") as terminal:
        # The greeting: path, buckets, keys, size; then how to go on.
        greeting = terminal.until(f"{peopled} · 2 buckets, {USERS + 4:,} keys, ", "store:default>")
        assert "Tab completes" in greeting

        # A letter: the menu with a line about each, and the bar.
        terminal.type("ge")
        terminal.until("Print the value of KEY")
        terminal.type("t ")
        terminal.until("get KEY [--raw]", "KEY is missing")

        # Real keys, grouped; one Tab takes the group.
        terminal.type("us" + TAB)
        terminal.until("get user:")
        terminal.type("1234" + "\r")
        terminal.until('"name": "ann 1234"', '"n": 1.50', "json · 41 B")

        # What is not there, and what may have been meant.
        terminal.enter("get visit")
        terminal.until("no key 'visit' in bucket 'default'; near it: 'visits'")

        # A command that is none is red before Enter, and answered by one that is.
        terminal.type("gte user:1")
        terminal.until("gte user:1", "no such command")
        assert terminal.style_of("gte user:1") == "red"
        terminal.enter("")
        terminal.until("no command 'gte'; did you mean 'get'?")

        # A pipe gets the bytes.
        terminal.enter("get user:7 | tr -d '{' | cut -c1-8")
        terminal.until('"name":"\n')
        terminal.enter("get photo | wc -c")
        terminal.until("1024")

        # Bytes in hexadecimal, text as it is, and nothing that acts.
        terminal.enter("get photo")
        terminal.until("00000010  10 11", "binary · 1.0 KiB in all")
        terminal.enter("get evil")
        terminal.until("\\e[2Jx")

        # Another bucket, by Tab.
        terminal.type("use ca" + TAB)
        terminal.until("use cached")
        terminal.enter("")
        terminal.until("store:cached>")
        terminal.enter("use default")
        terminal.until("store:default>")

        # Escapes, one that is none is told while it is typed, and the editor.
        terminal.enter('set a "line\\n\\x00"')
        terminal.enter("get a | od -An -c")
        terminal.until("l   i   n   e  \\n  \\0")
        terminal.type('set a "\\q')
        terminal.until("\\q is no escape here")
        terminal.type(CTRL_C)
        terminal.enter("edit note")
        terminal.enter("get note")
        terminal.until("three\nlines")

        # A transaction.
        terminal.enter("begin")
        terminal.until("[txn 0]>")
        terminal.enter("incr visits")
        terminal.until("42", "[txn 1]>")
        with Store(peopled, read_only=True) as other:
            assert other.open("default").get("visits") == b"41"
        terminal.enter("commit")
        terminal.until("1 written")

        # A question before much goes.
        terminal.enter("delete --prefix user:")
        terminal.until("Delete 3,000 from bucket 'default' ('user:0', 'user:1', 'user:10', ...)? [y/N]")
        terminal.press("n\n")
        terminal.until("nothing was deleted")

        # Ctrl-C drops the line only.
        terminal.type("set never x" + CTRL_C)
        terminal.enter("exists never --json")
        terminal.until('"exists":false')

        # The history.
        terminal.type(CTRL_R + "incr")
        terminal.until("incr visits")
        terminal.type(CTRL_C)

        # Help, and leaving.
        terminal.enter("help set")
        terminal.until("Set KEY to VALUE.", "--if-absent")
        terminal.enter("timing on")
        terminal.enter("format json")
        terminal.enter("get visits")
        terminal.until('{"key":"visits","value":"42"}', " ms")
        terminal.type(CTRL_D)
        assert terminal.wait() == 0

    history = os.path.join(tmp_path, "kvcli", "history")
    assert stat.S_IMODE(os.stat(history).st_mode) == 0o600
    with open(history, encoding="utf-8") as file:
        kept = file.read()
    assert "+set a\n" in kept
    assert "line" not in kept
    assert "gte" not in kept


def test_up_brings_the_line_back_whole(path: str) -> None:
    """In the same session the history has the values, so that a line can be mended."""
    with repl(path) as terminal:
        terminal.enter("set k value")
        terminal.until("store:default>\n")
        terminal.type(UP)
        terminal.until("set k value")
