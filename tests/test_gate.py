"""The gate: transactions pass together, and who must be alone is alone."""

from __future__ import annotations

import threading

import pytest

from kvcli.engine import gate as gates
from kvcli.engine import writer
from kvcli.engine.calm import calm
from kvcli.engine.gate import Gate
from kvcli.errors import Busy


def test_who_is_alone_waits_for_the_others() -> None:
    """Nobody is alone before the last one left."""
    gate = Gate()
    events: list[str] = []
    inside, leave = threading.Event(), threading.Event()

    def pass_through() -> None:
        with gate.passage():
            inside.set()
            leave.wait(10)
            events.append("left")

    thread = threading.Thread(target=pass_through)
    thread.start()
    inside.wait(10)
    threading.Timer(0.05, leave.set).start()
    gate.alone(lambda: events.append("alone"))
    thread.join()
    assert events == ["left", "alone"]


def test_nobody_enters_while_one_is_alone() -> None:
    """Who comes meanwhile waits outside."""
    gate = Gate()
    events: list[str] = []

    def pass_through() -> None:
        with gate.passage():
            events.append("entered")

    thread = threading.Thread(target=pass_through)

    def alone() -> None:
        thread.start()
        thread.join(0.05)
        events.append("still alone")

    gate.alone(alone)
    thread.join()
    assert events == ["still alone", "entered"]


def test_who_waits_too_long_gives_up_and_lets_others_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """A transaction that never ends does not shut the gate for ever."""
    monkeypatch.setattr(gates, "ALONE_SECONDS_MAX", 0.02)
    gate = Gate()
    refused: list[Busy] = []

    def try_alone() -> None:
        try:
            gate.alone(lambda: None)
        except Busy as error:
            refused.append(error)

    with gate.passage():
        thread = threading.Thread(target=try_alone)
        thread.start()
        thread.join()
        assert len(refused) == 1
    with gate.passage():
        pass


def test_who_is_alone_needs_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system gives none, the work is done all the same: others know the gate, and nobody is inside."""

    def refuse(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    gate = Gate()
    thread = threading.Thread(target=gate.passage)
    thread.start()
    thread.join()
    monkeypatch.setattr(writer, "start_new_thread", refuse)
    assert gate.alone(threading.get_ident) == threading.get_ident()
    with gate.passage():
        pass


def test_busy_is_where_another_thread_is_inside() -> None:
    """A gate is busy as long as a thread other than the asking one is inside."""
    gate = Gate()
    inside, leave = threading.Event(), threading.Event()

    def pass_through() -> None:
        with gate.passage():
            inside.set()
            leave.wait(10)

    thread = threading.Thread(target=pass_through)
    thread.start()
    inside.wait(10)
    assert gate.is_busy()
    leave.set()
    thread.join()
    assert not gate.is_busy()


def test_nobody_enters_while_it_is_quiet() -> None:
    """Who comes while somebody asks for quiet waits; who is inside goes on."""
    gate = Gate()
    with gate.passage(), gate.quiet:
        thread = threading.Thread(target=gate.passage)
        thread.start()
        thread.join(0.05)
        assert thread.is_alive()
    thread.join(10)
    assert not thread.is_alive()


def test_calm_is_over_when_it_is_left() -> None:
    """Sections lie in one another, end with an error too, and belong to their thread; then Ctrl-C is heard again."""
    with calm:
        with pytest.raises(ZeroDivisionError), calm:
            1 // 0  # noqa: B018 - the error
        assert calm.depth == 1
    assert calm.depth == 0
    with calm:
        seen: list[int] = []
        other = threading.Thread(target=lambda: seen.append(calm.depth))
        other.start()
        other.join()
        assert (calm.depth, seen) == (1, [0])
