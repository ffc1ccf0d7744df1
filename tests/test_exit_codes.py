"""Exit codes, row by row, by real processes; and how errors look."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time

import pytest

from kvcli.errors import EXIT_CODES
from tests.conftest import Run
from tests.processes import ROOT, hold_lock, release

# code: (words, code in JSON), on a store with k=1, t=text and the bucket users.
ROWS: dict[str, tuple[int, tuple[str, ...], str]] = {
    "done": (0, ("get", "k"), ""),
    "missing key": (1, ("get", "nope"), "no-such-key"),
    "must exist": (1, ("delete", "nope", "--must-exist"), "no-such-key"),
    "unknown option": (2, ("get", "k", "--nope"), "usage"),
    "unknown command": (2, ("gte", "k"), "usage"),
    "no command": (2, (), "usage"),
    "empty key": (2, ("get", ""), "invalid-key"),
    "long key": (2, ("set", "k" * 512, "v"), "invalid-key"),
    "bucket name": (2, ("bucket", "create", "@x"), "invalid-bucket-name"),
    "cursor": (2, ("list", "--cursor", "x"), "invalid-cursor"),
    "token": (2, ("cas", "k", "v", "--token", "x"), "invalid-token"),
    "limit": (2, ("list", "--limit", "0"), "usage"),
    "nobody to ask": (2, ("delete", "--prefix", "k"), "usage"),
    "nobody to ask to drop": (2, ("bucket", "drop", "users"), "usage"),
    "unknown engine": (2, ("get", "k", "-s", "etcd://localhost"), "usage"),
    "swap lost": (3, ("cas", "k", "v", "--expect", "x"), "conflict"),
    "if absent": (3, ("set", "k", "v", "--if-absent"), "conflict"),
    "if present": (3, ("set", "nope", "v", "--if-present"), "conflict"),
    "incr on text": (5, ("incr", "t"), "not-an-integer"),
    "overflow": (5, ("incr", "k", "9223372036854775807"), "overflow"),
    "no store": (66, ("get", "k", "-s", "/nowhere"), "no-such-store"),
    "no bucket": (66, ("get", "k", "-b", "user"), "no-such-bucket"),
    "no file": (66, ("set", "k", "@/nowhere"), "no-such-file"),
    "no folder": (66, ("get", "k", "--output", "/nowhere/x"), "no-such-file"),
    "a folder": (66, ("set", "k", "@/"), "no-such-file"),
    "path under a file": (66, ("set", "k", "v", "-s", "/etc/passwd/x"), "no-such-store"),
    "read-only": (77, ("set", "k", "v", "--read-only"), "read-only"),
    "no store but a device": (77, ("get", "k", "-s", "/dev/null"), "access-denied"),
}


@pytest.fixture
def filled(kvcli: Run) -> Run:
    """The command line on a store with a few keys."""
    kvcli("set", "k", "1")
    kvcli("set", "t", "text")
    kvcli("set", "u", "1", "-b", "users", "--create")
    return kvcli


@pytest.mark.parametrize("row", ROWS)
def test_plain_error(filled: Run, row: str) -> None:
    """The code is that of the table; an error is one line on stderr, except where the answer is just no."""
    code, words, _ = ROWS[row]
    ran = filled(*words)
    told = code and row != "missing key"
    assert (ran.returncode, ran.stderr.count(b"\n")) == (code, 1 if told else 0)
    assert ran.stdout == (b"1" if code == 0 else b"")
    assert not ran.stderr or ran.stderr.startswith(b"kvcli: ")


@pytest.mark.parametrize("row", [name for name, (code, _, _) in ROWS.items() if code])
def test_json_error(filled: Run, row: str) -> None:
    """With --json an error is one object on stderr, with a stable code."""
    code, words, name = ROWS[row]
    ran = filled(*words, "--json")
    error = json.loads(ran.stderr)["error"]
    assert (ran.returncode, error["code"], set(error)) == (code, name, {"code", "message"})
    assert ran.stdout == b"" or name == "conflict"


@pytest.mark.parametrize("row", [name for name, (code, _, _) in ROWS.items() if code])
def test_error_changes_nothing(filled: Run, row: str) -> None:
    """After an error the store is what it was."""
    filled(*ROWS[row][1])
    assert filled("list", "--values").stdout == b"k\t1\nt\ttext\n"
    assert filled("bucket", "list").stdout == b"default\nusers\n"


def test_json_error_about_bytes_that_are_no_utf8(kvcli: Run) -> None:
    """A path of any bytes can stand in a message, and the JSON is valid."""
    ran = kvcli("get", "k", "-s", b"/nowhere/\xff", "--json")
    assert json.loads(ran.stderr.decode("ascii"))["error"]["code"] == "no-such-store"


@pytest.mark.parametrize(("command", "code"), [("/nowhere/x", 127), ("/etc/passwd", 126), ("false", 1)])
def test_code_of_a_command_is_passed_on(filled: Run, command: str, code: int) -> None:
    """What should have made a value and did not ends kvcli as a shell would tell it, and the value stays."""
    ran = filled("cas", "k", "--json", "--update", "--", command)
    assert (ran.returncode, json.loads(ran.stderr)["error"]["code"]) == (code, "command-failed")
    assert filled("get", "k").stdout == b"1"


def test_exists_answers_by_exit_code_alone(filled: Run) -> None:
    """It prints nothing; with --json the answer."""
    yes, no = filled("exists", "k"), filled("exists", "nope")
    assert (yes.returncode, yes.stdout + yes.stderr) == (0, b"")
    assert (no.returncode, no.stdout + no.stderr) == (1, b"")
    assert filled("exists", "nope", "--json").stdout == b'{"key":"nope","exists":false}\n'


def test_malformed_data_is_65(kvcli: Run, tmp_path: os.PathLike[str]) -> None:
    """A config file that is no TOML."""
    os.makedirs(os.path.join(tmp_path, "kvcli"))
    with open(os.path.join(tmp_path, "kvcli", "config.toml"), "w", encoding="utf-8") as file:
        file.write("store = [")
    assert kvcli("get", "k", env={"KVCLI_STORE": "", "XDG_CONFIG_HOME": str(tmp_path)}).returncode == 65


def no_larger(limit: int) -> None:
    """Let no file of this process grow past a size."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))


