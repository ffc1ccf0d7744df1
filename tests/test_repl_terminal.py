"""The REPL on a real terminal: keys, interrupts, leaving, and terminals that can do little."""

from __future__ import annotations

import os
import random
import signal
import sys
import time

import pytest

from kvcli.store import Store
from tests.processes import ROOT, hold_lock, release
from tests.terminal import CTRL_C, CTRL_D, CTRL_R, TAB, Terminal, repl

KEYS = 200_000
TYPED = (
    *(
        "get ",
        "set ",
        "list ",
        "--prefix ",
        "user:",
        "n ",
        "incr ",
        "begin",
        "commit",
        "rollback",
        "use default",
        "format ",
        "json",
    ),
    *(
        "raw",
        "help ",
        "delete ",
        "-b ",
        "'",
        '"',
        "{",
        "}",
        "[",
        "| head -2",
        "\\",
        "stat",
        "cas n 5 --expect 1",
        "é",
        "🙂",
        "-- ",
    ),
)
PRESSED = (
    *(
        TAB,
        TAB,
        "\r",
        "\r",
        "\r",
        "\x1b[A",
        "\x1b[B",
        "\x1b[C",
        "\x1b[D",
        CTRL_C,
        CTRL_R,
        "\x17",
        "\x15",
        "\x01",
        "\x05",
        "\x7f",
    ),
    *("\x1bOS", "\x0c", "\x19", "\x1b[3~", "\x1b", "\x13", "\x07"),
)


@pytest.fixture
def many(path: str) -> str:
    """A store with very many keys."""
    with Store(path) as store:
        pairs = [(b"k%06d" % number, b"v" * 100) for number in range(KEYS)]
        store.write(lambda update: update.put_many(b"default", pairs, lambda _: None))
    return path


def alive(terminal: Terminal) -> None:
    """Look whether the session still answers."""
    terminal.enter("exists alive --json")
    terminal.until('{"key":"alive","exists":false}')
    terminal.ready()


def test_interrupt_stops_a_long_list(many: str) -> None:
    """Ctrl-C ends what runs, and the session goes on."""
    with repl(many) as terminal:
        terminal.enter("list --values --json --limit 1000000000")
        terminal.until('"key":"k0')
        terminal.press(CTRL_C)
        terminal.until("^Cinterrupted")
        alive(terminal)


def test_list_without_a_limit_ends(many: str) -> None:
    """On a screen, after a thousand keys, with the cursor of the next one; and not in a pipe."""
    with repl(many) as terminal:
        terminal.enter("list")
        shown = terminal.until("1,000 keys, and there are more: --cursor ")
        assert "k000999" in shown
        terminal.enter(f"list --limit 1 --cursor {shown.split('--cursor ')[1].split(',')[0]}")
        terminal.until("\nk001000\n")
        terminal.enter("list | wc -l")
        terminal.until(f"\n{KEYS}")


def test_interrupt_stops_waiting_for_the_lock(path: str) -> None:
    """Ctrl-C leaves a write that waits for another process, at once; nothing is written, and later writes work."""
    Store(path).close()
    holder = hold_lock(path)
    with repl(path, "--lock-timeout", "60") as terminal:
        terminal.enter("set never 1")
        terminal.rest(0.5)
        start = time.monotonic()
        terminal.press(CTRL_C)
        terminal.until("^Cinterrupted")
        assert time.monotonic() - start < 5
        terminal.ready()
        release(holder)
        terminal.enter("set later 1")
        alive(terminal)
        terminal.enter("list")
        terminal.until("later")
        terminal.enter("exists never --json")
        terminal.until('"never","exists":false')


def test_interrupt_ends_a_watch_and_a_pipe(path: str) -> None:
    """So it does with what runs until it is stopped, here or in the shell."""
    Store(path).close()
    with repl(path) as terminal:
        terminal.enter("watch")
        terminal.rest(0.5)
        terminal.press(CTRL_C)
        terminal.until("^Cinterrupted")
        terminal.enter("list | sleep 60")
        terminal.rest(0.5)
        terminal.press(CTRL_C)
        alive(terminal)


