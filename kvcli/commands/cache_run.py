"""kvcli cache run: what a command printed when it was run last; where nothing is recorded, it is run.

After bkt (github.com/dimo414/bkt), with its options. What is more: of many callers one runs the command, and the others
wait for it; what was printed is replayed in the order in which it came; one process in the background refreshes, however
many callers see a stale recording; the files of --modtime count by size too; an absent variable or file is not the same
as one that was not named; and a recording older than --ttl, or of a failure where --discard-failures asks for none, is
not replayed, whoever made it. What differs: a time is at most 49.7 days, as the interface has it; the background has no
stdin; and there is one name for each option.
"""

from __future__ import annotations

import os
from itertools import chain

from kvcli.cache import Vacancy, Vacant
from kvcli.commands import Replay
from kvcli.commands.recording import exit_code_of, is_whole, pieces_of, recorded
from kvcli.engine.entries import RECORDING
from kvcli.errors import InvalidArgument, KvError, ReadOnly
from kvcli.units import milliseconds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from kvcli.cache import Cache
    from kvcli.commands.context import Context


def run(
    context: Context,
    words: list[str] | None = None,
    *,
    ttl: str | None = None,
    stale: str | None = None,
    discard_failures: bool = False,
    env: list[str] | None = None,
    cwd: bool = False,
    modtime: list[str] | None = None,
    scope: str | None = None,
    max_size: str | None = None,
    timeout: str | None = None,
    force: bool = False,
    warm: bool = False,
    refresh: bool = False,
) -> Replay:
    """Replay what the command `words` printed within `ttl`, or run and record it."""
    if not words:
        raise InvalidArgument("name the command to run: kvcli cache run --ttl 10m -- CMD...")
    if force + warm + refresh > 1:
        raise InvalidArgument("--force, --warm and --refresh exclude each other")
    ttl = ttl if ttl is not None else os.environ.get("KVCLI_CACHE_TTL") or None
    scope = scope if scope is not None else os.environ.get("KVCLI_CACHE_SCOPE") or None
    name = name_of(words, env or [], modtime or [], scope, cwd=cwd)
    memo = Memo(words, name, ttl, stale, discard_failures=discard_failures)
    memo.timeout = None if timeout is None else milliseconds(timeout, "--timeout") / 1000
    memo.options |= {"--env": env, "--modtime": modtime, "--cwd": cwd, "--scope": scope, "--max-size": max_size}
    if not warm:
        return _answer(context, memo, max_size, force=force, refresh=refresh)
    if context.read_only:
        raise ReadOnly("--warm records what CMD prints: leave --read-only out")
    return Replay(memo.refreshing(context))


def _answer(context: Context, memo: Memo, max_size: str | None, *, force: bool, refresh: bool) -> Replay:
    try:
        entry, room = memo.enter(context.cache(make=True, max_size=max_size), force=force, refresh=refresh)
    except InvalidArgument:
        raise
    except KvError as error:  # What is wrong with the cache is no reason not to run the command.
        from kvcli.commands.child import pass_through

        context.warn(f"not cached: {error}")
        return pass_through(memo.words)
    if isinstance(entry, Vacancy):
        return memo.record(context, entry, room)
    return Replay(iter(())) if entry is None else memo.replay(context, *entry)


def name_of(words: list[str], env: list[str], modtime: list[str], scope: str | None, *, cwd: bool) -> bytes:
    """Name the recording: a digest of the words and of whatever else the caller says the output depends on."""
    parts: list[bytes | None] = [_raw(word) for word in words]
    parts += [b"scope", None if scope is None else _raw(scope), b"cwd", _folder() if cwd else None]
    for name in sorted(set(env)):
        parts += [b"env", _raw(name), os.environb.get(_raw(name))]
    for file in sorted({os.path.join(_folder() or b"", _raw(file)) for file in modtime}):
        parts += [b"file", file, _times(file)]
    from _blake2 import blake2b  # hashlib takes 14 ms to load.

    text = b"".join([b"-" if part is None else b"%d:%s" % (len(part), part) for part in parts])
    return RECORDING + blake2b(b"%d %s" % (len(words), text), digest_size=32).digest()


