"""The commands of the cache: what they print, how they end, and that nothing wrong with the cache fails a command."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from kvcli.cache import Cache
from kvcli.commands.cache_run import name_of as recording_of
from kvcli.engine.register import boot_folder
from kvcli.store import Store
from tests.conftest import Run
from tests.processes import ROOT, kill, mounted
from tests.test_terminal import on_terminal

NOISE = 'printf "out\\0\\377"; printf "err" >&2; printf "more"; exit 3'


@pytest.fixture
def note(tmp_path: os.PathLike[str]) -> str:
    """A file that a command may write a line to, each time it runs."""
    return os.path.join(tmp_path, "note")


def runs(note: str) -> int:
    """Count the lines of a note."""
    if not os.path.exists(note):
        return 0
    with open(note) as file:
        return len(file.readlines())


def test_entry_comes_back_as_it_was_set(kvcli: Run) -> None:
    """Get prints exactly the bytes; a missing entry is exit 1, without a word."""
    assert kvcli("cache", "set", "k", "-", input=b"a\n\0\xff").returncode == 0
    assert kvcli("cache", "get", "k").stdout == b"a\n\0\xff"
    missing = kvcli("cache", "get", "l")
    assert (missing.returncode, missing.stdout, missing.stderr) == (1, b"", b"")
    assert (kvcli("cache", "exists", "k").returncode, kvcli("cache", "exists", "l").returncode) == (0, 1)
    assert kvcli("cache", "delete", "k", "l", "--json").stdout == b'{"deleted":1}\n'
    assert kvcli("cache", "get", "k", "--json").returncode == 1


def test_ttl_ends(kvcli: Run) -> None:
    """An entry is gone after its TTL."""
    kvcli("cache", "set", "k", "v", "--ttl", "300ms")
    assert kvcli("cache", "get", "k", "--json").stdout == b'{"key":"k","value":"v"}\n'
    time.sleep(0.3)
    assert kvcli("cache", "get", "k").returncode == 1


@pytest.mark.parametrize("ttl", ["0", "-5s", "4294967296", "5y", "", "x"])
@pytest.mark.parametrize("words", [("set", "k", "v"), ("get-or-set", "k"), ("run",)], ids=" ".join)
def test_bad_ttl_is_a_usage_error(kvcli: Run, words: tuple[str, ...], ttl: str) -> None:
    """Zero, negative, above u32, of unknown unit: exit 2, and no command runs."""
    command = [] if words[0] == "set" else ["--", "echo", "ran"]
    done = kvcli("cache", *words, "--ttl", ttl, *command)
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.startswith(b"kvcli: --ttl is ")


@pytest.mark.parametrize("size", ["10", "junk", "-1", ""])
def test_bad_cap_is_a_usage_error(kvcli: Run, size: str) -> None:
    """A cap that is no size, or too small, is exit 2; written in the settings, it keeps no command from running."""
    assert kvcli("cache", "set", "k", "v", "--max-size", size).returncode == 2
    settings = {"KVCLI_CACHE_MAX_SIZE": size}
    if size:
        assert kvcli("cache", "set", "k", "v", env=settings).returncode == 65
        ran = kvcli("cache", "run", "--", "echo", "ran", env=settings)
        assert (ran.returncode, ran.stdout, ran.stderr.count(b"\n")) == (0, b"ran\n", 1)


def test_buckets_are_not_for_caches(kvcli: Run) -> None:
    """A store has one cache: a bucket is refused, rather than ignored."""
    assert kvcli("cache", "set", "k", "v", "-b", "users").returncode == 2
    assert kvcli("cache", "set", "k", "v", "-b", "default").returncode == 0


def test_missing_store(kvcli: Run, path: str) -> None:
    """A named store that is not there is exit 66 to read and made to write; the unnamed one reads as empty."""
    assert kvcli("cache", "get", "k").returncode == 66
    assert kvcli("cache", "delete", "k", "--json").stdout == b'{"deleted":0}\n'
    assert (kvcli("cache", "purge").returncode, kvcli("cache", "clear").returncode) == (0, 0)
    assert not os.path.exists(path)
    assert kvcli("cache", "set", "k", "v").returncode == 0
    assert kvcli("get", "k").returncode == 1
    assert kvcli("cache", "get", "k", env={"KVCLI_STORE": ""}).returncode == 1


def test_file_of_another_kind_gets_no_cache(kvcli: Run, tmp_path: os.PathLike[str]) -> None:
    """Beside a file that is no store no cache is made."""
    file = os.path.join(tmp_path, "note.txt")
    with open(file, "w") as opened:
        opened.write("important")
    assert kvcli("cache", "set", "k", "v", "-s", file).returncode == 66
    assert os.listdir(tmp_path) == ["note.txt"]


def test_figures(kvcli: Run) -> None:
    """Stats are one JSON object; hits and misses of other processes are in it, each look counted once."""
    kvcli("cache", "set", "k", "v", "--ttl", "1h")
    kvcli("cache", "get", "k")
    kvcli("cache", "get", "l")
    kvcli("cache", "run", "--", "true")
    kvcli("cache", "run", "--", "true")
    stats = json.loads(kvcli("cache", "stats", "--json").stdout)
    assert (stats["entries"], stats["hits"], stats["misses"], stats["evictions"]) == (2, 2, 2, 0)
    assert 3_500_000 < stats["next_expiry_ms"] <= 3_600_000
    assert 0 <= stats["oldest_ms"] < 60_000
    assert stats["max_bytes"] == 256 << 20
    assert kvcli("cache", "clear", "--json").stdout == b'{"cleared":2}\n'


def test_cap_is_read_from_the_settings(kvcli: Run, tmp_path: os.PathLike[str]) -> None:
    """The cap is --max-size, then KVCLI_CACHE_MAX_SIZE, then that of the profile, then that of the config file."""
    os.makedirs(os.path.join(tmp_path, "kvcli"))
    with open(os.path.join(tmp_path, "kvcli", "config.toml"), "w") as file:
        file.write('cache_max_size = "2M"\n[profiles.big]\ncache_max_size = "3M"\n')
    config = {"XDG_CONFIG_HOME": str(tmp_path)}
    kvcli("set", "k", "v")

    def cap(*words: str, **env: str) -> int:
        return int(json.loads(kvcli("cache", "stats", "--json", *words, env={**config, **env}).stdout)["max_bytes"])

    assert cap() == 2 << 20
    assert cap("--profile", "big") == 3 << 20
    assert cap("--profile", "big", KVCLI_CACHE_MAX_SIZE="4M") == 4 << 20
    assert cap("--max-size", "5M", KVCLI_CACHE_MAX_SIZE="4M") == 5 << 20


def test_value_above_the_cap(kvcli: Run) -> None:
    """A value that is too large is exit 69 for set; a command's output still arrives, with a line about it."""
    assert kvcli("cache", "set", "k", "-", "--max-size", "1M", input=bytes(2 << 20)).returncode == 69
    for words in (("get-or-set", "k"), ("run",)):
        done = kvcli("cache", *words, "--max-size", "1M", "--", "head", "-c", "3000000", "/dev/zero")
        assert (done.returncode, done.stdout) == (0, bytes(3_000_000))
        assert done.stderr.count(b"\n") == 1


