"""The campaign with hostile text sees a fault in each of the places that print."""

from __future__ import annotations

import pytest

from tests.crash.hostile import campaign


@pytest.mark.parametrize("place", ["kvcli.repl.values.escape_line", "kvcli.repl.completer.escape_line"])
def test_campaign_sees_a_fault(monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    """A way of printing that escapes nothing is found."""
    monkeypatch.setattr(place, lambda text: text)
    assert campaign(7, 200).problems
