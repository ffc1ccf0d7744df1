"""kvcli run: what a guest is given, how it ends, and what is told of that; by real processes."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

pytest.importorskip("wasmtime", reason="the extra wasm is not installed: pip install 'kvcli[wasm]'")

from kvcli import wasm
from kvcli.commands.run import folder, variables
from kvcli.engine import exists
from kvcli.errors import InvalidArgument, MalformedData, NoSuchFile
from kvcli.store import Store
from kvcli.wasm.compiled import FILES_MAX, is_private
from tests.conftest import Run
from tests.console import played, transcript
from tests.processes import ROOT
from tests.test_docs import block
from tests.test_exit_codes import no_larger
from tests.test_startup import loaded
from tests.wasm.commands import BAD, COMMANDS

# name: (options, exit code, what is told)
ENDS: dict[str, tuple[tuple[str, ...], int, str]] = {
    "ok": ((), 0, ""),
    "err": ((), 1, ""),
    "exit": ((), 1, ""),
    "trap": ((), 134, "trap.wat trapped: wasm `unreachable` instruction executed"),
    "divide": ((), 134, "divide.wat trapped: integer divide by zero"),
    "overflow": ((), 134, "overflow.wat trapped: call stack exhausted"),
    "memory": (("--memory", "1M"), 134, "memory.wat trapped: wasm `unreachable` instruction executed"),
    "table": (("--memory", "1M"), 0, ""),
    "loop": (("--timeout", "300ms"), 124, "the guest did not end within 0.3 s: give it more with --timeout"),
    "three-megabytes": (
        *((), 134),
        "three-megabytes.wat passed more than 2.7 MB to the host in one call, which wasmtime ends",
    ),
    "two-megabytes": ((), 0, ""),
    "core module": (
        (),
        65,
        "core module.wat is no component: attempted to parse a wasm module with a component parser",
    ),
    "no text": ((), 65, "no text.wat is no component: expected `(`"),
    "nothing": ((), 65, "nothing.wat is no component: expected at least one module field"),
    "no command": (
        *((), 65),
        "no command.wat exports no wasi:cli/run, so that there is nothing to run: make it a command",
    ),
    "unknown import": (
        *((), 66),
        "unknown import.wat imports what kvcli does not have: `start` of `acme:rocket/engine@1.0.0`",
    ),
}
FUEL = ("--fuel", "100000")
Guest = Callable[[str], str]


@pytest.fixture
def guest(tmp_path: Path) -> Guest:
    """Write a guest to a file, and give its name."""

    def write(name: str) -> str:
        file = tmp_path / f"{name}.wat"
        file.write_text({**COMMANDS, **BAD}[name], encoding="utf-8")
        return str(file)

    return write


@pytest.mark.parametrize("name", ENDS)
def test_end_of_a_guest(kvcli: Run, guest: Guest, name: str) -> None:
    """Its exit code is passed on; what kvcli has to say of it is one line, and no traceback."""
    options, code, told = ENDS[name]
    ran = kvcli("run", *options, guest(name))
    assert (ran.returncode, ran.stdout) == (code, b"")
    assert ran.stderr.decode() == (f"kvcli: {told}\n" if told else "")


@pytest.mark.parametrize("name", ["trap", "divide", "loop", "memory"])
def test_store_after_a_bad_end(path: str, guest: Guest, name: str) -> None:
    """What the guest wrote before is there, and the next one can write."""
    with Store(path) as store:
        home = store.open("default")
        with pytest.raises(Exception, match=r"trapped|did not end"):
            wasm.run(guest(name), buckets={"": home}, timeout=0.3, memory=1 << 20)
        assert home.get("k") == b"1"
        assert wasm.run(guest("count"), buckets={"": home}) == 0
        assert home.get("n") == b"50"


def test_fuel(kvcli: Run, guest: Guest) -> None:
    """A guest with little to do gets by with little; one that burns it all ends by a trap."""
    assert kvcli("run", *FUEL, guest("ok")).returncode == 0
    ran = kvcli("run", *FUEL, guest("loop"))
    assert (ran.returncode, ran.stderr) == (134, b"kvcli: loop.wat trapped: all fuel consumed by WebAssembly\n")


def test_time_out_of_a_guest_that_waits_for_stdin(kvcli: Run, guest: Guest) -> None:
    """It is in WASI, where no epoch reaches it; kvcli ends all the same."""
    read, write = os.pipe()
    before = time.monotonic()
    ran = kvcli("run", "--timeout", "300ms", guest("stdin"), stdin=read)
    assert ran.returncode == 124
    assert time.monotonic() - before < 20
    os.close(read)
    os.close(write)


@pytest.mark.parametrize("name", ["loop", "stdin"])
def test_interrupt(path: str, guest: Guest, name: str) -> None:
    """Ctrl-C ends a guest at once, also one that loops, and one that waits for stdin; nothing is told."""
    with started(path, guest(name), stdin=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        wait_for_key(path, "k")
        before = time.monotonic()
        child.send_signal(signal.SIGINT)
        assert (child.wait(timeout=60), child.communicate()[1]) == (130, b"")
    assert time.monotonic() - before < 5


@contextmanager
def started(path: str, file: str, **streams: int) -> Iterator[subprocess.Popen[bytes]]:
    """Start a guest on a store, and see to it that it does not stay."""
    words = [sys.executable, "-m", "kvcli", "run", "-s", path, file]
    with subprocess.Popen(words, cwd=ROOT, **streams) as child:  # type: ignore[call-overload]
        try:
            yield child
        finally:
            child.kill()


def wait_for_key(path: str, key: str) -> None:
    """Wait until a process has made the store and set a key."""
    for _ in range(600):
        if exists(path):
            with Store(path, read_only=True) as store:
                if store.open("default").exists(key):
                    return
        time.sleep(0.05)
    raise AssertionError(f"nobody has set {key}")


@pytest.mark.parametrize(("name", "key", "total"), [("count", "n", b"100"), ("swap", "n", (100).to_bytes(4, "little"))])
def test_no_update_is_lost(kvcli: Run, path: str, guest: Guest, name: str, key: str, total: bytes) -> None:
    """Two processes whose guests add 1, by increment or by swaps that are done again when lost, add up exactly."""
    with started(path, guest(name)) as other:
        assert kvcli("run", guest(name)).returncode == 0
        assert other.wait(timeout=60) == 0
    with Store(path) as store:
        assert store.open("default").get(key) == total


def test_swap_loses_to_a_guest_that_puts_the_value_back(kvcli: Run, path: str, guest: Guest) -> None:
    """A-B-A between two processes: the swap of the first guest is cas-failed, and the value is the second one's."""
    kvcli("set", "k", "a")
    with started(path, guest("aba-victim")) as victim:
        assert kvcli("run", guest("aba-writer")).returncode == 0
        assert victim.wait(timeout=60) == 0
    assert kvcli("get", "k").stdout == b"a"