def test_get_or_set_runs_once(kvcli: Run, note: str) -> None:
    """The command's stdout is the value; its stderr passes; a failing one caches nothing and gives its exit code."""
    command = f"echo >> {note}; printf 'a\\0\\377\\n'; echo err >&2"
    first, second = [kvcli("cache", "get-or-set", "k", "--ttl", "1h", "--", "sh", "-c", command) for _ in range(2)]
    assert (first.stdout, first.stderr) == (b"a\0\xff\n", b"err\n")
    assert (second.stdout, second.stderr) == (b"a\0\xff\n", b"")
    assert runs(note) == 1
    failed = kvcli("cache", "get-or-set", "f", "--", "sh", "-c", f"echo >> {note}; echo partial; exit 7")
    assert (failed.returncode, failed.stdout) == (7, b"partial\n")
    assert failed.stderr == b"kvcli: 'sh' ended with 7: nothing was cached\n"
    assert kvcli("cache", "exists", "f").returncode == 1


def test_get_or_set_as_json(kvcli: Run) -> None:
    """With --json the value is in an object, whether it was cached, could not be, or was too large."""
    words = ("cache", "get-or-set", "k", "--json", "--", "printf", "a\\n")
    assert kvcli(*words).stdout == b'{"key":"k","value":"a\\n","cached":false}\n'
    assert kvcli(*words).stdout == b'{"key":"k","value":"a\\n","cached":true}\n'
    assert json.loads(kvcli(*words, env={"KVCLI_STORE": "/dev/null/x"}).stdout)["value"] == "a\n"
    large = kvcli("cache", "get-or-set", "l", "--json", "--max-size", "1M", "--", "seq", "400000")
    assert json.loads(large.stdout)["value"].endswith("400000\n")


