"""Damaged caches: what kvcli keeps of them is thrown away where it is damaged, and nothing fails for that."""

from __future__ import annotations

import os
import random
import tempfile

from tests.crash.damaged import manners
from tests.crash.forked import MEMORY, Program, command_line, run
from tests.crash.mutations import mutate
from tests.crash.report import Report
from tests.crash.specimens import Specimen

WORDS = (
    *("cache get a", "cache exists a", "cache set b 1", "cache set c @big --ttl 1h", "cache delete a", "cache stats"),
    *("cache purge", "cache get-or-set a -- echo 1", "cache run -- echo 1", "cache clear", "get k1", "set k2 v"),
)


def look(report: Report, name: str, specimen: Specimen, chance: random.Random, program: Program) -> None:
    """Damage a file of a cache, use it, and see it work again at the end, unless the damage was hidden from kvcli.

    It looks at the time of the last change alone, so who sets that back shows LMDB what is damaged. No cache is for those.
    """
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        specimen.put(folder)
        put(os.path.join(folder, "big"), bytes(20_000))
        for words in ("cache set a 1", "cache set b @big"):
            report.check(not run(command_line, _said(words), folder).code, f"{name}: {words} failed")
        is_hidden = chance.random() < 0.5
        told = _damage(os.path.join(folder, "store", "cache"), chance, is_hidden)
        report.seen["caches"] += 1
        for words in [*chance.sample(WORDS, 4), "cache set z 1", "cache get z"]:
            ran = run(program, _said(words), folder)
            report.seen["runs"] += 1
            report.seen[ran.ending] += 1
            problems = manners(ran, words)
            problems += [ran.ending] if not is_hidden and ran.code not in {0, 1} else []
            problems += (
                ["it has forgotten again"] if words == "cache get z" and not is_hidden and ran.out != b"1" else []
            )
            report.check(not problems, f"{name} ({told}{', hidden' * is_hidden}): {words}: {'; '.join(problems)}")


def put(path: str, data: bytes) -> None:
    """Write a file."""
    with open(path, "wb") as file:
        file.write(data)


def _said(words: str) -> list[str]:
    command, dashes, rest = words.partition(" -- ")
    return [*command.split(), "--store", "store", *(["--", *rest.split()] if dashes else [])]


def _damage(cache: str, chance: random.Random, is_hidden: bool) -> str:
    (generation,) = [name for name in os.listdir(cache) if os.path.isdir(os.path.join(cache, name))]
    places = {"data": "data.mdb", "tally": "tally", "lock": "lock.mdb", "claims": os.path.join(os.pardir, "claims")}
    kind = chance.choice(("data", "data", "data", "tally", "lock", "claims"))
    path = os.path.join(cache, generation, places[kind])
    if kind == "data":
        status = os.stat(path)
        told = mutate(path, chance)
        if is_hidden:
            os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
        return told
    garbage = chance.choice((b"", b"\xff" * 72, chance.randbytes(72), chance.randbytes(5000)))
    put(path, garbage)
    return f"{len(garbage)} bytes as {kind}"
