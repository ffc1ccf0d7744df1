"""A guest as people make them: in Python, by componentize-py, of the upstream interfaces. It brings an interpreter along."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("wasmtime", reason="the extra wasm is not installed: pip install 'kvcli[wasm]'")
pytest.importorskip("componentize_py", reason="componentize-py is not installed, or not to be had for this machine")

from tests.conftest import Run
from tests.processes import ROOT

pytestmark = pytest.mark.toolchain
SOURCES = os.path.join(ROOT, "tests", "wasm")
TOLD = """\
keyvalue
set hello b'w\\xc3\\xb6rld' False
delete hello False
set n b'5' True
set n b'-3' True
set a b'1' False
set b b'' False
delete a False
delete b False
delete nope False
set large b'\\x00\\x01\\x02\\x03\\x04\\x05\\x06\\x07\\x08' True
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The guest, and beside it the folder where its machine code is kept: both take long to make."""
    folder = tmp_path_factory.mktemp("built")
    tool = os.path.join(os.path.dirname(sys.executable), "componentize-py")
    words = [tool, "-d", f"{SOURCES}/wit", "-w", "guest", "componentize", "-p", f"{SOURCES}/python", "app"]
    subprocess.run([*words, "-o", str(folder / "app.wasm")], check=True, stdout=subprocess.DEVNULL)
    return folder


@pytest.fixture
def guest(kvcli: Run, built: Path) -> Run:
    """Run it with words."""

    def run(*words: str | bytes, **options: object) -> subprocess.CompletedProcess[bytes]:
        return kvcli("run", *words, env={"XDG_CACHE_HOME": str(built)}, **options)

    return run


def test_keyvalue(guest: Run, built: Path) -> None:
    """Every function and every error arrives as componentize-py's bindings have them; and the watcher is told of it all."""
    options = ("--deny", "denied", "--bucket", "reading=default:ro", "--watch")
    ran = guest(*options, f"{built}/app.wasm", "keyvalue")
    assert (ran.returncode, ran.stdout.decode(), ran.stderr) == (0, TOLD, b"")


def test_swaps(guest: Run, built: Path) -> None:
    """A lost swap gives a fresh handle, and that one works."""
    assert guest(f"{built}/app.wasm", "swaps").stdout == b"swaps\n"


def test_surroundings(guest: Run, built: Path) -> None:
    """It sees its words, stdin and the variables that were said, and no file."""
    ran = guest("--env", "A=1", f"{built}/app.wasm", "surroundings", input=b"text")
    assert ran.stdout == b"['surroundings'] {'A': '1'} text []\nsurroundings\n"


@pytest.mark.parametrize("mode", ["", ":ro"])
def test_folder(guest: Run, built: Path, tmp_path: Path, mode: str) -> None:
    """It reads and writes files of a folder that was given; with :ro it reads."""
    (tmp_path / "input").write_text("text", encoding="utf-8")
    ran = guest("--dir", f"{tmp_path}::/data{mode}", f"{built}/app.wasm", "folder", "/data")
    assert ran.stdout == (b"read only\nfolder\n" if mode else b"folder\n")
    assert (tmp_path / "output").exists() is (not mode)


def test_ends(guest: Run, built: Path) -> None:
    """An error is 1; an exception that nobody catches is a trap, and its traceback the guest's own."""
    assert guest(f"{built}/app.wasm", "fail").returncode == 1
    ran = guest(f"{built}/app.wasm", "no such part")
    assert ran.returncode == 134
    assert b"KeyError" in ran.stderr
    assert ran.stderr.endswith(b"kvcli: app.wasm trapped: wasm `unreachable` instruction executed\n")