@pytest.mark.parametrize("words", [("get-or-set", "k"), ("run",)], ids=" ".join)
def test_commands_that_cannot_run(kvcli: Run, words: tuple[str, ...], tmp_path: os.PathLike[str]) -> None:
    """No such command is exit 127, one that cannot be run 126; nothing is cached, and nobody is left waiting."""
    script = os.path.join(tmp_path, "script")
    with open(script, "w") as file:
        file.write("echo without an interpreter\n")
    for command, code in (("no-such-command", 127), ("", 127), ("/etc/passwd", 126), ("/", 126)):
        for _ in range(2):
            done = kvcli("cache", *words, "--", command)
            assert (done.returncode, done.stderr.count(b"\n")) == (code, 1)
    os.chmod(script, 0o755)
    assert kvcli("cache", *words, "--", script).stdout == b"without an interpreter\n"


def test_run_replays_everything(kvcli: Run, note: str) -> None:
    """Stdout, stderr and exit code come back byte for byte, and the command ran once."""
    done = [kvcli("cache", "run", "--ttl", "1h", "--", "sh", "-c", f"echo >> {note}; {NOISE}") for _ in range(3)]
    assert {(each.returncode, each.stdout, each.stderr) for each in done} == {(3, b"out\0\xffmore", b"err")}
    assert runs(note) == 1


def test_run_replays_in_the_order_of_the_output(kvcli: Run) -> None:
    """What went to stdout and stderr by turns is replayed by turns."""
    words = (
        "cache",
        "run",
        "--",
        "sh",
        "-c",
        "for n in 1 2 3; do echo out $n; sleep 0.05; echo err $n >&2; sleep 0.05; done",
    )
    first, second = [kvcli(*words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT).stdout for _ in range(2)]
    assert first == second == b"out 1\nerr 1\nout 2\nerr 2\nout 3\nerr 3\n"


def test_what_run_is_keyed_by(kvcli: Run, note: str, tmp_path: os.PathLike[str]) -> None:
    """Words, --env, --cwd, --modtime and --scope keep recordings apart; an absent variable is not an empty one."""
    file = os.path.join(tmp_path, "input")
    command = ("--", "sh", "-c", f"echo >> {note}")

    def ran(*options: str, **settings: object) -> bool:
        before = runs(note)
        kvcli("cache", "run", *options, *command, **settings)
        return runs(note) > before

    assert ran()
    assert not ran()
    assert ran("--scope", "x")
    assert ran("--env", "V")
    assert ran("--env", "V", env={"V": ""})
    assert ran("--env", "V", env={"V": "1"})
    assert not ran("--env", "V", "--env", "V", env={"V": "1"})
    assert not ran(env={"V": "2"})
    assert ran("--cwd")
    assert ran("--cwd", cwd=tmp_path, env={"PYTHONPATH": ROOT})
    assert ran("--modtime", file)
    with open(file, "w") as opened:
        opened.write("1")
    assert ran("--modtime", file)
    assert not ran("--modtime", file)
    os.utime(file, (1, 1))
    assert ran("--modtime", file)
    assert ran("--modtime", "/proc/self/mem/x")
    assert ran(env={"KVCLI_CACHE_SCOPE": "y"})


