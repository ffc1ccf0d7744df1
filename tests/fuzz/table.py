"""The table of targets: every parser by its name, with the seeds that its inputs are made of."""

from __future__ import annotations

from contextlib import ExitStack
from typing import NamedTuple

from tests.fuzz import Target, records, stored, texts, words

PLANTED = "planted"
# Of slow parsers as many inputs take so many times as long as of the others; so they get fewer.
SLOW = {
    **dict.fromkeys(("config", "batch", "command-line", "meaning", "typing", "tab", "request"), 4),
    "row": 40,
}


class Aim(NamedTuple):
    """A target, its seeds, and which share of the inputs is for it."""

    target: Target
    seeds: list[bytes]
    share: float = 1.0


def aims(folder: str, ends: ExitStack, *, plant: bool = False) -> dict[str, Aim]:
    """Make all targets, whose files lie in a folder until it `ends`; `plant` gives one with a known fault instead."""
    if plant:
        return {PLANTED: Aim(planted, [texts.TOKEN, b"t", b""])}
    made = {name: each for room in (texts, records, words, stored) for name, each in room.made(folder, ends).items()}
    return {name: Aim(target, seeds, 1 / SLOW.get(name, 1)) for name, (target, seeds) in made.items()}


def planted(data: bytes) -> None:
    """Read a token by a parser that cannot bear a short one."""
    texts.token(data)
    if data[:1] == b"t" and len(data) == 3:
        raise IndexError("it looked at what is not there")
