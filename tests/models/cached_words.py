"""The cache by its commands, with the clocks of this machine, which nobody turns."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import rule

from kvcli.cache import Cache
from kvcli.engine.entries import Clock
from tests.contract.test_cache import Watch
from tests.models.cached import CAP, KEYS, CacheMachine, Entries, values
from tests.models.lines import Refused, unfielded
from tests.models.words import Data, Words

SHORT_MS = 5000  # A TTL below this may end while the machine runs.
LONG_MS = 60_000
ROOM = ["--max-size", str(CAP)]


class CacheWords(Words):
    """The cache of a store, by the command line."""

    def _cache(self, name: str, *words: str, stdin: bytes = b"") -> dict[str, Any]:
        """Run a command. Raises Refused, whose exit code is that of the table."""
        ran = self.run(["cache", name, "--json", *words], stdin)
        if ran.code and not ran.out:
            refused = Refused(json.loads(ran.err.splitlines()[-1])["error"]["code"])
            assert ran.code == refused.exit_code
            raise refused
        return {**json.loads(ran.out), "exit_code": ran.code}

    def _whole(self, words: list[str]) -> list[str]:
        return [*words[:2], "-s", self._path, *words[2:]]

    def get(self, key: str) -> bytes | None:
        """Command cache get."""
        try:
            return unfielded("value", self._cache("get", *self._key(key)))
        except Refused as error:
            if error.code != "no-such-key":
                raise
            return None

    def exists(self, key: str) -> bool:
        """Command cache exists."""
        answer = self._cache("exists", *self._key(key))
        assert answer["exit_code"] == 1 - answer["exists"]
        return bool(answer["exists"])

    def set(self, key: str, value: bytes, ttl: int | None = None) -> None:
        """Command cache set."""
        word, stdin = self._value(value)
        times = [] if ttl is None else [f"--ttl={ttl}"]
        self._cache("set", *times, *ROOM, *self._key(key), word, stdin=stdin)

    def delete(self, key: str) -> None:
        """Command cache delete."""
        self._cache("delete", *self._key(key))

    def filled(self, key: str, value: bytes) -> tuple[bytes | None, bool]:
        """Command cache get-or-set, which fills what is vacant with what a command prints."""
        command = ["printf", "%s", Data(value.decode("utf-8", "surrogateescape"))]
        answer = self._cache("get-or-set", "--timeout=1ms", *ROOM, *self._key(key), "--", *command)
        return unfielded("value", answer), answer["cached"]

    def purge(self) -> int:
        """Command cache purge."""
        return int(self._cache("purge")["purged"])

    def clear(self) -> int:
        """Command cache clear."""
        return int(self._cache("clear")["cleared"])

    def stats(self) -> dict[str, Any]:
        """Command cache stats."""
        return self._cache("stats", *ROOM)


class CacheSaid(CacheMachine):
    """A cache of this process, and the command line."""

    def clients(self) -> list[Any]:
        """See CacheMachine.clients."""
        self.clock = Still()
        self.model = Entries(self.clock)
        cache = Cache(self.store, max_size=CAP)
        return [cache, CacheWords(self.store.path, "default")]

    def kept_for(self, ttl: int | None) -> int | None:
        """Have no TTL that ends meanwhile."""
        return LONG_MS if ttl is not None and 0 < ttl < SHORT_MS else ttl

    @rule(key=st.sampled_from(KEYS), value=values.filter(lambda value: b"\0" not in value))
    def get_or_set_by_a_command(self, key: str, value: bytes) -> None:
        """Get a value, or fill its vacancy with what a command prints."""
        found, is_cached = self.all[1].filled(key, value)
        expected = self.model.find(key)
        if not is_cached and (expected is None or key in self.model.unsure):
            expected = value
            self.model.set(key, value, None)
        assert found == expected, f"{key!r}: {found!r}, and the model says {expected!r}"


class Still(Watch):
    """The clocks of this machine."""

    def __init__(self) -> None:
        """Leave them as they are."""
        self.now = 0.0
        vars(self).update(wall=Clock.wall, boot=Clock.boot)

    def tick(self, seconds: float) -> None:
        """Let no time pass."""