def test_interrupt_at_any_moment_ends_no_session(path: str) -> None:
    """Ctrl-C again and again, at the prompt, while typing, between commands."""
    Store(path).close()
    with repl(path) as terminal:
        for number in range(30):
            terminal.press(f"set k{number} 1")
            terminal.press("\r" if number % 3 else "")
            terminal.rest(0.01 * (number % 7))
            terminal.press(CTRL_C)
        terminal.rest(0.5)
        terminal.press(CTRL_C)
        while terminal.read(0.3):
            pass
        alive(terminal)
        assert b"Traceback" not in terminal.seen


@pytest.mark.parametrize("by_signal", [False, True])
def test_interrupt_storm_ends_no_session(path: str, by_signal: bool) -> None:
    """Neither keys nor signals, in bursts, around commands and in the middle of them."""
    Store(path).close()
    with repl(path) as terminal:
        for number in range(60):
            terminal.press(f"incr n{number % 5}\r")
            for burst in range(number % 4 + 1):
                terminal.rest(0.003 * (burst + number % 5))
                terminal.child.send_signal(signal.SIGINT) if by_signal else terminal.press(CTRL_C)
            terminal.read(0.02)
        terminal.rest(0.5)
        terminal.press(CTRL_C)
        while terminal.read(0.3):
            pass
        alive(terminal)
        assert b"Traceback" not in terminal.seen
        assert b"a bug" not in terminal.seen


def test_pipe_that_does_not_care_is_ended_by_the_third(path: str) -> None:
    """A command of the shell's that ignores Ctrl-C keeps nobody from their prompt."""
    Store(path).close()
    with repl(path) as terminal:
        terminal.enter("list | (trap '' INT; sleep 60)")
        for _ in range(4):
            terminal.rest(0.4)
            terminal.press(CTRL_C)
        terminal.until("exit code 137")
        alive(terminal)


def test_exit_code_of_a_pipe_is_told(path: str) -> None:
    """Where the shell says nothing, its exit code is all there is to know."""
    Store(path).close()
    with repl(path) as terminal:
        terminal.enter("list | exit 7")
        terminal.until("exit code 7")


def test_odd_answer_is_a_no(path: str) -> None:
    """Bytes that are no text, at a question, end nothing."""
    with repl(path, LC_ALL="C.UTF-8") as terminal:
        terminal.enter("begin")
        terminal.enter("set k 1")
        terminal.until("[txn 1]>")
        terminal.type(CTRL_D)
        terminal.until("[y/N]")
        os.write(terminal.screen.handle, b"\xff\n")
        terminal.enter("exists k --json")
        terminal.until('"exists":true')


def test_what_changes_outside_ends_no_session(tmp_path: os.PathLike[str]) -> None:
    """The folder it was started in, and the config file, are read once."""
    folder, config = os.path.join(tmp_path, "folder"), os.path.join(tmp_path, "config", "kvcli")
    os.mkdir(folder)
    os.makedirs(config)
    file = os.path.join(config, "config.toml")
    with open(file, "w", encoding="utf-8") as opened:
        opened.write('store = "here"\n')
    with repl("", cwd=folder, XDG_CONFIG_HOME=os.path.dirname(config), PYTHONPATH=ROOT) as terminal:
        terminal.enter("begin")
        terminal.enter("set k 1")
        terminal.until("[txn 1]>")
        with open(file, "w", encoding="utf-8") as opened:
            opened.write("store = ")
        os.rmdir(folder)
        terminal.enter("commit")
        terminal.until("1 written")
        alive(terminal)


@pytest.mark.parametrize("rows", [3, 5, 7, 9])
def test_low_terminal(path: str, rows: int) -> None:
    """A few rows are enough; the bar and the menu go first."""
    Store(path).close()
    with repl(path, columns=40, rows=rows) as terminal:
        terminal.enter("incr n 41")
        terminal.enter("incr n")
        terminal.until("42")
        terminal.type("get n")
        terminal.until("get n")


