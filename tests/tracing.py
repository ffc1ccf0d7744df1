"""Processes under strace, which knows what they ask of the kernel, and can fail it. Skips where none may trace."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import pytest

from tests.processes import ROOT

STRACE = shutil.which("strace")
LINE = re.compile(r"(\d+) +(?:<\.\.\. \w+ resumed>)?(.*)")
CALL = re.compile(r"(\w+)\((.*)")
UNFINISHED = "<unfinished ...>"


class Call(NamedTuple):
    """What strace wrote of one call: who asked for what, the rest, and in which line it began and ended."""

    process: int
    name: str
    rest: str
    began: int
    ended: int

    @property
    def is_injected(self) -> bool:
        """Tell whether strace answered it, and not the kernel."""
        return self.rest.endswith("(INJECTED)")


class Traced(NamedTuple):
    """How a process ended, what it said, and its calls in the order they ended."""

    code: int
    out: bytes
    err: bytes
    calls: list[Call]


def traced(
    options: list[str], words: list[str], *, stdin: bytes = b"", variables: dict[str, str] | None = None
) -> Traced:
    """Run a program and all it starts under strace, to its end."""
    if STRACE is None:
        pytest.skip("strace is not installed")
    with tempfile.NamedTemporaryFile("r", encoding="utf-8", errors="replace") as log:
        strace = [STRACE, "-f", "-qq", "-y", "--seccomp-bpf", "-o", log.name, *options]
        ran = subprocess.run(
            [*strace, *words],
            cwd=ROOT,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **(variables or {})},
            input=stdin,
            capture_output=True,
            timeout=120,
        )
        if b"ptrace" in ran.stderr:
            pytest.skip("strace may not trace here")
        return Traced(ran.returncode, ran.stdout, ran.stderr, list(calls(log)))


def calls(log: Iterable[str]) -> Iterator[Call]:
    """Read what strace wrote; it tells of a call in two lines where another thread came between."""
    begun: dict[str, tuple[int, str]] = {}
    for place, line in enumerate(log):
        match = LINE.match(line.rstrip("\n"))
        if match is None:
            continue
        began, text = begun.pop(match[1], (place, ""))
        text += match[2]
        if text.endswith(UNFINISHED):
            begun[match[1]] = began, text.removesuffix(UNFINISHED).rstrip()
        elif call := CALL.match(text):
            yield Call(int(match[1]), call[1], call[2], began, place)


def failing(call: str, error: str, when: str, *words: str) -> Traced:
    """Run Python under a tracer that fails the calls of one kind that `when` counts, in each thread."""
    return traced(injection(call, f"error={error}", when), [sys.executable, *words])


def injection(call: str, answer: str, when: str) -> list[str]:
    """Give the options of strace that answer some of the calls of one kind, as if the kernel had."""
    return ["-e", f"trace={call}", "-e", f"inject={call}:{answer}:when={when}"]
