"""kvcli help: everything that is declared can be found in it, and what the topics say is true."""

from __future__ import annotations

import json
import os
import re

import pytest
from msgspec.structs import fields

from kvcli.cli.surroundings import VARIABLES
from kvcli.cli.topics import BATCH, COLUMNS, ENVIRONMENT, TEXTS, TOKENS, TOPICS
from kvcli.engine.revisions import STRIPES
from kvcli.errors import EXIT_CODES
from kvcli.operations import LIST_KEYS, LIST_KEYS_MAX, TAGS
from kvcli.operations.lines import ELEMENT_BYTES_MAX, LINE_BYTES_MAX
from kvcli.repl.tree import TOPICS as OWN
from tests.conftest import Run
from tests.console import played, transcript
from tests.declared import COMMANDS
from tests.processes import ROOT

LIBRARIES = {"HOME", "TMPDIR"}  # Read by Python's own, for ~ and for files that do not last.


def sources() -> str:
    """Read all modules but the one that tells of the variables."""
    found = []
    for folder, _, names in os.walk(os.path.join(ROOT, "kvcli")):
        for name in [name for name in names if name.endswith(".py") and name != "surroundings.py"]:
            with open(os.path.join(folder, name), encoding="utf-8") as file:
                found.append(file.read())
    return "\n".join(found)


@pytest.mark.parametrize("name", sorted(COMMANDS.keys() - {""}))
def test_help_of_a_command(kvcli: Run, name: str) -> None:
    """It is what the command itself prints for --help; where a topic has the same name, that follows."""
    helped, asked = kvcli("help", *name.split()), kvcli(*name.split(), "--help")
    topic = "\n" + TOPICS[name][1] if name in TOPICS else ""
    assert (helped.returncode, helped.stdout.decode()) == (0, asked.stdout.decode() + topic)


@pytest.mark.parametrize("name", sorted(TOPICS.keys() - COMMANDS.keys()))
def test_help_of_a_topic(kvcli: Run, name: str) -> None:
    """It is the text, laid out for 80 columns; the REPL prints the same."""
    ran = kvcli("help", name)
    assert (ran.returncode, ran.stdout.decode()) == (0, TOPICS[name][1])
    assert kvcli("repl", input=f"help {name}".encode()).stdout == ran.stdout
    prose = [line for line in TOPICS[name][1].splitlines() if not line.startswith(" ")]
    assert max(map(len, prose)) <= COLUMNS


def test_overview_lists_everything(kvcli: Run) -> None:
    """Without a word, help lists all commands and all topics, each with what it does."""
    lines = kvcli("help").stdout.decode().splitlines()
    wanted = {name: each.summary for name, each in COMMANDS.items() if name and " " not in name}
    wanted |= {name: summary for name, (summary, _) in TOPICS.items() if name not in wanted}
    assert [name for name, summary in wanted.items() if f"  {name:<11} {summary}" not in lines] == []


@pytest.mark.parametrize(
    ("words", "meant"),
    [("toknes", "tokens"), ("gte", "get"), ("bucket dorp", "bucket drop"), ("exit-code", "exit-codes")],
)
def test_unknown_word(kvcli: Run, words: str, meant: str) -> None:
    """What is neither command nor topic is a usage error, which says what was perhaps meant."""
    ran = kvcli("help", *words.split())
    assert (ran.returncode, ran.stdout) == (2, b"")
    assert f"no command and no topic '{words}'; did you mean '{meant}'?".encode() in ran.stderr


def test_repl_lists_and_corrects_topics(kvcli: Run) -> None:
    """The REPL's help has its own topics and those of the command line."""
    listed = kvcli("repl", input=b"help").stdout.decode()
    assert [name for name in [*OWN, *TOPICS] if f"\n  {name:<11} " not in listed] == []
    ran = kvcli("repl", input=b"help toknes")
    assert (ran.returncode, b"did you mean 'tokens'?" in ran.stderr) == (2, True)


