"""The commands about keys: every byte, every option, every stream."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest

from kvcli.commands.cas import run as run_cas
from kvcli.commands.context import Context
from kvcli.errors import MalformedData
from tests.conftest import Run
from tests.processes import ROOT

SHELL = f'"{sys.executable}" -m kvcli'


def shell(path: str, script: str) -> subprocess.CompletedProcess[bytes]:
    """Run a line of bash in which `kvcli` is the command."""
    line = f'kvcli() {{ {SHELL} "$@"; }}\n{script}'
    environment = {**os.environ, "KVCLI_STORE": path}
    return subprocess.run(["bash", "-c", line], cwd=ROOT, env=environment, capture_output=True, timeout=60)


@pytest.mark.parametrize("value", [b"", b"\n", b"a\n", b"\0\xff", b"a\r\nb", b"  x  "])
def test_value_through_stdin_is_exact(kvcli: Run, value: bytes) -> None:
    """What stdin holds is stored and printed byte for byte; no newline is added or stripped."""
    assert kvcli("set", "k", "-", input=value).returncode == 0
    assert kvcli("get", "k").stdout == value


def test_large_value_passes_through(tmp_path: os.PathLike[str], kvcli: Run) -> None:
    """Eight megabytes go in by file and come out by stdout and by --output."""
    source, target = os.path.join(tmp_path, "in"), os.path.join(tmp_path, "out")
    value = os.urandom(1 << 23)
    with open(source, "wb") as file:
        file.write(value)
    assert kvcli("set", "k", "@" + source).returncode == 0
    assert kvcli("get", "k").stdout == value
    assert kvcli("get", "k", "--output", target).stdout == b""
    with open(target, "rb") as file:
        assert file.read() == value


@pytest.mark.parametrize(
    ("word", "value"), [("@@x", b"@x"), ("@@", b"@"), ("-5", b"-5"), ("", b""), ("a b", b"a b"), ("é", "é".encode())]
)
def test_words_as_values(kvcli: Run, word: str, value: bytes) -> None:
    """A word is its own value; @@ is a literal @, a negative number is a number."""
    assert kvcli("set", "k", word).returncode == 0
    assert kvcli("get", "k").stdout == value


def test_bytes_that_are_no_utf8_pass_as_words(kvcli: Run) -> None:
    """Key and value of any bytes can be typed."""
    assert kvcli("set", b"\xff\xfe", b"v\xff").returncode == 0
    assert kvcli("get", b"\xff\xfe").stdout == b"v\xff"
    assert kvcli("list").stdout == b"\xff\xfe\n"


@pytest.mark.parametrize(
    ("value", "stored"), [(b"a\n", b"a"), (b"a\r\n", b"a"), (b"a\n\n", b"a\n"), (b"a", b"a"), (b"\r", b"\r")]
)
def test_chomp_strips_one_newline(kvcli: Run, value: bytes, stored: bytes) -> None:
    """--chomp takes one line end off, and nothing else."""
    kvcli("set", "k", "-", "--chomp", input=value)
    assert kvcli("get", "k").stdout == stored


def test_missing_file_is_told_and_nothing_set(path: str, kvcli: Run) -> None:
    """A file that is not there is exit 66, and makes no store."""
    assert kvcli("set", "k", "@/nowhere/file").returncode == 66
    assert not os.path.exists(path)


def test_endless_value_is_refused(kvcli: Run, path: str) -> None:
    """A value that never ends is exit 65 once it is too long, and nothing is made."""
    assert kvcli("set", "k", "@/dev/zero").returncode == 65
    assert not os.path.exists(path)


def test_conditions_of_set(kvcli: Run) -> None:
    """--if-absent and --if-present set only then; else exit 3 and nothing is changed."""
    assert kvcli("set", "k", "1", "--if-present").returncode == 3
    assert kvcli("set", "k", "1", "--if-absent").returncode == 0
    assert kvcli("set", "k", "2", "--if-absent").returncode == 3
    assert kvcli("get", "k").stdout == b"1"
    assert kvcli("set", "k", "3", "--if-present").returncode == 0
    assert kvcli("set", "k", "4", "--if-present", "--if-absent").returncode == 2


def test_get_json(kvcli: Run) -> None:
    """JSON has the plain field for UTF-8, and the _b64 one instead of it for other bytes."""
    kvcli("set", "k", "a\nb")
    kvcli("set", "bin", "-", input=b"\xff")
    assert kvcli("get", "k", "--json").stdout == b'{"key":"k","value":"a\\nb"}\n'
    assert kvcli("get", "bin", "--json").stdout == b'{"key":"bin","value_b64":"/w=="}\n'


def test_token_goes_to_stderr(kvcli: Run) -> None:
    """--token prints the token to stderr, or as a field of the JSON; stdout has the value alone."""
    kvcli("set", "k", "1")
    plain = kvcli("get", "k", "--token")
    assert plain.stdout == b"1"
    assert json.loads(kvcli("get", "k", "--token", "--json").stdout)["token"] == plain.stderr.decode().strip()


def test_token_of_an_absent_key(kvcli: Run) -> None:
    """Absence has a token too: what nobody made meanwhile can be made with it."""
    kvcli("set", "other", "1")
    missing = kvcli("get", "k", "--token")
    assert (missing.returncode, missing.stdout) == (1, b"")
    assert kvcli("cas", "k", "1", "--token", missing.stderr.decode().strip()).returncode == 0


def test_delete_several(kvcli: Run) -> None:
    """Several keys go at once; --must-exist deletes all or, with exit 1, nothing."""
    for key in "abc":
        kvcli("set", key, "1")
    assert kvcli("delete", "a", "x").returncode == 0
    assert kvcli("delete", "b", "x", "--must-exist").returncode == 1
    assert kvcli("list").stdout == b"b\nc\n"
    assert kvcli("delete", "b", "c", "--must-exist", "--json").stdout == b'{"deleted":2}\n'


def test_delete_prefix(kvcli: Run) -> None:
    """--prefix needs --yes off a terminal; --dry-run prints the keys; other keys stay."""
    for key in ("u:1", "u:2", "v"):
        kvcli("set", key, "1")
    assert kvcli("delete", "--prefix", "u:").returncode == 2
    assert kvcli("delete", "--prefix", "u:", "--dry-run").stdout == b"u:1\nu:2\n"
    assert kvcli("list").stdout == b"u:1\nu:2\nv\n"
    assert kvcli("delete", "--prefix", "u:", "--yes").returncode == 0
    assert kvcli("list").stdout == b"v\n"
    assert kvcli("delete").returncode == 2
    assert kvcli("delete", "v", "--prefix", "v").returncode == 2


def test_list_options(kvcli: Run) -> None:
    """Prefix, start, end, reverse, limit, values and NUL do what they say, alone and together."""
    for key in ("a", "b:1", "b:2", "b:3", "c"):
        kvcli("set", key, key.upper())
    expected: dict[tuple[str, ...], bytes] = {
        (): b"a\nb:1\nb:2\nb:3\nc\n",
        ("--prefix", "b:"): b"b:1\nb:2\nb:3\n",
        ("--prefix", "b:", "--reverse"): b"b:3\nb:2\nb:1\n",
        ("--start", "b:2"): b"b:2\nb:3\nc\n",
        ("--end", "b:2"): b"a\nb:1\n",
        ("--start", "b", "--end", "b:2", "--values"): b"b:1\tB:1\n",
        ("--reverse", "--limit", "2"): b"c\nb:3\n",
        ("-0", "--limit", "2"): b"a\0b:1\0",
        ("-0", "--values", "--limit", "1"): b"a\0A\0",
        ("--prefix", "nothing"): b"",
        ("--start", "x", "--end", "b"): b"",
    }
    assert {words: kvcli("list", *words).stdout for words in expected} == expected


def test_list_pages_by_cursor(kvcli: Run) -> None:
    """The cursor on stderr continues, also backwards, and though its key was deleted; the last page has none."""
    for key in "abcd":
        kvcli("set", key, "1")
    first = kvcli("list", "--limit", "2")
    cursor = first.stderr.decode().strip()
    kvcli("delete", "b")
    last = kvcli("list", "--limit", "2", "--cursor", cursor)
    assert (first.stdout, last.stdout, last.stderr) == (b"a\nb\n", b"c\nd\n", b"")
    back = kvcli("list", "--limit", "1", "--reverse").stderr.decode().strip()
    assert kvcli("list", "--reverse", "--cursor", back).stdout == b"c\na\n"
    assert kvcli("list", "--cursor", "rubbish").returncode == 2


def test_list_json(kvcli: Run) -> None:
    """One object a line; with --limit a last line has the cursor, null at the end."""
    kvcli("set", "a", "1")
    kvcli("set", b"\xff", b"\xfe")
    lines = kvcli("list", "--json", "--values", "--limit", "2").stdout.splitlines()
    assert lines == [b'{"key":"a","value":"1"}', b'{"key_b64":"/w==","value_b64":"/g=="}', b'{"cursor":null}']
    assert b'{"cursor":"k' in kvcli("list", "--json", "--limit", "1").stdout
    assert kvcli("list", "--json").stdout == b'{"key":"a"}\n{"key_b64":"/w=="}\n'


def test_incr(kvcli: Run) -> None:
    """It prints the sum; -5 works as typed; text and overflow are exit 5; a word that is no number is exit 2."""
    assert kvcli("incr", "n").stdout == b"1\n"
    assert kvcli("incr", "n", "-5").stdout == b"-4\n"
    assert kvcli("incr", "n", "+10", "--json").stdout == b'{"key":"n","value":"6"}\n'
    assert [kvcli("incr", "n", word).returncode for word in ("x", "1.5", "9223372036854775808", "")] == [2, 2, 2, 2]
    assert kvcli("incr", "n", "9223372036854775807").returncode == 5
    kvcli("set", "t", "text")
    assert kvcli("incr", "t").returncode == 5
    assert kvcli("list", "--values").stdout == b"n\t6\nt\ttext\n"


def test_cas_by_value(kvcli: Run) -> None:
    """--expect compares the value, --expect-absent absence; lost is exit 3, with value and token in the JSON."""
    assert kvcli("cas", "k", "1", "--expect-absent").returncode == 0
    assert kvcli("cas", "k", "2", "--expect", "1").returncode == 0
    assert kvcli("cas", "k", "-3", "--expect", "-", input=b"2").returncode == 0
    lost = kvcli("cas", "k", "4", "--expect", "x", "--json")
    answer = json.loads(lost.stdout)
    assert (lost.returncode, answer["swapped"], answer["value"]) == (3, False, "-3")
    assert json.loads(lost.stderr)["error"]["code"] == "conflict"
    assert kvcli("cas", "k", "5", "--token", answer["token"]).returncode == 0
    assert kvcli("cas", "k", "6", "--token", answer["token"]).returncode == 3
    assert kvcli("get", "k").stdout == b"5"


@pytest.mark.parametrize(
    "words",
    [
        ("k", "1"),
        ("k", "--expect", "1"),
        ("k", "1", "--expect", "1", "--expect-absent"),
        ("k", "--update"),
        ("k", "1", "--token", "x"),
    ],
)
def test_cas_usage(kvcli: Run, words: tuple[str, ...]) -> None:
    """No condition, two, no value, no command, or a malformed token: exit 2."""
    kvcli("set", "k", "1")
    assert kvcli("cas", *words).returncode == 2


def test_cas_update_pipes_through_a_command(kvcli: Run) -> None:
    """The value goes through the command, byte for byte; a failing command changes nothing and passes its code on."""
    kvcli("set", "k", "-", input=b"a\0b\n")
    assert kvcli("cas", "k", "--update", "--", "tr", "ab", "xy").returncode == 0
    assert kvcli("get", "k").stdout == b"x\0y\n"
    assert kvcli("cas", "k", "--update", "--", "sh", "-c", "echo no; exit 9").returncode == 9
    assert kvcli("cas", "k", "--update", "--", "no-such-command").returncode == 127
    assert kvcli("get", "k").stdout == b"x\0y\n"


@pytest.mark.parametrize("command", ["yes", "yes | head -c 1001; exec sleep 600 > /dev/null"])
def test_cas_update_takes_no_more_than_a_value(path: str, command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A command that prints without end is ended, and nothing is changed: a value has its bounds (1 GiB; here 1,000 bytes)."""
    monkeypatch.setattr("kvcli.commands.source.VALUE_BYTES_MAX", 1000)
    context = Context(store=path, create=True)
    with pytest.raises(MalformedData):
        run_cas(context, "k", ["sh", "-c", command], update=True)
    assert not context.bucket_to_read().exists("k")
    context.close()


