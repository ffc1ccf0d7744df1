"""Completion in bash, zsh and fish: the real shells, on a terminal; and the table of words that it rests on."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvcli.batch import set_many
from kvcli.cli.app import tree
from kvcli.cli.bash import Typed, typed
from kvcli.cli.declared import declared
from kvcli.cli.vocabulary import TABLE, table
from kvcli.commands.completion import SCRIPTS, file
from kvcli.store import Store
from tests.conftest import Run
from tests.processes import ROOT, run
from tests.terminal import TAB, Terminal
from tests.test_startup import PROGRAM

CTRL_U = "\x15"
BREAKS = " \t\n\"'@><=;|&(:"  # Of bash, as it comes.
FOLDER = os.path.join(ROOT, "completions")
# How each starts without anybody's settings, and with our script.
SHELLS = {
    "bash": ("bash", "--norc", "--noprofile", "-i"),
    "zsh": ("zsh", "-f", "-i"),
    "fish": ("fish", "--no-config", "-i"),
}
SETTINGS = {
    "bash": f"PS1='ready'\\>; bind 'set bell-style none'; . {FOLDER}/kvcli.bash; clear",
    "zsh": f"fpath+=({FOLDER}); autoload -Uz compinit; compinit -u -D; unsetopt beep; PROMPT='ready>'; clear",
    "fish": f"source {FOLDER}/kvcli.fish; function fish_prompt; printf 'ready>'; end; clear",
}
# What is typed, and the key that it becomes.
KEYS = {
    "user:o": "user:one",
    "spa": "spaced out key",
    "'quo": "quoted key",
    "it": "it's",
    "do": 'do"uble',
    "mon": "mon$HOME",
    "st": "star*[1]?",
    "back": "back\\slash",
    "ban": "ban!g",
    "-- -": "-dash",
    "ü": "ünïcode→",
    "se": "se;mi&co|lon",
    "pa": "path/to/it",
    "br": "br{a,b}(c)<d>#e",
    "'tic": "tick'",
    '"tw': 'twin"',
    '"cl"o': "closed quote",
    "co:'lo": "co:lon:quoted",
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder with `kvcli` in it, and a store whose every key has the number of its place as its value."""
    folder = str(tmp_path_factory.mktemp("place"))
    for name in ("kvcli", "kv"):
        script = os.path.join(folder, name)
        with open(script, "w", encoding="utf-8") as written:
            written.write(f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" -m kvcli "$@"\n')
        os.chmod(script, 0o755)
    with Store(os.path.join(folder, "store")) as store:
        store.create("users")
        bucket = store.open("default")
        for number, key in enumerate(KEYS.values()):
            bucket.set(key, b"value-%d-" % number)
        for key in ("many/a", "many/b", "hid\x1b]0;x\x07den", "new\nline"):
            bucket.set(key, b"value of " + key[:3].encode())
    return folder


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(
            name, marks=pytest.mark.skipif(not shutil.which(name), reason=f"{name} (Debian: {name}) is missing")
        )
        for name in SHELLS
    ],
)
def shell(request: pytest.FixtureRequest, place: str) -> Iterator[Terminal]:
    """A shell that knows how to complete, in a folder with a file in it."""
    environment = {
        "PATH": f"{place}:{os.environ['PATH']}",
        "KVCLI_STORE": os.path.join(place, "store"),
        "HOME": place,
        "LANG": "C.UTF-8",
        "XDG_CONFIG_HOME": place,
    }
    started = Terminal(*SHELLS[request.param], cwd=place, env=environment)
    try:
        started.until({"bash": "$", "zsh": "%", "fish": ">"}[request.param] if os.getuid() else "#")
        started.press(SETTINGS[request.param] + "\r")
        started.until("ready>", "!clear")
        yield started
    finally:
        started.close()


@pytest.fixture
def terminal(shell: Terminal) -> Iterator[Terminal]:
    """The shell, at a fresh prompt on an empty screen; a line that a test leaves is dropped."""
    shell.ready()
    shell.screen.reset()
    shell.press("\r")
    shell.ready()
    yield shell
    shell.press(CTRL_U)


