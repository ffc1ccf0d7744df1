"""Processes under strace, which knows what they ask of the kernel, and can fail it. Skips where none may trace."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from typing import NamedTuple

import pytest

from tests.processes import ROOT

STRACE = shutil.which("strace")
CALL = re.compile(r"(\d+) +(\w+)\((.*)")


class Call(NamedTuple):
    """One line of what strace wrote: who asked for what, and the rest of it."""

    process: int
    name: str
    rest: str

    @property
    def is_injected(self) -> bool:
        """Tell whether strace answered it, and not the kernel."""
        return self.rest.endswith("(INJECTED)")


class Traced(NamedTuple):
    """How a process ended, what it said, and its calls in the order they began."""

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
        found = [CALL.match(line.rstrip("\n")) for line in log]
    calls = [Call(int(match[1]), match[2], match[3]) for match in found if match]
    return Traced(ran.returncode, ran.stdout, ran.stderr, calls)


def failing(call: str, error: str, when: str, *words: str) -> Traced:
    """Run Python under a tracer that fails the calls of one kind that `when` counts, in each thread."""
    return traced(injection(call, f"error={error}", when), [sys.executable, *words])


def injection(call: str, answer: str, when: str) -> list[str]:
    """Give the options of strace that answer some of the calls of one kind, as if the kernel had."""
    return ["-e", f"trace={call}", "-e", f"inject={call}:{answer}:when={when}"]