def test_guest_prints_by_itself(kvcli: Run, guest: Guest) -> None:
    """What it writes comes out as it is, also without a newline at the end."""
    assert kvcli("run", guest("hello")).stdout == b"hello"


def test_arguments(kvcli: Run, guest: Guest) -> None:
    """The first is the name of the file; what comes behind that is the guest's, also what looks like an option."""
    assert kvcli("run", guest("arguments"), "one", "--deny", "-x").stdout == b"arguments.wat/one/--deny/-x/"


def test_nothing_is_given_that_was_not_said(kvcli: Run, guest: Guest) -> None:
    """No variable, and no folder."""
    assert kvcli("run", guest("environment"), env={"SECRET": "1"}).stdout == b""
    assert kvcli("run", guest("folders")).stdout == b""


def test_environment(kvcli: Run, guest: Guest) -> None:
    """A variable has the value that is said, or that of kvcli's own; one that is not there is left out."""
    ran = kvcli("run", "--env", "A=1=2", "--env", "B", "--env", "C", guest("environment"), env={"B": "3"})
    assert ran.stdout == b"A/1=2/B/3/"


def test_folders(kvcli: Run, guest: Guest, tmp_path: Path) -> None:
    """A guest sees a folder under the path that is said; one that is not there is told before anything runs."""
    assert kvcli("run", "--dir", f"{tmp_path}::/data", guest("folders")).stdout == b"/data/"
    ran = kvcli("run", "--dir", "/nowhere::/data", guest("folders"))
    assert (ran.returncode, ran.stderr) == (66, b"kvcli: no folder '/nowhere' to give to the guest\n")


