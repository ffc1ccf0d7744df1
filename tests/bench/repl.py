"""The REPL: time to its prompt against those of others, completion among a million keys, memory over ten thousand commands."""

from __future__ import annotations

import asyncio
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator

from prompt_toolkit import PromptSession
from prompt_toolkit.application import create_app_session
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.completion import Completer, WordCompleter
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput

from kvcli.repl.completer import KeyCompleter
from kvcli.repl.session import Session
from kvcli.repl.tree import tree
from kvcli.store import Store
from tests.terminal import Terminal

ROUNDS = 9
KEYS = 1_000_000
COMMANDS = 10_000
TYPED = ("u", "us", "user:", "user:1", "user:12", "user:1234", "user:9999", "group/7", "group/77/", "g")
WAIT_SECONDS = 5.0
PORT = "7391"


def run() -> Iterator[str]:
    """Give the lines of all three."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "store")
        fill(path)
        yield from prompts(path, folder)
        yield from completions(path)
        yield from memory(path)


def fill(path: str) -> None:
    """Make a store of a million keys."""
    with Store(path) as store:
        pairs = [(b"user:%d" % number, b"v") for number in range(KEYS // 2)]
        pairs += [(b"group/%d/%d" % (number % 1000, number), b"v") for number in range(KEYS // 2)]
        store.write(lambda update: update.put_many(b"default", pairs, lambda _: None))


def prompts(path: str, folder: str) -> Iterator[str]:
    """Time each program until its prompt stands on a real terminal, in turn; the floor is the import of prompt_toolkit."""
    redis = start_redis(folder)
    programs = {
        "kvcli": ([sys.executable, "-m", "kvcli", "-s", path], "default>"),
        "sqlite3": (["sqlite3"], "sqlite>"),
        "redis-cli": (["redis-cli", "-p", PORT], f":{PORT}>"),
        "iredis": (["iredis", "-p", PORT], f":{PORT}>"),
        "litecli": (["litecli", os.path.join(folder, "lite.db")], "lite.db>"),
    }
    found = {name: program for name, program in programs.items() if shutil.which(program[0][0])}
    times: dict[str, list[float]] = {name: [] for name in ["floor", *found]}
    for _ in range(ROUNDS):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", "import prompt_toolkit"], check=True)
        times["floor"].append(time.perf_counter() - start)
        for name, (words, mark) in found.items():
            times[name].append(until_prompt(words, mark, folder))
    if redis is not None:
        redis.kill()
        redis.wait()
    floor = statistics.median(times.pop("floor"))
    yield f"floor      python -c 'import prompt_toolkit'   {floor * 1000:6.1f} ms"
    for name, taken in times.items():
        median = statistics.median(taken)
        bound = "(at most 250 ms, or 1.6 x)" if name == "kvcli" else ""
        yield f"prompt     {name:10} {median / floor:5.2f} x the floor       {median * 1000:6.1f} ms {bound}"
    yield from (f"prompt     {name:10} is not installed here" for name in programs if name not in found)


def start_redis(folder: str) -> subprocess.Popen[bytes] | None:
    """Start a server for the clients to talk to, where there is one."""
    if not shutil.which("redis-server"):
        return None
    server = subprocess.Popen(
        ["redis-server", "--port", PORT, "--dir", folder, "--save", ""], stdout=subprocess.DEVNULL
    )
    time.sleep(0.5)
    return server


def until_prompt(words: list[str], mark: str, home: str) -> float:
    """Time one start until its prompt is drawn."""
    start = time.perf_counter()
    terminal = Terminal(*words, env={"HOME": home})
    try:
        while mark not in terminal.text() and time.perf_counter() - start < WAIT_SECONDS:
            terminal.read(0.001)
        return time.perf_counter() - start
    finally:
        terminal.close()


def completions(path: str) -> Iterator[str]:
    """Time the last key of a word until the menu is there, in a prompt of the same process; and in one of ten fixed words."""
    session = Session({"store": path})
    tree()
    ours = [asyncio.run(until_menu(KeyCompleter(session), "get ", word)) for word in TYPED * 5]
    words = WordCompleter([f"{word}{end}" for word in TYPED for end in "abc"], sentence=False, WORD=True)
    floor = [asyncio.run(until_menu(words, "get ", word)) for word in TYPED * 5]
    session.close()
    ratio = statistics.median(ours) / statistics.median(floor)
    yield (
        f"complete   among {KEYS:,} keys: median {statistics.median(ours) * 1000:.1f} ms, worst {max(ours) * 1000:.1f} ms "
        f"(at most 10); {ratio:.2f} x a list of {3 * len(TYPED)} words"
    )


async def until_menu(completer: Completer, before: str, word: str) -> float:
    """Type, and wait for the menu of what was typed last."""
    with create_pipe_input() as pipe, create_app_session(input=pipe, output=DummyOutput()):
        prompt: PromptSession[str] = PromptSession(
            completer=completer, complete_while_typing=True, complete_in_thread=True
        )
        running = asyncio.ensure_future(prompt.prompt_async())
        pipe.send_text(before + word[:-1])
        await asyncio.sleep(0.1)
        buffer = prompt.default_buffer
        buffer.cancel_completion()
        start = time.perf_counter()
        pipe.send_text(word[-1])
        end = start + WAIT_SECONDS
        while not is_shown(buffer, before + word) and time.perf_counter() < end:  # noqa: ASYNC110 - it has no event
            await asyncio.sleep(0)
        taken = time.perf_counter() - start
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    return taken


def is_shown(buffer: Buffer, text: str) -> bool:
    """Tell whether a text was read and its menu is there."""
    return buffer.text == text and buffer.complete_state is not None


def memory(path: str) -> Iterator[str]:
    """Compare the memory of a REPL after a thousand commands with that after ten thousand."""
    terminal = Terminal(sys.executable, "-m", "kvcli", "-s", path, env={"TERM": "xterm", "HOME": os.path.dirname(path)})
    sizes = []
    for number in range(1, COMMANDS + 1):
        terminal.ready()
        terminal.press(("incr n", "get user:7", "list --limit 3", "exists nothing")[number % 4] + "\r")
        while not terminal.read(WAIT_SECONDS):
            pass
        if number in {COMMANDS // 10, COMMANDS}:
            sizes.append(resident(terminal.child.pid))
    terminal.close()
    yield f"memory     {sizes[0]:.1f} MB after {COMMANDS // 10:,} commands, {sizes[1]:.1f} MB after {COMMANDS:,}"


def resident(pid: int) -> float:
    """Give the memory of a process that is its own, in megabytes: not the pages of the store that it has mapped."""
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) / 1024 for line in file if line.startswith("RssAnon"))
