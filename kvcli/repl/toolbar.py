"""The bottom bar: how the command that is being typed is written, what it does, and how long the last one took."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prompt_toolkit.utils import get_cwidth

from kvcli.cli.reading import Reading
from kvcli.cli.screen import escape_line
from kvcli.repl.line import last
from kvcli.repl.tree import tree

if TYPE_CHECKING:
    from prompt_toolkit.formatted_text import StyleAndTextTuples

    from kvcli.repl.session import Session

IDLE = "Tab completes, help tells, F4 vi or emacs keys, Ctrl-D leaves"


def bar(session: Session, text: str, width: int) -> StyleAndTextTuples:
    """Give the bar for what stands in the line; it is cut at the width of the terminal."""
    parts = _parts(text) if text.strip() else idle()  # Without the tree, which may not be loaded yet.
    took = duration(session.elapsed) if session.elapsed is not None else ""
    used = sum(get_cwidth(part) for _, part, *_ in parts)
    gap = width - used - len(took) - 1
    if took and gap > 0:
        parts = [*parts, ("", " " * gap), ("class:bottom-toolbar.about", took)]
    return parts


def idle() -> StyleAndTextTuples:
    """Give what stands there while nothing is typed."""
    return [("class:bottom-toolbar.about", IDLE)]


def _parts(text: str) -> StyleAndTextTuples:
    line = last(text)
    reading = Reading(tree(), line.words)
    syntax = reading.syntax
    wrong = [word.fault for word in line.words if word.fault is not None]
    if wrong:
        return [("class:bottom-toolbar.missing", wrong[0])]
    if not line.is_complete:
        return [("class:bottom-toolbar.about", "goes on in the next line")]
    if line.tail_at is not None:
        return [("class:bottom-toolbar.about", "the rest goes to sh, with what is printed on its stdin")]
    if syntax is None:
        return [("class:bottom-toolbar.about", _unknown(reading))]
    parts: StyleAndTextTuples = []
    if odd := next((word for word, role in zip(line.words, reading.roles, strict=True) if role.kind == "wrong"), None):
        parts.append(("class:bottom-toolbar.missing", f"{escape_line(odd.text)} does not belong here  "))
    elif missing := reading.missing():
        parts.append(("class:bottom-toolbar.missing", f"{' '.join(missing)} is missing  "))
    said = next((role.option for role in reversed(reading.roles) if role.option is not None), None)
    if said is not None and reading.roles[-1].option is said:
        return [*parts, ("class:bottom-toolbar.usage", said.longest), ("class:bottom-toolbar.about", f"  {said.help}")]
    usage = " ".join([syntax.name, *[each.metavar for each in syntax.arguments]])
    return [*parts, ("class:bottom-toolbar.usage", usage), ("class:bottom-toolbar.about", f"  {syntax.summary}")]


def _unknown(reading: Reading) -> str:
    if reading.group is not None and not any(role.kind == "wrong" for role in reading.roles):
        return reading.known.groups[reading.group]
    word = reading.words[-1].text if reading.words else ""
    close = [name for name in reading.known.first_words() if name.startswith(word)] if reading.group is None else []
    if close and len(reading.words) == 1:
        return "  ".join(close)
    return "no such command: Tab shows what there is"


def duration(seconds: float) -> str:
    """Write how long something took."""
    return f"{seconds * 1000:.1f} ms" if seconds < 1 else f"{seconds:.2f} s"