def test_search_from_an_open_line(path: str) -> None:
    """Ctrl-R in a line that would go on, to one that is complete, and back, ends nothing."""
    Store(path).close()
    with repl(path) as terminal:
        terminal.enter("list --limit 7")
        terminal.type("set k 'open")
        terminal.press(CTRL_R + "limit")
        terminal.until("list --limit 7")
        terminal.rest(0.3)
        terminal.press(CTRL_C)
        terminal.rest(0.5)
        assert terminal.child.poll() is None
        assert b"a bug" not in terminal.seen


@pytest.mark.parametrize("seed", [1, 2])
def test_random_typing_ends_nothing(path: str, seed: int) -> None:
    """Two thousand keys and words at random, fast, in any mode: no bug, no traceback, and the session still answers."""
    with Store(path) as store:
        for number in range(100):
            store.open("default").set(f"user:{number}", b"{}")
    dice = random.Random(seed)
    with repl(path, columns=dice.choice([30, 80]), rows=dice.choice([6, 24]), EDITOR="true") as terminal:
        for _ in range(2000):
            terminal.press(dice.choice(TYPED if dice.random() < 0.6 else PRESSED))
            terminal.read(dice.choice([0, 0.002]))
        terminal.rest(1)
        for _ in range(3):
            terminal.press("\x1b" + CTRL_C + "n\r")
            terminal.rest(0.5)
        assert terminal.child.poll() is None
        bad = max(terminal.seen.find(word) for word in (b"Traceback", b"a bug in", b"Unhandled"))
        assert bad < 0, terminal.seen[max(bad - 500, 0) : bad + 3000].decode(errors="replace")


def test_line_in_an_editor(path: str) -> None:
    """Ctrl-X Ctrl-E: the line goes on in $EDITOR, whatever bytes are in it; an editor that fails changes nothing."""
    Store(path).close()
    with repl(path, EDITOR="sed -i s/1/23/") as terminal:
        terminal.type("set k 1")
        terminal.press("\x18\x05")
        terminal.until("set k 23")
        terminal.press("\r")
        terminal.enter("get k")
        terminal.until("\n23")
    with repl(path, EDITOR='vi "') as terminal:
        terminal.type("get k")
        terminal.press("\x18\x05")
        terminal.rest(0.5)
        terminal.press("\r")
        terminal.until("\n23")
        assert b"Unhandled" not in terminal.seen


def test_quoted_word_is_no_option(path: str) -> None:
    """What is in quotes is a key, also where it starts with a dash or with NUL."""
    Store(path).close()
    with repl(path) as terminal:
        terminal.enter('set "-x" "--raw"')
        terminal.enter('get "-x"')
        terminal.until("\n--raw")
        terminal.enter('set "\\0a" 7')
        terminal.enter("list")
        terminal.until("\\x00a")
        terminal.enter('source "a\\0b"')
        terminal.until("no NUL byte")


def test_other_encodings_are_no_way_in(path: str) -> None:
    """What is a letter in UTF-8 is a control in Latin-1: it is printed in the encoding of the terminal."""
    with Store(path) as store:
        store.open("default").set("k", "\u00db2J".encode())
    with repl(path, PYTHONIOENCODING="latin-1", TERM="dumb") as terminal:
        terminal.enter("list --values")
        terminal.enter("format raw")
        terminal.enter("list --values")
        terminal.enter("get k")
        terminal.enter("get k | cat -v")
        terminal.until("M-CM-^[2J")
        assert b"\x9b" not in terminal.seen
        assert terminal.seen.count(b"\xdb2J") == 3


