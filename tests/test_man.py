"""The man pages: they are those of the declarations, they are complete, and no formatter finds anything odd in them."""

from __future__ import annotations

import os
import shutil
import subprocess
import tomllib

import pytest

from kvcli.cli.man import pages, title
from kvcli.cli.roff import filled, kept, plain
from kvcli.cli.topics import TEXTS
from kvcli.errors import EXIT_CODES
from tests.declared import COMMANDS
from tests.processes import ROOT

FOLDER = os.path.join(ROOT, "man")
FILES = sorted({*os.listdir(FOLDER)} - {"kv.1"})  # That only says where to read on.
SECTIONS = (
    *("NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXAMPLES", "EXIT STATUS", "ENVIRONMENT", "FILES", "SEE ALSO"),
)
PLAIN = {"LC_ALL": "C.UTF-8", "MANWIDTH": "80", "PATH": os.environ["PATH"]}
needs_man = pytest.mark.skipif(shutil.which("man") is None, reason="Debian's package man-db is not installed")
needs_mandoc = pytest.mark.skipif(shutil.which("mandoc") is None, reason="Debian's package mandoc is not installed")


def read(name: str) -> str:
    """Read a page of the folder."""
    with open(os.path.join(FOLDER, name), encoding="ascii") as file:
        return file.read()


def test_pages_are_those_of_the_declarations() -> None:
    """What is checked in is what `python -m kvcli.cli.man man` writes, byte for byte; no page more, and none less."""
    assert {name: read(name) for name in os.listdir(FOLDER)} == pages()


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_page_is_complete(name: str) -> None:
    """A page has all sections, and tells of every option, every example and every exit code."""
    page, syntax = read(f"{title(name)}.1"), COMMANDS[name]
    assert [each for each in SECTIONS if f"\n.SH {each}\n" not in page] == []
    options = {plain(option) for each in syntax.options for option in each.names} | {r"\-h", r"\-\-help"}
    assert [each for each in options if rf"\fB{each}\fR" not in page] == []
    examples = page.partition("\n.SH EXAMPLES\n")[2].partition("\n.SH ")[0].replace("\\\n", "")
    assert [each for each in syntax.examples if plain(each) not in examples] == []
    assert [code for code in EXIT_CODES if f"\n{code}  " not in page and rf"\fB{code}\fR" not in page] == []


def test_first_page_leads_to_all_others() -> None:
    """kvcli(1) lists the commands, names their pages, and has the topics."""
    page = read("kvcli.1")
    first = [name for name in COMMANDS if name and " " not in name]
    assert [name for name in first if rf"\fB{plain(name)}\fR" not in page] == []
    assert [name for name in first if rf"\fB{plain(title(name))}\fR(1)" not in page.replace("\n", " ")] == []
    assert [name for name in TEXTS if filled(plain(TEXTS[name][1].partition("\n\n")[0])) not in page] == []


def test_hidden_commands_have_no_page() -> None:
    """A command that is not told of in help has no page either."""
    from typer import Typer
    from typer.main import get_command

    from kvcli.cli.declared import commands

    app = Typer()
    app.command("seen")(lambda: None)
    app.command("unseen", hidden=True)(lambda: None)
    assert [each.name for each in commands(get_command(app))] == ["", "seen"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (".de x", r"\&.de x"),
        ("'de x", r"\(aqde x"),
        (r"a\fBb", r"a\efBb"),
        ("--json", r"\-\-json"),
        ("`~^", r"\(ga\(ti\(ha"),
        ("x" * 100, "x" * 100),
    ],
)
def test_text_stays_text(text: str, expected: str) -> None:
    """Nothing in a text is a request or an escape to the formatter."""
    assert filled(plain(text)) == expected
    assert kept([text]).splitlines()[2] == expected


@needs_mandoc
def test_mandoc_finds_nothing() -> None:
    """`mandoc -T lint` is content, in questions of style too."""
    ran = subprocess.run(["mandoc", "-T", "lint", *FILES], cwd=FOLDER, capture_output=True, text=True)
    assert (ran.stdout, ran.stderr, ran.returncode) == ("", "", 0)


@needs_man
@pytest.mark.parametrize("name", FILES)
def test_man_finds_nothing(name: str) -> None:
    """`man --warnings`, which is groff's view, is content."""
    words = ["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", name]
    ran = subprocess.run(words, cwd=FOLDER, capture_output=True, text=True, env=PLAIN)
    assert (ran.stderr, ran.returncode) == ("", 0)


@needs_man
def test_examples_are_shown_as_they_are_typed() -> None:
    """What man shows of an example can be pasted into a shell."""
    ran = subprocess.run(["man", "-l", "kvcli-batch.1"], cwd=FOLDER, capture_output=True, text=True, env=PLAIN)
    assert [each for each in COMMANDS["batch"].examples if each not in ran.stdout] == []


def test_pages_are_installed() -> None:
    """The wheel puts the pages where man looks for them beside a bin that is on the PATH."""
    with open(os.path.join(ROOT, "pyproject.toml"), "rb") as file:
        wheel = tomllib.load(file)["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert wheel["shared-data"]["man"] == "share/man/man1"
