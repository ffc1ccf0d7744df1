"""What one of many processes does to a store that all share: it counts, or it swaps, so many times."""

from __future__ import annotations

import sys

from kvcli.atomics import Cas, increment, swap
from kvcli.errors import CasFailed
from kvcli.store import Store


def main(url: str, how: str, times: int) -> None:
    """Add 1 to the key `n`, by increments or by swaps, so many times; a swap that is lost is tried again."""
    with Store(url) as store:
        bucket = store.open("default")
        for _ in range(times):
            if how == "increment":
                increment(bucket, "n", 1)
                continue
            cas, value = Cas.new_with_read(bucket, "n")
            while True:
                try:
                    swap(cas, b"%d" % (int(value or b"0") + 1))
                    break
                except CasFailed as lost:
                    cas, value = lost.cas, lost.value


main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
