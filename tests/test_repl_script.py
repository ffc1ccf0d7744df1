"""The REPL without a person: it runs lines, prints data only, and stops at the first error with its exit code."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from kvcli.store import Store
from tests.conftest import Run
from tests.processes import ROOT, hold_lock, release


def test_script_prints_data_only(kvcli: Run) -> None:
    """No prompt, no greeting, no notes: stdout is what the commands print, and stderr is empty."""
    ran = kvcli(
        "repl", input=b"# a comment\nset a 1\n\nincr a\nbegin\nincr a\ncommit\nget a\nuse default\ntiming on\nlist\n"
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, b"2\n3\n3a\n", b"")


def test_script_stops_at_the_first_error(kvcli: Run, path: str) -> None:
    """The exit code is that of the line, whose number is told; those after it are not run."""
    ran = kvcli("repl", input=b"set a text\nset b 'two\nlines'\nincr a\nset c 1\n")
    assert (ran.returncode, ran.stdout) == (5, b"")
    assert ran.stderr == b"kvcli: line 4: the value of 'a' is not a decimal integer of 64 bits\n"
    with Store(path) as store:
        assert store.open("default").list_keys().keys == ["a", "b"]


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"get nothing", 1),
        (b"exists nothing", 1),
        (b"frobnicate", 2),
        (b"get", 2),
        (b"set k 'open", 2),
        (b'set k "\\q"', 2),
        (b"use nowhere", 66),
        (b"set k x --if-present", 3),
        (b"commit", 2),
        (b"rollback", 2),
        (b"begin\nbegin", 2),
        (b"begin\nset k 1", 2),
        (b"source /nowhere", 66),
        (b"source .", 66),
        (b"repl", 2),
        (b"format xml", 2),
        (b"timing perhaps", 2),
        (b"help frobnicate", 2),
        (b"| cat", 2),
        (b"list | exit 9", 9),
        (b"set k - ", 2),
        (b"begin\nget k -s /elsewhere", 2),
    ],
)
def test_exit_code_of_a_line(kvcli: Run, path: str, line: bytes, code: int) -> None:
    """Every error has the exit code that it has on the command line, is one line, and says where."""
    Store(path).close()
    ran = kvcli("repl", input=line)
    assert (ran.returncode, ran.stdout) == (code, b"")
    assert ran.stderr.count(b"\n") <= 1
    assert b"Traceback" not in ran.stderr


def test_pipes_and_files_get_the_bytes(kvcli: Run, tmp_path: os.PathLike[str]) -> None:
    """What goes to the shell is what the command prints elsewhere, byte for byte; and nothing of a value is read by it."""
    value = bytes(range(256)) + b"$(touch evil); `touch evil` | touch evil\n"
    evil, copy = os.path.join(tmp_path, "value"), os.path.join(tmp_path, "a copy")
    with open(evil, "wb") as file:
        file.write(value)
    script = f"set '$(touch evil)' @{evil}\nget '$(touch evil)' > '{copy}'\nget '$(touch evil)' | cat\nlist | cat\n"
    ran = kvcli("repl", input=script.encode(), cwd=tmp_path, env={"PYTHONPATH": ROOT})
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, value + b"$(touch evil)\n", b"")
    with open(copy, "rb") as file:
        assert file.read() == value
    assert sorted(os.listdir(tmp_path)) == ["a copy", "store", "value"]


def test_pipe_that_reads_no_more_is_fine(kvcli: Run) -> None:
    """`list | head -1` ends without an error, however much there is."""
    lines = b"".join(b"set key%05d x\n" % number for number in range(200))
    ran = kvcli("repl", input=lines + b"list --values | head -1\nget key00199\n")
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, b"key00000\tx\nx", b"")


def test_kvcli_in_a_pipe_has_the_same_store_and_bucket(kvcli: Run, path: str) -> None:
    """The shell's commands find what the session works on."""
    script = f"bucket create b\nuse b\nset k v\nlist | xargs '{sys.executable}' -m kvcli get\n"
    ran = kvcli("repl", "-s", path + "2", input=script.encode(), cwd=ROOT)
    assert (ran.returncode, ran.stdout) == (0, b"v")


def test_session_keeps_what_was_chosen(kvcli: Run) -> None:
    """Bucket and format stay; an option of one line is for that line."""
    script = b"bucket create b\nuse b\nset k 1\nget k -b default --json\n"
    ran = kvcli("repl", input=script)
    assert ran.returncode == 1
    ran = kvcli("repl", "-b", "b", "--json", input=b"get k\nformat raw\nget k\n")
    assert ran.stdout == b'{"key":"k","value":"1"}\n1'


