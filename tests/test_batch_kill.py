"""The campaign that kills batches, small; large it is python -m tests.crash kill-batch."""

from __future__ import annotations

from tests.crash.kill_batch import campaign


def test_killed_batch_loses_nothing_answered() -> None:
    """Every line that was answered ok is there, and the rest can be fed again."""
    assert campaign(seed=7, rounds=4)[1] == []


def test_campaign_sees_what_is_lost() -> None:
    """If answered lines were not there, the campaign would say so."""
    assert campaign(seed=8, rounds=3, plant=True)[1] != []