@pytest.mark.parametrize("at", range(len(KEYS)), ids=list(KEYS.values()))
def test_key_is_completed_and_got(terminal: Terminal, at: int) -> None:
    """The start of a key and Tab give the key, however it is written there; then the line gives its value."""
    start = list(KEYS)[at]
    terminal.type(f"kvcli get {start}")
    terminal.until(f"get {start}")
    before = terminal.text()
    terminal.press(TAB)
    changed(terminal, before)
    terminal.enter("")
    terminal.until(f"value-{at}-")


@pytest.mark.parametrize(
    ("start", "whole"),
    [
        ("kvcli exi", "kvcli exists"),
        ("kvcli get --ra", "kvcli get --raw"),
        ("kvcli get -b us", "kvcli get -b users"),
        ("kvcli --bucket=us", "kvcli --bucket=users"),
        ("kvcli bucket dr", "kvcli bucket drop"),
        ("kvcli bucket stat us", "kvcli bucket stat users"),
        ("kvcli batch --results er", "kvcli batch --results errors"),
        ("kvcli completion fi", "kvcli completion fish"),
        ("kvcli help tok", "kvcli help tokens"),
        ("kvcli help bucket dr", "kvcli help bucket drop"),
        ("kvcli import st", "kvcli import store/"),
        ("kvcli set k @st", "kvcli set k @store/"),
        ("kvcli get many", "kvcli get many/"),
        ("kvcli cache run -- kvcl", "kvcli cache run -- kvcli"),
        ("kv exi", "kv exists"),
    ],
)
def test_word_is_completed(terminal: Terminal, start: str, whole: str) -> None:
    """Commands, options, their values, buckets, files, groups of keys, and commands that kvcli runs."""
    terminal.type(start)
    terminal.until(start)
    terminal.press(TAB)
    terminal.until(whole)


def test_store_is_the_one_that_is_named(terminal: Terminal, place: str) -> None:
    """`--store` counts, with a variable of the shell in it too."""
    with Store(os.path.join(place, "other")) as store:
        store.open("default").set("elsewhere", b"")
    is_fish = "fish" in list(terminal.child.args)  # type: ignore[arg-type]
    terminal.enter("set -x where other" if is_fish else "where=other")
    word = '"$PWD/$where"'
    terminal.type(f"kvcli -s {word} get el")
    terminal.until("get el")
    terminal.press(TAB)
    terminal.until("get elsewhere")


def test_nothing_in_a_key_acts_on_the_terminal(terminal: Terminal) -> None:
    """All keys are shown, and no control character of one comes through."""
    terminal.type("kvcli get ")
    terminal.until("kvcli get")
    terminal.press(TAB)
    terminal.rest(0.5)
    terminal.press(TAB)
    terminal.until("user:one", "star")
    assert b"\x1b]0;x" not in terminal.seen


def test_control_characters_are_typed_as_escapes(place: str) -> None:
    """Bash reads them back as they are in the key."""
    line = asked(place, "kvcli get hid")[1]
    assert line == "$'hid\\e]0;x\\x07den'"
    ran = subprocess.run(["bash", "-c", f"printf %s {line}"], capture_output=True, text=True)
    assert ran.stdout == "hid\x1b]0;x\x07den"


def test_key_that_looks_like_an_option_gets_its_dashes(place: str) -> None:
    """`-- ` comes with it, where none stands yet; options are offered beside it."""
    assert {"-- -dash", "--raw"} <= set(asked(place, "kvcli get -"))


@given(st.text(st.characters(exclude_characters="\0", codec="utf-8"), min_size=1, max_size=8))
def test_what_is_typed_is_what_bash_reads(text: str) -> None:
    """Whatever quotes are open, what is written there is read as the text."""
    for quote in ("", "'", '"', "$'"):
        assert Typed(f"kvcli get {whole(text, quote)}", BREAKS).words[2] == text, quote


def test_bash_itself_reads_it_so() -> None:
    """The texts that are hard, read by bash, in each kind of quotes."""
    texts = ["a b", "it's", '"', "$x `y`", "\\", "new\nline\ttab", "~", "ünï", "é\x07\u202e", "a!b", "*?[a]", "", "$'"]
    for quote in ("", "'", '"', "$'"):
        words = [whole(text, quote) for text in texts if text or quote]
        ran = subprocess.run(["bash", "-c", "printf '%s\\0' " + " ".join(words)], capture_output=True, text=True)
        assert ran.stdout.split("\0")[:-1] == [text for text in texts if text or quote]


