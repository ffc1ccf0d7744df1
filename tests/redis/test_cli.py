"""The command line, batches and the REPL on a server, as real processes; and what does not work there says so."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping

import pytest

from tests.conftest import Run
from tests.processes import ROOT
from tests.redis.servers import MISSING, Server
from tests.wasm.commands import COMMANDS as COMPONENTS

pytestmark = pytest.mark.skipif(bool(MISSING), reason=MISSING)


@pytest.fixture
def kv(kvcli: Run, server: Server) -> Run:
    """Run the command line on an empty server."""
    server.flush()

    def run(*words: str, **options: object) -> subprocess.CompletedProcess[bytes]:
        return kvcli(*words, env={"KVCLI_STORE": server.url}, **options)

    return run


def lines(*operations: Mapping[str, object]) -> bytes:
    """Write the lines of a batch."""
    return b"".join(json.dumps(each).encode() + b"\n" for each in operations)


def told(done: subprocess.CompletedProcess[bytes]) -> list[dict[str, object]]:
    """Read what a batch answered, without what it was asked."""
    return [{k: v for k, v in json.loads(line).items() if k not in {"i", "op"}} for line in done.stdout.splitlines()]


def test_commands(kv: Run) -> None:
    """Keys are set, read, counted, swapped, listed and deleted as in a folder, with the same exit codes."""
    assert kv("set", "a", "1").returncode == 0
    assert kv("get", "a").stdout == b"1"
    assert (kv("get", "b").returncode, kv("exists", "a").returncode) == (1, 0)
    assert kv("incr", "a", "41").stdout == b"42\n"
    assert (kv("set", "a", "x", "--if-absent").returncode, kv("set", "b", "x", "--if-present").returncode) == (3, 3)
    assert kv("cas", "a", "new", "--expect", "42").returncode == 0
    assert kv("cas", "a", "newer", "--expect", "42").returncode == 3
    assert kv("incr", "a").returncode == 5
    assert kv("list", "--values").stdout == b"a\tnew\n"
    assert kv("delete", "--prefix", "a", "--yes", "--json").stdout == b'{"deleted":1}\n'


def test_token_of_another_process(kv: Run) -> None:
    """A token is good in another process, until the key has another value."""
    kv("set", "k", "1")
    token = kv("get", "k", "--token").stderr.decode().strip()
    assert kv("cas", "k", "2", "--token", token).returncode == 0
    assert kv("cas", "k", "3", "--token", token).returncode == 3


def test_update_through_a_command(kv: Run) -> None:
    """cas --update pipes the value through a command."""
    kv("set", "k", "abc")
    assert kv("cas", "k", "--update", "--", "tr", "a-z", "A-Z").returncode == 0
    assert kv("get", "k").stdout == b"ABC"


def test_buckets(kv: Run) -> None:
    """Buckets are declared, listed, counted and dropped."""
    assert kv("set", "k", "1", "-b", "users").returncode == 66
    assert kv("set", "k", "1", "-b", "users", "--create").returncode == 0
    assert kv("bucket", "list").stdout == b"default\nusers\n"
    assert json.loads(kv("bucket", "stat", "users", "--json").stdout) == {"bucket": "users", "keys": 1}
    assert kv("bucket", "drop", "users", "--yes").returncode == 0
    assert kv("get", "k", "-b", "users").returncode == 66


def test_list_goes_on_by_its_cursor(kv: Run) -> None:
    """Pages of a list follow each other by their cursors, each at most as long as asked."""
    kv("batch", input=lines(*({"op": "set", "key": f"k{at}", "value": ""} for at in range(25))))
    seen: list[str] = []
    cursor = ""
    while not seen or cursor:
        words = ["--cursor", cursor] if cursor else []
        *keys, last = [json.loads(line) for line in kv("list", "--limit", "10", "--json", *words).stdout.splitlines()]
        seen += [each["key"] for each in keys]
        cursor = last["cursor"]
        assert len(keys) <= 10
    assert sorted(seen) == sorted(f"k{at}" for at in range(25))


def test_batch_answers_each_operation(kv: Run) -> None:
    """All ten operations, in their order, whether they fly or not."""
    done = kv(
        "batch",
        input=lines(
            {"op": "set", "key": "a", "value": "1"},
            {"op": "get", "key": "a"},
            {"op": "set", "key": "a", "value": "2"},
            {"op": "get", "key": "a"},
            {"op": "incr", "key": "a", "delta": 5},
            {"op": "exists", "key": "b"},
            {"op": "set_many", "items": [{"key": "x", "value": "1"}, {"key": "y", "value": "2"}]},
            {"op": "get_many", "keys": ["y", "z"]},
            {"op": "cas", "key": "a", "expect": "7", "new": "8"},
            {"op": "delete_many", "keys": ["x", "y"]},
            {"op": "list"},
            {"op": "delete", "key": "a"},
            {"op": "get", "key": "a"},
        ),
    )
    found = [{"key": "y", "found": True, "value": "2"}, {"key": "z", "found": False}]
    told_fields = [{k: v for k, v in each.items() if k != "ok"} for each in told(done)]
    assert told_fields == [
        *({}, {"found": True, "value": "1"}, {}, {"found": True, "value": "2"}, {"value": "7"}, {"exists": False}, {}),
        *({"items": found}, {}, {}, {"keys": ["a"], "cursor": None}, {}, {"found": False}),
    ]
    assert (done.returncode, all(each["ok"] for each in told(done))) == (0, True)


def test_batch_stops_at_an_increment_that_fails(kv: Run) -> None:
    """What stands behind it is not done."""
    done = kv(
        "batch",
        input=lines(
            {"op": "set", "key": "a", "value": "text"},
            {"op": "incr", "key": "a"},
            {"op": "set", "key": "b", "value": "1"},
        ),
    )
    assert ([each["ok"] for each in told(done)], done.returncode) == ([True, False], 5)
    assert kv("get", "b").returncode == 1


def test_batch_keeps_going(kv: Run, server: Server) -> None:
    """With --keep-going what failed is told in its place, also what is of another kind."""
    server.cli("HSET", "default:h", "f", "v")
    asked = [{"op": "get", "key": "h"}, {"op": "incr", "key": "h"}, {"op": "set", "key": "b", "value": "1"}]
    done = kv("batch", "--keep-going", input=lines(*asked, {"op": "get", "key": "b", "bucket": "none"}))
    codes = [each.get("error", {}).get("code") for each in told(done)]  # type: ignore[attr-defined]
    assert (codes, done.returncode) == (["wrong-kind", "not-an-integer", None, "no-such-bucket"], 4)


def test_atomic_batch_is_all_or_nothing(kv: Run) -> None:
    """One that fails leaves nothing; one that does not sees its own writes."""
    bad = lines({"op": "set", "key": "a", "value": "x"}, {"op": "incr", "key": "a"})
    assert kv("batch", "--atomic", input=bad).returncode == 5
    assert kv("get", "a").returncode == 1
    good = lines({"op": "set", "key": "a", "value": "1"}, {"op": "incr", "key": "a"}, {"op": "get", "key": "a"})
    assert told(kv("batch", "--atomic", input=good))[-1] == {"ok": True, "found": True, "value": "2"}


def test_export_and_import(kv: Run) -> None:
    """What was exported is what is imported."""
    kv("batch", input=lines(*({"op": "set", "key": f"k{at}", "value": str(at)} for at in range(100))))
    exported = kv("export").stdout
    kv("delete", "--prefix", "k", "--yes")
    assert kv("import", "-", input=exported).returncode == 0
    assert sorted(kv("export").stdout.splitlines()) == sorted(exported.splitlines())


def test_repl_script(kv: Run) -> None:
    """Lines of the REPL work, and so do its transactions."""
    script = b"set a 1\nbegin\nset b 2\nincr a\nlist\ncommit\nget a\n"
    done = kv("repl", "-", input=script)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith(b"2\n") or done.stdout.endswith(b"2")


@pytest.mark.parametrize("words", [("backup", "f"), ("check",), ("compact",), ("list", "--reverse"), ("restore", "f")])
def test_what_does_not_work_on_a_server_says_so(kv: Run, words: tuple[str, ...], tmp_path: object) -> None:
    """It is a usage error of one line."""
    done = kv(*[f"{tmp_path}/f" if word == "f" else word for word in words])
    assert (done.returncode, done.stderr.count(b"\n")) == (2, 1)
    assert b"server" in done.stderr


def test_url_without_a_client_says_what_to_install(server: Server) -> None:
    """Where the extra is not installed, the line says how to get it, with the exit code that run has without its own."""
    program = "import sys; sys.modules['hiredis'] = None; from kvcli.__main__ import main; sys.exit(main())"
    words = [sys.executable, "-c", program, "get", "k", "-s", server.url]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, env={**os.environ})
    assert (done.returncode, b"pip install 'kvcli[redis]'" in done.stderr) == (66, True), done.stderr


def test_interrupt_ends_a_wait_at_once() -> None:
    """Ctrl-C while a server does not answer ends the command with 130."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        words = [sys.executable, "-m", "kvcli", "get", "k", "-s", f"redis://127.0.0.1:{silent.getsockname()[1]}"]
        waiting = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        with silent.accept()[0] as client:
            assert client.recv(100)
            waiting.send_signal(signal.SIGINT)
            assert (waiting.communicate(timeout=30)[0], waiting.returncode) == (b"", 130)


