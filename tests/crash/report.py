"""Report: what a campaign did, what it looked at, and what was wrong."""

from __future__ import annotations

from collections import Counter

SHOWN_MAX = 60


class Report:
    """Counts of what happened, and problems. A campaign that checked nothing has failed."""

    def __init__(self) -> None:
        """Begin."""
        self.seen: Counter[str] = Counter()
        self.problems: list[str] = []
        self._checks = 0

    def check(self, holds: object, problem: str) -> None:
        """Count one thing that was looked at, and note the problem where it does not hold."""
        self._checks += 1
        if not holds:
            self.problems.append(problem)

    def include(self, other: Report) -> None:
        """Add what another one counted, looked at and found."""
        self.seen += other.seen
        self.problems += other.problems
        self._checks += other._checks

    def failed(self) -> bool:
        """Tell whether anything was wrong, or nothing was looked at."""
        return bool(self.problems) or not self._checks

    def lines(self, name: str) -> list[str]:
        """Give what to print, the verdict last."""
        told = [f"{name}: {', '.join(f'{count:,} {what}' for what, count in self.seen.items())}"]
        told += [f"{name}: {problem}" for problem in self.problems[:SHOWN_MAX]]
        failed = len(self.problems) or int(not self._checks)
        return [*told, f"{name}: {self._checks - len(self.problems)} passed, {failed} failed"]
