"""On a terminal: nothing that comes out of a store can act on it; and people are asked there, nowhere else."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvcli.cli.screen import escape_line, escape_text
from kvcli.store import Store
from tests.conftest import Run
from tests.processes import ROOT

# What terminals obey: titles, links, the clipboard, clearing, device control, 8-bit CSI, and characters that deceive.
ATTACKS = [
    *(
        "\x1b]0;title\x07",
        "\x1b]8;;http://x\x1b\\link",
        "\x1b]52;c;aGk=\x07",
        "\x1b[2J",
        "\x1bP$q\x1b\\",
        "\x9b2J",
        "a\rb",
        "a\bb",
    ),
    *(
        "\x7f",
        "\u202egnp.exe",
        "\u2066x",
        "\u200b",
        "\u200d",
        "\ufeff",
        "\x00",
        "\x85",
        "\u2028",
        "\u3164",
        "\ufe0f",
        "\U000e0100",
        "\udcff\udcfe",
        "\t",
    ),
]


def on_terminal(path: str, *words: str, typed: bytes = b"", env: dict[str, str] | None = None) -> tuple[int, bytes]:
    """Run a command with all three streams on a pseudo-terminal; give its exit code and what appeared."""
    master, slave = pty.openpty()
    command = [sys.executable, "-m", "kvcli", *words]
    child = subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, "KVCLI_STORE": path, "TERM": "xterm", **(env or {})},
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
    )
    os.close(slave)
    if typed:
        time.sleep(0.3)
        os.write(master, typed)
    seen = b""
    try:
        while data := os.read(master, 65536):
            seen += data
    except OSError:  # Linux says EIO when the other side is closed.
        pass
    os.close(master)
    return child.wait(timeout=20), seen.replace(b"\r\n", b"\n")


@pytest.fixture
def attacked(path: str) -> str:
    """A store whose keys and values are attacks on a terminal."""
    with Store(path) as store:
        bucket = store.open("default")
        for attack in ATTACKS:
            bucket.set("k" + attack, attack.encode("utf-8", "surrogateescape"))
    return path


def is_harmless(seen: bytes) -> bool:
    """Tell whether only printable characters and newlines appeared."""
    return all(char == "\n" or (char.isprintable() and char != "\u3164") for char in seen.decode())


def test_get_ends_with_a_newline_on_a_terminal_only(path: str, kvcli: Run) -> None:
    """On a terminal a newline is added, elsewhere nothing is."""
    kvcli("set", "k", "v")
    assert on_terminal(path, "get", "k") == (0, b"v\n")
    assert kvcli("get", "k").stdout == b"v"


def test_text_keeps_its_lines(path: str, kvcli: Run) -> None:
    """A value of several lines is shown as such."""
    kvcli("set", "k", "a\nb\tc")
    assert on_terminal(path, "get", "k") == (0, b"a\nb\\tc\n")


@pytest.mark.parametrize(
    "words", [("list",), ("list", "--values"), ("list", "--json", "--values"), ("delete", "--prefix", "k", "--dry-run")]
)
def test_listings_cannot_act(attacked: str, words: tuple[str, ...]) -> None:
    """Keys and values of a listing are escaped."""
    code, seen = on_terminal(attacked, *words)
    assert (code, is_harmless(seen)) == (0, True)
    assert len(seen.splitlines()) == len(ATTACKS)


@pytest.mark.parametrize("attack", ATTACKS)
def test_values_and_messages_cannot_act(attacked: str, attack: str) -> None:
    """A value, and a key in an error message, are escaped; in a pipe they are what they are."""
    key = "k" + attack.replace("\0", "")
    for words in (("get", key), ("get", key, "--json"), ("get", "no" + key), ("incr", key), ("get", "x", "-b", key)):
        assert is_harmless(on_terminal(attacked, *words)[1])


def test_bucket_names_of_others_cannot_act(path: str) -> None:
    """A bucket that another program named is escaped in listings and tables."""
    import lmdb

    with lmdb.open(path, max_dbs=4, mode=0o700) as env, env.begin(write=True) as txn:
        env.open_db(b"x\x1b[2J", txn=txn)
    for words in (("bucket", "list"), ("bucket", "stat"), ("get", "k", "-b", "y")):
        assert is_harmless(on_terminal(path, *words, env={"TERM": "dumb"})[1])


def test_raw_is_raw(path: str, kvcli: Run) -> None:
    """--raw gives the bytes to the terminal as they are: the user asked for it."""
    kvcli("set", "k", "\x1b[1mbold")
    assert on_terminal(path, "get", "k", "--raw") == (0, b"\x1b[1mbold\n")


@given(st.binary(max_size=200))
def test_escape_text_leaves_only_what_prints(value: bytes) -> None:
    """Whatever a value holds, what is shown is printable, newlines apart."""
    assert is_harmless(escape_text(value))


@given(st.text(max_size=200))
def test_escape_line_is_one_printable_line(text: str) -> None:
    """Whatever a message holds, it is one printable line, and printable ASCII is left alone."""
    shown = escape_line(text)
    assert shown.isprintable()
    if text.isascii() and text.isprintable():
        assert shown == text


@pytest.mark.parametrize(
    ("typed", "code", "left"), [(b"n\n", 1, b"k1\nk2\n"), (b"\n", 1, b"k1\nk2\n"), (b"y\n", 0, b"")]
)
def test_deleting_a_prefix_asks(path: str, kvcli: Run, typed: bytes, code: int, left: bytes) -> None:
    """On a terminal the question says how many keys go, and only yes deletes."""
    kvcli("set", "k1", "v")
    kvcli("set", "k2", "v")
    answered, seen = on_terminal(path, "delete", "--prefix", "k", typed=typed)
    assert (answered, b"Delete 2 " in seen) == (code, True)
    assert kvcli("list").stdout == left


def test_missing_key_is_told_to_a_person(path: str, kvcli: Run) -> None:
    """At a terminal there is a line; a script that looks at the exit code is not bothered."""
    kvcli("set", "k", "v")
    assert on_terminal(path, "get", "nope") == (1, b"kvcli: no key 'nope' in bucket 'default'\n")
    assert kvcli("get", "nope").stderr == b""


@pytest.mark.parametrize("environment", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_help_without_colour_or_boxes(path: str, environment: dict[str, str]) -> None:
    """NO_COLOR and TERM=dumb are honoured."""
    code, seen = on_terminal(path, "get", "--help", env=environment)
    assert (code, b"\x1b" in seen, "─" in seen.decode()) == (0, False, False)


def test_colour_can_be_forced(kvcli: Run) -> None:
    """FORCE_COLOR gives the help of a terminal to a pipe."""
    assert "─" in kvcli("get", "--help", env={"FORCE_COLOR": "1"}).stdout.decode()


def test_help_off_a_terminal_is_plain(kvcli: Run) -> None:
    """In a pipe there is neither colour nor a box, and the examples come first."""
    text = kvcli("get", "--help").stdout.decode()
    assert text.isascii()
    assert text.index("Examples:") < text.index("Options:")


@pytest.mark.parametrize(
    "words", [("batch", "FILE"), ("export",), ("export", "--format", "csv"), ("export", "--format", "dump")]
)
def test_data_cannot_act(path: str, tmp_path: os.PathLike[str], words: tuple[str, ...]) -> None:
    """What batch answers and export prints is escaped on a terminal, the id that was given too, and stays JSON."""
    with Store(path) as store:
        store.open("default").set("k", "".join(ATTACKS[:-4]).encode())
    file = os.path.join(tmp_path, "in")
    with open(file, "w", encoding="utf-8") as out:
        out.write('{"op":"get","key":"k","id":"\u202e\\u001b"}\n')
    code, seen = on_terminal(path, *[file if word == "FILE" else word for word in words])
    assert code == 0
    assert is_harmless(seen)
    if words[-1] in {"FILE", "export"}:
        assert json.loads(seen)
    if words[-1] == "csv":
        assert seen.splitlines()[0] == b"key,value"
