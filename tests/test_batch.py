"""kvcli batch from the outside: answers, the three ways to fail, and every kind of bad input."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from kvcli.store import Store
from tests.conftest import Run
from tests.processes import ROOT, hold_lock, release
from tests.test_map import make_small

BATCH = [sys.executable, "-m", "kvcli", "batch"]


def lines(*operations: object) -> bytes:
    """Write operations as NDJSON; text stands for itself."""
    return b"".join((each if isinstance(each, bytes) else json.dumps(each).encode()) + b"\n" for each in operations)


def answers(out: bytes) -> list[dict[str, Any]]:
    """Read answers back, each a line of its own."""
    assert not out or out.endswith(b"\n")
    return [json.loads(line) for line in out.splitlines()]


ALL = [
    {"op": "set", "key": "a", "value": "1", "id": {"mine": [1, 2.50]}},
    {"op": "get", "key": "a"},
    {"op": "get", "key": "no"},
    {"op": "exists", "key": "a"},
    {"op": "incr", "key": "a"},
    {"op": "incr", "key": "a", "delta": "-9223372036854775808"},
    {"op": "cas", "key": "b", "expect": None, "new": "x"},
    {"op": "cas", "key": "b", "expect": "x", "new": "y"},
    {"op": "set_many", "items": [{"key": "k1", "value": "v1"}, {"key": "k2", "value_b64": "/w=="}]},
    {"op": "get_many", "keys": ["k1", "no", "k2"]},
    {"op": "list", "limit": 2},
    {"op": "list", "prefix": "k"},
    {"op": "delete", "key": "k1"},
    {"op": "delete_many", "keys": ["k2", "no"]},
    {"op": "exists", "key": "k2"},
]
EXPECTED = [
    {"i": 0, "id": {"mine": [1, 2.50]}, "op": "set", "ok": True},
    {"i": 1, "op": "get", "ok": True, "found": True, "value": "1"},
    {"i": 2, "op": "get", "ok": True, "found": False},
    {"i": 3, "op": "exists", "ok": True, "exists": True},
    {"i": 4, "op": "incr", "ok": True, "value": "2"},
    {"i": 5, "op": "incr", "ok": True, "value": "-9223372036854775806"},
    {"i": 6, "op": "cas", "ok": True},
    {"i": 7, "op": "cas", "ok": True},
    {"i": 8, "op": "set_many", "ok": True},
    {
        "i": 9,
        "op": "get_many",
        "ok": True,
        "items": [
            {"key": "k1", "found": True, "value": "v1"},
            {"key": "no", "found": False},
            {"key": "k2", "found": True, "value_b64": "/w=="},
        ],
    },
    {"i": 10, "op": "list", "ok": True, "keys": ["a", "b"], "cursor": "kzGzKRmI"},
    {"i": 11, "op": "list", "ok": True, "keys": ["k1", "k2"], "cursor": None},
    {"i": 12, "op": "delete", "ok": True},
    {"i": 13, "op": "delete_many", "ok": True},
    {"i": 14, "op": "exists", "ok": True, "exists": False},
]


@pytest.mark.parametrize(
    "options", [(), ("--atomic",), ("--chunk", "1"), ("--chunk", "4"), ("--keep-going",)], ids=" ".join
)
@pytest.mark.parametrize("shape", ["lines", "array", "pretty array", "crlf", "bom", "blank lines"])
def test_every_operation_is_answered_in_order(kvcli: Run, shape: str, options: tuple[str, ...]) -> None:
    """All ten operations, in each form of input and each way to cut it into transactions, have the same answers."""
    text = {
        "lines": lines(*ALL),
        "array": json.dumps(ALL).encode(),
        "pretty array": json.dumps(ALL, indent=2).encode(),
        "crlf": lines(*ALL).replace(b"\n", b"\r\n"),
        "bom": b"\xef\xbb\xbf" + lines(*ALL),
        "blank lines": b"\n \n" + lines(*ALL).replace(b"\n", b"\n\t\n\n"),
    }[shape]
    ran = kvcli("batch", *options, input=text)
    told = answers(ran.stdout)
    told[10]["cursor"] = "kzGzKRmI" if told[10]["cursor"] else None
    assert (ran.returncode, ran.stderr, told) == (0, b"", EXPECTED)


def test_id_comes_back_as_it_came(kvcli: Run) -> None:
    """To the byte, whatever it is, also with an operation that cannot be read."""
    ids = [b"7", b'"x"', b"null", b'{"a" :[1.0, 2e3,"\\u00e9"]}', b"123456789012345678901234567890"]
    text = b"".join(b'{"op":"exists","key":"k","id":%b}\n{"op":"exists","id":%b}\n' % (each, each) for each in ids)
    out = kvcli("batch", "--keep-going", input=lines({"op": "set", "key": "a", "value": ""}) + text).stdout
    told = out.splitlines()[1:]
    assert len(told) == 10
    for at, line in enumerate(told):
        assert b'"id":' + ids[at // 2] + b"," in line


BAD = {
    "no JSON": b"nonsense",
    "no object": b"[1]",
    "a string": b'"x"',
    "no op": b'{"key":"a"}',
    "unknown op": b'{"op":"nope","key":"a"}',
    "op is no text": b'{"op":1}',
    "missing field": b'{"op":"set","key":"a"}',
    "unknown field": b'{"op":"get","key":"a","colour":1}',
    "mistyped field": b'{"op":"get","key":1}',
    "field of another op": b'{"op":"get","key":"a","value":"x"}',
    "twice": b'{"op":"get","key":"a","key":"b"}',
    "twice, escaped": b'{"op":"get","key":"a","\\u006bey":"b"}',
    "twice beside quotes": b'{"op":"set","key":"a\\"","value":"\\\\","value":"\\\\"}',
    "op twice": b'{"op":"get","op":"get","key":"a"}',
    "twice in an item": b'{"op":"set_many","items":[{"key":"a","value":"1","value":"2"}]}',
    "value and base64": b'{"op":"set","key":"a","value":"x","value_b64":"eA=="}',
    "no base64": b'{"op":"set","key":"a","value_b64":"*"}',
    "base64 is no text": b'{"op":"set","key":"a","value_b64":1}',
    "keys_b64 is no list": b'{"op":"delete_many","keys_b64":"YQ=="}',
    "lone surrogate": b'{"op":"set","key":"a","value":"\\ud800"}',
    "no UTF-8": b'{"op":"set","key":"a","value":"\xff"}',
    "NaN": b'{"op":"incr","key":"n","delta":NaN}',
    "Infinity": b'{"op":"incr","key":"n","delta":Infinity}',
    "no integer": b'{"op":"incr","key":"n","delta":1.5}',
    "outside of 64 bits": b'{"op":"incr","key":"n","delta":9223372036854775808}',
    "outside of everything": b'{"op":"incr","key":"n","delta":' + b"9" * 5000 + b"}",
    "text outside of 64 bits": b'{"op":"incr","key":"n","delta":"-9223372036854775809"}',
    "delta is no number": b'{"op":"incr","key":"n","delta":"x"}',
    "limit of 0": b'{"op":"list","limit":0}',
    "limit too large": b'{"op":"list","limit":1000000000}',
    "bad cursor": b'{"op":"list","cursor":"x"}',
    "bad token": b'{"op":"cas","key":"a","new":"x","token":"x"}',
    "cas without expectation": b'{"op":"cas","key":"a","new":"x"}',
    "cas with both": b'{"op":"cas","key":"a","new":"x","expect":"y","token":"x"}',
    "empty key": b'{"op":"set","key":"","value":"x"}',
    "long key": b'{"op":"set","key":"' + b"k" * 512 + b'","value":"x"}',
    "bad key among many": b'{"op":"set_many","items":[{"key":"a","value":"changed"},{"key":"","value":"2"}]}',
    "private bucket": b'{"op":"get","key":"a","bucket":"__kvcli__"}',
    "two objects": b'{"op":"get","key":"a"}{"op":"get","key":"a"}',
    "comma at the end": b'{"op":"get","key":"a"},',
    "nested deeply": b'{"op":"get","key":"a","id":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "pretty-printed": b'{\n  "op": "get",\n  "key": "a"\n}',
    "control character": b'{"op":"get","key":"a\x01"}',
    "rubbish": bytes(range(256)).replace(b"\n", b""),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_line_is_told_by_its_number(kvcli: Run, kind: str) -> None:
    """Exit 65, one line for people, one answer that says which line; what stands before it is done, what follows is not."""
    first, last = {"op": "set", "key": "a", "value": "1"}, {"op": "set", "key": "z", "value": "1"}
    ran = kvcli("batch", input=lines(first, BAD[kind], last), timeout=20)
    told = answers(ran.stdout)
    assert ran.returncode == 65
    assert ran.stderr.startswith(b"kvcli: ")
    assert ran.stderr.count(b"\n") == 1
    assert [each["ok"] for each in told] == [True, False]
    assert told[1]["i"] == 1
    assert kvcli("get", "a").stdout == b"1"
    assert kvcli("exists", "z").returncode == 1
    decoded = {"malformed"} if kind not in {"empty key", "long key"} else {"invalid-key"}
    assert told[1]["error"]["code"] in decoded | {
        "malformed",
        "invalid-key",
        "invalid-cursor",
        "invalid-token",
        "invalid-bucket-name",
    }


@pytest.mark.parametrize("kind", [kind for kind in BAD if kind not in {"pretty-printed", "rubbish"}])
def test_bad_line_does_not_stop_who_keeps_going(kvcli: Run, kind: str) -> None:
    """Exit 4, and everything else is done."""
    first, last = {"op": "set", "key": "a", "value": "1"}, {"op": "set", "key": "z", "value": "1"}
    ran = kvcli("batch", "--keep-going", input=lines(first, BAD[kind], last), timeout=20)
    assert (ran.returncode, [each["ok"] for each in answers(ran.stdout)]) == (4, [True, False, True])
    assert ran.stderr == b"kvcli: 1 of 3 operations failed\n"
    assert kvcli("get", "a").stdout == b"1"
    assert kvcli("exists", "z").returncode == 0


@pytest.mark.parametrize("kind", BAD)
def test_bad_line_undoes_an_atomic_batch(kvcli: Run, kind: str) -> None:
    """Nothing is there, and nothing was said to be."""
    kvcli("set", "z", "0")
    ran = kvcli("batch", "--atomic", input=lines({"op": "set", "key": "a", "value": "1"}, BAD[kind]), timeout=20)
    assert ran.returncode == 65
    assert [(each["i"], each["ok"]) for each in answers(ran.stdout)] == [(1, False)]
    assert kvcli("list").stdout == b"z\n"


def test_pretty_printed_input_gets_a_hint(kvcli: Run) -> None:
    """Whoever forgot jq -c is told of it, by a person's words and by the answer."""
    ran = kvcli("batch", input=BAD["pretty-printed"])
    assert b"line 1: " in ran.stderr
    assert b"jq -c" in ran.stderr


