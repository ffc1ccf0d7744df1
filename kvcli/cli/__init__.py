"""The command line: entry, express lane, Typer's grammar, output."""

from __future__ import annotations

import sys


def is_interactive() -> bool:
    """Tell whether a person sits at both ends: what they type is read, and what is printed they see."""
    return bool(sys.stdin and sys.stdout and sys.stdin.isatty() and sys.stdout.isatty())


def version() -> str:
    """Say what this is."""
    from kvcli import __version__

    return f"kvcli {__version__}"
