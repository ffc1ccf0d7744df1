"""Run campaigns by name, or all, and print what they saw."""

from __future__ import annotations

import argparse
import sys
import time
from importlib import import_module

import pytest

from tests.crash import CAMPAIGNS
from tests.crash.report import Report


def run(name: str, seed: int, rounds: int, *, plant: bool = False) -> Report:
    """Run one."""
    module = import_module(f"tests.crash.{name.replace('-', '_')}")
    return module.campaign(seed, rounds, plant=plant)  # type: ignore[no-any-return]


def main() -> int:
    """Run them; 1 where anything was wrong, or could not be looked at."""
    parser = argparse.ArgumentParser(prog="python -m tests.crash", allow_abbrev=False)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"all, or some of {', '.join(CAMPAIGNS)}")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rounds", type=int, help="how many, for each of them")
    parser.add_argument("--small", action="store_true", help="as many as the tests run")
    parser.add_argument("--plant", action="store_true", help="break something on purpose, which must be found")
    chosen = parser.parse_args()
    if unknown := [name for name in chosen.names if name not in CAMPAIGNS]:
        parser.error(f"no campaign {unknown[0]!r}; there are {', '.join(CAMPAIGNS)}")
    is_bad = False
    for name in chosen.names or CAMPAIGNS:
        sizes, begun = CAMPAIGNS[name], time.monotonic()
        rounds = chosen.rounds or (sizes.plant if chosen.plant else sizes.small if chosen.small else sizes.full)
        try:
            report = run(name, chosen.seed, rounds, plant=chosen.plant)
        except pytest.skip.Exception as reason:
            print(f"{name}: not run, as {reason}")
            is_bad = True
            continue
        print(f"{name}: seed {chosen.seed}, {rounds:,} rounds, {time.monotonic() - begun:.0f} s")
        print(*report.lines(name), sep="\n", flush=True)
        is_bad |= report.failed()
    return int(is_bad)


if __name__ == "__main__":
    sys.exit(main())
