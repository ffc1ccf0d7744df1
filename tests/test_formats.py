"""export and import: every format gives back every byte, other programs read them, and an import can go on."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvcli.batch import set_many
from kvcli.engine.transaction import Span
from kvcli.formats import dump, ndjson, table
from kvcli.store import Store
from tests.conftest import Run, make_foreign
from tests.processes import ROOT
from tests.test_map import limited

ODD = {
    b"plain": b"value",
    b"empty": b"",
    "caf\u00e9 \u65e5".encode(): "\U0001f600\u202e".encode(),
    b"new\nline\r\n": b'a,"b"\r\n;\ttab\0',
    b"back\\slash\\0a": b"\\x\\",
    b"\xff\xfe": bytes(range(256)),
    b"'quoted' \"twice\"": b"x" * 5000,
    b"k" * 511: b" leading and trailing ",
    b"-dash": b"=1+1",
}
FORMATS = {"ndjson": (), "dump": ("--format", "dump"), "csv": ("--format", "csv", "--base64")}
needs_tools = pytest.mark.skipif(shutil.which("mdb_load") is None, reason="lmdb-utils is not installed")


def fill(path: str, pairs: dict[bytes, bytes]) -> None:
    """Make a store that holds pairs."""
    with Store(path) as store:
        set_many(
            store.open("default"), [(key.decode("utf-8", "surrogateescape"), value) for key, value in pairs.items()]
        )


def contents(path: str, bucket: str = "default") -> dict[bytes, bytes]:
    """Give all pairs of a store."""
    with Store(path, read_only=True) as store:
        return dict(pair for page in store.open(bucket).item_pages(Span()) for pair in page)


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("source", ["file", "pipe"])
def test_round_trip_keeps_every_byte(path: str, kvcli: Run, format_: str, source: str) -> None:
    """What export writes, import reads, to the same store."""
    fill(path, ODD)
    out = kvcli("export", *FORMATS[format_]).stdout
    file = path + ".csv" if format_ == "csv" else path + ".txt"
    with open(file, "wb") as written:
        written.write(out)
    options = ("--format", format_) if source == "pipe" else (file,)
    ran = kvcli("import", *options, "-s", path + "2", "--json", input=out if source == "pipe" else b"")
    assert (ran.returncode, json.loads(ran.stdout)) == (0, {"imported": len(ODD)})
    assert contents(path + "2") == ODD


def test_batch_reads_what_export_writes(path: str, kvcli: Run) -> None:
    """NDJSON is that of batch."""
    fill(path, ODD)
    assert kvcli("batch", "-s", path + "2", input=kvcli("export").stdout).returncode == 0
    assert contents(path + "2") == ODD


@settings(max_examples=25)
@given(
    st.dictionaries(st.binary(min_size=1, max_size=20), st.binary(max_size=40), max_size=8),
    st.sampled_from(sorted(FORMATS)),
)
def test_any_pairs_survive_any_format(pairs: dict[bytes, bytes], format_: str) -> None:
    """Whatever the bytes are."""
    pages = iter([list(pairs.items())])
    written = {
        "ndjson": ndjson.write(pages),
        "dump": dump.write(pages, "b", 1),
        "csv": table.write(pages, base64=True),
    }[format_]
    readers = {"ndjson": ndjson.read, "dump": dump.read, "csv": table.read}
    with tempfile.TemporaryFile() as file:
        file.writelines(written)
        file.flush()
        file.seek(0)
        assert dict(pair for records in readers[format_](file.fileno()) for pair in records.pairs) == pairs


def test_csv_of_text_is_plain(path: str, kvcli: Run) -> None:
    """Columns have the names that were asked for; Python's csv module, and spreadsheets, read them."""
    fill(path, {b"a": b"1,2", b"b": b'"\r\n'})
    assert (
        kvcli("export", "--format", "csv", "--key", "name", "--value", "what").stdout
        == b'name,what\r\na,"1,2"\r\nb,"""\r\n"\r\n'
    )