@pytest.mark.parametrize("said", ["::/guest", "/host::", ""])
def test_folder_that_is_half_said(said: str) -> None:
    """Both sides are named."""
    with pytest.raises(InvalidArgument):
        folder(said)


def test_folder_as_it_is_read() -> None:
    """Without ::GUEST it is the same path; :ro is for reading."""
    read = folder("a:b::c:ro")
    assert (read.path, read.guest_path, read.writable) == ("a:b", "c", False)
    same = folder("data")
    assert (same.path, same.guest_path, same.writable) == ("data", "data", True)


@pytest.mark.parametrize(
    "words", [("run", "FILE", b"\xff"), ("run", "--env", b"A=\xff", "FILE")], ids=["word", "variable"]
)
def test_words_that_are_no_text(kvcli: Run, guest: Guest, words: tuple[str | bytes, ...]) -> None:
    """A guest has no other texts than UTF-8."""
    ran = kvcli(*[guest("ok") if word == "FILE" else word for word in words])
    assert (ran.returncode, ran.stderr.count(b"\n"), b"UTF-8" in ran.stderr) == (2, 1, True)


def test_component_whose_name_is_no_text(kvcli: Run, tmp_path: Path) -> None:
    """It runs, and is told a name that is one."""
    file = os.path.join(os.fsencode(tmp_path), b"x\xff.wasm")
    with open(file, "w", encoding="utf-8") as written:
        written.write(COMMANDS["arguments"])
    assert kvcli("run", file).stdout.decode() == "x\ufffd.wasm/"


def test_variable_without_a_name() -> None:
    """It is none."""
    with pytest.raises(InvalidArgument):
        variables(["=1"])


def test_home_bucket(kvcli: Run, guest: Guest) -> None:
    """--bucket NAME is what the guest's '' opens, before the command and behind it, as for all commands."""
    for name in ("one", "two"):
        kvcli("bucket", "create", name)
    assert kvcli("run", "--bucket", "one", guest("count")).returncode == 0
    assert kvcli("--bucket", "two", "run", guest("count")).returncode == 0
    assert [kvcli("get", "n", "-b", name).stdout for name in ("one", "two")] == [b"50", b"50"]
    assert kvcli("list").stdout == b""


@pytest.mark.parametrize("said", ["=one:ro", "=one"])
def test_grant(kvcli: Run, guest: Guest, said: str) -> None:
    """NAME=BUCKET is what NAME opens; with :ro it cannot be written, which the guest is told."""
    kvcli("bucket", "create", "one")
    ran = kvcli("run", "--bucket", said, guest("count"))
    assert (ran.returncode, ran.stderr) == (1 if said.endswith(":ro") else 0, b"")
    assert kvcli("list", "-b", "one").stdout == (b"" if said.endswith(":ro") else b"n\n")


def test_denial(kvcli: Run, guest: Guest) -> None:
    """What is denied does not open."""
    assert kvcli("run", "--deny", "default", guest("count")).returncode == 1


def test_grant_of_a_bucket_that_is_not_there(kvcli: Run, guest: Guest) -> None:
    """It is the user who is told, before the guest runs; --create makes it."""
    kvcli("bucket", "create", "users")
    ran = kvcli("run", "--bucket", "x=usres", guest("ok"))
    assert ran.returncode == 66
    assert b"users" in ran.stderr
    assert kvcli("run", "--create", "--bucket", "x=usres", guest("ok")).returncode == 0


@pytest.mark.parametrize(
    "options",
    [
        ("--bucket", "one", "--bucket", "two"),
        ("--memory", "64"),
        ("--memory", "much"),
        ("--timeout", "soon"),
        ("--fuel", "0"),
        ("--env", "=x"),
    ],
    ids=" ".join,
)
def test_usage(kvcli: Run, guest: Guest, options: tuple[str, ...]) -> None:
    """What cannot be meant is exit code 2."""
    kvcli("set", "k", "v")
    ran = kvcli("run", *options, guest("ok"))
    assert (ran.returncode, ran.stderr.count(b"\n")) == (2, 1)


