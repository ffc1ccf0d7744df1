"""Transcripts: commands and what they print, played in order on a fresh store. They specify the tool, messages included.

A line that starts with `$ kvcli ` is a command, in the words of a shell; lines below it that start with `< ` are its
stdin; what follows is its output, stdout first and then
stderr, a newline added where the last line has none, STORE for its path; `[exit N]` ends it unless N is 0.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator

import pytest

from tests.conftest import Run

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "transcripts")


def commands(text: str) -> Iterator[tuple[list[str], bytes, str]]:
    """Give each command with its stdin and the output it promises."""
    for part in text.split("$ kvcli ")[1:]:
        command, *lines = part.rstrip("\n").split("\n")
        given = [line.removeprefix("< ") + "\n" for line in lines if line.startswith("< ")]
        yield shlex.split(command), "".join(given).encode(), "\n".join(lines[len(given) :])


@pytest.mark.parametrize("name", sorted(os.listdir(FOLDER)))
def test_transcript(kvcli: Run, path: str, name: str) -> None:
    """Every command prints what the transcript says."""
    with open(os.path.join(FOLDER, name), encoding="utf-8") as file:
        text = file.read()
    for words, given, expected in commands(text):
        assert (words, play(kvcli, path, words, given)) == (words, expected)


def play(kvcli: Run, path: str, words: list[str], given: bytes) -> str:
    """Run one command and write down what it prints."""
    ran = kvcli(*words, input=given)
    parts = [stream.decode().replace(path, "STORE").rstrip("\n") for stream in (ran.stdout, ran.stderr)]
    parts.append(f"[exit {ran.returncode}]" if ran.returncode else "")
    return "\n".join(part for part in parts if part)
