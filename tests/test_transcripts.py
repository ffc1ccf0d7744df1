"""Transcripts: commands and what they print, played in order on a fresh store. They specify the tool, messages included.

A line that starts with `$ kvcli ` is a command, in the words of a shell, STORE for the store's path; lines below it that start with `< ` are its
stdin; what follows is its output, stdout first and then
stderr, a newline added where the last line has none, STORE for its path; `[exit N]` ends it unless N is 0.

Each is played through the command line and through the REPL, which must give the same data and the same exit codes.
"""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Iterator

import pytest

from tests.conftest import Run

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "transcripts")


def commands(name: str) -> Iterator[tuple[str, bytes, str]]:
    """Give each command of a transcript with its stdin and the output it promises."""
    with open(os.path.join(FOLDER, name), encoding="utf-8") as file:
        text = file.read()
    for part in text.split("$ kvcli ")[1:]:
        command, *lines = part.rstrip("\n").split("\n")
        given = [line.removeprefix("< ") + "\n" for line in lines if line.startswith("< ")]
        yield command, "".join(given).encode(), "\n".join(lines[len(given) :])


@pytest.mark.parametrize("name", sorted(os.listdir(FOLDER)))
def test_transcript(kvcli: Run, path: str, name: str) -> None:
    """Every command prints what the transcript says."""
    for command, given, expected in commands(name):
        words = shlex.split(command.replace("STORE", path))
        assert (command, written(kvcli(*words, input=given), path)) == (command, expected)


@pytest.mark.parametrize("name", sorted(os.listdir(FOLDER)))
def test_repl_prints_the_same(kvcli: Run, path: str, name: str, tmp_path: os.PathLike[str]) -> None:
    """Every line, given to the REPL, has the same data out and the same exit code as the command."""
    script, other = os.path.join(tmp_path, "script"), path + "-repl"
    for command, given, _ in commands(name):
        with open(script, "w", encoding="utf-8") as file:
            file.write(command.replace("STORE", other))
        plain = kvcli(*shlex.split(command.replace("STORE", path)), input=given)
        typed = kvcli("repl", script, input=given, env={"KVCLI_STORE": other})
        assert (command, typed.returncode) == (command, plain.returncode)
        assert (command, typed.stdout.replace(other.encode(), path.encode())) == (command, plain.stdout)
        assert bool(typed.stderr) >= bool(plain.stderr)


def written(ran: subprocess.CompletedProcess[bytes], path: str) -> str:
    """Write down what a command printed."""
    parts = [stream.decode().replace(path, "STORE").rstrip("\n") for stream in (ran.stdout, ran.stderr)]
    parts.append(f"[exit {ran.returncode}]" if ran.returncode else "")
    return "\n".join(part for part in parts if part)