def test_read_only(kvcli: Run, guest: Guest) -> None:
    """With --read-only a guest that writes is denied it, by an error and no trap."""
    kvcli("set", "n", "1")
    ran = kvcli("run", "--read-only", guest("count"))
    assert (ran.returncode, ran.stderr) == (1, b"")
    assert kvcli("get", "n").stdout == b"1"


def test_file_that_is_not_there(kvcli: Run) -> None:
    """It is told as for other files."""
    ran = kvcli("run", "/nowhere.wasm")
    assert (ran.returncode, ran.stderr) == (66, b"kvcli: /nowhere.wasm: No such file or directory\n")


def test_without_the_extra(kvcli: Run, guest: Guest, tmp_path: Path) -> None:
    """One line says how to install it; nothing is made."""
    (tmp_path / "wasmtime.py").write_text("raise ImportError", encoding="utf-8")
    ran = kvcli("run", guest("ok"), env={"PYTHONPATH": str(tmp_path)})
    assert (ran.returncode, ran.stderr.count(b"\n")) == (66, 1)
    assert b"pip install 'kvcli[wasm]'" in ran.stderr
    assert not (tmp_path / "store").exists()


def test_errors_as_json(kvcli: Run, guest: Guest) -> None:
    """Each has a stable code."""
    assert b'"code":"trap"' in kvcli("run", "--json", guest("trap")).stderr
    assert b'"code":"timeout"' in kvcli("run", "--json", "--timeout", "100ms", guest("loop")).stderr
    assert b'"code":"no-such-import"' in kvcli("run", "--json", guest("unknown import")).stderr


def test_watcher(kvcli: Run, guest: Guest) -> None:
    """With --watch a guest is told of what it wrote, in order, and of what it writes then; without, of nothing."""
    assert kvcli("run", guest("watch")).returncode == 0
    assert kvcli("list", "--values").stdout == b"k\t6\n"
    assert kvcli("run", "--watch", guest("watch")).returncode == 0
    assert kvcli("list", "--values").stdout == b"deleted\tj\nk\t6\nset\t6\n"


def test_watcher_that_is_not_there(kvcli: Run, guest: Guest) -> None:
    """It is told before the guest runs."""
    ran = kvcli("run", "--watch", guest("count"))
    assert (ran.returncode, kvcli("list").stdout) == (65, b"")
    assert ran.stderr == b"kvcli: count.wat exports no on-set of wasi:keyvalue/watcher: leave --watch out\n"


def test_full_store_is_an_error(kvcli: Run, guest: Guest) -> None:
    """The guest is told of it, as of other errors, and does not trap."""
    kvcli("set", "a", "1")
    ran = kvcli("run", guest("two-megabytes"), preexec_fn=lambda: no_larger(1 << 20))
    assert (ran.returncode, ran.stderr) == (1, b"")
    assert kvcli("list").stdout == b"a\n"


def test_store_that_is_cut_under_a_guest(path: str, guest: Guest) -> None:
    """It is one line and exit code 74, as for all commands: wasmtime's handlers of signals pass on what is not a guest's."""
    with Store(path) as store:
        home = store.open("default")
        pairs = [(f"k{number}".encode(), bytes(1500)) for number in range(300)]
        store.write(lambda update: update.put_many(home.name, pairs, home.check))
    with started(path, guest("read"), stderr=subprocess.PIPE) as child:
        wait_for_key(path, "ready")
        os.truncate(os.path.join(path, "data.mdb"), 8192)
        assert child.wait(timeout=60) == 74
        assert child.communicate()[1].count(b"\n") == 1


def test_plain_run_loads_no_typer(path: str, guest: Guest) -> None:
    """Without options of its own it takes the express lane; and no other command loads wasmtime."""
    modules = loaded(path, "run", guest("ok"))
    assert ("wasmtime" in modules, "typer" in modules) == (True, False)


# Compiled components