def test_read_only_session_writes_nothing(kvcli: Run, path: str) -> None:
    """What was said to the REPL is said to every line."""
    Store(path).close()
    ran = kvcli("repl", "--read-only", input=b"list\nset k 1\n")
    assert ran.returncode == 77
    assert kvcli("repl", "--read-only", input=b"begin\n").returncode == 77


def test_reading_script_makes_no_store(kvcli: Run, path: str) -> None:
    """A named store that is not there is missed by a reading line, and made by the first that writes."""
    assert kvcli("repl", input=b"list\n").returncode == 66
    assert not os.path.exists(path)
    assert kvcli("repl", input=b"set k 1\n").returncode == 0


def test_file_is_run_with_stdin_free(kvcli: Run, tmp_path: os.PathLike[str]) -> None:
    """`kvcli repl FILE` leaves stdin to the commands; a script on stdin cannot."""
    script = os.path.join(tmp_path, "script")
    with open(script, "w", encoding="utf-8") as file:
        file.write("set k -\nget k\n")
    assert kvcli("repl", script, input=b"from stdin").stdout == b"from stdin"
    ran = kvcli("repl", input=b"set k -\n")
    assert (ran.returncode, b"stdin is the script" in ran.stderr) == (2, True)


def test_source_runs_a_file(kvcli: Run, tmp_path: os.PathLike[str]) -> None:
    """Its lines run as if they stood here; its errors say which file and line; a circle ends."""
    script = os.path.join(tmp_path, "s.kv")
    with open(script, "w", encoding="utf-8") as file:
        file.write("\ufeffset a 1\r\nuse default\r\nincr a\r\nincr a x\r\n")
    ran = kvcli("repl", input=f"source {script}\nget a\n".encode())
    assert (ran.returncode, ran.stdout) == (2, b"2\n")
    assert ran.stderr.startswith(f"kvcli: line 1: {script}: line 4: ".encode())
    with open(script, "w", encoding="utf-8") as file:
        file.write(f"source {script}\n")
    ran = kvcli("repl", input=f"source {script}\n".encode())
    assert (ran.returncode, b"is it a circle?" in ran.stderr) == (2, True)


