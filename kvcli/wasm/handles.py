"""Handles: what a guest holds of the host's, by number. One table for each kind of resource."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Generic, TypeVar

from kvcli.errors import Full

if TYPE_CHECKING:
    from collections.abc import Callable

HANDLES_MAX = 100_000  # A guest that drops none must not fill the host's memory.

Thing = TypeVar("Thing")


class Handles(Generic[Thing]):
    """Things by number. wasmtime sees to it that a guest names no number that it was not given, or has given back."""

    def __init__(self, leave: Callable[[Thing], object] = lambda _: None) -> None:
        """Hold nothing yet. `leave` is done to a thing that the guest drops, or still holds at its end."""
        self._leave = leave
        self._things: dict[int, Thing] = {}
        self._numbers = count(1)

    def add(self, thing: Thing) -> int:
        """Keep a thing and give its number. Raises Full."""
        if len(self._things) >= HANDLES_MAX:
            raise Full(f"the guest holds {HANDLES_MAX} handles of a kind: it has to drop some")
        number = next(self._numbers)
        self._things[number] = thing
        return number

    def __getitem__(self, number: int) -> Thing:
        """Give the thing that is borrowed."""
        return self._things[number]

    def take(self, number: int) -> Thing:
        """Give the thing that the guest gives away; its number means nothing any more."""
        return self._things.pop(number)

    def drop(self, number: int) -> None:
        """Forget a thing, as the guest does. One that was taken is forgotten already."""
        thing = self._things.pop(number, None)
        if thing is not None:
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
