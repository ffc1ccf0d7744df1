"""wasi:keyvalue/cache for guests, in the older text that has it: with it go its `types` and its `error`.

A function gives a future, which is a resource of the interface's own; its `get` says none until there is an answer. What the
cache of a store does takes microseconds, so there is one at once, but for get-or-set, where somebody else may hold the
vacancy: `listen` waits for that, and gives a pollable that is ready.

What cannot be had: the streams of incoming-value-consume-async and outgoing-value-write-body-async. wasmtime lets no host that is
written in Python make one, so these functions say that in an error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kvcli.cache import Cache, Occupied, Vacant, name_of
from kvcli.engine.queues import wait
from kvcli.errors import HandleConsumed, KvError, Other
from kvcli.wasm.shapes import FUTURES
from kvcli.wasm.store import Refused, passing

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

    from kvcli.cache import Vacancy
    from kvcli.wasm.border.link import Function
    from kvcli.wasm.host import Host
    from kvcli.wasm.shapes import Types

FILL_SECONDS_MAX = (
    30.0  # Who has waited so long gets a vacancy too. It may be the guest itself that does not fill the first.
)
NO_STREAMS = "this host passes values whole, and has no streams for them: use the function that ends in -sync"

Answer = tuple[str, Any]  # A result: ok or err, and what.


class Outgoing:
    """An outgoing-value: bytes that the guest has written, and the vacancy that they fill, if it is one's."""

    __slots__ = ("_ttl", "_vacancy", "value")

    def __init__(self, vacancy: Vacancy | None = None, ttl: int | None = None) -> None:
        """Begin empty."""
        self._vacancy, self._ttl = vacancy, ttl
        self.value = b""

    def write(self, value: bytes) -> None:
        """Take the bytes, and fill the vacancy with them. Raises HandleConsumed where that was done, and what a set does."""
        self.value = value
        if self._vacancy is not None:
            self._vacancy.fill(value, self._ttl)

    def drop(self) -> None:
        """Let the next one fill the vacancy, if this one did not."""
        if self._vacancy is not None:
            self._vacancy.drop()


class Spent(Outgoing):
    """What the second fill of a vacancy gives: nothing can be written there."""

    __slots__ = ()

    def write(self, value: bytes) -> NoReturn:  # noqa: ARG002 - it goes nowhere
        """Refuse. Raises HandleConsumed."""
        raise HandleConsumed("this vacancy is filled already")


class Meeting:
    """A get-or-set that may have to wait for somebody else's vacancy to be filled."""

    def __init__(self, cache: Cache, key: str) -> None:
        """Look for the first time. Raises InvalidKey."""
        value, raw = cache.get(key), name_of(key)
        self._entry: Occupied | Vacant | None = None if value is None else Occupied(value)
        self._steps = cache.rendezvous(raw, lambda: cache.shelf.peek(raw))
        self._claim = next(self._steps) if value is None else None
        self.size = len(value or b"")
        self.is_fetched = False  # By the guest, which from then on has to drop the vacancy itself.

    def look(self, timeout: float = 0.0) -> Occupied | Vacant | None:
        """Give the entry, None while somebody else holds the vacancy; wait for that so many seconds. Raises Busy."""
        while self._entry is None and self._claim is not None:
            claim = self._claim
            had = claim if claim.take() else None
            if had is None and not timeout:
                return None
            try:
                self._claim = self._steps.send(had or wait(claim, timeout))
            except StopIteration as done:
                self._entry = done.value if isinstance(done.value, Vacant) else Occupied(done.value)
        return self._entry

    def drop(self) -> None:
        """Give up: the line, and a vacancy that the guest did not fetch."""
        self._steps.close()
        if isinstance(self._entry, Vacant) and not self.is_fetched:
            self._entry.vacancy.drop()


class Future:
    """What a function gives instead of its answer."""

    __slots__ = ("look", "meeting", "size")

    def __init__(self, look: Callable[[], Answer | None], meeting: Meeting | None = None, size: int = 0) -> None:
        """`look` gives the answer, None while there is none; it keeps so many bytes for that."""
        self.look = look
        self.meeting = meeting
        self.size = size

    def drop(self) -> None:
        """Give up what it still holds."""
        if self.meeting is not None:
            self.meeting.drop()


def errors(host: Host, _: Types) -> dict[str, Function]:
    """Give the functions of the interface wasi-keyvalue-error."""
    return {"[method]error.trace": lambda error: host.errors[error]}


