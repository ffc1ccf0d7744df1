"""The gate: transactions pass together, and who must be alone is alone."""

from __future__ import annotations

import threading

import pytest

from kvcli.engine import gate as gates
from kvcli.engine.gate import Gate
from kvcli.errors import Busy


def test_who_is_alone_waits_for_the_others() -> None:
    """Nobody is alone before the last one left."""
    gate = Gate()
    events: list[str] = []
    inside, leave = threading.Event(), threading.Event()

    def pass_through() -> None:
        with gate:
            inside.set()
            leave.wait(10)
            events.append("left")

    thread = threading.Thread(target=pass_through)
    thread.start()
    inside.wait(10)
    threading.Timer(0.05, leave.set).start()
    with gate.alone():
        events.append("alone")
    thread.join()
    assert events == ["left", "alone"]


def test_nobody_enters_while_one_is_alone() -> None:
    """Who comes meanwhile waits outside."""
    gate = Gate()
    events: list[str] = []

    def pass_through() -> None:
        with gate:
            events.append("entered")

    with gate.alone():
        thread = threading.Thread(target=pass_through)
        thread.start()
        thread.join(0.05)
        events.append("still alone")
    thread.join()
    assert events == ["still alone", "entered"]


def test_who_waits_too_long_gives_up_and_lets_others_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """A transaction that never ends does not shut the gate for ever."""
    monkeypatch.setattr(gates, "ALONE_SECONDS_MAX", 0.02)
    gate = Gate()
    with gate:
        with pytest.raises(Busy):
            gate.shut()
        with gate:
            assert gate.is_busy()
    assert not gate.is_busy()