def test_csv_refuses_what_is_no_text(path: str, kvcli: Run) -> None:
    """Exit 65 and the way out, rather than changed bytes."""
    fill(path, {b"a": b"\xff"})
    ran = kvcli("export", "--format", "csv")
    assert ran.returncode == 65
    assert b"--base64" in ran.stderr


@needs_tools
def test_mdb_load_reads_ours(path: str, kvcli: Run) -> None:
    """Every pair, to the byte, by LMDB's own tool."""
    fill(path, ODD)
    other = path + "2"
    os.mkdir(other, 0o700)
    subprocess.run(["mdb_load", "-s", "default", other], input=kvcli("export", "--format", "dump").stdout, check=True)
    assert contents(other) == ODD


@needs_tools
@pytest.mark.parametrize("options", [(), ("-p",)], ids=["bytes", "print"])
def test_we_read_mdb_dumps(path: str, kvcli: Run, options: tuple[str, ...]) -> None:
    """As digits, and as text where that is not ambiguous."""
    pairs = {key: value for key, value in ODD.items() if not options or b"\\" not in key + value}
    fill(path, pairs)
    dumped = subprocess.run(["mdb_dump", *options, "-s", "default", path], stdout=subprocess.PIPE, check=True).stdout
    assert kvcli("import", "--format", "dump", "-s", path + "2", input=dumped).returncode == 0
    assert contents(path + "2") == pairs


def test_dump_of_the_main_database_names_none(path: str, kvcli: Run) -> None:
    """@main is our word for it; mdb_load would make a database of that name."""
    make_foreign(path, main={b"k": b"v"})
    out = kvcli("export", "--format", "dump", "-b", "@main").stdout
    assert b"database=" not in out
    assert kvcli("import", "--format", "dump", "-s", path + "2", input=out).returncode == 0
    assert contents(path + "2") == {b"k": b"v"}