def test_message_names_line_field_and_what_was_expected(kvcli: Run) -> None:
    """All three are in one line."""
    ran = kvcli("batch", input=b'\n\n{"op":"get","key":1}\n')
    assert ran.stderr == b"kvcli: line 3: Expected `str`, got `int` - at `$.key`\n"


ARRAYS = {
    "not closed": b'[{"op":"set","key":"a","value":"1"}',
    "cut in a string": b'[{"op":"set","key":"a","value":"1"},{"op":"set","key":"b',
    "comma at the end": b'[{"op":"set","key":"a","value":"1"},]x',
    "no comma": b'[{"op":"set","key":"a","value":"1"} {"op":"set","key":"b","value":"1"}]',
    "two commas": b'[{"op":"set","key":"a","value":"1"},,{"op":"set","key":"b","value":"1"}]',
    "rubbish behind": b'[{"op":"set","key":"a","value":"1"}] x',
    "a number": b'[{"op":"set","key":"a","value":"1"},1]',
}


@pytest.mark.parametrize("kind", ARRAYS)
def test_bad_array_is_told_by_its_element(kvcli: Run, kind: str) -> None:
    """An array that is wrong somewhere is exit 65; what stands before is done if it could be told apart."""
    ran = kvcli("batch", input=ARRAYS[kind])
    assert ran.returncode == 65
    assert b"element " in ran.stderr
    assert not [each for each in answers(ran.stdout)[1:] if each["ok"]]