def test_component_runs_on_a_server(kv: Run, tmp_path: object) -> None:
    """A component counts in a bucket of a server as it does in a folder."""
    pytest.importorskip("wasmtime")
    with open(f"{tmp_path}/count.wasm", "w", encoding="utf-8") as file:
        file.write(COMPONENTS["count"])
    assert kv("run", f"{tmp_path}/count.wasm").returncode == 0
    assert kv("get", "n").stdout == b"50"


@pytest.mark.parametrize("what", [("k",), ("--prefix", "k"), ()])
def test_watch_tells_of_changes(kv: Run, server: Server, what: tuple[str, ...]) -> None:
    """What changes on a server is told as it is in a folder, by looking again and again."""
    kv("set", "k", "1")
    words = [sys.executable, "-m", "kvcli", "watch", *what, "-s", server.url]
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE) as watching:
        assert watching.stdout is not None
        answers = {}
        for number in range(200):  # It may not look yet.
            server.cli("SET", "default:k", str(number))
            if select.select([watching.stdout], [], [], 0.1)[0]:
                answers = json.loads(watching.stdout.readline())
                break
        watching.send_signal(signal.SIGINT)
    assert (answers["event"], answers["key"]) == ("set", "k")


def test_export_of_another_kind_names_the_key(kv: Run, server: Server) -> None:
    """What cannot be read is named, and nothing passes over it in silence."""
    server.cli("HSET", "default:h", "f", "v")
    done = kv("export")
    assert (done.returncode, b"'h'" in done.stderr) == (5, True)


def test_profile_names_a_server(kv: Run, kvcli: Run, server: Server, tmp_path: object) -> None:
    """A profile of the config file may name a URL."""
    kv("set", "k", "v")
    os.makedirs(f"{tmp_path}/kvcli")
    with open(f"{tmp_path}/kvcli/config.toml", "w", encoding="utf-8") as file:
        file.write(f'[profiles.far]\nstore = "{server.url}"\n')
    done = kvcli("get", "k", "-p", "far", env={"XDG_CONFIG_HOME": str(tmp_path), "KVCLI_STORE": ""})
    assert done.stdout == b"v", done.stderr