def test_line_that_a_program_did_not_end_is_left(path: str) -> None:
    """What a pipe prints without a newline is not painted over by the prompt; what ends with one is as it was."""
    with Store(path) as store:
        store.open("default").set("k", b"hello")
    with repl(path) as terminal:
        terminal.enter("get k | cat")
        terminal.until("hello%\n")
        terminal.enter("get k | sed p")
        terminal.until("hello\nhello%\n")
        terminal.enter("list | tr k K")
        terminal.until("\nK\n")
        assert [line for line in terminal.lines() if "%" in line] == ["hello%", "hello%"]


def test_closed_stderr_ends_no_session(path: str) -> None:
    """Nobody is told what is wrong then; that is all."""
    Store(path).close()
    command = f"exec '{sys.executable}' -m kvcli repl 2>&-"
    terminal = Terminal("sh", "-c", command, env={"KVCLI_STORE": path})
    try:
        terminal.until(">")
        terminal.enter("nope")
        alive(terminal)
    finally:
        terminal.close()


def test_question_can_be_interrupted(path: str) -> None:
    """Ctrl-C at a question is a no."""
    with Store(path) as store:
        store.open("default").set("k", b"1")
    with repl(path) as terminal:
        terminal.enter("delete --prefix k")
        terminal.until("[y/N]")
        terminal.press(CTRL_C)
        terminal.until("^Cinterrupted")
        terminal.enter("get k")
        terminal.until("\n1\n")


def test_leaving_with_a_transaction_asks(path: str) -> None:
    """Ctrl-D with changes that are not committed asks; no goes on, yes forgets them."""
    with repl(path) as terminal:
        terminal.enter("begin")
        terminal.enter("set k 1")
        terminal.until("[txn 1]>")
        terminal.type(CTRL_D)
        terminal.until("A transaction with 1 change is open. Leave, and forget it? [y/N]")
        terminal.press("n\n")
        terminal.ready()
        terminal.press("exit\r")
        terminal.until("exit", "[y/N]")
        terminal.rest(0.2)
        terminal.press("y\n")
        assert terminal.wait() == 0
    with Store(path) as store:
        assert store.open("default").list_keys().keys == []


def test_interrupted_commit_can_be_tried_again(path: str) -> None:
    """A commit that waits for the lock and is stopped leaves the transaction open."""
    Store(path).close()
    holder = hold_lock(path)
    with repl(path, "--lock-timeout", "60") as terminal:
        terminal.enter("begin")
        terminal.enter("set k 1")
        terminal.enter("commit")
        terminal.rest(0.5)
        terminal.press(CTRL_C)
        terminal.until("^Cinterrupted", "[txn 1]>")
        release(holder)
        terminal.enter("commit")
        terminal.until("1 written")


@pytest.mark.parametrize("term", ["dumb", "vt100", "linux", "xterm-256color", "unheard-of"])
def test_every_terminal_works(path: str, term: str) -> None:
    """With TERM=dumb there is no menu and no colour; everything that is typed works."""
    with Store(path) as store:
        store.open("default").set("k", b"value")
    with repl(path, TERM=term) as terminal:
        terminal.enter("get k")
        terminal.until("\nvalue")
        terminal.enter("gte k")
        terminal.until("did you mean 'get'?")
        terminal.ready()
        terminal.rest(0.5)  # A dumb prompt is shown before the terminal is told to pass every key on.
        terminal.press(CTRL_D)
        assert terminal.wait() == 0
        assert term != "dumb" or b"\x1b[" not in terminal.seen


def test_no_color_is_honoured(path: str) -> None:
    """NO_COLOR: not one escape that colours."""
    with Store(path) as store:
        store.open("default").set("k", b'{"a":1}')
    with repl(path, NO_COLOR="1") as terminal:
        terminal.enter("get k")
        terminal.until('"a": 1')
        terminal.enter("nope")
        terminal.until("no command 'nope'")
        assert not [code for code in (b"[31m", b"[0;31m", b"[36m", b"[0;36m", b"[0;90m") if code in terminal.seen]