def test_discarded_failures(kvcli: Run, note: str) -> None:
    """With --discard-failures a failure is neither kept nor replayed, not even one that another caller kept."""
    words = ("sh", "-c", f"echo >> {note}; exit 3")
    assert [kvcli("cache", "run", "--discard-failures", "--", *words).returncode for _ in range(2)] == [3, 3]
    assert runs(note) == 2
    assert [kvcli("cache", "run", "--", *words).returncode for _ in range(2)] == [3, 3]
    assert runs(note) == 3
    assert kvcli("cache", "run", "--discard-failures", "--", *words).returncode == 3
    assert runs(note) == 4


def test_recording_older_than_asked_is_not_replayed(kvcli: Run, note: str) -> None:
    """--ttl is also how old a recording may be that somebody else made with a longer one; KVCLI_CACHE_TTL stands in."""
    words = ("sh", "-c", f"echo >> {note}")
    kvcli("cache", "run", "--ttl", "1h", "--", *words)
    time.sleep(0.2)
    kvcli("cache", "run", "--ttl", "100ms", "--", *words)
    assert runs(note) == 2
    time.sleep(0.2)
    kvcli("cache", "run", "--", *words, env={"KVCLI_CACHE_TTL": "100ms"})
    assert runs(note) == 3


def eventually(note: str, count: int) -> bool:
    """Wait for a command in the background."""
    deadline = time.monotonic() + 20
    while runs(note) < count and time.monotonic() < deadline:
        time.sleep(0.02)
    return runs(note) == count


def test_stale_recording_is_served_and_refreshed_once(kvcli: Run, path: str, note: str) -> None:
    """A stale recording is replayed at once; of many callers one refreshes it, in the background, in its own place."""
    words = [
        "cache",
        "run",
        "--ttl",
        "1h",
        "--stale",
        "1s",
        "--env",
        "V",
        "--",
        "sh",
        "-c",
        f"echo >> {note}; wc -l < {note}; while [ -e {note}.hold ]; do sleep 0.05; done",
    ]
    environment = {"V": "x y", "KVCLI_STORE": path}
    assert kvcli(*words, env=environment).stdout == b"1\n"
    time.sleep(1.1)
    Path(f"{note}.hold").touch()  # The one who refreshes is not done before all have asked.
    calls = [
        subprocess.Popen(
            [sys.executable, "-m", "kvcli", *words], stdout=subprocess.PIPE, cwd=ROOT, env={**os.environ, **environment}
        )
        for _ in range(10)
    ]
    assert [call.communicate(timeout=60)[0] for call in calls] == [b"1\n"] * 10
    assert eventually(note, 2)
    Path(f"{note}.hold").unlink()
    time.sleep(0.6)
    assert runs(note) == 2
    assert kvcli(*words, env=environment).stdout == b"2\n"


def test_warm_and_force(kvcli: Run, note: str) -> None:
    """--warm runs the command in the background and prints nothing; --force runs it whatever there is."""
    words = ("--", "sh", "-c", f"echo >> {note}; echo hi")
    warmed = kvcli("cache", "run", "--warm", *words)
    assert (warmed.returncode, warmed.stdout, warmed.stderr) == (0, b"", b"")
    assert eventually(note, 1)
    time.sleep(0.5)
    assert kvcli("cache", "run", *words).stdout == b"hi\n"
    assert runs(note) == 1
    assert kvcli("cache", "run", "--force", *words).stdout == b"hi\n"
    assert runs(note) == 2
    assert kvcli("cache", "run", "--force", "--warm", *words).returncode == 2


def test_read_only_records_nothing(kvcli: Run, path: str, note: str) -> None:
    """With --read-only what is recorded is replayed, and what is not is run and not recorded; nothing is made."""
    words = ("cache", "run", "--stale", "1ms", "--", "sh", "-c", f"echo >> {note}; echo hi")
    Store(path).close()
    assert kvcli("--read-only", *words).stdout == b"hi\n"
    assert kvcli("--read-only", "cache", "get-or-set", "k", "--", "echo", "v").stdout == b"v\n"
    assert kvcli("--read-only", "cache", "set", "k", "v").returncode == 77
    assert kvcli("--read-only", "cache", "run", "--warm", "--", "true").returncode == 77
    assert sorted(os.listdir(path)) == ["data.mdb", "lock.mdb"]
    kvcli(*words)
    assert kvcli("--read-only", *words).stdout == b"hi\n"
    time.sleep(0.3)
    assert runs(note) == 2


