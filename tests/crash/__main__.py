"""Run a campaign and print what it saw."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable

from tests.crash import backup, hostile, kill_batch, kill_filler

CAMPAIGNS: dict[str, Callable[[int, int], tuple[str, list[str]]]] = {
    "backup": backup.campaign,
    "hostile": hostile.campaign,
    "kill-batch": kill_batch.campaign,
    "kill-filler": kill_filler.campaign,
}


def main() -> int:
    """Run by name; 1 where something was lost."""
    parser = argparse.ArgumentParser(prog="python -m tests.crash")
    parser.add_argument("name", choices=CAMPAIGNS)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=100)
    chosen = parser.parse_args()
    start = time.monotonic()
    counts, problems = CAMPAIGNS[chosen.name](chosen.seed, chosen.rounds)
    print(f"seed {chosen.seed}, {chosen.rounds} rounds, {counts}, {time.monotonic() - start:.0f} s")
    print(f"{chosen.name}: {'; '.join(problems) if problems else 'nothing wrong'}")
    return 1 if problems else 0


sys.exit(main())
