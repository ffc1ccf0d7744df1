"""Campaigns: what breaks things, at random, from a seed, and looks whether the promises hold.

Each is a module with one function, `campaign(seed, rounds, *, plant=False) -> Report`. `plant` breaks something on purpose, in the
campaign and never in kvcli, and the campaign must find it: one that finds nothing then has not looked.

    python -m tests.crash kill --seed 3      one, at its full size
    python -m tests.crash --small            all, as the tests run them
"""

from __future__ import annotations

from typing import NamedTuple


class Rounds(NamedTuple):
    """How many rounds of a campaign: in the tests, in the tests with a planted fault, and in full."""

    small: int
    plant: int
    full: int


CAMPAIGNS = {
    "backup": Rounds(8, 1, 70),
    "bombs": Rounds(24, 4, 190),
    "clock": Rounds(5, 1, 60),
    "files": Rounds(16, 2, 3000),
    "full": Rounds(3, 2, 70),
    "fuzz": Rounds(20_000, 3000, 1_000_000),  # Inputs.
    "hang": Rounds(8, 1, 160),
    "hostile": Rounds(1500, 200, 100_000),
    "incr": Rounds(400, 100, 20_000),
    "io": Rounds(24, 8, 1200),
    "kill": Rounds(11, 5, 1_000),
    "kill-filler": Rounds(8, 2, 100),
    "lin": Rounds(1, 1, 80),
    "model": Rounds(5, 8, 1000),  # Machines of each kind; 20,000 are for a night.
    "mutants": Rounds(1, 1, 250),
    "power": Rounds(100, 30, 3000),
    "race": Rounds(20, 2, 100),
    "reader": Rounds(40, 5, 600),
}