BROKEN = ("/dev/null/x", "/proc/kvcli", "link", "file", "open")


@pytest.mark.parametrize("kind", BROKEN)
@pytest.mark.parametrize("words", [("get-or-set", "k"), ("run",)], ids=" ".join)
def test_cache_that_cannot_be_used_fails_no_command(kvcli: Run, path: str, kind: str, words: tuple[str, ...]) -> None:
    """Whatever is wrong with the cache, the command runs, its output arrives, and one line says what is wrong."""
    place = os.path.join(path, "cache")
    Store(path).close()
    if kind == "link":
        os.symlink("/tmp", place)
    elif kind == "file":
        with open(place, "w"):
            pass
    elif kind == "open":
        os.mkdir(place)
        os.chmod(place, 0o777)
    done = kvcli("cache", *words, "--", "sh", "-c", "echo hi", env={"KVCLI_STORE": kind if "/" in kind else path})
    assert (done.returncode, done.stdout, done.stderr.count(b"\n")) == (0, b"hi\n", 1)
    assert done.stderr.startswith(b"kvcli: not cached: ")
    passed = kvcli("cache", "run", "--json", "--", "true", env={"KVCLI_STORE": kind if "/" in kind else path})
    assert passed.returncode == 0
    assert "message" in json.loads(passed.stderr)["warning"]


@pytest.mark.parametrize("name", ["data.mdb", "tally", "lock.mdb"])
def test_damaged_cache_is_rebuilt_with_one_line(kvcli: Run, path: str, name: str) -> None:
    """A damaged file is thrown away: the command runs, one line says so at most, and the next call has a cache."""
    kvcli("cache", "set", "k", "v")
    time.sleep(0.02)
    with open(os.path.join(boot_folder(os.path.join(path, "cache")), name), "r+b") as file:
        file.write(b"\xff" * 30)
    first = kvcli("cache", "run", "--", "echo", "hi")
    assert (first.returncode, first.stdout) == (0, b"hi\n")
    assert first.stderr.count(b"\n") <= 1
    second = kvcli("cache", "run", "--", "echo", "hi")
    assert (second.returncode, second.stdout, second.stderr) == (0, b"hi\n", b"")


def test_full_disk_fails_no_command(kvcli: Run, tmp_path: os.PathLike[str]) -> None:
    """On a disk that has no room for a cache at all, set is exit 69 and commands run."""
    with mounted(os.path.join(tmp_path, "disk"), "size=1m,mode=0700") as disk:
        store = os.path.join(disk, "store")
        Store(store).close()
        subprocess.run(["dd", "if=/dev/zero", f"of={disk}/filler", "bs=4k"], capture_output=True)
        assert kvcli("cache", "set", "k", "v", "-s", store).returncode == 69
        done = kvcli("cache", "run", "-s", store, "--", "echo", "hi")
        assert (done.returncode, done.stdout, done.stderr.count(b"\n")) == (0, b"hi\n", 1)


def test_recording_that_is_none_is_made_again(kvcli: Run, path: str, note: str) -> None:
    """What is cut short is not replayed: the command runs, and what it prints is recorded in its place."""
    with Store(path) as store, Cache(store) as cache:
        for value in (b"", b"\0\1\0\0\0\5out"):
            cache.shelf.put(recording_of(["cat", note], [], [], None, cwd=False), value, None)
            with open(note, "w") as file:
                file.write("again")
            ran = kvcli("cache", "run", "--", "cat", note)
            assert (ran.returncode, ran.stdout, ran.stderr) == (0, b"again", b"")