@pytest.mark.parametrize("text", [b"", b"\n\n", b"[]", b" [ ] \n", b"\xef\xbb\xbf"])
def test_nothing_is_fine(kvcli: Run, path: str, text: bytes) -> None:
    """An empty input does nothing, and makes no store."""
    ran = kvcli("batch", input=text)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, b"", b"")
    assert not os.path.exists(path)


def test_last_line_needs_no_newline(kvcli: Run) -> None:
    """It is a line all the same; but one that was cut is not JSON."""
    assert kvcli("batch", input=b'{"op":"set","key":"a","value":"1"}').returncode == 0
    ran = kvcli("batch", input=b'{"op":"set","key":"b","value":"1"}\n{"op":"set","key":"c","val')
    assert (ran.returncode, [each["ok"] for each in answers(ran.stdout)]) == (65, [True, False])


def test_failure_ends_with_its_exit_code(kvcli: Run) -> None:
    """The default stops at the first failure, whose exit code it is; what came before stays."""
    for operation, code in (
        ({"op": "incr", "key": "text"}, 5),
        ({"op": "cas", "key": "text", "new": "x", "expect": None}, 3),
        ({"op": "get", "key": "a", "bucket": "no"}, 66),
    ):
        first = {"op": "set", "key": "text", "value": "x"}
        ran = kvcli("batch", input=lines(first, operation, {"op": "set", "key": "late", "value": ""}))
        assert (ran.returncode, [each["ok"] for each in answers(ran.stdout)]) == (code, [True, False])
        assert kvcli("exists", "late").returncode == 1


