"""Longer stories of hang: a REPL that idles while others write, stores that vanish, and the server behind `kv`."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable

from kvcli.store import Store
from tests.crash.command import KVCLI, end_group
from tests.processes import ROOT, run
from tests.shells import words
from tests.terminal import CTRL_C, Terminal

CHURN = """
import sys, kvcli
with kvcli.Store(sys.argv[1], lock_timeout=60, durability="fast") as store:
    bucket = store.open("default")
    for number in range(1500):
        bucket.set(f"k{number % 40}", bytes(5000))
"""


def idle(home: str, env: dict[str, str], chance: random.Random, slower: float) -> str:
    """A REPL, and a watch, that have read and then idle keep no old pages alive: the file at most doubles."""
    del slower
    store = env["KVCLI_STORE"]
    run(CHURN, store)
    before = os.path.getsize(os.path.join(store, "data.mdb"))
    kinds = [["repl"], ["watch", "--prefix", "absent"]]
    sitters = [Terminal(*KVCLI, *each, env={**env, "HOME": home}) for each in chance.sample(kinds, 2)]
    time.sleep(0.7)
    for sitter in sitters:
        sitter.press("get k1\n")
    time.sleep(0.5)
    run(CHURN, store)
    after = os.path.getsize(os.path.join(store, "data.mdb"))
    for sitter in sitters:
        sitter.close()
    return "" if after <= 2 * before else f"the file grew from {before:,} to {after:,} bytes"


def vanishing(home: str, env: dict[str, str], chance: random.Random, slower: float) -> str:
    """A batch, or a watch, whose store vanishes, goes on with another one or says so; it neither hangs nor acknowledges."""
    store = env["KVCLI_STORE"]
    with Store(store) as opened:
        opened.open("default").set("k", b"1")
    child = subprocess.Popen(
        [*KVCLI, "batch"],
        env=env,
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write(b'{"op":"set","key":"a","value":"1"}\n')
    child.stdin.flush()
    first = child.stdout.readline()
    if chance.random() < 0.5:
        shutil.rmtree(store)
    else:
        os.rename(store, os.path.join(home, "elsewhere"))
    try:
        out, _ = child.communicate(b'{"op":"set","key":"b","value":"1"}\n', timeout=5 * slower)
    except subprocess.TimeoutExpired:
        return "it hangs"
    finally:
        end_group(child)
    if b'"ok":true' not in first:
        return f"the first line was answered by {first!r}"
    return "" if child.returncode == 74 and b'"ok":true' not in out else f"code {child.returncode}, {out!r}"


def prompt(home: str, env: dict[str, str], chance: random.Random, slower: float) -> str:
    """Ctrl-C in a REPL that waits for the lock gives the prompt back, which answers."""
    from tests.crash.hang_waits import locked

    del chance
    with Store(env["KVCLI_STORE"]) as opened:
        opened.open("default").set("k", b"1")
    terminal = Terminal(*KVCLI, "--lock-timeout", "60", "repl", env={**env, "HOME": home})
    try:
        terminal.until(">")
        with locked(home, env):
            terminal.press("set k 2\n")
            time.sleep(0.7 * slower)
            begun = time.monotonic()
            terminal.press(CTRL_C)
            terminal.press("get k --json\n")
            terminal.until('"value":"1"')
            took = time.monotonic() - begun
    except AssertionError as error:
        return f"no prompt: {str(error)[-300:]}"
    finally:
        terminal.close()
    return "" if took < (1 + 0.5) * slower else f"the prompt came after {took:.1f} s"


def shell(home: str, env: dict[str, str], chance: random.Random, slower: float) -> str:
    """Ctrl-C while `kv` waits for the lock ends the script."""
    from tests.crash.hang_waits import locked

    with Store(env["KVCLI_STORE"]) as opened:
        opened.open("default").set("k", b"1")
    command = words("bash", "kv get k; echo; kv set k 2 --lock-timeout 60; echo ended")
    child = subprocess.Popen(
        command,
        env={**env, "TMPDIR": home, "LC_ALL": "C.UTF-8"},
        cwd=home,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    assert child.stdout is not None
    with locked(home, env):
        child.stdout.readline()
        time.sleep((0.3 + chance.random() / 3) * slower)
        begun = time.monotonic()
        os.killpg(child.pid, signal.SIGINT)
        try:
            child.communicate(timeout=5 * slower)
        except subprocess.TimeoutExpired:
            return "it hangs"
        finally:
            took = time.monotonic() - begun
            end_group(child)
    return "" if took < 1.0 * slower else f"it ended after {took:.1f} s"


def history(home: str, env: dict[str, str], chance: random.Random, slower: float) -> str:
    """A REPL whose history is a FIFO, a folder or a device does without one."""
    del slower
    with Store(env["KVCLI_STORE"]) as opened:
        opened.open("default").set("k", b"there")
    folder = os.path.join(home, ".local", "state", "kvcli")
    os.makedirs(folder)
    file = os.path.join(folder, "history")
    chance.choice([os.mkfifo, os.mkdir, lambda path: os.symlink("/dev/full", path)])(file)
    terminal = Terminal(*KVCLI, "repl", env={**env, "HOME": home})
    try:
        terminal.until(">")
        terminal.press("get k --json\n")
        terminal.until('"value":"there"')
    except AssertionError as error:
        return f"no answer: {str(error)[-300:]}"
    finally:
        terminal.close()
    return ""


LONG: dict[str, Callable[[str, dict[str, str], random.Random, float], str]] = {
    "idle REPL and watch": idle,
    "store that vanishes": vanishing,
    "prompt of the REPL": prompt,
    "kv": shell,
    "history that is no file": history,
}
