"""Scripts: lines from a file or from stdin, run one after the other up to the first error. Only data is printed."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from kvcli.cli.entry import guarded
from kvcli.cli.output import Output
from kvcli.errors import InvalidArgument
from kvcli.repl.line import Line, parse

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from kvcli.repl.session import Session

DEPTH_MAX = 16
MARK = b"\xef\xbb\xbf"


def run(session: Session, file: str | None) -> int:
    """Run a whole script as a REPL without a person; from stdin, unless a file is named."""
    output = Output(json=session.format == "json")
    if file is not None:
        code = guarded(output, lambda: source(session, file))
    else:
        session.reads_stdin = False
        code = _run(session, sys.stdin.buffer if sys.stdin else (), "")
    if not code and session.draft is not None:
        return output.complain(InvalidArgument("begin without commit: nothing of the transaction was written"))
    return code


def source(session: Session, file: str) -> int:
    """Run the lines of a file. Raises InvalidArgument where files name each other for ever."""
    if session.depth == DEPTH_MAX:
        raise InvalidArgument(f"{file}: source within source, {DEPTH_MAX} deep: is it a circle?")
    with open(file, "rb") as lines:
        session.depth += 1
        try:
            return _run(session, lines, f"{file}: ")
        finally:
            session.depth -= 1


def _run(session: Session, lines: Iterable[bytes], place: str) -> int:
    for number, line in _whole(lines):
        output = Output(json=session.format == "json")
        output.prefix = f"kvcli: {place}line {number}: "
        output.tells_answers = True
        code = session.run(line, output)
        if code or session.is_over:
            return code
    return 0


def _whole(lines: Iterable[bytes]) -> Iterator[tuple[int, Line]]:
    """Give each line, with the number of its first one, as soon as it is complete."""
    text, first = "", 1
    for number, raw in enumerate(lines, 1):
        text += (raw.removeprefix(MARK) if number == 1 else raw).decode("utf-8", "surrogateescape")
        line = parse(text)
        if line.is_complete:
            yield first, line
            text, first = "", number + 1
    if text:
        yield first, parse(text)