def values(host: Host, types: Types) -> dict[str, Function]:
    """Give the functions of the interface `types` that the cache needs."""
    outgoing, incoming = host.outgoing, host.incoming

    def write(number: int, value: bytes) -> None:
        outgoing.hold(len(passing(value)) - len(outgoing[number].value))
        outgoing[number].write(value)

    def no_streams(_: int) -> None:
        raise Other(NO_STREAMS)

    functions: dict[str, Function] = {
        "[method]outgoing-value.outgoing-value-write-body-sync": write,
        "[method]outgoing-value.outgoing-value-write-body-async": no_streams,
        "[method]incoming-value.incoming-value-consume-sync": lambda number: passing(incoming[number]),
        "[static]incoming-value.incoming-value-consume-sync": lambda number: passing(incoming.take(number)),
        "[method]incoming-value.incoming-value-consume-async": no_streams,
        "[static]incoming-value.incoming-value-consume-async": no_streams,
        "[method]incoming-value.incoming-value-size": lambda number: len(incoming[number]),
        "[method]incoming-value.size": lambda number: len(incoming[number]),
    }
    return {
        # This one has no error to give: where there is no room, the guest ends.
        "[static]outgoing-value.new-outgoing-value": lambda: outgoing.add(Outgoing()),
        **{name: _with_error(host, functions[name]) for name in functions.keys() & types.keys()},
    }


def functions(host: Host, types: Types) -> dict[str, Function]:
    """Give the functions of the interface `cache`; none to a host that has no cache."""
    if host.cache is None:
        return {}
    cache = host.cache()
    futures = Futures(host, cache)
    at_once = futures.at_once
    found: dict[str, Function] = {
        "get": lambda key: at_once(lambda: cache.get(key)),
        "exists": lambda key: at_once(lambda: cache.exists(key)),
        "set": lambda key, value, ttl: at_once(lambda: cache.set(key, host.outgoing[value].value, ttl)),
        "delete": lambda key: at_once(lambda: cache.delete(key)),
        "get-or-set": futures.get_or_set,
        "[method]vacancy.vacancy-fill": futures.fill,
    }
    for name in FUTURES:
        found[f"[method]{name}.{name}-get"] = lambda number: host.futures[number].look()
        found[f"[method]{name}.listen-to-{name}"] = futures.listen
    return {name: found[name] for name in found.keys() & types.keys()}


class Futures:
    """The functions that make futures."""

    def __init__(self, host: Host, cache: Cache) -> None:
        """Use the cache, and keep what is made with the host."""
        self._host, self._cache = host, cache

    def at_once(self, work: Callable[[], object]) -> int:
        """Do some work now, and give a future that has its answer."""
        host = self._host
        try:
            answer = work()
        except KvError as error:
            return self._failed(error)
        if isinstance(answer, bytes):
            value = answer
            return host.futures.add(Future(lambda: ("ok", host.incoming.add(value)), size=len(value)))
        return host.futures.add(Future(lambda: ("ok", answer)))

    def get_or_set(self, key: str) -> int:
        """Give a future of the entry of `key`."""
        try:
            meeting = Meeting(self._cache, key)
        except KvError as error:
            return self._failed(error)
        return self._host.futures.add(Future(lambda: _entry(self._host, meeting), meeting, meeting.size))

    def listen(self, number: int) -> Any:
        """Wait for the answer of a future, and give a pollable that is ready."""
        meeting = self._host.futures[number].meeting
        if meeting is not None:
            meeting.look(FILL_SECONDS_MAX)
        return self._host.pollable()

    def fill(self, number: int, ttl: int | None) -> int:
        """Give what the guest writes the value of a vacancy into, which is that one's from now on."""
        vacancy = self._host.vacancies.replace(number, None)
        return self._host.outgoing.add(Spent() if vacancy is None else Outgoing(vacancy, ttl))

    def _failed(self, error: KvError) -> int:
        message = str(error)
        return self._host.futures.add(Future(lambda: ("err", self._host.errors.add(message))))


def _with_error(host: Host, function: Function) -> Function:
    """Let the error of a function be a resource, as this text has it."""

    def call(*arguments: Any) -> Any:
        try:
            return function(*arguments)
        except KvError as error:
            raise Refused(host.errors.add(str(error))) from error

    return call


def _entry(host: Host, meeting: Meeting) -> Answer | None:
    try:
        entry = meeting.look()
    except KvError as error:
        return "err", host.errors.add(str(error))
    if entry is None:
        return None
    meeting.is_fetched = True
    if isinstance(entry, Occupied):
        return "ok", ("occupied", host.incoming.add(entry.value))
    return "ok", ("vacant", host.vacancies.add(entry.vacancy))
