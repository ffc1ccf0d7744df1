"""kvcli cache get-or-set: the cached value, or what a command prints, which only one of many callers runs."""

from __future__ import annotations

from itertools import chain

from kvcli.cache import Occupied
from kvcli.commands import Record, Replay
from kvcli.errors import CommandFailed, Full, HandleConsumed, InvalidArgument, KvError
from kvcli.store import key_bytes
from kvcli.units import milliseconds

TYPE_CHECKING = False
if TYPE_CHECKING:
    import subprocess

    from kvcli.cache import Vacancy
    from kvcli.commands.context import Context


def run(
    context: Context,
    key: str,
    words: list[str] | None = None,
    *,
    ttl: str | None = None,
    timeout: str | None = None,
    max_size: str | None = None,
) -> Record | Replay:
    """Get the value of `key`, or fill it with what the command `words` prints (cache.wit, `get-or-set`)."""
    if not words:
        raise InvalidArgument("name the command that makes the value: kvcli cache get-or-set KEY -- CMD...")
    ttl_ms = None if ttl is None else milliseconds(ttl, "--ttl")
    seconds = None if timeout is None else milliseconds(timeout, "--timeout") / 1000
    raw = key_bytes(key)
    try:
        cache = context.cache(make=True, max_size=max_size)
        entry = cache.get_or_set(key, seconds)
        if isinstance(entry, Occupied):
            return Record({"key": raw, "value": entry.value, "cached": True}, entry.value, verbatim=True)
        vacancy: Vacancy | None = entry.vacancy
        room = cache.shelf.cap
    except InvalidArgument:
        raise
    except KvError as error:  # What is wrong with the cache is no reason not to run the command.
        context.warn(f"not cached: {error}")
        vacancy, room = None, 0
    return _run(context, raw, words, vacancy, ttl_ms, room)


def _run(
    context: Context, raw: bytes, words: list[str], vacancy: Vacancy | None, ttl_ms: int | None, room: int
) -> Record | Replay:
    from kvcli.commands.child import PIPE
    from kvcli.commands.tap import Tap

    def keep(pieces: list[tuple[int, bytes]] | None, code: int) -> None:
        if vacancy is None:
            return
        with vacancy:
            if pieces is None:
                explain(context, words[0], code)
            elif not code:
                fill(context, vacancy, b"".join([piece for _, piece in pieces]), ttl_ms)

    tap = Tap(start_or_drop(context, words, vacancy, stdout=PIPE), room, keep)
    pieces, taken = tap.pieces(), []
    for piece in pieces:
        taken.append(piece)
        if tap.is_too_much:
            replay = Replay(iter(()))
            replay.pieces = tap.passing(replay, chain(taken, pieces))
            replay.fields = {"key": raw, "cached": False}
            return replay
    value = b"".join([piece for _, piece in taken])
    record = Record({"key": raw, "value": value, "cached": False}, value, verbatim=True)
    if tap.exit_code:
        record.error = CommandFailed(f"{words[0]!r} ended with {tap.exit_code}: nothing was cached", tap.exit_code)
        record.exit_code = tap.exit_code
    return record


def explain(context: Context, command: str, code: int) -> None:
    """Say why what a command printed is not cached, unless somebody has ended it."""
    if not code:
        context.warn(f"not cached: the output of {command!r} is larger than the cache: raise --max-size")


def start_or_drop(
    context: Context, words: list[str], vacancy: Vacancy | None, stdout: int, stderr: int | None = None
) -> subprocess.Popen[bytes]:
    """Start the command that is to fill a vacancy; where that fails, the next one may try.

    Where there are too few descriptors for the cache and the command, the cache gives up its own.
    """
    from kvcli.commands.child import start

    try:
        return start(words, stdout=stdout, stderr=stderr)
    except (CommandFailed, Full) as error:
        if vacancy is not None:
            vacancy.drop()
        if not isinstance(error, Full):
            raise
        context.close()
        context.warn(f"not cached: {error}")
        return start(words, stdout=stdout, stderr=stderr)


def fill(context: Context, vacancy: Vacancy, value: bytes, ttl_ms: int | None) -> None:
    """Fill a vacancy; what is wrong with the cache is told, and no more than that."""
    try:
        vacancy.fill(value, ttl_ms)
    except HandleConsumed:
        pass  # It was dropped when the command was started, and that was told.
    except KvError as error:
        context.warn(f"not cached: {error}")
