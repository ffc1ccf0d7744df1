"""The campaigns of tests/crash, small: they find nothing, and they find what is broken on purpose."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.crash import CAMPAIGNS
from tests.crash.__main__ import run
from tests.crash.mutants import TESTS
from tests.crash.report import Report
from tests.processes import ROOT

SEED = 7


@pytest.mark.parametrize("name", CAMPAIGNS)
def test_campaign_finds_nothing(name: str) -> None:
    """What is promised holds in a small run; `python -m tests.crash NAME` is the large one."""
    report = run(name, SEED, CAMPAIGNS[name].small)
    assert report.problems == []
    assert not report.failed()


@pytest.mark.parametrize("name", CAMPAIGNS)
def test_campaign_finds_what_is_planted(name: str) -> None:
    """It can see: something that is broken on purpose is found."""
    assert run(name, SEED, CAMPAIGNS[name].plant, plant=True).problems


def test_every_module_that_keeps_data_has_mutants() -> None:
    """None is left out of the campaign because it is new."""
    engine = {str(path.relative_to(ROOT)) for path in Path(ROOT, "kvcli/engine").rglob("*.py")}
    assert set(TESTS) == engine | {f"kvcli/{name}.py" for name in ("atomics", "batch", "cache", "store")}


def test_campaign_that_looked_at_nothing_has_failed() -> None:
    """No work done is no success, and the verdict says so."""
    report = Report()
    assert report.failed()
    assert report.lines("x")[-1] == "x: 0 passed, 1 failed"


def test_campaigns_are_run_by_name() -> None:
    """The command prints the seed, the counts and a verdict, and its exit code is that."""
    for plant, code in (["--plant"], 1), ([], 0):
        words = [sys.executable, "-m", "tests.crash", "kill", "--rounds", "2", "--seed", "3", *plant]
        ran = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=120)
        first, *_, last = ran.stdout.splitlines()
        assert (ran.returncode, first.startswith("kill: seed 3, 2 rounds, ")) == (code, True)
        assert last.endswith(" 0 failed") != bool(plant)
