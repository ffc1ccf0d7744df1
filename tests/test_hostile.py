"""A small run of the campaign with hostile text; `python -m tests.crash hostile --rounds 100000` is the large one."""

from __future__ import annotations

import pytest

from tests.crash.hostile import campaign

ROUNDS = 1500


def test_nothing_hostile_acts_on_a_terminal() -> None:
    """Keys, values and bucket names of all kinds, printed in every way."""
    counts, problems = campaign(7, ROUNDS)
    assert problems == []
    assert int(counts.split(" ")[0].replace(",", "")) > 10 * ROUNDS


@pytest.mark.parametrize("place", ["kvcli.repl.values.escape_line", "kvcli.repl.completer.escape_line"])
def test_campaign_sees_a_fault(monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    """A way of printing that escapes nothing is found."""
    monkeypatch.setattr(place, lambda text: text)
    assert campaign(7, 200)[1]
