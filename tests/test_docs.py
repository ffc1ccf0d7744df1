"""The README is true: its commands are run, its outputs compared, its tables read."""

from __future__ import annotations

import doctest
import os
import re
import subprocess

import pytest

from kvcli.errors import EXIT_CODES
from tests.console import played, transcript
from tests.crash import CAMPAIGNS
from tests.processes import ROOT
from tests.terminal import repl


def readme() -> str:
    """Read the README."""
    with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as file:
        return file.read()


def block(name: str) -> str:
    """Give the code block that stands after a comment of this name."""
    found = re.search(rf"<!-- {name} -->\n```\w+\n(.*?)```", readme(), re.DOTALL)
    assert found
    return found[1]


def test_tour_is_what_happens(shell_environment: dict[str, str]) -> None:
    """Every command of the tour, run in order in one shell, prints what the README shows."""
    blocks = transcript("".join(re.findall(r"```console\n(.*?)```", readme(), re.DOTALL)))
    assert played(blocks, shell_environment) == blocks


def test_every_campaign_is_told_of() -> None:
    """The table of campaigns has a row for each, and for nothing else."""
    rows = re.search(r"<!-- campaigns -->\n(.*?)\n\n", readme(), re.DOTALL)
    assert rows
    assert set(re.findall(r"^\| `([a-z-]+)` \|", rows[1], re.MULTILINE)) == set(CAMPAIGNS)


def test_session_is_what_is_seen(path: str, tmp_path: os.PathLike[str]) -> None:
    """The session of the README, typed on a terminal, shows what stands there."""
    environment = {"NO_COLOR": "1", "PYTHONPATH": ROOT, "HOME": str(tmp_path)}
    with repl(path, columns=59, rows=60, cwd=str(tmp_path), **environment) as terminal:
        for part in re.split(r"^(?=default)", block("repl"), flags=re.MULTILINE)[1:]:
            prompt, _, rest = part.partition("> ")
            typed, _, answer = rest.partition("\n")
            terminal.until(prompt + ">")
            terminal.enter(typed)
            terminal.until(f"{typed}\n{answer.rstrip()}".rstrip())


def test_main_job_prints_what_is_shown(shell_environment: dict[str, str]) -> None:
    """What the first command does after installing prints what stands below it."""
    job = block("main job").partition("&&\n")[2]
    ran = subprocess.run(["bash", "-c", job], env=shell_environment, stdout=subprocess.PIPE, check=True, text=True)
    assert ran.stdout == block("its output")


def test_library_example_is_true(monkeypatch: pytest.MonkeyPatch, tmp_path: os.PathLike[str]) -> None:
    """The Python session of the README gives what it shows."""
    monkeypatch.setenv("KVCLI_STORE", os.path.join(tmp_path, "store"))
    session = "".join(re.findall(r"```pycon\n(.*?)```", readme(), re.DOTALL))
    runner = doctest.DocTestRunner()
    runner.run(doctest.DocTestParser().get_doctest(session, {}, "README", None, None))
    assert runner.failures == 0
    assert runner.tries > 0


def test_exit_codes_are_those_of_the_code() -> None:
    """The README's table of exit codes is the table of the code."""
    rows = re.findall(r"^\| (\d+) \| (.*) \|$", readme().partition("<!-- exit codes -->")[2], re.MULTILINE)
    assert {int(code): meaning for code, meaning in rows} == EXIT_CODES


def test_ci_runs_the_readme_test_command() -> None:
    """CI takes the command from the README, so that it cannot drift from it."""
    with open(os.path.join(ROOT, ".ci", "run"), encoding="utf-8") as file:
        assert "<!-- tests -->" in file.read()
    assert "pytest" in block("tests")
