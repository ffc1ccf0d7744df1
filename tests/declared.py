"""What is declared: all commands, as the tests of help, man pages and examples go through them."""

from __future__ import annotations

from kvcli.cli.app import tree
from kvcli.cli.declared import Declared, commands

COMMANDS: dict[str, Declared] = {each.name: each for each in commands(tree())}  # "" is kvcli itself.
