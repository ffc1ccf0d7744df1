"""The examples of every command's help work: each is run as it stands, in a real bash, in a folder with what it needs.

An example of a new command is run too. What it needs besides KEYS, FILES and PROGRAMS stands in BEFORE.
"""

from __future__ import annotations

import os
import pty
import re
import shutil
import signal
from subprocess import PIPE, Popen
from threading import Thread

import pytest

from kvcli.cli.declared import commands
from kvcli.repl.tree import tree
from kvcli.store import Store
from tests.conftest import make_foreign
from tests.declared import COMMANDS
from tests.wasm.commands import COMMANDS as COMPONENTS

KEYS = {
    "greeting": b"hello",
    "photo": bytes(range(256)),
    "color": b"blue",
    "doc": b'{"visits":1}',
    "note": b"1",
    "visits": b"1",
    "stock": b"10",
    "a": b"",
    "b": b"",
    "c": b"",
    "config": b"{}",
    "session:1": b"",
    "-v": b"",
    "user:1": b"ann",
    "user:2": b"bob",
}
RECORDS = b'{"id":"7","name":"ann"}\n{"id":"8","name":"bob"}\n'
FILES = {
    "photo.jpg": KEYS["photo"],
    "new.json": b'{"visits":2}',
    "users.ndjson": RECORDS,
    "backup.ndjson": b'{"op":"set","key":"saved","value":"1"}\n',
    "changes.ndjson": b'{"op":"set","key":"x","value":"1"}\n{"op":"incr","key":"x"}\n',
    "prices.csv": b"article,price\r\npear,3\r\n",
    "Cargo.lock": b"",
    "script": b"set from script\nget from\n",
    "setup.kv": b"set from setup\nget from\n",
    "app.wasm": COMPONENTS["count"].encode(),
}
# Programs that would ask the network, or a person, or are not everywhere.
PROGRAMS = {
    "curl": "echo sunny",
    "gh": 'echo "{}"',
    "git": "echo a1b2c3 First",
    "cargo": 'echo "{}"',
    "reload": "echo reloaded",
    "code": '[ "$1" = --wait ] && echo "{1}" > "$2"',
    "editor": 'echo edited > "$1"',
}
PACKAGES = {"jq": "jq", "mdb_load": "lmdb-utils", "mdb_dump": "lmdb-utils"}
MANY = 'seq 100 300 | sed \'s/.*/{"op":"set","key":"k&","value":""}/\' | kvcli batch --results none'
BACKUP = "kvcli backup notes.mdb"
CONFIG = "mkdir -p ~/.config/kvcli; printf '[profiles.work]\\nstore = \"work\"\\n' > ~/.config/kvcli/config.toml"
NOTES = "kvcli set from notes -s notes"
SPIN = "mkdir .spin; kvcli set visits 1 -s other; kvcli copy other spin:.spin/sqlite_key_value.db --counter visits"
CACHED = "kvcli cache set weather sunny"
BEFORE = {
    'kvcli list --limit 100 --cursor "$(cat cursor)"': f"{MANY}; kvcli list --limit 100 2> cursor",
    'kvcli cas doc @new.json --token "$token"': "token=$(kvcli get doc --token 2>&1 >/dev/null)",
    "kvcli exists lock && echo locked": "kvcli set lock 1",
    "kvcli exists --json lock": "kvcli set lock 1",
    "kvcli cache exists weather && echo cached": CACHED,
    "kvcli copy notes notes-copy": NOTES,
    "kvcli copy spin:.spin/sqlite_key_value.db notes --counter visits": SPIN,
    "kvcli copy notes spin:exported.db --bucket default --bucket users=people": f"{NOTES}; kvcli bucket create users -s notes",
    "kvcli list --store notes.mdb": BACKUP,
    "kvcli restore notes.mdb --yes": BACKUP,
    "kvcli restore notes.mdb --store copy": BACKUP,
    "kvcli check --store notes.mdb": BACKUP,
    "kvcli config show --profile work": CONFIG,
    "kvcli completion fish > ~/.config/fish/completions/kvcli.fish": "mkdir -p ~/.config/fish/completions",
    **dict.fromkeys(
        ("kv set greeting hello", "kv -v text get greeting", "for n in 1 2 3; do kv incr visits; done"),
        'eval "$(kvcli shell-init bash)"',
    ),
    "kvcli export --format dump | mdb_load -s default folder": "rm -r folder; mkdir folder",
}
# What a person types, for those that need one.
TYPED = {"kvcli": "exit\n", "kvcli bucket drop users": "y\n"}
PIPED = {"kvcli repl": "get greeting\n", "kvcli repl --bucket users --read-only": "list\n"}
ENDLESS = {"watch": "kvcli set user:1 $RANDOM; kvcli set config $RANDOM"}  # And what makes them print.
# Lines of the REPL that stand before others, and behind.
INSIDE, AFTER = {"commit": "begin\n", "rollback": "begin\n"}, {"begin": "commit\n"}
OWN = [(each.name, line) for each in commands(tree().own) for line in each.examples if each.name]
EXAMPLES = [(name, line) for name, each in COMMANDS.items() for line in each.examples]