def test_lost_swap_tells_what_it_lost_to(kvcli: Run) -> None:
    """With the current value and a token, so that the next try needs no get."""
    kvcli("set", "k", "1")
    lost = answers(kvcli("batch", input=lines({"op": "cas", "key": "k", "new": "x", "expect": "0"})).stdout)[0]
    assert (lost["found"], lost["value"], lost["error"]["code"]) == (True, "1", "conflict")
    again = lines({"op": "cas", "key": "k", "new": "x", "token": lost["token"]})
    assert kvcli("batch", input=again).returncode == 0
    assert kvcli("batch", input=again).returncode == 3


def test_token_can_be_asked_for(kvcli: Run) -> None:
    """A get gives one, and it loses to any write, also one in the same transaction."""
    kvcli("set", "k", "1")
    program = lines({"op": "get", "key": "k", "token": True}, {"op": "set", "key": "k", "value": "1"})
    token = answers(kvcli("batch", input=program).stdout)[0]["token"]
    assert kvcli("cas", "k", "x", "--token", token).returncode == 3
    token = answers(kvcli("batch", input=lines({"op": "get", "key": "k", "token": True})).stdout)[0]["token"]
    assert kvcli("cas", "k", "x", "--token", token).returncode == 0


def test_atomic_program_sees_its_own_writes(kvcli: Run) -> None:
    """Read, modify and write in one transaction: each operation sees what those before it did."""
    program = [
        {"op": "set", "key": "n", "value": "1"},
        {"op": "incr", "key": "n", "delta": 4},
        {"op": "get", "key": "n"},
        {"op": "cas", "key": "n", "expect": "5", "new": "done"},
        {"op": "get", "key": "n"},
        {"op": "delete", "key": "n"},
        {"op": "cas", "key": "n", "expect": None, "new": "again"},
    ]
    told = answers(kvcli("batch", "--atomic", input=lines(*program)).stdout)
    assert [each.get("value") for each in told] == [None, "5", "5", None, "done", None, None]
    assert kvcli("get", "n").stdout == b"again"


