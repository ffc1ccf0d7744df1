"""Consoles in documents: commands behind a $, each with what it prints, played in a real bash."""

from __future__ import annotations

import re
import subprocess

END = "--- end of a command ---"


def transcript(text: str) -> list[tuple[str, str]]:
    """Give each command with the output it promises, in order."""
    parts = re.split(r"^\$ (.*)\n", text, flags=re.MULTILINE)[1:]
    return list(zip(parts[::2], parts[1::2], strict=True))


def played(commands: list[tuple[str, str]], environment: dict[str, str]) -> list[tuple[str, str]]:
    """Run them in order in one shell, and give each with what it printed, exit code included."""
    script = "".join(f'{each}\ncode=$?; [ $code = 0 ] || echo "[exit $code]"; echo "{END}"\n' for each, _ in commands)
    ran = subprocess.run(
        ["bash", "-c", script],
        env=environment,
        cwd=environment["PWD"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=True,
        text=True,
    )
    printed = ran.stdout.split(END + "\n")[:-1]
    return list(zip([each for each, _ in commands], printed, strict=True))