def test_command_gets_what_the_shell_would_give(kvcli: Run, path: str) -> None:
    """Stdin, other descriptors, the environment and odd bytes reach a command as if kvcli were not there."""
    assert kvcli("cache", "run", "--", "cat", input=b"from stdin").stdout == b"from stdin"
    kv = f"{sys.executable} -m kvcli -s {path}"
    script = f"{kv} cache run -- cat <(echo one) && {kv} cache get-or-set k -- cat /dev/fd/7 7< <(echo two)"
    assert subprocess.run(["bash", "-c", script], capture_output=True, cwd=ROOT).stdout == b"one\ntwo\n"
    assert kvcli("cache", "run", "--", "printf", "%s", b"\xff\xe9").stdout == b"\xff\xe9"
    bare = {"PATH": os.environ["PATH"], "KVCLI_STORE": path}
    alone = subprocess.run(["env"], env=bare, capture_output=True).stdout
    words = [sys.executable, "-m", "kvcli", "cache", "run", "--scope", "bare", "--", "env"]
    assert sorted(subprocess.run(words, env=bare, cwd=ROOT, capture_output=True).stdout.splitlines()) == sorted(
        alone.splitlines()
    )


def test_store_whose_path_is_not_utf8(kvcli: Run, tmp_path: os.PathLike[str]) -> None:
    """Any path that the system knows can be a store's."""
    store = os.path.join(os.fsencode(tmp_path), b"a\xff")
    assert kvcli("-s", store, "set", "k", "v").returncode == 0
    assert kvcli("-s", store, "cache", "run", "--", "echo", "hi").stdout == b"hi\n"
    assert kvcli("-s", store, "cache", "stats", "--json").returncode == 0


def test_slow_reader_keeps_nobody_waiting(path: str, kvcli: Run) -> None:
    """Who does not read what a command prints does not keep others from having it."""
    words = ["cache", "run", "--ttl", "1h", "--", "seq", "100000"]
    slow = subprocess.Popen([sys.executable, "-m", "kvcli", "-s", path, *words], stdout=subprocess.PIPE, cwd=ROOT)
    time.sleep(0.5)
    assert len(kvcli(*words, timeout=20).stdout.splitlines()) == 100_000
    out, _ = slow.communicate(timeout=20)
    assert len(out.splitlines()) == 100_000


def test_reader_that_went_away(path: str, note: str) -> None:
    """`| head`: exit 141, and what others may want is recorded all the same; what nobody could keep is ended."""
    kv = f"{sys.executable} -m kvcli -s {path} cache"
    script = f"{kv} run -- sh -c 'echo >> {note}; seq 100000' | head -1; echo ${{PIPESTATUS[0]}}; {kv} run -- sh -c 'echo >> {note}; seq 100000' | tail -1"
    assert (
        subprocess.run(["bash", "-c", script], capture_output=True, cwd=ROOT, timeout=60).stdout == b"1\n141\n100000\n"
    )
    assert runs(note) == 1
    for words in ("run --max-size 1M", "get-or-set k --max-size 1M"):
        script = f"{kv} {words} -- yes | head -1; echo ${{PIPESTATUS[0]}}"
        done = subprocess.run(["bash", "-c", script], capture_output=True, cwd=ROOT, timeout=30)
        assert done.stdout == b"y\n141\n"


def test_stopped_filler_and_time_out(path: str, kvcli: Run) -> None:
    """With --timeout a caller does not wait for ever for somebody who is stopped."""
    words = [sys.executable, "-m", "kvcli", "-s", path, "cache", "run", "--", "sh", "-c", "sleep 1; echo hi"]
    stopped = subprocess.Popen(words, stdout=subprocess.PIPE, cwd=ROOT)
    time.sleep(0.5)
    stopped.send_signal(signal.SIGSTOP)
    assert (
        kvcli("cache", "run", "--timeout", "300ms", "--", "sh", "-c", "sleep 1; echo hi", timeout=20).stdout == b"hi\n"
    )
    kill(stopped)


@pytest.mark.parametrize("words", [("get-or-set", "k"), ("run",)], ids=" ".join)
def test_interrupt_ends_command_and_wait(path: str, words: tuple[str, ...]) -> None:
    """Ctrl-C ends the one who runs the command, and the command, and those who wait: exit 130, and nothing is cached."""
    line = [sys.executable, "-m", "kvcli", "-s", path, "cache", *words, "--", "sh", "-c", "echo $$; exec sleep 60"]
    calls = [
        subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT, start_new_session=True)
        for _ in range(2)
    ]
    time.sleep(1)
    for call in reversed(calls):
        os.killpg(call.pid, signal.SIGINT)
        time.sleep(0.2)
    outputs = [call.communicate(timeout=10) for call in calls]
    assert [call.returncode for call in calls] == [130, 130]
    assert {err for _, err in outputs} == {b""}


