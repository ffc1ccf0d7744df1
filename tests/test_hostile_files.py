"""The campaign with damaged files sees a death, and a write to what was refused."""

from __future__ import annotations

from tests.crash.files import campaign


def test_campaign_sees_both_faults() -> None:
    """A program that dies by a signal is found, and so is one that writes to a file and says that it refused it."""
    problems = campaign(7, 2, plant=True).problems
    for kind in ("killed by SIGBUS", "what was refused was changed"):
        assert any(kind in problem for problem in problems)