def test_lines_are_answered_as_they_come(path: str) -> None:
    """A program can talk to it: each line is answered before the next one is written."""
    child = subprocess.Popen(
        [sys.executable, "-m", "kvcli", "repl"],
        cwd=ROOT,
        env={**os.environ, "KVCLI_STORE": path},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert child.stdin is not None
    assert child.stdout is not None
    for number in range(1, 5):
        child.stdin.write(b"incr n\n")
        child.stdin.flush()
        assert child.stdout.readline() == b"%d\n" % number
    child.communicate()
    assert child.returncode == 0


def test_conflict_of_a_transaction_is_exit_3(kvcli: Run, path: str) -> None:
    """Others changed meanwhile what it depends on: nothing is written."""
    Store(path).close()
    meddle = f"get other | '{sys.executable}' -m kvcli set k theirs"
    ran = kvcli("repl", input=f"set other x\nbegin\nset k mine\nset l mine\n{meddle}\ncommit\n".encode(), cwd=ROOT)
    assert ran.returncode == 3
    assert b"line 6: others wrote 'k' meanwhile" in ran.stderr
    with Store(path) as store:
        bucket = store.open("default")
        assert (bucket.get("k"), bucket.get("l")) == (b"theirs", None)


def test_open_transaction_holds_no_lock(kvcli: Run, path: str) -> None:
    """A commit waits for the writer lock as every write does, with --lock-timeout, and can be tried again."""
    Store(path).close()
    holder = hold_lock(path)
    ran = kvcli("repl", "--lock-timeout", "0.2", input=b"begin\nset k 1\nget k\ncommit\n")
    release(holder)
    assert (ran.returncode, ran.stdout) == (75, b"1")


def test_batch_and_export_work_in_a_transaction(kvcli: Run, tmp_path: os.PathLike[str]) -> None:
    """Whatever writes, writes to the transaction; whatever reads, reads it."""
    batch = os.path.join(tmp_path, "batch")
    with open(batch, "w", encoding="utf-8") as file:
        file.write('{"op":"set","key":"b","value":"1"}\n{"op":"incr","key":"b"}\n{"op":"list"}\n')
    script = f"set a 1\nbegin\nbatch {batch} --results errors\nexport\ndelete a\nrollback\nlist --values\n"
    ran = kvcli("repl", input=script.encode())
    assert ran.stdout.splitlines() == [
        b'{"op":"set","key":"a","value":"1"}',
        b'{"op":"set","key":"b","value":"2"}',
        b"a\t1",
    ]


def test_commands_do_not_eat_the_script(kvcli: Run, path: str) -> None:
    """What kvcli runs has an empty stdin where that is the script, so that every line is run, and none in part."""
    padding = b"#" * 5000 + b"\n"
    script = b"set user:keep 1\ncache run -- cat\nset u:x 1\n" + padding + b"delete --yes --prefix u:x\nset tail 1\n"
    ran = kvcli("repl", input=script)
    assert (ran.returncode, ran.stdout) == (0, b"")
    with Store(path) as store:
        assert store.open("default").list_keys().keys == ["tail", "user:keep"]


@pytest.mark.parametrize("bracket", ["{", "["])
def test_open_bracket_loses_no_line(kvcli: Run, path: str, bracket: str) -> None:
    """A bracket at the end of a line is JSON that goes on; what never closes is an error, and not a line less."""
    ran = kvcli("repl", input=f"set q {bracket}\nset b 2\nlist\n".encode())
    assert (ran.returncode, ran.stdout) == (2, b"")
    assert b"line 1: a quote or a bracket is not closed" in ran.stderr
    assert not os.path.exists(path)


def test_backslash_joins_lines(kvcli: Run) -> None:
    """At the end of a line it makes one line of two; at the end of the script it is an error."""
    ran = kvcli("repl", input=b"set a \\\n  foo\nset b foo\\\nbar\nlist --values\n")
    assert (ran.returncode, ran.stdout) == (0, b"a\tfoo\nb\tfoobar\n")
    assert kvcli("repl", input=b"set a \\\n").returncode == 2


def test_batch_that_nobody_reads_is_an_error(kvcli: Run, tmp_path: os.PathLike[str]) -> None:
    """It has not done all, unlike a list that is cut short: the script stops, and no transaction takes the half."""
    batch = os.path.join(tmp_path, "batch")
    with open(batch, "w", encoding="utf-8") as file:
        file.writelines(f'{{"op":"set","key":"k{number}","value":"1"}}\n' for number in range(100_000))
    ran = kvcli("repl", input=f"set a 1\nbegin\nbatch {batch} | head -1\ncommit\n".encode())
    assert ran.returncode == 141
    assert kvcli("list").stdout == b"a\n"


def test_windows_line_ends_are_no_part_of_a_shell_line(kvcli: Run, tmp_path: os.PathLike[str]) -> None:
    """CRLF is a line end in front of the shell as well."""
    copy = os.path.join(tmp_path, "copy")
    assert kvcli("repl", input=f"set k v\r\nget k > {copy}\r\nget k | cat\r\n".encode()).stdout == b"v"
    assert os.path.exists(copy)


def test_everything_that_is_printed_goes_into_the_pipe(kvcli: Run, tmp_path: os.PathLike[str]) -> None:
    """Lines of a file that is sourced, help, and the commands that kvcli runs."""
    script = os.path.join(tmp_path, "s.kv")
    with open(script, "w", encoding="utf-8") as file:
        file.write("get k\n")
    lines = (
        f"set k v\nsource {script} | tr v w\nhelp keys | head -1 | cut -c1-3\ncache run -- echo hello | tr a-z A-Z\n"
    )
    assert kvcli("repl", input=lines.encode()).stdout == b"wTab\nHELLO\n"
    ran = kvcli("repl", "--read-only", input=b"cache run -- echo hello | tr a-z A-Z\n")
    assert ran.stdout == b"HELLO\n"


def test_cache_has_no_bucket_to_refuse(kvcli: Run) -> None:
    """The bucket that the session is in is not one that was said."""
    script = b"bucket create b\nuse b\ncache set x 1\ncache get x\n"
    assert kvcli("repl", input=script).stdout == b"1"
    assert kvcli("repl", input=b"cache get x -b b\n").returncode == 2


@pytest.mark.parametrize("line", [b"get nokey --json | cat\n", b"set --json\n", b"get k --jsno --json\n"])
def test_json_of_a_line_is_for_its_errors_too(kvcli: Run, path: str, line: bytes) -> None:
    """As on the command line, whatever went wrong."""
    Store(path).close()
    ran = kvcli("repl", input=line)
    assert ran.stderr.startswith(b'{"error":{"code":')


@pytest.mark.parametrize("piece", ["x", "x" * 999 + "\n"])
def test_line_without_end_is_refused(kvcli: Run, path: str, piece: str) -> None:
    """A line has at most 16 MiB, over however many of the file it goes: more is exit 65, and what stood before it is done."""
    endless = (piece * ((17 << 20) // len(piece))).encode()
    ran = kvcli("repl", "--store", path, input=b"set k v\nset l '" + endless)
    assert (ran.returncode, ran.stderr.count(b"\n"), kvcli("get", "k", "--store", path).stdout) == (65, 1, b"v")
    assert b"line 2: longer" in ran.stderr