@pytest.mark.parametrize("size", [0, 300_000], ids=["waiting", "writing"])
def test_command_that_cleans_up_after_ctrl_c_is_heard(path: str, size: int, note: str) -> None:
    """What a command prints when Ctrl-C has reached it still arrives, also when we are in the midst of passing on the rest."""
    line = [
        sys.executable,
        "-m",
        "kvcli",
        "-s",
        path,
        "cache",
        "run",
        "--",
        "sh",
        "-c",
        f"trap 'echo bye; exit 5' INT; echo hi; head -c {size} /dev/zero; sleep 60 & echo > {note}; wait",
    ]
    place: dict[str, Any] = {
        "cwd": ROOT,
        "start_new_session": True,
        "bufsize": 0,
    }  # What a buffer held would be lost here.
    call = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **place)
    assert call.stdout is not None
    assert call.stdout.readline() == b"hi\n"
    assert eventually(note, 1)
    time.sleep(0.5)
    os.killpg(call.pid, signal.SIGINT)
    out, _ = call.communicate(timeout=10)
    assert (out[size:], call.returncode) == (b"bye\n", 130)


@pytest.mark.parametrize("words", [("get-or-set", "k"), ("run",)], ids=" ".join)
@pytest.mark.parametrize("trap", ["", "trap 'echo caught; exit 0' INT; "])
def test_interrupted_run_is_no_answer(path: str, kvcli: Run, words: tuple[str, ...], trap: str) -> None:
    """What Ctrl-C has cut short is not replayed to anybody, whatever exit code the command made of it."""
    command = ["--", "sh", "-c", f"{trap}echo part; sleep 1; echo done"]
    line = [sys.executable, "-m", "kvcli", "-s", path, "cache", *words, *command]
    call = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT, start_new_session=True)
    time.sleep(0.6)
    os.killpg(call.pid, signal.SIGINT)
    _, err = call.communicate(timeout=10)
    assert (call.returncode, err) == (130, b"")
    assert kvcli("cache", *words, *command).stdout == b"part\ndone\n"


def test_terminal_sees_values_escaped(path: str) -> None:
    """What comes out of get and get-or-set cannot act on a terminal, however large; run is the command itself."""
    red = "printf '\\033[31mred'"

    def shown(*words: str) -> bytes:
        return on_terminal(path, "cache", *words)[1]

    assert b"\\e[31mred" in shown("get-or-set", "k", "--", "sh", "-c", red)
    assert b"\x1b" not in shown("get", "k")
    large = shown("get-or-set", "l", "--max-size", "1M", "--", "sh", "-c", f"{red}; head -c 1200000 /dev/zero")
    assert b"\x1b" not in large
    for _ in range(2):
        assert b"\x1b[31mred" in shown("run", "--", "sh", "-c", red)


def test_very_long_command_line_still_replays(kvcli: Run) -> None:
    """Where the refresh cannot be started, because its command line is longer, the recording is replayed all the same."""
    words = ("cache", "run", "--ttl=1m", "--stale=1ms", "--", "true", *["x" * 100_000] * 20)
    assert kvcli(*words).returncode == 0
    time.sleep(0.05)
    assert kvcli(*words).returncode == 0


@pytest.mark.parametrize("limit", [9, 12, 15])
@pytest.mark.parametrize("words", [("get-or-set", "k"), ("run",)], ids=" ".join)
def test_few_descriptors_fail_no_command(path: str, words: tuple[str, ...], limit: int) -> None:
    """Where a process may open so few files that cache and command do not both get theirs, the command runs."""
    Store(path).close()
    script = f'ulimit -n {limit}; exec "$@"'
    command = ["sh", "-c", script, "sh", sys.executable, "-m", "kvcli", "cache", *words, "-s", path, "--", "echo", "hi"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr.count(b"\n") < 2) == (0, b"hi\n", True), done.stderr
