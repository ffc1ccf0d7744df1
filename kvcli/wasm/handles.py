"""Handles: what a guest holds of the host's, by number. One table for each kind of resource."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Generic, TypeVar

from kvcli.errors import Full

if TYPE_CHECKING:
    from collections.abc import Callable

# A guest that drops none must not fill the host's memory, which --memory knows nothing of. wasmtime ends one that holds 100,000
# of all kinds together, of which there are seven here; an error comes before that.
HANDLES_MAX, HANDLES_BYTES_MAX = 10_000, 64 << 20

Thing = TypeVar("Thing")


class Handles(Generic[Thing]):
    """Things by number. wasmtime sees to it that a guest names no number that it was not given, or has given back."""

    def __init__(
        self, leave: Callable[[Thing], object] = lambda _: None, weigh: Callable[[Thing], int] = lambda _: 0
    ) -> None:
        """Hold nothing yet. `leave` is done to a thing that the guest drops, or still holds at its end.

        `weigh` tells how many bytes of a value stand behind a thing.
        """
        self._leave, self._weigh = leave, weigh
        self._bytes = 0
        self._things: dict[int, Thing] = {}
        self._numbers = count(1)

    def add(self, thing: Thing) -> int:
        """Keep a thing and give its number. Raises Full."""
        if len(self._things) >= HANDLES_MAX:
            raise Full(f"the guest holds {HANDLES_MAX} handles of a kind: it has to drop some")
        self.hold(self._weigh(thing))
        number = next(self._numbers)
        self._things[number] = thing
        return number

    def hold(self, size: int) -> None:
        """Let things be so many bytes heavier. Raises Full."""
        if self._bytes + size > HANDLES_BYTES_MAX:
            raise Full(f"{HANDLES_BYTES_MAX} bytes stand behind handles that the guest holds: it has to drop some")
        self._bytes += size

    def __getitem__(self, number: int) -> Thing:
        """Give the thing that is borrowed."""
        return self._things[number]

    def take(self, number: int) -> Thing:
        """Give the thing that the guest gives away; its number means nothing any more."""
        thing = self._things.pop(number)
        self._bytes -= self._weigh(thing)
        return thing

    def drop(self, number: int) -> None:
        """Forget a thing, as the guest does. One that was taken is forgotten already."""
        thing = self._things.pop(number, None)
        if thing is not None:
            self._bytes -= self._weigh(thing)
            self._leave(thing)

    def replace(self, number: int, thing: Thing) -> Thing:
        """Put another thing in the place of one, and give that."""
        before = self._things[number]
        self._things[number] = thing
        return before

    def close(self) -> None:
        """Drop all."""
        for number in [*self._things]:
            self.drop(number)

    def __len__(self) -> int:
        """Count what the guest holds."""
        return len(self._things)