HEAD = b"VERSION=3\nformat=bytevalue\ntype=btree\nHEADER=END\n"
BAD: dict[str, tuple[str, bytes]] = {
    "dump cut in the data": ("dump", HEAD + b" 61\n 31\n 62\n"),
    "dump cut at the end": ("dump", HEAD + b" 61\n 31\n"),
    "no digits": ("dump", HEAD + b" 61\n 31\n zz\n 31\nDATA=END\n"),
    "odd digits": ("dump", HEAD + b" 61\n 31\n 6\n 31\nDATA=END\n"),
    "no space": ("dump", HEAD + b" 61\n 31\n62\n31\nDATA=END\n"),
    "no value": ("dump", HEAD + b" 61\n 31\n 62\nDATA=END\n"),
    "two databases": ("dump", HEAD + b" 61\n 31\nDATA=END\n" + HEAD + b" 62\n 32\nDATA=END\n"),
    "duplicates": ("dump", b"VERSION=3\nformat=print\ndupsort=1\nHEADER=END\n x\n 1\nDATA=END\n"),
    "another version": ("dump", b"VERSION=4\n"),
    "another format": ("dump", b"VERSION=3\nformat=nope\nHEADER=END\n"),
    "no header": ("dump", b"hello\n"),
    "empty dump": ("dump", b""),
    "backslash of an older mdb_dump": ("dump", b"VERSION=3\nformat=print\nHEADER=END\n a\\b\n 1\nDATA=END\n"),
    "no column": ("csv", b"a,b\n1,2\n"),
    "empty csv": ("csv", b""),
    "short row": ("csv", b"key,value\na,1\nb\n"),
    "long row": ("csv", b"key,value\na,1\nb,2,3\n"),
    "open quote": ("csv", b'key,value\na,1\nb,"2\n'),
    "csv that is no text": ("csv", b"key,value\na,1\nb,\xff\n"),
    "empty key": ("csv", b"key,value\na,1\n,2\n"),
    "no base64": ("csv", b"key,value_b64\na,MQ==\nb,*\n"),
    "no JSON": ("ndjson", b'{"op":"set","key":"a","value":"1"}\nx\n'),
    "another operation": ("ndjson", b'{"op":"set","key":"a","value":"1"}\n{"op":"incr","key":"a"}\n'),
    "another bucket": (
        "ndjson",
        b'{"op":"set","key":"a","value":"1"}\n{"op":"set","key":"a","value":"","bucket":"b"}\n',
    ),
    "long key": (
        "ndjson",
        b'{"op":"set","key":"a","value":"1"}\n{"op":"set","key":"' + b"k" * 512 + b'","value":""}\n',
    ),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_input_is_65_and_what_stands_before_it_stays(path: str, kvcli: Run, kind: str) -> None:
    """One line says where; the good records before are there, and no others."""
    format_, text = BAD[kind]
    ran = kvcli("import", "--format", format_, input=text)
    assert ran.returncode == 65, ran.stderr
    assert ran.stderr.count(b"\n") == 1
    assert contents(path).items() <= {b"a": b"1"}.items()
    if b"a,1" in text or b"61\n 31" in text or b'"a","value":"1"' in text:
        assert contents(path) == {b"a": b"1"}


def test_json_records_are_taken_by_a_field(path: str, kvcli: Run) -> None:
    """The key is a text or a number; the value a field, text as text and others as JSON, or else the record as it is."""
    text = b'{"id":"u1","n":{"x": 1},"t":"caf\\u00e9"}\n\n{"id":7, "n":null,"t":"2"}\r\n'
    assert kvcli("import", "--key", "id", input=text).returncode == 0
    assert contents(path) == {b"u1": text.splitlines()[0], b"7": b'{"id":7, "n":null,"t":"2"}'}
    assert kvcli("import", "--key", "id", "--value", "t", input=text).returncode == 0
    assert contents(path) == {b"u1": "caf\u00e9".encode(), b"7": b"2"}
    assert kvcli("import", "--key", "id", "--value", "n", input=text).returncode == 0
    assert contents(path) == {b"u1": b'{"x": 1}', b"7": b"null"}


@pytest.mark.parametrize("words", [("--key", "id"), ("--key", "id", "--value", "n")], ids=" ".join)
def test_json_record_that_is_no_text_is_malformed(path: str, kvcli: Run, words: tuple[str, ...]) -> None:
    """Bytes that are no UTF-8 are no JSON, also where a record or a field of it is taken as it is written."""
    ran = kvcli("import", *words, input=b'{"id":"a","n":[1]}\n{"id":"b","n":["\xe8"]}\n')
    assert (ran.returncode, list(contents(path))) == (65, [b"a"])
    assert b"line 2: byte 16 of a text is no UTF-8" in ran.stderr


@pytest.mark.parametrize(
    "words", [("--format", "xml"), ("--value", "v"), ("--format", "dump", "--key", "k")], ids=" ".join
)
def test_what_makes_no_sense_is_usage(kvcli: Run, words: tuple[str, ...]) -> None:
    """Options that cannot be meant are exit 2."""
    assert kvcli("import", *words).returncode == 2


def test_export_of_a_prefix(path: str, kvcli: Run) -> None:
    """Only keys that start with it."""
    fill(path, {b"a1": b"", b"b1": b"", b"b2": b""})
    assert [json.loads(line)["key"] for line in kvcli("export", "--prefix", "b").stdout.splitlines()] == ["b1", "b2"]
    assert kvcli("export", "--key", "x").returncode == 2


def test_interrupted_import_can_go_on(path: str, kvcli: Run) -> None:
    """With --resume it leaves out what is set already; the note of how far it came is gone in the end."""
    file = path + ".ndjson"
    with open(file, "w", encoding="ascii") as out:
        out.writelines(f'{{"op":"set","key":"k{at}","value":"{at}"}}\n' for at in range(300_000))
    command = [sys.executable, "-m", "kvcli", "import", file, "-s", path]
    child = subprocess.Popen(command, cwd=ROOT)
    deadline = time.monotonic() + 20
    while not count(path) and time.monotonic() < deadline:
        time.sleep(0.005)
    child.send_signal(signal.SIGKILL)
    child.wait()
    came = count(path)
    assert 0 < came < 300_000
    kvcli("set", "k0", "changed meanwhile")
    ran = kvcli("import", file, "--resume", "--json")
    assert json.loads(ran.stdout) == {"imported": 300_000}
    assert (count(path), contents(path)[b"k0"]) == (300_000, b"changed meanwhile")
    assert kvcli("import", file, "--resume").returncode == 0
    assert contents(path)[b"k0"] == b"0"


def count(path: str) -> int:
    """Count the keys of a store, none while it is not there."""
    if not os.path.exists(os.path.join(path, "data.mdb")):
        return 0
    with Store(path, read_only=True) as store:
        return store.read(lambda snapshot: snapshot.count(b"default"))


def test_resume_of_another_file_is_refused(path: str, kvcli: Run) -> None:
    """Fewer records than were taken already: this is not the file that was interrupted."""
    file = path + ".csv"
    with open(file, "w", encoding="ascii") as out:
        out.write("key,value\n" + "".join(f"k{at},v\n" for at in range(50_000)) + "bad\n")
    assert kvcli("import", file).returncode == 65
    with open(file, "w", encoding="ascii") as out:
        out.write("key,value\nk,v\n")
    assert kvcli("import", file, "--resume").returncode == 65


def test_terminal_shows_a_bar_and_a_pipe_does_not(path: str, kvcli: Run) -> None:
    """The bar is on stderr, and gone in the end."""
    fill(path, ODD)
    out = kvcli("export")
    assert out.stderr == b""
    script = f"{sys.executable} -m kvcli export -s {path} > {path}.out"
    shown = subprocess.run(
        ["script", "-qec", script, "/dev/null"], cwd=ROOT, stdout=subprocess.PIPE, env={**os.environ, "TERM": "xterm"}
    )
    assert b"9 of 9 keys" in shown.stdout
    with open(path + ".out", "rb") as file:
        assert file.read() == out.stdout


def test_bad_key_in_a_full_chunk_is_told_by_its_number(path: str, kvcli: Run) -> None:
    """Once, and what stands before it is counted once."""
    rows = [f'{{"op":"set","key":"k{at}","value":""}}\n' for at in range(60_000)]
    rows[30_000] = '{"op":"set","key":"","value":""}\n'
    ran = kvcli("import", "--format", "ndjson", input="".join(rows).encode())
    assert (ran.returncode, ran.stderr.count(b"\n")) == (65, 1)
    assert ran.stderr.startswith(b"kvcli: record 30001: the key is empty")
    assert ran.stderr.count(b"(30,000 records") == 1
    assert ran.stderr.count(b"records") == 1
    assert count(path) == 30_000


@pytest.mark.parametrize("line", [b"VERSION=" + b"x" * 100_000, b"format=" + b"x" * 100_000])
def test_header_that_is_long_is_told_shortly(kvcli: Run, line: bytes) -> None:
    """What is wrong with it is said with a few of its characters."""
    ran = kvcli("import", "--format", "dump", input=line + b"\n")
    assert (ran.returncode, len(ran.stderr) < 300) == (65, True)


def test_escapes_of_a_dump_take_little_memory(path: str, kvcli: Run) -> None:
    """A value of which every byte is an escape takes a few times its length, and not an object for each of them."""
    text = b"VERSION=3\nformat=print\nHEADER=END\n a\n " + rb"\41\\" * 1_000_000 + b"\nDATA=END\n"
    scarce = limited(resource.RLIMIT_AS, 220 << 20)
    ran = kvcli("import", "--format", "dump", input=text, preexec_fn=scarce)
    assert (ran.returncode, ran.stderr) == (0, b"")
    assert contents(path) == {b"a": b"A\\" * 1_000_000}


def test_line_of_csv_that_is_too_long_is_told_by_its_number(kvcli: Run) -> None:
    """It is told as in every other format: once, with the number of that line."""
    ran = kvcli("import", "--format", "csv", input=b"key,value\na,1\nb," + b"x" * (65 << 20) + b"\n")
    assert (ran.returncode, ran.stderr.startswith(b"kvcli: line 3: longer than")) == (65, True)
