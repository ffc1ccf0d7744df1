"""What an independent review found in batch, each as the smallest case that shows it."""

from __future__ import annotations

import json
import os
import socket
import struct
import subprocess
import threading
import time

import pytest

from kvcli.store import Store
from tests.conftest import Run
from tests.processes import ROOT
from tests.test_batch import BATCH, answers, lines
from tests.test_batch_bounds import feed
from tests.test_foreign import digest
from tests.test_formats import contents


def test_chunk_is_answered_though_the_next_cannot_be_read(path: str) -> None:
    """What was committed is reported, also when input fails meanwhile."""
    server = socket.create_server(("127.0.0.1", 0))
    ours = socket.create_connection(server.getsockname())
    theirs, _ = server.accept()
    command = [*BATCH, "--chunk", "100", "-s", path]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=theirs.fileno(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as child:
        theirs.close()
        ours.sendall(lines(*[{"op": "set", "key": f"k{at}", "value": ""} for at in range(2_000)]))
        time.sleep(0.05)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        ours.close()
        out, err = child.communicate(timeout=30)
    server.close()
    assert len(answers(out)) == (len(contents(path)) if os.path.exists(path) else 0)
    assert child.returncode in {0, 74}
    assert not err or b"input: " in err


def test_memory_does_not_grow_with_failures(path: str) -> None:
    """A failure keeps nothing of its chunk alive."""
    script = r"""awk 'BEGIN { for (i = 0; i < 600000; i++) printf "{\"op\":\"set\",\"key\":\"%s\",\"value\":\"x\"}\n", i % 1000 ? i % 50000 : "" }'"""
    code, out, memory, _ = feed(path, script, "--keep-going", "--results", "errors")
    assert (code, out.count(b"\n")) == (4, 600)
    assert memory < 100


@pytest.mark.parametrize("options", [(), ("--atomic",), ("--results", "none")], ids=" ".join)
def test_memory_does_not_grow_with_the_answers(path: str, options: tuple[str, ...]) -> None:
    """A few bytes of input can ask for gigabytes; they pass through."""
    with Store(path) as store:
        store.open("default").set("big", b"v" * (1 << 20))
    code, out, memory, _ = feed(path, """yes '{"op":"get","key":"big"}' | head -300""", *options)
    assert (code, out.count(b"\n")) == (0, 0 if "none" in options else 300)
    assert memory < 160


def test_answer_that_would_be_too_large_is_a_failure(path: str, kvcli: Run) -> None:
    """One line has a bound, in both directions."""
    with Store(path) as store:
        store.open("default").set("big", b"v" * (1 << 20))
    ran = kvcli("batch", input=lines({"op": "get_many", "keys": ["big"] * 100}))
    assert ran.returncode == 65
    assert b"ask for fewer" in ran.stdout


@pytest.mark.parametrize("bad", [b'"\xff"', b'"\\ud800"', b'["\\udfff"]'])
def test_id_that_is_no_text_is_refused(kvcli: Run, bad: bytes) -> None:
    """Answers are always valid JSON, and an id is a part of them."""
    for op in (b'"op":"set","key":"a","value":"1"', b'"op":"exists","key":"a"'):
        ran = kvcli(
            "batch",
            "--keep-going",
            input=lines({"op": "set", "key": "b", "value": ""}, b"{" + op + b',"id":' + bad + b"}"),
        )
        assert ran.returncode == 4
        assert [each["ok"] for each in answers(ran.stdout)] == [True, False]


def test_field_that_is_there_twice_is_seen_beside_others(kvcli: Run) -> None:
    """No neighbour and no id makes up for it."""
    for program in (
        [b'{"op":"set","key":"a","key":"b","value":"x"}', b'{"op":"cas","key":"a","new":"b"}'],
        [b'{"op":"set","key":"a","key":"c","value":"x","id":"\\"\\"\\"\\""}'],
    ):
        ran = kvcli("batch", input=b"\n".join(program) + b"\n")
        assert (ran.returncode, answers(ran.stdout)[0]["ok"]) == (65, False)
    assert answers(ran.stdout)[0]["id"] == '""""'


def slowly(path: str, *pieces: bytes, options: tuple[str, ...] = ()) -> subprocess.CompletedProcess[bytes]:
    """Run a batch whose input comes in pieces, a pause between them."""
    with subprocess.Popen(
        [*BATCH, *options, "-s", path], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
    ) as child:
        assert child.stdin is not None
        for piece in pieces:
            child.stdin.write(piece)
            time.sleep(0.3)
        out, _ = child.communicate(timeout=20)
        return subprocess.CompletedProcess(child.args, child.returncode, out)


@pytest.mark.parametrize(
    "pieces",
    [
        (b"\n", b'[{"op":"set","key":"a","value":"1"}]\n'),
        (b"\xef\xbb\xbf", b'[{"op":"set","key":"a","value":"1"}]\n'),
        (b"\xef", b'\xbb\xbf{"op":"set","key":"a","value":"1"}\n'),
        (b" ", b'\n{"op":"set",', b'"key":"a","value":"1"}'),
    ],
)
def test_pauses_change_nothing(path: str, pieces: tuple[bytes, ...]) -> None:
    """Where input is cut by time, it means the same."""
    ran = slowly(path, *pieces)
    assert (ran.returncode, ran.stdout) == (0, b'{"i":0,"op":"set","ok":true}\n')


def test_dry_run_of_slow_input(path: str) -> None:
    """A pause before the first whole line is no operation."""
    assert slowly(path, b'{"op":"get",', b'"key":"a"}\n', options=("--dry-run",)).returncode == 0


def test_rubbish_that_starts_like_a_byte_order_mark_is_told(kvcli: Run) -> None:
    """Half a mark is not nothing."""
    assert kvcli("batch", input=b"\xef").returncode == 65


def test_element_that_is_too_long_ends_an_array(path: str) -> None:
    """The limit that is told is the one that was met, and nothing untrue is told behind it."""
    big = json.dumps({"op": "set", "key": "big", "value": "v" * (17 << 20)})
    with open(path + ".in", "w", encoding="ascii") as file:
        file.write(f'[{{"op":"set","key":"a","value":"1"}},{big},{{"op":"set","key":"b","value":"1"}}]')
    code, out, memory, _ = feed(path, f"cat {path}.in", "--keep-going")
    assert (code, [each["ok"] for each in answers(out)]) == (4, [True, False])
    assert b"element 2: longer than 16777216 bytes" in out
    assert memory < 256


def test_very_many_buckets_in_one_batch(kvcli: Run) -> None:
    """More than can be open at once: it takes several transactions."""
    sets = lines(*[{"op": "set", "bucket": f"b{at}", "key": "a", "value": "1"} for at in range(600)])
    ran = kvcli("batch", "--create", input=sets)
    assert (ran.returncode, len(answers(ran.stdout))) == (0, 600)
    gets = lines(*[{"op": "get", "bucket": f"b{at}", "key": "a"} for at in range(600)])
    assert [each["value"] for each in answers(kvcli("batch", input=gets).stdout)] == ["1"] * 600


def test_token_of_a_key_that_was_just_written_is_good(kvcli: Run) -> None:
    """Whether it was got or came with a lost swap, nobody wrote the key since."""
    program = lines({"op": "set", "key": "a", "value": "1"}, {"op": "get", "key": "a", "token": True})
    token = answers(kvcli("batch", input=program).stdout)[1]["token"]
    assert kvcli("cas", "a", "2", "--token", token).returncode == 0
    program = lines({"op": "set", "key": "a", "value": "1"}, {"op": "cas", "key": "a", "expect": "z", "new": "x"})
    token = answers(kvcli("batch", input=program).stdout)[1]["token"]
    assert kvcli("cas", "a", "2", "--token", token).returncode == 0


def test_tokens_of_a_batch_that_only_reads_are_good(kvcli: Run) -> None:
    """Such a batch has written nothing, so each of its tokens swaps, and not only that of its first operation."""
    kvcli("set", "a", "1")
    program = lines({"op": "exists", "key": "a"}, {"op": "get", "key": "a", "token": True})
    token = answers(kvcli("batch", input=program).stdout)[1]["token"]
    assert kvcli("cas", "a", "2", "--token", token).returncode == 0


def test_failure_makes_no_bucket(kvcli: Run) -> None:
    """What fails changes nothing, --create or not."""
    kvcli("set", "k", "1")
    for operation in (
        {"op": "set", "key": "", "value": "x", "bucket": "new"},
        {"op": "cas", "key": "k", "expect": "x", "new": "y", "bucket": "new"},
        {"op": "incr", "key": "k", "delta": "x", "bucket": "new"},
    ):
        assert kvcli("batch", "--create", input=lines(operation)).returncode != 0
        assert kvcli("bucket", "list").stdout == b"default\n"


def test_small_untruths(kvcli: Run, tmp_path: os.PathLike[str]) -> None:
    """A comma too many is no JSON, +-5 no number, a folder no file, and it is called by its name."""
    assert kvcli("batch", input=b'[{"op":"set","key":"a","value":""},]').returncode == 65
    assert kvcli("batch", input=lines({"op": "incr", "key": "n", "delta": "+-5"})).returncode == 65
    assert kvcli("incr", "n", "+-5").returncode == 2
    assert kvcli("incr", "n", "+5").stdout == b"5\n"
    ran = kvcli("batch", str(tmp_path))
    assert (ran.returncode, ran.stderr) == (66, f"kvcli: {tmp_path}: Is a directory\n".encode())


@pytest.mark.parametrize("pause", [False, True])
def test_reading_a_store_that_is_not_there_does_not_depend_on_time(path: str, pause: bool) -> None:
    """A get before the first set is refused, whether or not the set is there already."""
    program = [lines({"op": "get", "key": "a"}), lines({"op": "set", "key": "a", "value": "1"})]
    ran = slowly(path, *(program if pause else [b"".join(program)]), options=("--keep-going",))
    assert (ran.returncode, [each["ok"] for each in answers(ran.stdout)]) == (4, [False, True])
    assert answers(ran.stdout)[0]["error"]["code"] == "no-such-store"


def test_reads_of_a_read_only_batch_are_answered(kvcli: Run) -> None:
    """The first write is what is refused."""
    kvcli("set", "a", "1")
    ran = kvcli("batch", "--read-only", input=lines({"op": "get", "key": "a"}, {"op": "incr", "key": "a"}))
    assert (ran.returncode, [each["ok"] for each in answers(ran.stdout)]) == (77, [True, False])


def test_batches_side_by_side_are_exact(path: str) -> None:
    """Co-processes that add to one key at once, each in chunks of its own, lose nothing."""
    Store(path).close()
    program = lines(*[{"op": "incr", "key": "n"}] * 500)

    def work() -> None:
        subprocess.run(
            [*BATCH, "--chunk", "7", "-s", path], cwd=ROOT, input=program, check=True, stdout=subprocess.DEVNULL
        )

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert contents(path)[b"n"] == b"2000"


def test_memory_does_not_grow_with_answers_between_other_operations(path: str) -> None:
    """Gets that stand in small groups are counted like those that follow each other."""
    with Store(path) as store:
        store.open("default").set("big", b"v" * (1 << 20))
    group = r"""{"op":"get","key":"big"}\n{"op":"get","key":"big"}\n{"op":"exists","key":"big"}\n"""
    code, out, memory, _ = feed(path, f"for i in $(seq 100); do printf '{group}'; done > {path}.in; cat {path}.in")
    assert (code, out.count(b"\n")) == (0, 300)
    assert memory < 160


def test_failure_in_a_missing_bucket_writes_nothing(path: str, kvcli: Run) -> None:
    """A batch that changes nothing commits nothing: the file stays what it was."""
    kvcli("set", "k", "v")
    before = digest(path)
    assert kvcli("batch", input=b'{"op":"set","bucket":"gone","key":"k","value":"x"}\n').returncode == 66
    assert digest(path) == before