def test_full_is_69(filled: Run) -> None:
    """A file that may not grow."""
    ran = filled("set", "big", "-", input=bytes(4 << 20), preexec_fn=lambda: no_larger(1 << 20))
    assert ran.returncode == 69


@pytest.mark.parametrize("limit", [0, 3584, 5000, 8192, 13_824, 20_000])
def test_full_is_69_where_a_store_is_made(kvcli: Run, path: str, limit: int) -> None:
    """Wherever the limit cuts the file of a new store, also in the midst of a page, which LMDB calls an I/O error."""
    ran = kvcli("set", "k", "v", preexec_fn=lambda: no_larger(limit))
    assert (ran.returncode, ran.stdout, ran.stderr.count(b"\n")) == (69, b"", 1)
    assert kvcli("set", "k", "v").returncode == 0
    assert sorted(os.listdir(path)) == ["data.mdb", "lock.mdb"]


BUG = """
import sys
from kvcli.cli import entry
from kvcli.commands import get
def run(*words, **options):
    raise RuntimeError("boom")
get.run = run
sys.argv = ["kvcli", "get", "k"]
entry.main()
"""


@pytest.mark.parametrize("debug", ["", "1"])
def test_bug_is_70(path: str, debug: str) -> None:
    """What nobody expected is one line; KVCLI_DEBUG=1 shows where it was."""
    environment = {**os.environ, "KVCLI_STORE": path, "KVCLI_DEBUG": debug}
    ran = subprocess.run([sys.executable, "-c", BUG], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert (ran.returncode, ran.stdout) == (70, "")
    assert "a bug in kvcli (RuntimeError: boom)" in ran.stderr
    assert ("Traceback" in ran.stderr) == bool(debug)
    assert debug or ran.stderr.count("\n") == 1


def test_damage_is_74(path: str, filled: Run) -> None:
    """A data file that was emptied."""
    os.truncate(os.path.join(path, "data.mdb"), 0)
    assert filled("get", "k").returncode == 74


def test_busy_is_75(path: str, filled: Run) -> None:
    """A lock that was not free in time; in JSON its code is busy."""
    holder = hold_lock(path)
    ran = filled("set", "k", "2", "--lock-timeout", "0.1", "--json")
    assert (ran.returncode, json.loads(ran.stderr)["error"]["code"]) == (75, "busy")
    release(holder)


def test_interrupted_is_130(path: str, filled: Run) -> None:
    """Ctrl-C, with nothing printed."""
    reading, writing = os.pipe()
    child = subprocess.Popen(
        [sys.executable, "-m", "kvcli", "set", "k", "-", "-s", path], cwd=ROOT, stdin=reading, stderr=subprocess.PIPE
    )
    time.sleep(0.5)
    child.send_signal(signal.SIGINT)
    assert child.communicate(timeout=20)[1] == b""
    assert child.returncode == 130
    os.close(reading)
    os.close(writing)
    assert filled("get", "k").stdout == b"1"


def test_every_code_is_known() -> None:
    """Codes 1 to 5 are answers about data, from 64 on they are not; 4 belongs to batch, 141 is tested with `| head`."""
    shown = {code for code, _, _ in ROWS.values()} | {65, 69, 70, 74, 75, 130}
    assert set(EXIT_CODES) - shown == {4, 141}
