"""Succession: which generation a cache is kept in now, and what becomes of one that does not work.

Whatever befalls the files, a cache is never the reason why something fails that could do without it: what is damaged is
thrown away, and another generation begins. Only what is not the fault of the files is raised: a full disk, denied access.
"""

from __future__ import annotations

from _thread import RLock

import lmdb

from kvcli.engine import register
from kvcli.engine.generation import Generation, Outdated, looks
from kvcli.errors import Busy, DamagedStore, KvError, Other

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

TRIES = 64
# What has no room any more in the file as large as it may be, or whose last write failed halfway.
UNUSABLE = (lmdb.MapFullError, lmdb.PanicError)


class Succession:
    """The generations of one cache, as one who uses it sees them."""

    def __init__(
        self, cache: str, *, read_only: bool, map_bytes: Callable[[], int], tell: Callable[[str], object] | None
    ) -> None:
        """Look into the folder `cache`, when first asked. `map_bytes` bounds a file that is made, `tell` hears of losses."""
        self.generation: Generation | None = None
        self._cache = cache
        self._read_only = read_only
        self._map_bytes = map_bytes
        self._tell = tell
        self._closed = False
        self._changing = RLock()

    def current(self, *, write: bool = False, make: bool = False, lock_timeout: float = 0) -> Generation | None:
        """Give the generation to read or `write`, None where there is none; or `make` one.

        Raises AccessDenied, Full, InputOutput, Busy.
        """
        generation = self.generation
        if generation is not None and not generation.outdated and (generation.writable or not write):
            return generation
        with self._changing:  # Else two threads would join, and only one of them leave.
            generation = self.generation
            if generation is not None and not generation.outdated and (generation.writable or not write):
                return generation
            return self._following(write, make, lock_timeout)

    def _following(self, write: bool, make: bool, lock_timeout: float) -> Generation | None:
        if self._closed:
            raise Other("this cache was closed")
        self._leave()
        for _ in range(TRIES):
            folder = self._folder()
            seen = looks(folder)
            try:
                self.generation = register.join(folder, write=write, lock_timeout=lock_timeout)
                if self.generation is not None or not make:
                    return self.generation
                self._make(folder)
            except Outdated:
                continue
            except (lmdb.Error, OSError, DamagedStore) as error:
                if self._is_sound(error, folder):
                    raise ours(error, folder) from error
                if self._read_only:
                    return None
                self._bury(folder, seen, told=True)
        raise self.unsettled()

    def give_up(self, generation: Generation, error: Exception) -> None:
        """Throw away a generation that fails with this error. Raises what is not its fault."""
        if generation.outdated:
            return  # Another thread has closed it, and that is the error.
        if self._read_only or (self._is_sound(error, generation.folder) and not isinstance(error, UNUSABLE)):
            raise ours(error, generation.folder) from error
        if isinstance(error, UNUSABLE):
            self.throw_away(generation)
        else:
            generation.outdated = True
            self._bury(generation.folder, generation.looks, told=True)

    def throw_away(self, generation: Generation, lock_timeout: float = 0) -> None:
        """Throw away a generation that works; whoever reads it finds it empty, and looks for another."""
        try:  # noqa: SIM105 - contextlib is slow to load
            generation.write(lambda txn, _: generation.empty(txn), lock_timeout)
        except (lmdb.Error, OSError, KvError, Outdated):
            pass
        generation.outdated = True
        self._bury(generation.folder, generation.looks, told=False)

    def unsettled(self) -> Busy:
        """Make the error for a cache that is thrown away faster than it can be opened."""
        return Busy(f"{self._cache}: the cache was thrown away again and again: try again")

    def close(self) -> None:
        """Let go of the files."""
        with self._changing:
            self._closed = True
            self._leave()

    def _leave(self) -> None:
        generation, self.generation = self.generation, None
        if generation is not None:
            register.leave(generation)

    def _folder(self) -> str:
        try:
            return register.boot_folder(self._cache)
        except OSError as error:
            raise ours(error, register.BOOT) from error

    def _make(self, folder: str) -> None:
        from kvcli.engine.lives import make

        make(folder, self._map_bytes())

    def _is_sound(self, error: Exception, folder: str) -> bool:
        return not isinstance(ours(error, folder), DamagedStore)

    def _bury(self, folder: str, seen: tuple[int, int], *, told: bool) -> None:
        from kvcli.engine.lives import end

        try:
            ended = end(folder, seen)
        except OSError as error:
            raise ours(error, folder) from error
        if ended and told and self._tell is not None:
            self._tell(f"the cache in {self._cache} was damaged, and starts anew")


def ours(error: Exception, path: str) -> KvError:
    """Give our error for lmdb's, the system's or one that is ours already."""
    if isinstance(error, KvError):
        return error
    from kvcli.engine.translation import translated

    return translated(error, path)  # type: ignore[arg-type]
