"""Real shells for tests: bash and zsh with the function `kv`, and the processes that answer it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from tests.processes import ROOT

SECONDS = 60
PROGRAM = f'PYTHONPATH={ROOT} "{sys.executable}" -m kvcli'
SHELLS = [
    pytest.param(name, marks=pytest.mark.skipif(shutil.which(name) is None, reason=f"needs {name} (Debian: {name})"))
    for name in ("bash", "zsh")
]
FLAGS = {"bash": ("--norc", "--noprofile"), "zsh": ("-f",)}


def words(shell: str, script: str) -> list[str]:
    """Give the command that runs a script in a shell that has `kv`; `real` is kvcli itself, in a process of its own."""
    first = f'real() {{ {PROGRAM} "$@"; }}\neval "$(real shell-init {shell})"\n'
    return [shell, *FLAGS[shell], "-c", first + script]


def run(shell: str, script: str, folder: str, **variables: str) -> subprocess.CompletedProcess[bytes]:
    """Run a script; the store is `store` in the folder, where also the server has its own."""
    return subprocess.run(
        words(shell, script), env=environment(folder, **variables), cwd=folder, capture_output=True, timeout=SECONDS
    )


def start(shell: str, script: str, folder: str, **variables: str) -> subprocess.Popen[bytes]:
    """Start a script with its streams piped."""
    pipe = subprocess.PIPE
    surroundings = environment(folder, **variables)
    return subprocess.Popen(words(shell, script), env=surroundings, cwd=folder, stdin=pipe, stdout=pipe, stderr=pipe)


def environment(folder: str, **variables: str) -> dict[str, str]:
    """Give the variables of a shell in a folder of its own."""
    store = os.path.join(folder, "store")
    return {**os.environ, "KVCLI_STORE": store, "TMPDIR": folder, "LC_ALL": "C.UTF-8", **variables}


def servers(folder: str) -> list[int]:
    """Give the processes that answer `kv` in a folder, as one says by the lock it holds."""
    found = []
    for process in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{process}/cmdline", "rb") as file:
                line = file.read()
        except OSError:
            continue
        if b"kvcli.shell.start" in line and os.fsencode(folder) + b"/kvcli-" in line:
            found.append(int(process))
    return found


def until(holds: Callable[[], bool], what: str) -> None:
    """Wait for something that is bound to come."""
    end = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < end, what
        time.sleep(0.02)


def until_over(folder: str) -> None:
    """Wait until no server is there any more, nor its folder."""
    until(lambda: not servers(folder) and not left(folder), f"a server of {folder} stays")


def left(folder: str) -> list[str]:
    """Give the folders of servers."""
    return [name for name in os.listdir(folder) if name.startswith("kvcli-")]
