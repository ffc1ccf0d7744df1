"""Scripts: lines from a file or from stdin, run one after the other up to the first error. Only data is printed."""

from __future__ import annotations

import os
from copy import copy
from functools import partial
from typing import TYPE_CHECKING

from kvcli.cli.entry import guarded
from kvcli.cli.output import Output
from kvcli.errors import InvalidArgument, MalformedData
from kvcli.repl.line import Line

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from kvcli.repl.session import Session

DEPTH_MAX = 16
LINE_BYTES_MAX = 16 << 20  # Of quotes and escapes, which are taken one by one, that is a matter of seconds.
STDIN = 0
MARK = b"\xef\xbb\xbf"


def run(session: Session, file: str | None) -> int:
    """Run a whole script as a REPL without a person; from stdin, unless a file is named."""
    output = Output(json=session.format == "json")
    output.tells_answers = True  # Somebody must learn why it stopped.
    if file is not None:
        code = guarded(output, lambda: source(session, file, output))
    else:
        session.reads_stdin = False
        with _taken_stdin() as lines:
            code = _run(session, lines, output, "")
    if not code and session.draft is not None:
        return output.complain(InvalidArgument("begin without commit: nothing of the transaction was written"))
    return code


def source(session: Session, file: str, output: Output) -> int:
    """Run the lines of a file. Raises InvalidArgument where files name each other for ever."""
    if session.depth == DEPTH_MAX:
        raise InvalidArgument(f"source within source, {DEPTH_MAX} deep: is it a circle?")
    with open(file, "rb") as lines:
        session.depth += 1
        try:
            return _run(session, lines, output, f"{file}: ")
        finally:
            session.depth -= 1


def _taken_stdin() -> BinaryIO:
    """Take stdin away from everybody else: a command that read from it, as kvcli's children could, would read the script."""
    taken = os.dup(STDIN)
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), STDIN)
    return open(taken, "rb")


def _run(session: Session, lines: BinaryIO, output: Output, place: str) -> int:
    for number, line in _whole(lines):
        each = copy(output)  # One for each line: a --json in it is not for the next.
        each.json = session.format == "json"
        each.prefix = f"{output.prefix}{place}line {number}: "
        code = session.run(line, each)
        if code or session.is_over:
            return code
    return 0


def _whole(lines: BinaryIO) -> Iterator[tuple[int, Line]]:
    """Give each line, with the number of its first one, as soon as it is complete. Raises MalformedData for one without end."""
    line, first, room = Line(), 1, LINE_BYTES_MAX
    for number, raw in enumerate(iter(partial(lines.readline, LINE_BYTES_MAX + 1), b""), 1):
        room -= len(raw)
        if room < 0:
            raise MalformedData(f"line {first}: longer than {LINE_BYTES_MAX} bytes: name a file, as in set KEY @FILE")
        line.feed((raw.removeprefix(MARK) if number == 1 else raw).decode("utf-8", "surrogateescape"))
        if line.is_complete:
            yield first, line
            line, first, room = Line(), number + 1, LINE_BYTES_MAX
    if not line.is_complete:
        yield first, line
