"""kvcli shell-init: what makes a shell's function `kv`."""

from __future__ import annotations

import os
import sys

from kvcli.commands import Record
from kvcli.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kvcli.commands.context import Context

SHELLS = ("bash", "zsh")
VARIABLES = (
    *("KVCLI_STORE", "KVCLI_BUCKET", "KVCLI_CACHE_MAX_SIZE", "KVCLI_DEBUG"),
    *("XDG_CONFIG_HOME", "XDG_DATA_HOME", "HOME"),
)
# What is exported counts, as the real command sees nothing else: so its value stands behind its attributes. (For bash.)
VARIABLE = '"${{{0}+${{{0}@a}}=${0}}}"'
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PYTHON = "import sys; sys.path.insert(0, sys.argv.pop(1)); "
NAME_BYTES = 16
LOOKS = 60  # Some 4 to 8 us each.


def run(context: Context, shell: str) -> Record:
    """Give the text that a shell evaluates to have `kv`. Raises InvalidArgument for a shell that is not known."""
    del context
    if shell not in SHELLS:
        raise InvalidArgument(f"kv is for {' and '.join(SHELLS)}, not for {shell!r}")
    with open(os.path.join(ROOT, "kvcli", "shell", f"kv.{shell}"), "rb") as file:
        text = file.read()
    server = [sys.executable, "-P", "-c", f"{PYTHON}from kvcli.shell.start import main; main()", ROOT]
    text = text.replace(b"@looks@", b"%d" % (LOOKS if len(os.sched_getaffinity(0)) > 1 else 0))
    text = text.replace(b"@variables@", " ".join([VARIABLE.format(name) for name in VARIABLES]).encode())
    for place, words in ((b"@program@", _program()), (b"@server@", server), (b"@folder@", [_folder()])):
        text = text.replace(place, os.fsencode(" ".join(map(_quoted, words))), 1)
    return Record({"shell": shell, "text": text}, text, verbatim=True)


def _program() -> list[str]:
    """Give the words that run the kvcli which runs now, from wherever."""
    script = sys.argv[0]
    if os.path.basename(script) in {"__main__.py", "-c", "-m", ""}:
        return [sys.executable, "-P", "-c", f"{PYTHON}import kvcli.__main__", ROOT]
    return [os.path.abspath(script)]


def _folder() -> str:
    """Name a folder that is not there, and that nobody can guess; the shell adds its process id, lest two have the same."""
    base = os.environ.get("XDG_RUNTIME_DIR") or os.environ.get("TMPDIR") or "/tmp"  # noqa: S108 - the name is random
    return os.path.join(os.path.abspath(base), f"kvcli-{os.urandom(NAME_BYTES).hex()}")


def _quoted(word: str) -> str:
    return "'" + word.replace("'", "'\\''") + "'"
