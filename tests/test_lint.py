"""The linters are content: ruff's rules and format, mypy's strict types."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


@pytest.mark.parametrize("words", [("ruff", "check"), ("ruff", "format", "--check"), ("mypy",)], ids=" ".join)
def test_linter_is_content(words: tuple[str, ...]) -> None:
    """No finding in the whole tree."""
    ran = subprocess.run([sys.executable, "-m", *words], cwd=ROOT, capture_output=True, check=False, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr
