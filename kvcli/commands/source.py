"""Where a value on the command line comes from: the word itself, `-` for stdin, `@FILE` for a file, `@@x` for `@x`."""

from __future__ import annotations

from kvcli.errors import MalformedData

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO

    from kvcli.commands.context import Context


VALUE_BYTES_MAX = 1 << 30  # A value is held in memory; LMDB would take four times as much.

PIECE_BYTES = 1 << 20


def read_value(context: Context, word: str, *, chomp: bool = False) -> bytes:
    """Give the bytes that `word` names. Nothing is stripped, except one last newline where `chomp` says so."""
    value = _read(context, word)
    return value.removesuffix(b"\n").removesuffix(b"\r") if chomp and value.endswith(b"\n") else value


def _read(context: Context, word: str) -> bytes:
    if word == "-":
        return bounded(context.stdin())
    if word.startswith("@@"):
        word = word[1:]
    elif word.startswith("@"):
        with open(word[1:], "rb") as file:
            return bounded(file)
    return word.encode("utf-8", "surrogateescape")


def read_piece(file: BinaryIO) -> bytes:
    """Read a megabyte, or less at the end; also from a pipe that does not block, which gives None for the time being."""
    while (piece := file.read(PIECE_BYTES)) is None:
        from select import POLLIN, poll

        coming = poll()
        coming.register(file, POLLIN)
        coming.poll()
    return piece


def bounded(file: BinaryIO) -> bytes:
    """Read a value to its end. Raises MalformedData for one that is too long."""
    pieces, room = [], VALUE_BYTES_MAX
    while piece := read_piece(file):  # Not read(VALUE_BYTES_MAX): that takes the memory before there is a byte.
        pieces.append(piece)
        room -= len(piece)
        if room < 0:
            raise MalformedData(f"a value has at most {VALUE_BYTES_MAX} bytes")
    return b"".join(pieces)
