"""The organs of the REPL one by one: completion, colours, hints, the bar, the history, and how values are shown."""

from __future__ import annotations

import os
import stat
import tempfile
import tracemalloc
from collections.abc import Iterator
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document
from prompt_toolkit.formatted_text import to_plain_text

from kvcli.engine.transaction import Snapshot, Span
from kvcli.prefixes import CANDIDATES_MAX, UNGROUPED_MAX, candidates
from kvcli.repl.completer import KeyCompleter
from kvcli.repl.hint import hint
from kvcli.repl.history import open_history, without_values
from kvcli.repl.lexer import WordLexer
from kvcli.repl.line import parse
from kvcli.repl.session import Session
from kvcli.repl.toolbar import bar
from kvcli.repl.values import laid_out, summary
from kvcli.store import Store
from tests.processes import mounted
from tests.test_repl_line import text

WIDTH = 80


@pytest.fixture
def session(path: str) -> Iterator[Session]:
    """A session on a store with two buckets."""
    with Store(path) as store:
        bucket = store.open("default")
        for key in ("user:1", "user:2", "note", "two words", "-dash", "üñí", "\x1b[2J"):
            bucket.set(key, b"1")
        store.create("users")
        store.open("users").set("ann", b"1")
    opened = Session({"store": path})
    yield opened
    opened.close()


def completions(session: Session, typed: str) -> list[str]:
    """Give what the word at the end of a line may become."""
    found = KeyCompleter(session).get_completions(Document(typed), CompleteEvent())
    return [completion.text for completion in found]


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("ge", ["get"]),
        ("buck", ["bucket"]),
        ("bucket dr", ["drop"]),
        ("get n", ["note"]),
        ("get user:", ["user:1", "user:2"]),
        ("get tw", ['"two words"']),
        ("get 'tw", ['"two words"']),
        ("get -- -d", ["-dash"]),
        ("get \\x", []),
        ("get ü", ["üñí"]),
        ("get \x1b", ['"\\e[2J"']),
        ("kvcli get no", ["note"]),
        ("delete note us", ["user:1", "user:2"]),
        ("list --prefix us", ["user:1", "user:2"]),
        ("get -b users ", ["ann"]),
        ("get --bucket=users a", ["ann"]),
        ("get note --ra", ["--raw"]),
        ("get --raw --ra", []),
        ("use u", ["users"]),
        ("bucket drop u", ["users"]),
        ("bucket create u", []),
        ("list -b us", ["users"]),
        ("format j", ["json"]),
        ("timing o", ["on", "off"]),
        ("help cac", ["cache"]),
        ("batch --results er", ["errors"]),
        ("get note | jq us", []),
        ("delete note -- -d", ["-dash"]),
        ("list --prefix -d", ["-dash"]),
        ("list --prefix=us", ["--prefix=user:1", "--prefix=user:2"]),
        ("list --bucket=us", ["--bucket=users"]),
        ("list g", []),
        ("help bucket d", ["drop"]),
        ("set note us", []),
        ("frobnicate us", []),
        ("", None),
        ("get ", None),
    ],
)
def test_completion(session: Session, typed: str, expected: list[str] | None) -> None:
    """Commands, options, buckets and keys, each where it belongs; None stands for all there are."""
    found = completions(session, typed)
    assert found == expected if expected is not None else len(found) >= 7


def test_files_are_completed_after_at(session: Session, tmp_path: os.PathLike[str]) -> None:
    """`@` starts the name of a file, where a value or a script may come from."""
    with open(os.path.join(tmp_path, "a file.json"), "w", encoding="utf-8"):
        pass
    assert completions(session, f"set k @{tmp_path}/a") == [f'@"{tmp_path}/a file.json"']
    assert completions(session, f"source {tmp_path}/a") == [f'"{tmp_path}/a file.json"']


def test_keys_of_a_transaction_are_completed(session: Session) -> None:
    """Completion sees what reads see."""
    session._do_begin()
    assert session.draft is not None
    Store.over(session.draft, session.path).open("default").set("notable", b"1")
    assert completions(session, "get nota") == ["notable"]
    session._do_rollback()
    assert completions(session, "get nota") == []