class Memo:
    """A command, and for how long what it printed is good."""

    def __init__(
        self, words: list[str], name: bytes, ttl: str | None, stale: str | None, *, discard_failures: bool
    ) -> None:
        """Read the times. Raises InvalidArgument."""
        self.options: dict[str, object] = {"--ttl": ttl, "--stale": stale, "--discard-failures": discard_failures}
        self.timeout: float | None = None
        self.words = words
        self._name = name
        self._ttl = None if ttl is None else milliseconds(ttl, "--ttl")
        self._stale = None if stale is None else milliseconds(stale, "--stale")
        self._discard = discard_failures
        if self._ttl is not None and self._stale is not None and self._stale >= self._ttl:
            raise InvalidArgument("--stale is a shorter time than --ttl")

    def enter(self, cache: Cache, *, force: bool, refresh: bool) -> tuple[tuple[bytes, int] | Vacancy | None, int]:
        """Give a recording with its age, or the vacancy for one and the room it has; None where nothing is to be done."""
        entry = self._claim(cache, wanted=force) if force or refresh else self._find(cache) or self._meet(cache)
        return entry, cache.shelf.cap if isinstance(entry, Vacancy) else 0

    def _find(self, cache: Cache, *, counted: bool = True) -> tuple[bytes, int] | None:
        """Give a recording that may be replayed, and its age."""
        found = cache.shelf.find_with_age(self._name, counted=counted)
        if found is None or (self._ttl is not None and found[1] >= self._ttl) or not is_whole(found[0]):
            return None
        return None if self._discard and exit_code_of(found[0]) else found

    def replay(self, context: Context, value: bytes, age: int) -> Replay:
        """Replay a recording, and see to it that a stale one is refreshed."""
        is_stale = self._stale is not None and age > self._stale and not context.read_only
        afterwards = self.refreshing(context) if is_stale else iter(())
        return Replay(chain(pieces_of(value), afterwards), exit_code_of(value))

    def refreshing(self, context: Context) -> Iterator[tuple[int, bytes]]:
        """Start a process that runs the command in the background and records it; print nothing."""
        from kvcli.commands.child import start_again

        try:
            again = ["cache", "run", "--refresh", *context.said()]
            for option, value in self.options.items():
                for each in value if isinstance(value, list) else [value]:
                    again += [option] if each is True else [] if each in {None, False} else [f"{option}={each}"]
            start_again([*again, "--", *self.words])
        except (KvError, OSError) as error:  # A longer command line than the first one, for example.
            context.warn(f"not refreshed: {error}")
        yield from ()

    def record(self, context: Context, vacancy: Vacancy, room: int) -> Replay:
        """Run the command, pass on what it prints, and fill the vacancy with that."""
        from kvcli.commands.cache_get_or_set import explain, fill, start_or_drop
        from kvcli.commands.child import PIPE
        from kvcli.commands.tap import Tap

        def keep(pieces: list[tuple[int, bytes]] | None, code: int) -> None:
            with vacancy:
                if pieces is None:
                    explain(context, self.words[0], code)
                elif not (code and self._discard):
                    fill(context, vacancy, recorded(pieces, code), self._ttl)
            replay.is_awaited = False

        replay = Replay(iter(()))
        replay.is_awaited = True
        tap = Tap(start_or_drop(context, self.words, vacancy, stdout=PIPE, stderr=PIPE), room, keep)
        replay.pieces = tap.passing(replay, tap.pieces())
        return replay

    def _meet(self, cache: Cache) -> tuple[bytes, int] | Vacancy:
        """Wait for who is running the command already, or be the one who does."""
        entry = cache.meet(self._name, self.timeout, lambda: self._find(cache, counted=False))
        return entry.vacancy if isinstance(entry, Vacant) else entry

    def _claim(self, cache: Cache, *, wanted: bool) -> Vacancy | None:
        """Be the one who runs the command; if somebody else is, or just did, only where it is `wanted` anyway."""
        claim = next(cache.shelf.claims(self._name))
        had = claim.take()
        found = self._find(cache, counted=False)
        is_fresh = found is not None and self._stale is not None and found[1] <= self._stale
        return Vacancy(cache, self._name, claim) if wanted or (had and not is_fresh) else None


def _raw(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _folder() -> bytes | None:
    try:
        return os.getcwdb()
    except OSError:
        return None  # It was removed; that does not keep a command from running there.


def _times(file: bytes) -> bytes:
    try:
        status = os.stat(file)
    except (OSError, ValueError) as error:
        return b"none, %d" % (getattr(error, "errno", None) or 0)
    return b"%d %d" % (status.st_mtime_ns, status.st_size)