def test_atomic_failure_leaves_values_and_revisions(kvcli: Run) -> None:
    """After it, a token from before still swaps: not even a revision was raised."""
    kvcli("set", "k", "1")
    token = json.loads(kvcli("get", "k", "--token", "--json").stdout)["token"]
    program = [{"op": "set", "key": "k", "value": "2"}] * 100 + [
        {"op": "incr", "key": "k"},
        {"op": "incr", "key": "x", "delta": "z"},
    ]
    ran = kvcli("batch", "--atomic", input=lines(*program))
    assert (ran.returncode, [each["ok"] for each in answers(ran.stdout)]) == (65, [False])
    assert answers(ran.stdout)[0]["i"] == 101
    assert kvcli("get", "k").stdout == b"1"
    assert kvcli("cas", "k", "3", "--token", token).returncode == 0


def test_atomic_failure_does_not_make_a_store_of_reads(kvcli: Run, path: str) -> None:
    """A batch that only reads makes nothing, atomic or not."""
    for options in ((), ("--atomic",)):
        assert kvcli("batch", *options, input=lines({"op": "get", "key": "a"})).returncode == 66
        assert not os.path.exists(path)


def test_chunks_are_transactions(kvcli: Run, path: str) -> None:
    """--chunk N commits each N operations: so many revisions there are."""
    program = lines(*[{"op": "set", "key": f"k{at}", "value": ""} for at in range(10)])
    kvcli("set", "k", "")
    before = revision(path)
    assert kvcli("batch", "--chunk", "3", input=program).returncode == 0
    assert revision(path) - before == 4
    assert kvcli("batch", input=program).returncode == 0
    assert revision(path) - before == 5


def revision(path: str) -> int:
    """Give the number of the last transaction."""
    with Store(path, read_only=True) as store:
        return int(store.stat()["revision"])


def test_results_can_be_left_out(kvcli: Run) -> None:
    """All, only the failures, or none; exit codes stay the same."""
    program = lines({"op": "set", "key": "a", "value": "x"}, {"op": "incr", "key": "a"}, {"op": "get", "key": "a"})
    for results, count in (("all", 3), ("errors", 1), ("none", 0)):
        ran = kvcli("batch", "--keep-going", "--results", results, input=program)
        assert (ran.returncode, len(answers(ran.stdout))) == (4, count)
    assert kvcli("batch", "--results", "some", input=program).returncode == 2


def test_dry_run_only_parses(kvcli: Run, path: str) -> None:
    """It says nothing of what is well formed, tells what is not, and touches no store."""
    assert kvcli("batch", "--dry-run", input=lines(*ALL)).stdout == b""
    assert kvcli("batch", "--dry-run", input=b"\n").returncode == 0
    ran = kvcli("batch", "--dry-run", "--keep-going", input=lines(ALL[0], b"x", ALL[1], b"y"))
    assert (ran.returncode, [each["i"] for each in answers(ran.stdout)]) == (4, [1, 3])
    assert kvcli("batch", "--dry-run", input=lines(ALL[0], b"x", b"y")).returncode == 65
    assert not os.path.exists(path)


def test_buckets_are_those_named(kvcli: Run) -> None:
    """Each operation may name its bucket; --create makes what is missing."""
    program = lines({"op": "set", "key": "k", "value": "1", "bucket": "other"}, {"op": "set", "key": "k", "value": "2"})
    assert kvcli("batch", input=program).returncode == 66
    assert kvcli("batch", "--create", input=program).returncode == 0
    assert kvcli("get", "k", "-b", "other").stdout == b"1"
    assert kvcli("get", "k").stdout == b"2"
    assert kvcli("batch", "-b", "other", input=lines({"op": "get", "key": "k"})).stdout.endswith(b'"value":"1"}\n')


def test_options_exclude_each_other(kvcli: Run) -> None:
    """What cannot be meant together is a usage error."""
    for options in (("--atomic", "--keep-going"), ("--atomic", "--chunk", "2"), ("--chunk", "0")):
        assert kvcli("batch", *options).returncode == 2