def test_second_run_compiles_nothing(kvcli: Run, guest: Guest) -> None:
    """Machine code is kept in a private folder, the guest's and that of the self-test, apart for each configuration."""
    kept = Path(os.environ["HOME"], ".cache", "kvcli", "compiled")
    kvcli("run", guest("ok"))
    files = {file: file.stat().st_mtime_ns for file in kept.iterdir()}
    kvcli("run", guest("ok"))
    assert {file: file.stat().st_mtime_ns for file in kept.iterdir()} == files
    assert (len(files), stat.S_IMODE(kept.stat().st_mode)) == (2, 0o700)
    kvcli("run", *FUEL, guest("ok"))
    assert len(list(kept.iterdir())) == 4


@pytest.mark.parametrize("damage", ["cut", "garbage"])
def test_damaged_code_is_compiled_anew(path: str, guest: Guest, tmp_path: Path, damage: str) -> None:
    """A file that is no machine code, or half of it, is replaced."""
    with Store(path) as store:
        buckets = {"": store.open("default")}
        kept = tmp_path / "kept"
        assert wasm.run(guest("ok"), buckets=buckets, compiled=str(kept)) == 0
        for file in kept.iterdir():
            code = file.read_bytes()
            file.write_bytes(code[: len(code) // 2] if damage == "cut" else bytes(1000))
        assert wasm.run(guest("ok"), buckets=buckets, compiled=str(kept)) == 0
        assert min(file.stat().st_size for file in kept.iterdir()) > 1000


def test_folder_that_others_can_write_is_not_used(path: str, guest: Guest, tmp_path: Path) -> None:
    """To load machine code is to run it."""
    kept = tmp_path / "kept"
    kept.mkdir(mode=0o777)
    kept.chmod(0o777)
    with Store(path) as store:
        assert wasm.run(guest("ok"), buckets={"": store.open("default")}, compiled=str(kept)) == 0
    assert list(kept.iterdir()) == []
    assert not is_private("/proc/nowhere")


def test_folder_whose_name_is_no_text(path: str, guest: Guest, tmp_path: Path) -> None:
    """wasmtime cannot read there; the component is compiled each time."""
    kept = os.path.join(tmp_path, os.fsdecode(b"\xff"))
    with Store(path) as store:
        for _ in range(2):
            assert wasm.run(guest("ok"), buckets={"": store.open("default")}, compiled=kept) == 0


def test_compiled_components_have_an_end(path: str, guest: Guest, tmp_path: Path) -> None:
    """Those that were compiled first go."""
    kept = tmp_path / "kept"
    kept.mkdir(mode=0o700)
    for number in range(FILES_MAX):
        (kept / f"{number}.compiled").write_bytes(b"")
        os.utime(kept / f"{number}.compiled", (number, number))
    with Store(path) as store:
        wasm.run(guest("ok"), buckets={"": store.open("default")}, compiled=str(kept))
    assert len(list(kept.iterdir())) == FILES_MAX
    assert not (kept / "0.compiled").exists()


# The README


def test_readme(shell_environment: dict[str, str], tmp_path: Path) -> None:
    """What it shows of components is what happens."""
    for name in ("count", "loop"):
        (tmp_path / f"{name}.wasm").write_text(COMMANDS[name], encoding="utf-8")
    blocks = transcript(block("components"))
    assert played(blocks, shell_environment) == blocks


# From Python


def test_library(path: str, guest: Guest) -> None:
    """kvcli.wasm.run takes open buckets, and gives the exit code; errors are of the family."""
    with Store(path) as store:
        buckets = {"": store.open("default")}
        assert wasm.run(guest("count"), buckets=buckets) == 0
        assert wasm.run(guest("err"), buckets=buckets) == 1
        with pytest.raises(MalformedData):
            wasm.run(guest("no text"), buckets=buckets)
        with pytest.raises(NoSuchFile):
            wasm.run(guest("ok"), buckets=buckets, folders=[folder("/nowhere::x")])
        with pytest.raises(FileNotFoundError):
            wasm.run("/nowhere.wasm", buckets=buckets)
        assert buckets[""].get("n") == b"50"
