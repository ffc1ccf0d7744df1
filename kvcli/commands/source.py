"""Where a value on the command line comes from: the word itself, `-` for stdin, `@FILE` for a file, `@@x` for `@x`."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kvcli.commands.context import Context


def read_value(context: Context, word: str, *, chomp: bool = False) -> bytes:
    """Give the bytes that `word` names. Nothing is stripped, except one last newline where `chomp` says so."""
    value = _read(context, word)
    return value.removesuffix(b"\n").removesuffix(b"\r") if chomp and value.endswith(b"\n") else value


def _read(context: Context, word: str) -> bytes:
    if word == "-":
        return context.stdin().read()
    if word.startswith("@@"):
        word = word[1:]
    elif word.startswith("@"):
        with open(word[1:], "rb") as file:
            return file.read()
    return word.encode("utf-8", "surrogateescape")