def test_narrow_terminal_with_wide_keys(path: str) -> None:
    """40 columns, keys in Chinese and emoji: they are listed, completed, and read."""
    with Store(path) as store:
        bucket = store.open("default")
        for key in ("用户:1", "用户:2", "🙂 smile", "key with blanks"):
            bucket.set(key, "值".encode() * 30)
    with repl(path, columns=40, rows=20) as terminal:
        terminal.until("default>")
        terminal.type("get 用" + TAB + "1\r")
        terminal.until("值" * 3)
        terminal.type("get 🙂" + TAB)
        terminal.until('"🙂 smile"')
        terminal.type("\r")
        terminal.type("get key" + TAB)
        terminal.until('"key with blanks"')
        terminal.type(CTRL_C)
        terminal.enter("list --values")
        terminal.until("用户:2", "…")


def test_vi_keys(path: str) -> None:
    """F4 changes to vi keys, KVCLI_EDITING_MODE begins with them."""
    Store(path).close()
    with repl(path, KVCLI_EDITING_MODE="vi") as terminal:
        terminal.type("set k 1")
        terminal.press("\x1b")
        terminal.rest(0.7)
        terminal.press("0cwincr \x1b")
        terminal.rest(0.7)
        terminal.until("incr k 1")
        terminal.press("\r")
        terminal.until("\n1\n")


def test_pasted_lines_run_in_order_after_enter(path: str) -> None:
    """Lines that are pasted stand in the prompt until Enter; those after a failure are not run."""
    Store(path).close()
    with repl(path) as terminal:
        terminal.ready()
        terminal.press("\x1b[200~set a 1\nset b x\nincr b\nset c 1\n\x1b[201~")
        terminal.until("set c 1")
        with Store(path) as store:
            assert store.open("default").list_keys().keys == []
        terminal.press("\r")
        terminal.until("not a decimal integer")
        with Store(path) as store:
            assert store.open("default").list_keys().keys == ["a", "b"]


def test_json_goes_on_over_lines(path: str) -> None:
    """An open bracket asks for the next line; the value is what was typed."""
    Store(path).close()
    with repl(path) as terminal:
        terminal.type('set doc {"a": [1,')
        terminal.press("\r")
        terminal.until("...")
        terminal.press("2]}\r")
        terminal.enter("get doc | od -An -c | tr -d ' \\n'")
        terminal.until('{"a":[1,\\n2]}')


def test_read_only_and_transaction_show_in_the_prompt(path: str) -> None:
    """Nobody has to remember what they may do."""
    Store(path).close()
    with repl(path, "--read-only", columns=200) as terminal:
        terminal.until("read-only\n", "default [read-only]>")
        terminal.enter("set k 1")
        terminal.until("leave --read-only out")


def test_store_that_is_not_there_yet(path: str) -> None:
    """The greeting says so, nothing is made by looking, and the first set makes it."""
    with repl(path) as terminal:
        terminal.until("no store at")
        terminal.type("get " + TAB + CTRL_C)
        assert not os.path.exists(path)
        terminal.enter("set k 1")
        alive(terminal)
        assert os.path.exists(path)


def test_idle_session_pins_no_pages(path: str) -> None:
    """While a REPL waits at its prompt, a transaction open and completions shown, the file of a busy store does not grow."""

    def churn(store: Store) -> int:
        for number in range(300):
            store.open("default").set("churn", bytes([number % 256]) * 100_000)
        return os.stat(os.path.join(path, "data.mdb")).st_size

    with Store(path) as store:
        store.open("default").set("key", b"1")
        with repl(path) as terminal:
            terminal.enter("begin")
            terminal.enter("get key")
            terminal.until("[txn 0]>")
            terminal.type("get k" + TAB)
            terminal.until("get key")
            terminal.rest(1)
            sizes = [churn(store) for _ in range(3)]
            assert len(set(sizes)) == 1
            assert sizes[0] < 10 * 100_000


def test_plain_kvcli_is_the_repl_on_a_terminal_only(path: str) -> None:
    """`kvcli` alone is the REPL for a person; elsewhere it is a usage error (test_cli_keys)."""
    with repl(path, "-b", "default") as terminal:
        terminal.until("default>")