def test_cas_update_starts_again_on_conflict(path: str, kvcli: Run) -> None:
    """When the value changes while the command runs, it runs again on the new one."""
    kvcli("set", "k", "1")
    meddle = f'v=$(cat); [ "$v" = 1 ] && {SHELL} set k 10 -s {path}; echo -n $((v + 1))'
    assert (
        kvcli("cas", "k", "--update", "--json", "--", "bash", "-c", meddle).stdout
        == b'{"key":"k","swapped":true,"attempts":2}\n'
    )
    assert kvcli("get", "k").stdout == b"11"


@pytest.mark.parametrize(
    "words", [("get", "k"), ("set", "k", "1"), ("list",), ("incr", "n"), ("cas", "k", "1", "--expect-absent")]
)
def test_stdin_is_not_read(kvcli: Run, words: tuple[str, ...]) -> None:
    """Only `-` reads stdin: a pipe that never ends holds nobody up."""
    kvcli("set", "other", "1")
    reading, writing = os.pipe()
    ran = kvcli(*words, stdin=reading, timeout=20)
    os.close(writing)
    os.close(reading)
    assert ran.returncode in {0, 1}


def test_closed_streams_do_no_harm(path: str, kvcli: Run) -> None:
    """With stdin, stdout or stderr closed the store stays whole, and what cannot be done is exit 74."""
    kvcli("set", "k", "value")
    assert shell(path, "kvcli get k >&-").returncode == 74
    assert shell(path, "kvcli list >&-").returncode == 74
    assert shell(path, "kvcli set k - <&-").returncode == 74
    assert shell(path, "kvcli set k2 v <&- >&- 2>&-").returncode == 0
    assert shell(path, "kvcli get nothing 2>&-").returncode == 1
    assert kvcli("list", "--values").stdout == b"k\tvalue\nk2\tv\n"


