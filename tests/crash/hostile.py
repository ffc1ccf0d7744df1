"""Hostile text through every way of printing: what a store holds, or its path, must not act on a terminal."""

from __future__ import annotations

import io
import os
import random
import re
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import redirect_stderr

from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document
from prompt_toolkit.formatted_text import to_plain_text

from kvcli.cli.encoding import json_line, json_page
from kvcli.cli.output import Output
from kvcli.cli.screen import INVISIBLE, escape_page, escape_text, print_table
from kvcli.commands import Listing, Table
from kvcli.errors import NoSuchKey
from kvcli.repl.completer import KeyCompleter
from kvcli.repl.display import columns
from kvcli.repl.line import quoted
from kvcli.repl.loop import message
from kvcli.repl.session import Session
from kvcli.repl.toolbar import bar
from kvcli.repl.values import laid_out, summary
from kvcli.store import Store, as_text
from tests.crash.report import Report
from tests.terminal import Terminal

# Sequences that terminals obey, 8-bit controls, characters that turn text round or take no place, and what is no UTF-8.
PIECES = (
    *(
        b"\x1b[2J",
        b"\x1b]0;t\x07",
        b"\x1b]52;c;aGk=\x07",
        b"\x1bP$q\x1b\\",
        b"\x1b[6n",
        b"\x1bc",
        b"\x1b[?1049h",
        b"\x9b2J",
    ),
    *(
        "\x9b2J".encode(),
        "\x9d0;t\x9c".encode(),
        b"\x07",
        b"\x08",
        b"\r",
        b"\n",
        b"\t",
        b"\x00",
        b"\x7f",
        b"\x0e",
        b"\x85",
    ),
    *("\u202e".encode(), "\u2066".encode(), "\u200b".encode(), "\ufeff".encode(), "\u2028".encode(), "\u3164".encode()),
    *(
        "\ufe0f".encode(),
        "\U000e0100".encode(),
        "\u034f".encode(),
        b"\xff\xfe",
        b"\xed\xa0\x80",
        b"\xc3",
        b"\xf5\x80\x80\x80",
    ),
    *(b"user:", b"/", b'{"a":', b"[1,", b'"', b"'", b"\\", b"|", b">", b"-", b"{", "é用🙂".encode(), b"plain"),
)
WIDTHS = (12, 40, 80)
PAGE = 500
COMMANDS = (
    "list",
    "list --values",
    "format raw",
    "list --values",
    "list --json",
    "export",
    "bucket list",
    "bucket stat",
)


def texts(seed: int, count: int) -> Iterator[bytes]:
    """Make hostile texts, all different, which can be keys."""
    rng = random.Random(seed)
    for number in range(count):
        yield b"".join(rng.choices(PIECES, k=rng.randint(1, 5))) + b"%d" % number


def campaign(seed: int, rounds: int, *, plant: bool = False) -> Report:
    """Print `rounds` texts in all ways, and look whether any of it acts on a terminal; `plant` prints one as it is."""
    report = Report()
    with tempfile.TemporaryDirectory() as folder:
        session = filled(os.path.join(folder, "store"), list(texts(seed, rounds)))
        planted = [("planted", as_text(PIECES[0]))] if plant else []
        for way, text in [*shown(seed, rounds), *completed(session), *on_a_terminal(session.path, rounds), *planted]:
            report.seen["texts printed"] += 1
            acting = {char for char in text if not harmless(char)}
            report.check(not acting, f"{way} lets through {sorted(acting)!r} in {text[:80]!r}")
        session.close()
    return report


def harmless(char: str) -> bool:
    """Tell whether a character shows, and does nothing else."""
    return (char.isprintable() and char not in INVISIBLE) or char == "\n"


def filled(path: str, keys: list[bytes]) -> Session:
    """Make a store of hostile keys and values, with some buckets of such names, as another program could have made them."""
    with Store(path) as store:
        pairs = [(key, key[::-1]) for key in keys]
        store.write(lambda update: update.put_many(b"default", pairs, lambda _: None))
        store.write(lambda update: [update.create(key) for key in keys[:60] if b"\0" not in key])
    return Session({"store": path})


def shown(seed: int, count: int) -> Iterator[tuple[str, str]]:
    """Show values and keys in all ways that need no store."""
    page: list[tuple[bytes, bytes | None]] = []
    for text in texts(seed, count):
        for width in WIDTHS:
            parts, note = laid_out(text, width)
            yield "value", to_plain_text(parts) + note
            yield "summary", summary(text, width)
        yield "text", escape_text(text).decode()
        yield "json", json_line({"key": text, "value": text}, ascii_only=True).decode()
        page.append((text, text))
        if len(page) == PAGE:
            yield from pages(page)
            page = []
    yield from pages(page)


def pages(page: list[tuple[bytes, bytes | None]]) -> Iterator[tuple[str, str]]:
    """Show many at once: lists, tables, complaints."""
    listing = Listing(iter(()), values=True, null=False)
    yield "columns", columns(page, 40).decode()
    yield "page", escape_page(page, listing, True).decode()
    yield "json page", json_page(page, listing, True).decode()
    table = io.StringIO()
    print_table(Table([{"bucket": key, "keys": 1} for key, _ in page]), table)
    yield "table", re.sub(r"\x1b\[[0-9;]*m", "", table.getvalue())
    with redirect_stderr(io.StringIO()) as told:
        for key, _ in page:
            Output().complain(NoSuchKey(f"no key {as_text(key)} {as_text(key)!r}"))
    yield "complaint", told.getvalue()


def completed(session: Session) -> Iterator[tuple[str, str]]:
    """Complete keys and buckets by every beginning, and be in a bucket of such a name."""
    complete = KeyCompleter(session).get_completions
    for start in {as_text(piece[:at]) for piece in PIECES for at in (0, 1, 2)}:
        for command in ("get ", "use "):
            for each in complete(Document(command + quoted(start) if start else command), CompleteEvent()):
                yield "completion", each.text + each.display_text + each.display_meta_text
    for piece in PIECES:
        session.bucket = as_text(piece)
        yield "prompt", to_plain_text(message(session))
        yield "bar", to_plain_text(bar(session, f"get {as_text(piece)}", 80)).replace(as_text(piece), "")
    session.bucket = "default"


def on_a_terminal(path: str, count: int) -> Iterable[tuple[str, str]]:
    """Look at all of it on a real terminal that can do nothing, so that every control would be one of the store's."""
    terminal = Terminal(sys.executable, "-m", "kvcli", "-s", path, env={"TERM": "dumb"}, columns=200)
    for command in COMMANDS:
        terminal.press(f"{command} --limit {count}\n" if command.startswith("list") else f"{command}\n")
    terminal.press("exit\n")
    seen = terminal.drain().decode("utf-8", "surrogateescape").replace("\r\n", "\n")
    terminal.close()
    return [("terminal", line) for line in seen.split("\n")]