@pytest.mark.parametrize("name", sorted(TEXTS))
def test_consoles_of_topics_are_what_happens(name: str, shell_environment: dict[str, str]) -> None:
    """Every command in a topic, run in order in one shell, prints what stands below it."""
    shown = re.findall(r"^  (\$ .*?)(?=\n\n|\Z)", TEXTS[name][1].rstrip(), re.DOTALL | re.MULTILINE)
    blocks = transcript("".join(f"{each}\n".replace("\n  ", "\n") for each in shown))
    assert played(blocks, shell_environment) == blocks


def test_environment_names_every_variable() -> None:
    """The topic has every variable that the code reads or sets, and no other."""
    code = sources()
    read = {*re.findall(r'environb?\.get\("(\w+)"', code), *re.findall(r'"((?:KVCLI|XDG)_[A-Z0-9_]+)"', code)}
    read |= {f"KVCLI_{name.upper()}" for name in re.findall(r'setting\((?:session, )?"(\w+)"', code)}
    assert {each.name for each in VARIABLES} == read | LIBRARIES
    assert [each.name for each in VARIABLES if f"\n  {each.name} " not in ENVIRONMENT] == []


def test_exit_codes_are_those_of_the_code() -> None:
    """The topic's table is the one table of exit codes."""
    text = " ".join(TEXTS["exit-codes"][1].split())
    assert [code for code, meaning in EXIT_CODES.items() if f" {code} {meaning}" not in text] == []


def test_batch_tells_of_every_operation_and_field() -> None:
    """Each operation stands with its own fields in a line; limits are those of the code."""
    lines = {line.split()[0]: line for line in BATCH.splitlines() if line.startswith("  ") and line.split()}
    for kind, name in TAGS.items():
        assert [each.name for each in fields(kind) if each.name not in lines[name]] in ([], ["bucket", "id"])
    assert '"bucket"' in BATCH
    assert '"id"' in BATCH
    text = " ".join(BATCH.split())
    assert f"{LINE_BYTES_MAX >> 20} MiB, an element of an array {ELEMENT_BYTES_MAX >> 20} MiB" in text
    assert f"1 to {LIST_KEYS_MAX}, {LIST_KEYS} if not said" in text


def test_tokens_names_the_number_of_counters() -> None:
    """How many keys share a counter follows from their number."""
    assert f"share {STRIPES} counters" in TOKENS


def test_everything_declared_has_help() -> None:
    """Every command says in a line what it does, has examples or commands that have, and help for each option."""
    silent = [name for name, each in COMMANDS.items() if not each.summary.endswith(".") or each.summary.endswith("...")]
    silent += [name for name, each in COMMANDS.items() if not each.examples and not each.inner]
    silent += [
        f"{name} {option.longest}" for name, each in COMMANDS.items() for option in each.options if not option.help
    ]
    assert silent == []


def test_every_command_can_be_found(kvcli: Run) -> None:
    """Every command is named in the README, or in the help that leads to it."""
    with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as file:
        readme = file.read()
    lost = [name for name in COMMANDS if name and f"kvcli {name}" not in readme and f"`{name}`" not in readme]
    groups = {name.rpartition(" ")[0] for name in lost}
    told = {group: kvcli("help", *group.split()).stdout.decode() for group in groups}
    assert [name for name in lost if f"\n  {name.rpartition(' ')[2]} " not in told[name.rpartition(" ")[0]]] == []


def test_help_as_json(kvcli: Run) -> None:
    """It takes what all commands take: with --json it is one object; an error too."""
    for words in ((), ("get",), ("cache", "run"), ("json",), ("batch",)):
        ran = kvcli("help", *words, "--json")
        assert ran.returncode == 0
        assert json.loads(ran.stdout)["help"].strip()
    wrong = kvcli("help", "toknes", "--json")
    assert wrong.returncode == 2
    assert json.loads(wrong.stderr)["error"]["code"] == "usage"