@settings(max_examples=60)
@given(st.sets(st.text("ab:/", min_size=1, max_size=6), min_size=1, max_size=150), st.text("ab:/", max_size=2))
def test_candidates_stand_for_all_keys(keys: set[str], prefix: str) -> None:
    """Every key with the prefix is a candidate or in the group of one; a group has two keys or more; in order."""
    with tempfile.TemporaryDirectory() as folder, Store(folder + "/s") as store:
        pairs = [(key.encode(), b"") for key in keys]
        store.write(lambda update: update.put_many(b"default", pairs, lambda _: None))
        found = candidates(store.open("default"), prefix.encode())
    wanted = sorted(key.encode() for key in keys if key.startswith(prefix))
    assert found == sorted(found)
    if len(wanted) <= UNGROUPED_MAX:
        assert found == wanted
        return
    for key in wanted:
        assert [each for each in found if key.startswith(each)] or len(found) == CANDIDATES_MAX
    for each in found:
        assert each in wanted or sum(key.startswith(each) for key in wanted) > 1


def test_completion_is_a_few_steps_however_many_keys(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred candidates among very many keys take a few looks each, and each look reads a few keys."""
    with Store(path) as store:
        pairs = [(b"g%03d:%06d" % (number % 200, number), b"") for number in range(50_000)]
        store.write(lambda update: update.put_many(b"default", pairs, lambda _: None))
        bucket, read = store.open("default"), []
        keys = Snapshot.keys

        def counted(self: Snapshot, name: bytes, span: Span, count: int) -> list[bytes]:
            found = keys(self, name, span, count)
            read.append(len(found))
            return found

        monkeypatch.setattr(Snapshot, "keys", counted)
        assert len(candidates(bucket, b"")) == CANDIDATES_MAX
        assert len(read) <= 2 * CANDIDATES_MAX + 2
        assert sum(read) <= 3 * CANDIDATES_MAX + UNGROUPED_MAX + 2


def styles(typed: str) -> list[str]:
    """Give the colour of each word."""
    row = WordLexer().lex_document(Document(typed))(0)
    return [row[word.start][0].removeprefix("class:") for word in parse(typed).words]


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("get k", ["command", ""]),
        ("gte k", ["wrong", ""]),
        ("g", [""]),
        ("gx", ["wrong"]),
        ("get k --raw", ["command", "", "option"]),
        ("get k --rwa ", ["command", "", "wrong"]),
        ("get k l", ["command", "", "wrong"]),
        ("incr k -5", ["command", "", "number"]),
        ("set k 'a b'", ["command", "", "string"]),
        ("set k {}", ["command", "", "string"]),
        ('set k "\\q"', ["command", "", "wrong"]),
        ("cache get k", ["command", "command", ""]),
        ("bucket frob x", ["command", "wrong", ""]),
        ("get '-dash'", ["command", "string"]),
        ("format xml", ["command", "wrong"]),
        ("batch f --results nobody", ["command", "", "option", "wrong"]),
        ("cas k --update -- tr a b", ["command", "", "option", "", "", "", ""]),
    ],
)
def test_words_have_the_colour_of_their_role(typed: str, expected: list[str]) -> None:
    """What is wrong is red before Enter; what may still become something is not."""
    assert styles(typed) == expected


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("get", " KEY [--raw] [--output] [--token]"),
        ("get ", "KEY [--raw] [--output] [--token]"),
        ("set k", " VALUE|-|@FILE"),
        ("set k v", ""),
        ("list --prefix", " P"),
        ("bucket ", "COMMAND"),
        ("get k | jq", ""),
        ("set k 'a", ""),
        ("frob ", ""),
        ("commit", ""),
    ],
)
def test_hint_is_what_may_still_come(typed: str, expected: str) -> None:
    """The arguments that are open, and the options while nothing else is typed."""
    assert hint(typed) == expected


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("", "Tab completes, help tells, F4 vi or emacs keys, Ctrl-D leaves"),
        ("get", "KEY is missing  get KEY  Print the value of KEY, exactly its bytes."),
        ("get k", "get KEY  Print the value of KEY, exactly its bytes."),
        ("get k --raw", "--raw  Escape nothing, even on a terminal."),
        ("list --limit", "N is missing  --limit  At most N keys; then the cursor."),
        ("get k l", "l does not belong here  get KEY  Print the value of KEY, exactly its bytes."),
        (
            "format x",
            "x does not belong here  format [table|json|raw]  Choose how answers are printed, or tell how they are.",
        ),
        ("gt", "no such command: Tab shows what there is"),
        ("b", "backup  batch  begin  bucket"),
        ("bucket", "List, create, drop and measure buckets."),
        ("get k | x", "the rest goes to sh, with what is printed on its stdin"),
        ("set k 'x", "goes on in the next line"),
    ],
)
def test_bar_tells_what_is_being_typed(session: Session, typed: str, expected: str) -> None:
    """Syntax, help, and what is missing."""
    assert to_plain_text(bar(session, typed, WIDTH)) == expected


def test_bar_has_the_time_of_the_last_command(session: Session) -> None:
    """At its right end, where there is room."""
    session.elapsed = 0.0123
    assert to_plain_text(bar(session, "get k", WIDTH)).endswith("  12.3 ms")
    assert len(to_plain_text(bar(session, "get k", WIDTH))) < WIDTH


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("get k", "get k"),
        ("set k secret", "set k"),
        ("set 'a b' secret --if-absent", 'set "a b" --if-absent'),
        ("set k my secret words", "set k"),
        ("cache set k secret --ttl 1h", "cache set k --ttl 1h"),
        ("cas k new --expect old", "cas k"),
        ("cas k new --expect=old", "cas k"),
        ("cas k new --token T", "cas k --token T"),
        ("get k | jq .name", "get k | jq .name"),
        ("cache run --ttl 1h -- date -u", "cache run --ttl 1h -- date -u"),
        ("sett k secret", ""),
        ("set a b|secret", "set a"),
        ("set a <b>secret</b>", "set a"),
        ("set a=secret", ""),
        ("secret", ""),
        ("set k 'secret", ""),
        ("get --password=secret k", "get k"),
    ],
)
def test_values_are_not_kept(typed: str, kept: str) -> None:
    """The history has what was done, and not what was stored."""
    assert without_values(parse(typed)) == kept


def test_history_file_is_private(monkeypatch: pytest.MonkeyPatch, tmp_path: os.PathLike[str]) -> None:
    """Its mode is 0600, also where it was there before; a line that starts with a blank is kept nowhere."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    file = os.path.join(tmp_path, "kvcli", "history")
    os.mkdir(os.path.dirname(file))
    with open(file, "w", encoding="utf-8"):
        os.chmod(file, 0o644)
    history = open_history()
    for typed in ("get a", " get b", "set c secret", "  "):
        history.append_string(typed)
    assert stat.S_IMODE(os.stat(file).st_mode) == 0o600
    assert history.get_strings() == ["get a", "set c secret"]
    assert list(open_history().load_history_strings()) == ["set c", "get a"]


def test_values_are_kept_where_that_is_wanted(monkeypatch: pytest.MonkeyPatch, tmp_path: os.PathLike[str]) -> None:
    """KVCLI_HISTORY_VALUES=1 keeps lines as they are, but for those that start with a blank."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    history = open_history(with_values=True)
    history.append_string("set c value")
    history.append_string(" set d value")
    assert list(open_history().load_history_strings()) == ["set c value"]


def test_history_outlives_a_full_disk(monkeypatch: pytest.MonkeyPatch, tmp_path: os.PathLike[str]) -> None:
    """What was kept stays, the session has what could not be, and it is kept again once there is room."""
    with mounted(os.path.join(tmp_path, "disk"), "size=64k,mode=0700") as disk:
        monkeypatch.setenv("XDG_STATE_HOME", disk)
        history = open_history()
        history.append_string("get before")
        filler = os.path.join(disk, "filler")
        with open(filler, "wb", buffering=0) as file, suppress(OSError):
            while file.write(bytes(100)):
                pass
        keys = [f"k{number:090}" for number in range(60)]
        for key in keys:
            history.append_string(f"get {key}")
        assert history.get_strings()[-1] == f"get {keys[-1]}"
        os.remove(filler)
        history.append_string("get after")
        kept = list(open_history().load_history_strings())
        assert (kept[0], kept[-1]) == ("get after", "get before")
        assert all(f"get {keys[-1]}".startswith(line[:10]) for line in kept[1:-1])


def test_history_that_is_a_fifo_is_left_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: os.PathLike[str]) -> None:
    """It would wait for a reader for ever."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    os.mkdir(os.path.join(tmp_path, "kvcli"))
    os.mkfifo(os.path.join(tmp_path, "kvcli", "history"))
    open_history().append_string("get a")


def test_history_without_a_file_is_one_of_the_session(
    monkeypatch: pytest.MonkeyPatch, tmp_path: os.PathLike[str]
) -> None:
    """Where nothing can be written, lines are kept until the end."""
    monkeypatch.setenv("XDG_STATE_HOME", os.path.join(tmp_path, "file"))
    with open(os.path.join(tmp_path, "file"), "w", encoding="utf-8"):
        history = open_history()
    history.append_string("get a")
    assert history.get_strings() == ["get a"]


@pytest.mark.parametrize(
    ("value", "shown", "note"),
    [
        (b"", "(empty)", ""),
        (b"42", "42", ""),
        (b"text", "text", ""),
        (b"two\nlines\n", "two\nlines", ""),
        (b"\x1b[2J", "\\e[2J", ""),
        (b'{"b":1.50,"a":[1e5,12345678901234567890]}', None, "json · 41 B"),
        (b"[broken", "[broken", ""),
        (b'{"a":{},"b":[[]]}', '{\n  "a": {},\n  "b": [\n    []\n  ]\n}', "json · 17 B"),
        (b"\xff\xfe", "00000000  ff fe                                            ..", "binary · 2 B"),
        (b"\0" * 5, "00000000  00 00 00 00 00                                   .....", "binary · 5 B"),
    ],
)
def test_values_are_shown_by_what_they_are(value: bytes, shown: str | None, note: str) -> None:
    """Numbers, text, JSON laid out without a digit lost, bytes in hexadecimal."""
    parts, told = laid_out(value, WIDTH)
    wanted = '{\n  "b": 1.50,\n  "a": [\n    1e5,\n    12345678901234567890\n  ]\n}' if shown is None else shown
    assert (to_plain_text(parts), told) == (wanted, note)


def test_deep_json_is_laid_out_in_little_room() -> None:
    """Lines are made as they are shown: all of them could be a thousand times the size of the value."""
    value = b"[" * 500 + b"1," * 200_000 + b"1" + b"]" * 500
    tracemalloc.start()
    parts, note = laid_out(value, WIDTH)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert to_plain_text(parts).startswith("[\n  [\n    [")
    assert "cut here" in note
    assert peak < 20 * len(value)


@pytest.mark.parametrize(
    "value", [b"x" * 1_000_000, b"x\n" * 10_000, b"[%s]" % (b"1," * 9_999 + b"1"), b"\xff" * 999_999]
)
def test_long_values_are_cut(value: bytes) -> None:
    """With a note that says how much there is, and how to see it."""
    parts, note = laid_out(value, WIDTH)
    assert len(to_plain_text(parts)) < 10_000
    assert "in all, cut here: `| less` shows the rest" in note


@settings(max_examples=300)
@given(text | st.text("get sk'\"\\|>{[:,]}-=# \n", max_size=30).map(lambda typed: "set " + typed))
def test_whatever_is_typed_no_organ_fails(typed: str) -> None:
    """Completion, colours, hints, bar and history take any text, at any moment of its being typed."""
    with tempfile.TemporaryDirectory() as folder:
        session = Session({"store": folder + "/none"})
        completions(session, typed)
        rows = WordLexer().lex_document(Document(typed))
        assert "".join(
            [part for number in range(typed.count("\n") + 1) for _, part, *_ in rows(number)]
        ) == typed.replace("\n", "")
        assert hint(typed).isprintable()
        bar(session, typed, WIDTH)
        for kept in [without_values(parse(typed))]:
            assert not kept or kept.isprintable() or "|" in kept or ">" in kept


@settings(max_examples=300)
@given(st.binary(max_size=300) | text.map(lambda value: value.encode()))
def test_whatever_is_stored_nothing_acts_on_the_terminal(value: bytes) -> None:
    """Every way of showing a value gives printable text, and lines."""
    for width in (20, 40, 80):
        parts, note = laid_out(value, width)
        assert to_plain_text(parts).replace("\n", "").isprintable()
        assert note.isprintable()
        assert summary(value, width).isprintable()
