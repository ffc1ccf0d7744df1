"""kvcli completion: the scripts by which shells complete kvcli's words."""

from __future__ import annotations

import os

import kvcli
from kvcli.commands import Record
from kvcli.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kvcli.commands.context import Context

SCRIPTS = {"bash": "kvcli.bash", "zsh": "_kvcli", "fish": "kvcli.fish"}


def run(_context: Context, shell: str) -> Record:
    """Give the script for a shell. Raises InvalidArgument for one that there is none for."""
    if shell not in SCRIPTS:
        raise InvalidArgument(f"a shell is one of {', '.join(SCRIPTS)}")
    with open(file(SCRIPTS[shell]), "rb") as script:
        text = script.read()
    return Record({"script": text}, text.removesuffix(b"\n"))


def file(name: str) -> str:
    """Find a file of the folder `completions`: in a wheel it lies inside the package, in a checkout beside it."""
    package = os.path.dirname(kvcli.__file__)
    inside = os.path.join(package, "completions", name)
    return inside if os.path.exists(inside) else os.path.join(os.path.dirname(package), "completions", name)
