"""Run the benchmarks named, or all, and print their ratios."""

from __future__ import annotations

import sys

from tests.bench import batch, cache, coprocess, one_shot, puts, repl, writers

BENCHES = {
    "one-shot": one_shot.run,
    "batch": batch.run,
    "cache": cache.run,
    "coprocess": coprocess.run,
    "puts": puts.run,
    "repl": repl.run,
    "writers": writers.run,
}


def main(names: list[str]) -> int:
    """Run by name; 2 for a name that is none."""
    if unknown := [name for name in names if name not in BENCHES]:
        print(f"no bench {unknown[0]!r}; there are: {', '.join(BENCHES)}", file=sys.stderr)
        return 2
    for name in names or BENCHES:
        print(f"== {name}", flush=True)
        for line in BENCHES[name]():
            print(line, flush=True)
    return 0


sys.exit(main(sys.argv[1:]))