@pytest.fixture
def world(shell_environment: dict[str, str]) -> dict[str, str]:
    """The folder of `shell_environment` with keys, files and programs in it, and an editor that is not interactive."""
    folder = shell_environment["PWD"]
    with Store(shell_environment["KVCLI_STORE"]) as store:
        store.create("users")
        for key, value in KEYS.items():
            store.open("default").set(key, value)
    for name, content in FILES.items():
        with open(os.path.join(folder, name), "wb") as file:
            file.write(content)
    for name, line in PROGRAMS.items():
        with open(os.path.join(folder, name), "w", encoding="utf-8", opener=_executable) as file:
            file.write(f"#!/bin/sh\n{line}\n")
    make_foreign(os.path.join(folder, "folder"), default={b"other": b"1"})
    return {
        **{name: text for name, text in shell_environment.items() if name != "VISUAL"},
        "EDITOR": "editor",
        "TERM": "dumb",
    }


def _executable(path: str, flags: int) -> int:
    return os.open(path, flags, 0o755)


def bash(world: dict[str, str], line: str, **streams: object) -> Popen[bytes]:
    """Start bash with a line, as a session of its own, so that Ctrl-C can be sent to all of it."""
    streams = {"stdin": PIPE, "stdout": PIPE, "stderr": PIPE, **streams}
    return Popen(["bash", "-c", line], env=world, cwd=world["PWD"], start_new_session=True, **streams)  # type: ignore[call-overload, no-any-return]


def lacking(line: str) -> list[str]:
    """Give the packages of programs that a line needs and that are not installed."""
    return [PACKAGES[each] for each in PACKAGES if each in re.split(r"\W+", line) and not shutil.which(each)]


def of(*, typed: bool = False, endless: bool = False) -> list[tuple[str, str]]:
    """Give the examples of one sort."""
    return [each for each in EXAMPLES if ((each[1] in TYPED), (each[0] in ENDLESS)) == (typed, endless)]


@pytest.mark.parametrize(("name", "line"), of())
def test_example(world: dict[str, str], name: str, line: str) -> None:
    """An example ends well."""
    if name == "run":
        pytest.importorskip("wasmtime", reason="the extra wasm is not installed: pip install 'kvcli[wasm]'")
    if lacking(line):
        pytest.skip(f"Debian's package {lacking(line)[0]} is not installed")
    child = bash(world, f"{BEFORE.get(line, ':')}\nset -o pipefail\n{line}")
    out, err = child.communicate(PIPED.get(line, "").encode(), timeout=60)
    assert child.returncode == 0, (name, out, err)


@pytest.mark.parametrize(("name", "line"), of(typed=True))
def test_example_with_a_person(world: dict[str, str], name: str, line: str) -> None:
    """An example that asks, or is a conversation, ends well once somebody has typed what it waits for."""
    master, slave = pty.openpty()
    child = bash(world, line, stdin=slave, stdout=slave, stderr=slave)
    os.write(master, TYPED[line].encode())
    assert child.wait(timeout=60) == 0, name
    os.close(slave)
    os.close(master)


@pytest.mark.parametrize(("name", "line"), of(endless=True))
def test_example_without_an_end(world: dict[str, str], name: str, line: str) -> None:
    """An example that only Ctrl-C ends prints what it is there for, and is interrupted."""
    child = bash(world, line)
    watcher = Thread(target=child.stdout.readline)  # type: ignore[union-attr]
    watcher.start()
    for _ in range(100):
        bash(world, ENDLESS[name]).communicate(timeout=60)
        watcher.join(timeout=0.2)
        if not watcher.is_alive():
            break
    os.killpg(child.pid, signal.SIGINT)
    _, err = child.communicate(timeout=60)
    assert (watcher.is_alive(), child.returncode, err) == (False, 130, b"")


@pytest.mark.parametrize(("name", "line"), OWN)
def test_example_of_the_repl(world: dict[str, str], name: str, line: str) -> None:
    """An example of a command that only the REPL has works there."""
    child = bash(world, "kvcli repl")
    out, err = child.communicate(f"{INSIDE.get(name, '')}{line}\n{AFTER.get(name, '')}".encode(), timeout=60)
    assert line.split(maxsplit=1)[0] == name
    assert child.returncode == 0, (out, err)


@pytest.mark.parametrize("name", sorted({name for name, _ in EXAMPLES}))
def test_examples_are_of_their_command(name: str) -> None:
    """Every example is one of kvcli, and the first one is of the command that it stands with."""
    lines = COMMANDS[name].examples
    assert f"kvcli {name}".rstrip() in lines[0]
    assert [line for line in lines if not re.search(r"\bkv(cli)?\b", line)] == []


def test_tables_name_examples() -> None:
    """What is prepared for an example that is gone is gone as well."""
    lines = {line for _, line in EXAMPLES}
    assert sorted({*BEFORE, *TYPED, *PIPED} - lines) == []
    assert sorted({*INSIDE, *AFTER} - {name for name, _ in OWN}) == []
