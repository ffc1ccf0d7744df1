"""Hints: in grey behind the cursor, what a command still takes; unless the history knows how the line went last time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prompt_toolkit.layout.processors import Processor, Transformation

from kvcli.cli.reading import Reading
from kvcli.repl.line import last
from kvcli.repl.tree import tree

if TYPE_CHECKING:
    from prompt_toolkit.layout.processors import TransformationInput


class Hint(Processor):
    """Shows the arguments that are still to come."""

    def apply_transformation(self, transformation_input: TransformationInput) -> Transformation:
        """Add the hint to the last line while the cursor is at the end."""
        document, fragments = transformation_input.document, transformation_input.fragments
        buffer = transformation_input.buffer_control.buffer
        is_here = transformation_input.lineno == document.line_count - 1 and document.is_cursor_at_the_end
        if not is_here or buffer.suggestion is not None or not document.text.strip():
            return Transformation(fragments)
        return Transformation([*fragments, ("class:hint", hint(document.text))])


def hint(text: str) -> str:
    """Give what the line that is being typed still takes."""
    line = last(text)
    if line.tail_at is not None or not line.is_complete:
        return ""
    is_ended = text[-1:].isspace()
    reading = Reading(tree(), line.words)
    arguments = [each.metavar for each in reading.open_arguments()]
    if reading.syntax is None or (not is_ended and len(line.words) == 0):
        awaited = reading.missing()
        return " " * (not is_ended) + awaited[0] if awaited else ""
    if reading.missing() and not arguments:
        arguments = reading.missing()
    options = [each for each in reading.syntax.options if not each.is_shared and each.name not in reading.said]
    flags = [f"[{each.longest}]" for each in options if len(line.words) <= 1 + (reading.group is not None)]
    rest = " ".join([*arguments, *flags])
    return " " * (not is_ended) + rest if rest else ""