def test_file_is_read(kvcli: Run, tmp_path: os.PathLike[str]) -> None:
    """A file by its name; one that is not there is exit 66."""
    file = os.path.join(tmp_path, "in")
    with open(file, "wb") as out:
        out.write(lines(*ALL))
    assert len(answers(kvcli("batch", file).stdout)) == len(ALL)
    assert kvcli("batch", file + ".no").returncode == 66


@pytest.fixture
def coprocess(path: str) -> Iterator[subprocess.Popen[bytes]]:
    """A batch that waits for lines."""
    command = [*BATCH, "-s", path]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) as child:
        yield child
        child.kill()


def test_line_is_answered_at_once(coprocess: subprocess.Popen[bytes]) -> None:
    """A program that writes one line and waits gets its answer, though more will come."""
    assert coprocess.stdin is not None
    assert coprocess.stdout is not None
    for number in range(20):
        coprocess.stdin.write(lines({"op": "incr", "key": "n", "id": number}))
        assert json.loads(coprocess.stdout.readline())["value"] == str(number + 1)


def test_answers_do_not_wait_for_half_a_line(coprocess: subprocess.Popen[bytes]) -> None:
    """What is whole is answered, while the rest of a line is still to come."""
    assert coprocess.stdin is not None
    assert coprocess.stdout is not None
    sets = lines(*[{"op": "set", "key": f"k{at}", "value": "v"} for at in range(60_000)])

    def feed() -> None:
        assert coprocess.stdin is not None
        coprocess.stdin.write(sets + b'{"op":"get",')

    thread = threading.Thread(target=feed)
    thread.start()
    seen = 0
    while seen < 60_000:
        assert json.loads(coprocess.stdout.readline())["ok"]
        seen += 1
    thread.join()
    coprocess.stdin.write(b'"key":"k1"}\n')
    assert json.loads(coprocess.stdout.readline())["value"] == "v"


def test_reader_that_goes_away_ends_it(path: str) -> None:
    """`| head -1` is exit 141, and what was answered is there."""
    program = lines(*[{"op": "incr", "key": f"k{at}"} for at in range(100_000)])
    with subprocess.Popen([*BATCH, "-s", path], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            child.stdin.write(program[: 1 << 16])
            child.stdin.flush()
            first = child.stdout.readline()
            child.stdout.close()
            child.stdin.write(program[1 << 16 :])
            child.stdin.close()
        except BrokenPipeError:
            pass
        assert child.wait(30) == 141
    assert json.loads(first)["ok"]
    with Store(path, read_only=True) as store:
        assert store.open("default").get("k0") == b"1"


def test_lock_is_not_held_while_input_is_awaited(path: str, kvcli: Run) -> None:
    """Others write while an atomic batch waits for the rest of its input."""
    command = [*BATCH, "--atomic", "-s", path]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) as child:
        assert child.stdin is not None
        child.stdin.write(lines({"op": "set", "key": "a", "value": "1"}))
        time.sleep(0.5)
        assert kvcli("set", "b", "1", "--lock-timeout", "1").returncode == 0
        assert kvcli("exists", "a").returncode == 1
        child.communicate(lines({"op": "set", "key": "c", "value": "1"}), timeout=30)
    assert kvcli("list").stdout == b"a\nb\nc\n"


def test_busy_store_reports_nothing_ok(path: str, kvcli: Run) -> None:
    """When the lock is not free in time, exit 75; no answer says ok."""
    kvcli("set", "a", "1")
    holder = hold_lock(path)
    ran = kvcli("batch", "--lock-timeout", "0.2", input=lines({"op": "set", "key": "a", "value": "2"}))
    release(holder)
    assert (ran.returncode, ran.stdout) == (75, b"")
    assert kvcli("get", "a").stdout == b"1"


def test_map_that_grows_changes_no_answer(kvcli: Run, path: str) -> None:
    """A chunk that runs again in a larger map increments once."""
    make_small(path, 0)
    program = [{"op": "incr", "key": "n"}, *[{"op": "set", "key": f"k{at}", "value": "v" * 5000} for at in range(200)]]
    for options in ((), ("--atomic",)):
        assert kvcli("batch", "--adopt", *options, input=lines(*program)).returncode == 0
    assert kvcli("get", "n").stdout == b"2"
