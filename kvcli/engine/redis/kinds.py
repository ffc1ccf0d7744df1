"""Kinds: what type of answer each command has. What answers with another one is no server of Redis."""

from __future__ import annotations

from kvcli.engine.redis.names import SLOTS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from kvcli.engine.redis.link import Command

NONE = type(None)
QUEUED = "QUEUED"  # In place of a command between MULTI and EXEC.
# Exact types: of what is a bool, a set or a map in the newer protocol nothing is asked here.
PLAIN: dict[Any, tuple[type, ...]] = {
    **dict.fromkeys(("AUTH", "SELECT", "PING", "INFO", "MSET", "WATCH", "UNWATCH", "MULTI", QUEUED), (bytes,)),
    **dict.fromkeys(("GET", "SET"), (bytes, NONE)),
    **dict.fromkeys(("EXISTS", "DEL", "INCRBY", "DBSIZE", "SISMEMBER", "SADD", "SREM", "HINCRBY", "PEXPIRE"), (int,)),
    "EXEC": (list, NONE),
}
LISTS: dict[Any, set[type]] = {"MGET": {bytes, NONE}, "HMGET": {bytes, NONE}, "SMEMBERS": {bytes}}
DIGITS_MAX = 20


def not_plain(words: Sequence[Any], answers: Sequence[Any]) -> list[int]:
    """Give the places of answers that are to be looked at: few, or where commands for many keys are answered."""
    plain = PLAIN.get
    return [
        at for at, (word, answer) in enumerate(zip(words, answers, strict=True)) if type(answer) not in plain(word, ())
    ]


def fits(command: Command, answer: Any) -> bool:
    """Tell whether an answer that is not plain, and no error, is one to a command."""
    word = command[0]
    if word in LISTS:
        return type(answer) is list and {*map(type, answer)} <= LISTS[word] and _is_whole(command, answer)
    if word == "SCAN":
        return _is_scan(answer)
    if word == "CLUSTER":
        return type(answer) is list and all(map(_is_range, answer))
    return word not in PLAIN  # Of what only tests ask.


def number(text: bytes | None) -> int:
    """Give a number that stands in a text, 0 where it is none."""
    return int(text) if text and text.isdigit() and len(text) <= DIGITS_MAX else 0


def _is_whole(command: Command, answer: list[Any]) -> bool:
    return command[0] == "SMEMBERS" or len(answer) == len(command) - (2 if command[0] == "HMGET" else 1)


def _is_scan(answer: Any) -> bool:
    if type(answer) is not list or [*map(type, answer)] != [bytes, list]:
        return False
    at, names = answer
    is_number: bool = at.isdigit() and len(at) <= DIGITS_MAX
    return is_number and {*map(type, names)} <= {bytes}


def _is_range(row: Any) -> bool:
    """Tell whether this is a line of CLUSTER SLOTS: first slot, last one, and the master's host, port and perhaps id."""
    if type(row) is not list or [*map(type, row[:3])] != [int, int, list]:
        return False
    first, last, master = row[:3]
    kinds = [*map(type, master[:3])]
    if kinds not in ([bytes, int, bytes], [NONE, int, bytes], [bytes, int], [NONE, int]):
        return False
    return bool(0 <= first <= last < SLOTS and 0 < master[1] < 1 << 16)