@pytest.mark.parametrize(
    ("line", "head", "quote"),
    [
        ("kvcli get user:1", "user:", ""),
        ("kvcli get user\\:1", "", ""),
        ("kvcli get 'user:1", "", "'"),
        ("kvcli get 'user:'1", "", ""),
        ("kvcli get user:'1'2", "user:", ""),
        ("kvcli get user:'a", "user:", "'"),
        ('kvcli get a"b c', "a", '"'),
        ("kvcli get $'a\\eb", "", "$'"),
        ("kvcli --bucket=us", "--bucket=", ""),
        ("kvcli get user:1 ", "", ""),
    ],
)
def test_what_readline_leaves_alone(line: str, head: str, quote: str) -> None:
    """It replaces what is behind the open quote, or behind the last unquoted character that breaks words."""
    known = Typed(line, BREAKS)
    assert (known.head, known.quote) == (head, quote)


def test_press_of_tab_loads_nothing_slow(place: str) -> None:
    """Neither Typer nor what it needs: it is asked for at every press of Tab."""
    line = f"kvcli -s {place}/store get user:"
    told, modules = run(PROGRAM, "__complete", "bash", line, BREAKS, "9").decode().rstrip("\n").split("\n")
    assert told.split("\0")[1:-1] == ["one"]
    assert not {"typer", "rich", "re", "typing", "contextlib", "json", "inspect"} & {*modules.split()}


def test_what_many_keys_have_in_common_is_what_all_have(path: str, kvcli: Run) -> None:
    """Of more keys than are shown, the last one is among them: what a shell writes of all is right for each."""
    with Store(path) as store:
        set_many(store.open("default"), [(f"{number:04}x", b"") for number in range(500)])
    found = kvcli("__complete", "bash", "kvcli get ", BREAKS, "9").stdout.split(b"\0")[1:-1]
    assert (found[0], found[-1], len(found)) == (b"0000x", b"0499x", 100)


def test_store_that_is_not_there_is_not_made(place: str) -> None:
    """Nor is anything said."""
    store = os.path.join(place, "nothing")
    assert asked(place, f"kvcli -s {store} get ") == ["words"]
    assert not os.path.exists(store)


def test_table_is_what_is_declared() -> None:
    """completions/words is written by python -m kvcli.cli.vocabulary."""
    with open(file(TABLE), encoding="utf-8") as written:
        assert written.read() == "".join(table(declared(tree())))


@pytest.mark.parametrize("name", SCRIPTS)
def test_script_is_printed(kvcli: Run, name: str) -> None:
    """The file of the folder completions, to the byte."""
    with open(os.path.join(FOLDER, SCRIPTS[name]), "rb") as script:
        assert kvcli("completion", name).stdout == script.read()


def test_unknown_shell_is_a_usage_error(kvcli: Run) -> None:
    """Exit code 2, and the shells there are."""
    refused = kvcli("completion", "tcsh")
    assert (refused.returncode, refused.stderr) == (2, b"kvcli: a shell is one of bash, zsh, fish\n")


def whole(text: str, quote: str) -> str:
    """Write a word as readline does: it takes a quote at either end of what replaces a part for the one of the word."""
    inside = typed(text, quote)
    is_opened = bool(quote) and quote != "$'" and inside.startswith(quote)
    is_closed = bool(quote) and inside.endswith(quote[-1])
    return f"{'' if is_opened else quote}{inside}{'' if is_closed else quote[-1:]}"


def asked(place: str, line: str) -> list[str]:
    """Ask as the script for bash does."""
    ran = subprocess.run(
        [os.path.join(place, "kvcli"), "__complete", "bash", line, BREAKS, "9"],
        env={**os.environ, "KVCLI_STORE": os.path.join(place, "store")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert not ran.stderr
    return ran.stdout.split("\0")[:-1]


def changed(terminal: Terminal, before: str) -> None:
    """Wait until the screen is another, and rests."""
    for _ in range(200):
        terminal.rest(0.1)
        if terminal.text() != before:
            break
    while terminal.read(0.2):
        pass
