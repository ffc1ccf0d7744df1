"""Survivors: mutants that no test can notice, because nothing that was promised changes. Each with the reason."""

from __future__ import annotations

EQUIVALENT = {
    "kvcli/engine/draft.py Layer.keys: "
    "merge(self._keys_below(bucket, span, count), self._changes.within(bucket, span), reverse=span.reverse) -> "
    "merge(self._changes.within(bucket, span), self._keys_below(bucket, span, count), reverse=span.reverse)": (
        "which of two equal keys comes first is lost in groupby, which gives one of them"
    ),
    "kvcli/engine/inspection.py module: 2 -> 3": "no page has so many nodes: each takes ten bytes at the least",
    **dict.fromkeys(
        (
            "kvcli/engine/inspection.py Inspector._value: head[1] << 16 -> head[1] >> 16",
            "kvcli/engine/inspection.py Inspector._value: 16 -> 17",
        ),
        "a value as long as that has pages of its own; one that only says it is, runs out of its page, which is told anyway",
    ),
    **dict.fromkeys(
        (
            "kvcli/engine/redis/scan.py scan_page: 2 -> 3",
            "kvcli/engine/redis/scan.py scan_page: count - len(found) -> count + len(found)",
        ),
        "how many names are looked at in a step is no promise",
    ),
    "kvcli/engine/redis/reading.py Reading: 0 -> 1": "what a server's token is compared with is a digest, not this",
    "kvcli/engine/redis/servers.py Servers._other: 5 -> 6": (
        "a number of six digits is no port either; the length only keeps int from reading very many"
    ),
    "kvcli/engine/redis/scan.py _stem: 1 -> 2": "a shorter stem finds more names, which the span leaves out again",
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
    "kvcli/engine/shelf.py module: 16 -> 17 #2": "how many entries are written in a round is no promise",
    "kvcli/store.py module: 2048 -> 2049": "LMDB of no kind takes a name that is as long as either",
    "kvcli/engine/tally.py module: 1 -> 2": "any state but zero tells of a commit that was cut short",
    "kvcli/engine/files.py number: 8 -> 9": "the number is the last of a meta page: there are eight bytes",
    "kvcli/engine/entries.py _named: 0 -> 1": "the shortest name is a letter and a key of one byte",
    "kvcli/cache.py name_of: 32 -> 33": "any digest of that length tells keys apart, and fits",
    "kvcli/engine/update.py Update.drop: self._ledger.touch_all(bucket) -> pass": (
        "who makes the bucket again touches all of it, and of another program's making the revisions tell"
    ),
    "kvcli/engine/shelf.py module: 128 -> 129": "how often a reader looks is no promise",
    "kvcli/engine/shelf.py Shelf.find: self._wall() * 1000 < deadline -> self._wall() * 1000 <= deadline": (
        "what the short way takes for expired the long way finds"
    ),
    "kvcli/engine/lives.py module: 60 -> 61": "how long what was left by the killed may lie there is no promise",
    "kvcli/engine/revisions.py module: 4096 -> 4097": "any number of stripes does, as long as it stays the same",
    "kvcli/engine/changes.py Changes.write: continue -> pass": "a note is written a second time, and is the same",
}
