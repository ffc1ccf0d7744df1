"""Run the benchmarks named, or all, and print their ratios."""

from __future__ import annotations

import sys
from importlib import import_module

BENCHES = (
    "one-shot",
    "batch",
    "cache",
    "coprocess",
    "puts",
    "repl",
    "run",
    "server",
    "shell",
    "writers",
)  # Each loads what it needs, and no other.


def main(names: list[str]) -> int:
    """Run by name; 2 for a name that is none."""
    if unknown := [name for name in names if name not in BENCHES]:
        print(f"no bench {unknown[0]!r}; there are: {', '.join(BENCHES)}", file=sys.stderr)
        return 2
    for name in names or BENCHES:
        print(f"== {name}", flush=True)
        for line in import_module(f"tests.bench.{name.replace('-', '_')}").run():
            print(line, flush=True)
    return 0


sys.exit(main(sys.argv[1:]))
