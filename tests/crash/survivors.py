"""Survivors: mutants that no test can notice, because nothing that was promised changes. Each with the reason."""

from __future__ import annotations

EQUIVALENT = {
    "kvcli/engine/draft.py Layer.keys: "
    "merge(self._keys_below(bucket, span, count), self._changes.within(bucket, span), reverse=span.reverse) -> "
    "merge(self._changes.within(bucket, span), self._keys_below(bucket, span, count), reverse=span.reverse)": (
        "which of two equal keys comes first is lost in groupby, which gives one of them"
    ),
    "kvcli/engine/generation.py module: 0 -> 1 #2": "NOTHING stands for no folder: any pair that no folder has does",
    "kvcli/engine/generation.py Generation._allocate: 1 -> 2": "one page more is allocated than the file has, of 256 spare",
    "kvcli/engine/generation.py Generation._allocate: need > self._allocated -> need >= self._allocated": (
        "where it is just enough, the tally says so, and nothing is allocated"
    ),
    "kvcli/engine/files.py Header.__init__: 8 -> 9": "the byte that follows the size of the map is the low one of 4,096",
    "kvcli/engine/shelf.py Shelf.find: 1000 -> 1001": "what the short way takes for expired the long way finds",
    "kvcli/engine/writer.py Writer.__init__: self._wake.acquire() -> pass": (
        "the thread looks once more for calls, finds those that are there or none, and sleeps"
    ),
}