def test_full_stdout_is_told(path: str, kvcli: Run) -> None:
    """A full device behind stdout is exit 69."""
    kvcli("set", "k", "v")
    assert [shell(path, f"kvcli {words} > /dev/full").returncode for words in ("get k", "list", "--help")] == [
        69,
        69,
        69,
    ]


def test_reader_that_goes_away_is_no_error(path: str, kvcli: Run) -> None:
    """`| head -1` ends a long list with 141 and no word on stderr."""
    script = "import sys, kvcli\nkvcli.set_many(kvcli.Store(sys.argv[1]).open('default'), [(f'{n:06}', b'') for n in range(100000)])"
    subprocess.run([sys.executable, "-c", script, path], cwd=ROOT, check=True)
    ran = shell(path, "kvcli list | head -1; echo ${PIPESTATUS[0]}")
    assert (ran.stdout, ran.stderr) == (b"000000\n141\n", b"")
    assert kvcli("list", "--reverse", "--limit", "1").stdout == b"099999\n"


@pytest.mark.skipif(not shutil.which("locale"), reason="locale is not installed")
def test_locale_does_not_change_bytes(path: str, kvcli: Run) -> None:
    """In the C locale without UTF-8 mode keys and values are the bytes that were typed."""
    poor = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    assert kvcli("set", "é", "ü", env=poor).returncode == 0
    assert kvcli("get", "é").stdout == "ü".encode()
    assert kvcli("get", "é", env=poor).stdout == "ü".encode()
    assert os.path.isdir(path)
