"""Roff: text as man(7) has it. What is given is plain; nothing in it can act on the formatter."""

from __future__ import annotations

from textwrap import wrap

LINE_BYTES = 78
# A bare - would be a hyphen, and ' a typographic one: nobody could paste such an option into a shell.
ESCAPES = str.maketrans({"\\": "\\e", "-": "\\-", "'": "\\(aq", "`": "\\(ga", "^": "\\(ha", "~": "\\(ti", '"': "\\(dq"})


def plain(text: str) -> str:
    """Escape text."""
    return text.translate(ESCAPES)


def bold(text: str) -> str:
    """Escape text, and print it bold: what is typed as it stands."""
    return f"\\fB{plain(text)}\\fR"


def italic(text: str) -> str:
    """Escape text, and print it in italics, or underlined: what is to be filled in."""
    return f"\\fI{plain(text)}\\fR"


def filled(escaped: str) -> str:
    """Divide a paragraph into lines of the source; none of them is a request."""
    lines = wrap(escaped, LINE_BYTES, break_long_words=False, break_on_hyphens=False)
    return "\n".join([_no_request(line) for line in lines])


def kept(lines: list[str]) -> str:
    """Keep lines as they are, a little to the right."""
    return "\n".join([".RS 4", ".nf", *[_no_request(_folded(plain(line))) for line in lines], ".fi", ".RE"])


def item(term: str, text: str) -> str:
    """Give a term, which is escaped already, with what there is to say of it."""
    return f".TP\n{term}\n{filled(plain(text))}"


def section(title: str, *blocks: str, level: str = "SH") -> str:
    """Give a section of paragraphs, items and other blocks."""
    parts = [f".{level} {plain(title)}"]
    for at, block in enumerate(blocks):
        is_paragraph = not block.startswith((".TP", ".SS"))
        parts += [".PP"] * (at > 0 and is_paragraph) + [block]
    return "\n".join(parts)


def _no_request(line: str) -> str:
    return f"\\&{line}" if line.startswith(".") else line


def _folded(escaped: str) -> str:
    """Break a long line of the source where the page does not break it."""
    return "\\\n".join(wrap(escaped, LINE_BYTES, break_long_words=False, break_on_hyphens=False, drop_whitespace=False))
