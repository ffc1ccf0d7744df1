"""Composing: the line that is being typed, in an editor."""

from __future__ import annotations

import os
import tempfile

from kvcli.commands.edit import run_editor
from kvcli.errors import KvError


def edited(text: str) -> str:
    """Give what an editor makes of a line, or the line itself where that fails. Bytes that are no text stay as they are."""
    with tempfile.TemporaryDirectory(prefix="kvcli-") as folder:
        path = os.path.join(folder, "line.kv")
        try:
            with open(path, "wb") as file:
                file.write(text.encode("utf-8", "surrogateescape"))
            run_editor(path)
            with open(path, "rb") as file:
                return file.read().removesuffix(b"\n").decode("utf-8", "surrogateescape")
        except (KvError, OSError):
            return text
