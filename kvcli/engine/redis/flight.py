"""Flights: very many commands on their way at once, and an answer for each. What was refused or lost is told item by item.

A step is one verb for many keys of a bucket; see Engine.fly. On one server runs of sets and gets go as MSET and MGET, which
take a third of its time; in a cluster, where those are for one slot, key by key to the server that has it.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Any

from hiredis import ReplyError, pack_command

from kvcli.engine.redis.translation import Lost, Refused, lost, refused, shown_name
from kvcli.errors import IntegerOverflow, KvError, NotAnInteger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from kvcli.engine import Step
    from kvcli.engine.redis.link import Command, Link
    from kvcli.engine.redis.names import Names
    from kvcli.engine.redis.servers import Servers
    from kvcli.engine.redis.trip import Node, Trip

KEYS_PER_COMMAND = 500
BYTES_PER_COMMAND = 1 << 20
SENT_AT_ONCE_BYTES = 1 << 17  # While a server works on these, the next are packed.
WORDS = {"put_many": "SET", "get_many": "GET", "delete_many": "DEL", "has_many": "EXISTS", "add_many": "INCRBY"}
PAIRED = {"put_many", "add_many"}  # Items of these are pairs.
WRITING = {"put_many", "delete_many", "add_many"}
DIVIDING = {"NOPERM", "CROSSSLOT", "ERR"}  # What is refused so for several keys may be done for one.


class Errand:
    """One command, for one or more items of its step, and its answer."""

    __slots__ = ("answer", "command", "items", "parts", "waits", "writes")

    def __init__(self, command: Command, items: int, *, writes: bool) -> None:
        """Hold a command whose first key says which server it is for."""
        self.command = command
        self.items = items
        self.writes = writes
        self.answer: Any = None
        self.parts: list[Errand] = []  # By which it is done, where it was refused as a whole.
        self.waits = False  # Such a part was not sent yet.

    @property
    def name(self) -> bytes:
        """The first key."""
        return self.command[1]  # type: ignore[return-value]

    def keys(self) -> Sequence[Any]:
        """All keys."""
        return self.command[1 :: 2 if self.command[0] == "MSET" else 1] if self.items > 1 else self.command[1:2]

    def is_open(self) -> bool:
        """Tell whether it may be run again: it was refused by who could not, or lost and is known to have changed nothing."""
        if self.waits:
            return True
        if isinstance(self.answer, Lost):
            return not (self.answer.foreign or (self.writes and self.answer.writing))
        return isinstance(self.answer, ReplyError) and Refused(self.answer).is_passing

    def run(self, trip: Trip) -> Any:
        """Run it alone, and give its answer. Raises Refused for what another server, or a moment, may make good; Lost."""
        (answer,) = trip.to(self.name).exchange([self.command], writes=self.writes)
        if isinstance(answer, ReplyError) and (refusal := Refused(answer)).is_passing:
            raise refusal
        return answer

    def divided(self) -> list[Errand]:
        """Give an errand for each item, where all were refused since one was, or since they came together; else itself."""
        if self.items == 1 or not isinstance(self.answer, ReplyError) or Refused(self.answer).word not in DIVIDING:
            return [self]
        word, *words = self.command
        items = zip(words[::2], words[1::2], strict=True) if word == "MSET" else zip(words, strict=True)
        self.parts = [Errand((str(word)[1:], *item), 1, writes=self.writes) for item in items]
        for part in self.parts:
            part.answer, part.waits = self.answer, True
        return self.parts


def fly(
    servers: Servers, names: Names, steps: Sequence[Step], seconds: float, meanwhile: Callable[[], object] | None = None
) -> list[list[Any]]:
    """Do steps in order, and give for each an answer per item: a value, or the KvError of what did not happen."""
    is_one = not servers.address.is_cluster
    if names.is_flat:
        for verb, bucket, items in steps:
            for item in items:
                names.name(bucket, item[0] if verb in PAIRED else item)
    errands = [[*_errands(names, *step, together=is_one)] for step in steps]
    _run(servers, [errand for each in errands for errand in each], seconds, meanwhile)
    return [_answers(servers, names, step, each, seconds) for step, each in zip(steps, errands, strict=True)]


def _run(
    servers: Servers, errands: list[Errand], seconds: float, meanwhile: Callable[[], object] | None = None
) -> None:
    flying = [(node, group, _send(servers, node, group)) for node, group in _by_node(servers, errands, seconds)]
    if meanwhile is not None:
        meanwhile()
    for node, group, link in flying:
        if link is not None:
            _receive(servers, node, group, link)
    if any(errand.is_open() for errand in errands):
        _run_again(servers, _in_order(errands), seconds)
    if any(isinstance(errand.answer, ReplyError) for errand in errands):
        _run_divided(servers, errands, seconds)


def _run_divided(servers: Servers, errands: list[Errand], seconds: float) -> None:
    """Run what was refused for several keys key by key."""
    divided = [part for errand in errands for part in errand.divided()]
    waiting = [part for part in _in_order(divided) if part.waits]
    for part in waiting:
        part.waits = False
    if waiting:
        _run(servers, waiting, seconds)


def _by_node(servers: Servers, errands: list[Errand], seconds: float) -> Iterable[tuple[Node, list[Errand]]]:
    if not servers.address.is_cluster:
        return [(servers.node_of(0), errands)] if errands else []
    try:
        servers.find_masters(seconds)
    except KvError as error:
        for errand in errands:
            errand.answer = error
        return []
    groups: dict[Node, list[Errand]] = {}
    for errand in errands:
        try:
            groups.setdefault(servers.node_of(servers.slot_of(errand.name)), []).append(errand)
        except Lost as loss:
            errand.answer = loss
    return groups.items()


def _send(servers: Servers, node: Node, errands: list[Errand]) -> Link | None:
    link = None
    try:
        link = servers.take(node)
        for piece in _pieces(errands):
            link.send(piece, writes=True)  # Or perhaps not; each errand knows.
    except (Lost, KvError) as failure:  # Also a password that is none any more: what flew before is to be told.
        for errand in errands:
            errand.answer = failure
        return None
    except BaseException:
        if link is not None:
            link.close()
        raise
    return link


def _pieces(errands: list[Errand]) -> Iterator[bytes]:
    packed: list[bytes] = []
    room = SENT_AT_ONCE_BYTES
    for errand in errands:
        packed.append(pack_command(errand.command))  # type: ignore[arg-type]
        room -= len(packed[-1])
        if room < 0:
            yield b"".join(packed)
            packed, room = [], SENT_AT_ONCE_BYTES
    yield b"".join(packed)


def _receive(servers: Servers, node: Node, errands: list[Errand], link: Link) -> None:
    try:
        answers = link.hear([errand.command for errand in errands])
    except Lost as loss:
        answers = [*loss.answers, *[loss] * (len(errands) - len(loss.answers))]
    except BaseException:
        link.close()
        raise
    else:
        servers.give_back(node, link)
    for errand, answer in zip(errands, answers, strict=True):
        errand.answer = answer


def _in_order(errands: list[Errand]) -> list[Errand]:
    """Give those that may be run again, and still be in order: not behind one that had the same key and was done.

    What is left out keeps its refusal: else of two sets of a key, both told ok, the first could win.
    """
    touched: set[bytes] = set()
    written: set[bytes] = set()
    again = []
    for errand in reversed(errands):
        if not errand.is_open():
            touched.update(errand.keys())
            written.update(errand.keys() if errand.writes else ())
        elif (touched if errand.writes else written).isdisjoint(errand.keys()):
            again.append(errand)
    return again[::-1]


def _run_again(servers: Servers, errands: list[Errand], seconds: float) -> None:
    """Run one by one what others may serve, or the same one a moment later; all of it within so many seconds."""
    deadline = monotonic() + seconds
    failure: KvError | None = None
    for errand in errands:
        left = deadline - monotonic()
        if left <= 0 and failure is not None:
            errand.answer = failure  # Whoever waits for the first one has waited for all.
            continue
        try:
            errand.answer = servers.attempt(errand.run, max(left, 0))
        except KvError as error:
            errand.answer = failure = error


def _errands(names: Names, verb: str, bucket: bytes, items: Sequence[Any], *, together: bool) -> Iterator[Errand]:
    head, word, writes = names.head(bucket), WORDS[verb], verb in WRITING
    if together and len(items) > 1 and verb in {"put_many", "get_many"}:
        for part in _parts(items, verb):
            keys = [head + item for item in part] if verb == "get_many" else _flat(head, part)
            yield Errand(("M" + word, *keys), len(part), writes=writes)
    elif verb in PAIRED:
        for key, value in items:
            yield Errand((word, head + key, value), 1, writes=writes)
    else:
        for key in items:
            yield Errand((word, head + key), 1, writes=writes)


def _flat(head: bytes, pairs: Sequence[tuple[bytes, bytes]]) -> list[bytes]:
    words = [b""] * (2 * len(pairs))
    words[::2] = [head + key for key, _ in pairs]
    words[1::2] = [value for _, value in pairs]
    return words


def _parts(items: Sequence[Any], verb: str) -> Iterator[Sequence[Any]]:
    """Cut a step so that no command is very long."""
    for start in range(0, len(items), KEYS_PER_COMMAND):
        part = items[start : start + KEYS_PER_COMMAND]
        if verb == "put_many" and sum([len(value) for _, value in part]) > BYTES_PER_COMMAND:
            yield from ([pair] for pair in part)
        else:
            yield part


def _answers(servers: Servers, names: Names, step: Step, errands: list[Errand], seconds: float) -> list[Any]:
    verb, bucket, items = step
    answers: list[Any] = []
    for errand in errands:
        answers += _items(servers, verb, errand, len(names.head(bucket)))
    if verb == "get_many" and len(errands) < len(items):  # Of what is no string MGET says that it is not there.
        absent = [at for at, answer in enumerate(answers) if answer is None]
        again = [*_errands(names, verb, bucket, [items[at] for at in absent], together=False)]
        _run(servers, again, seconds)
        for at, errand in zip(absent, again, strict=True):
            (answers[at],) = _items(servers, verb, errand, len(names.head(bucket)))
    return answers


def _items(servers: Servers, verb: str, errand: Errand, head: int) -> list[Any]:
    """Give the answer of an errand for each of its items."""
    if errand.parts:
        return [answer for part in errand.parts for answer in _items(servers, verb, part, head)]
    answer, shown = errand.answer, servers.address.shown
    if isinstance(answer, Lost):
        answer = lost(answer, shown)
    elif isinstance(answer, ReplyError):
        answer = count_error(answer, errand.name[head:]) if verb == "add_many" else None
        answer = answer or refused(errand.answer, f"{shown}: {shown_name(errand.name[head:])}")
    if isinstance(answer, KvError):
        return [answer] * errand.items
    if verb == "get_many":
        return answer if errand.command[0] == "MGET" else [answer]
    if verb == "put_many":
        return [None] * errand.items
    return [answer if verb == "add_many" else bool(answer)]


def count_error(error: Exception, name: bytes) -> KvError | None:
    """Give what INCRBY was refused for, where that is the number."""
    text = str(error)
    if "overflow" in text:
        return IntegerOverflow("the sum is outside of 64 bits; the value was left alone")
    if "not an integer" in text or text.startswith("WRONGTYPE"):
        return NotAnInteger(f"the value of {shown_name(name)} is not a decimal integer of 64 bits")
    return None
