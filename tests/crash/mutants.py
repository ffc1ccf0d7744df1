"""Mutants: kvcli with one small thing wrong in it, each of which some test must notice.

A copy of kvcli and its tests is broken, tested and mended. No library does this here: mutmut forks a process that has LMDB
open, and leaves alone what is decorated; cosmic-ray breaks the checkout itself; neither takes a sample.
"""

from __future__ import annotations

import ast
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from queue import SimpleQueue

from tests.crash.mutation import mutants
from tests.crash.report import Report
from tests.crash.survivors import EQUIVALENT
from tests.processes import ROOT

Mutant = tuple[str, str]  # A path, and the name of what is wrong there.

KILLED, SURVIVED, NOT_JUDGED = "killed", "survived", "not judged"
MUTE_MAX = 5  # A machine that is too busy for so many of them is no judge.
WORKERS = os.cpu_count() or 1
PYTEST = [sys.executable, "-m", "pytest", "-n0", "-vvx", "-p", "no:cacheprovider", "--tb=no", "--color=no"]
# Those that take long, since they wait for chance to find something.
SLOW = (
    "fork_beside",
    "many_processes",
    "many_callers",
    "while_others_write",
    "swarm",
    "one_and_a_half",
    "page_of_no_kind",
)
PYTEST += ["-k", f"not ({' or '.join(SLOW)} or threads_and_processes or processes_that_open)"]

CONTRACT = tuple(f"contract/test_{name}.py" for name in ("store", "atomics", "batch", "paging", "spans"))
TOKENS, FOREIGN = ("contract/test_tokens.py",), ("test_foreign.py", "test_foreign_main.py")
FAULTS = ("test_engine_faults.py", "test_file_faults.py")
FILES = ("contract/test_store.py", *FAULTS, "test_files.py", "test_readers.py", "test_lives.py", "test_map.py")
CACHE = (
    *("contract/test_cache.py", "test_cache_faults.py", "test_claim_faults.py"),
    *("test_cache_files.py", "test_cache_lives.py", "test_cache_rendezvous.py"),
)
SPIN = ("test_spin.py", "test_copy.py")
REMOTE = tuple(
    f"redis/test_{name}.py"
    for name in (
        *("layout", "pages", "plans", "flights", "links", "refused", "order", "errors", "address", "rights", "draft"),
        *("gone", "away", "tls", "stopped", "resume", "slots", "cli"),
    )
)
SERVERS = (*REMOTE, "redis/test_copy.py", *CONTRACT, "redis/test_nonsense.py", "redis/test_failover.py")
REMOTE_CACHE = ("redis/test_cache.py", "redis/test_leases.py")
COPIES = ("test_copy_faults.py", "test_backup.py", "test_copies.py", "test_lives.py")
# Which tests must notice: those that are about a module, the quick ones first. The first to fail ends the run.
TESTS = {
    "kvcli/atomics.py": ("contract/test_atomics.py", *TOKENS, "test_cli_keys.py"),
    "kvcli/batch.py": ("contract/test_batch.py", "contract/test_store.py", "test_cli_keys.py"),
    "kvcli/cache.py": (*CACHE, "test_async_cache.py"),
    "kvcli/store.py": (*CONTRACT, "test_handles.py", "test_cli_store.py"),
    "kvcli/engine/__init__.py": (
        *CONTRACT,
        "test_files.py",
        "test_cli_store.py",
        "test_batch.py",
        "contract/test_cache.py",
    ),
    "kvcli/engine/bookkeeping.py": COPIES,
    "kvcli/engine/calm.py": ("test_gate.py", "test_interrupts.py"),
    "kvcli/engine/changes.py": ("test_draft.py", *CONTRACT, "redis/test_draft.py"),
    "kvcli/engine/claims.py": (*CACHE, "test_async_cache.py"),
    "kvcli/engine/compaction.py": COPIES,
    "kvcli/engine/connection.py": (*FILES, "test_handles.py", "test_threads.py"),
    "kvcli/engine/copying.py": COPIES,
    "kvcli/engine/creation.py": FILES,
    "kvcli/engine/draft.py": ("test_draft.py", "redis/test_draft.py", *CONTRACT, *TOKENS),
    "kvcli/engine/entries.py": CACHE,
    "kvcli/engine/environment.py": (*CONTRACT, *FAULTS, "test_handles.py", *FOREIGN, *FILES[3:], "test_gate.py"),
    "kvcli/engine/files.py": (*FILES, *FOREIGN, *COPIES),
    "kvcli/engine/gate.py": ("test_gate.py", "test_threads.py", "test_lives.py"),
    "kvcli/engine/generation.py": CACHE,
    "kvcli/engine/handle.py": CACHE,
    "kvcli/engine/inspection.py": ("test_inspection.py", "test_hostile_files.py"),
    "kvcli/engine/lives.py": CACHE,
    "kvcli/engine/opening.py": (*FILES, *FOREIGN, "test_cache_faults.py"),
    "kvcli/engine/provenance.py": (*FOREIGN, "test_file_faults.py", "test_hostile_files.py"),
    "kvcli/engine/queues.py": (
        "test_claim_faults.py",
        "contract/test_cache.py",
        "test_cache_rendezvous.py",
        "test_async_cache.py",
    ),
    "kvcli/engine/readers.py": ("test_readers.py", "test_lives.py"),
    "kvcli/engine/redis/__init__.py": (*REMOTE, *REMOTE_CACHE),
    "kvcli/engine/redis/address.py": ("redis/test_secrets.py", *SERVERS),
    "kvcli/engine/redis/certificates.py": ("redis/test_tls.py", *SERVERS),
    "kvcli/engine/redis/flight.py": SERVERS,
    "kvcli/engine/redis/guard.py": ("contract/test_atomics.py", *TOKENS, *SERVERS),
    "kvcli/engine/redis/joining.py": SERVERS,
    "kvcli/engine/redis/kinds.py": ("redis/test_nonsense.py", *SERVERS),
    "kvcli/engine/redis/lease.py": REMOTE_CACHE,
    "kvcli/engine/redis/link.py": SERVERS,
    "kvcli/engine/redis/names.py": (*SERVERS, *REMOTE_CACHE),
    "kvcli/engine/redis/planning.py": SERVERS,
    "kvcli/engine/redis/reading.py": SERVERS,
    "kvcli/engine/redis/remote.py": ("contract/test_atomics.py", *SERVERS),
    "kvcli/engine/redis/scan.py": SERVERS,
    "kvcli/engine/redis/servers.py": SERVERS,
    "kvcli/engine/redis/shelf.py": REMOTE_CACHE,
    "kvcli/engine/redis/translation.py": SERVERS,
    "kvcli/engine/redis/trip.py": SERVERS,
    "kvcli/engine/register.py": CACHE,
    "kvcli/engine/revisions.py": ("contract/test_atomics.py", *TOKENS, "contract/test_store.py", *FOREIGN, *COPIES),
    "kvcli/engine/rows.py": SPIN,
    "kvcli/engine/shelf.py": CACHE,
    "kvcli/engine/solitude.py": COPIES,
    "kvcli/engine/spin.py": SPIN,
    "kvcli/engine/succession.py": CACHE,
    "kvcli/engine/tally.py": CACHE,
    "kvcli/engine/transaction.py": (*CONTRACT, *TOKENS, "test_handles.py", *FOREIGN, "test_cli_store.py"),
    "kvcli/engine/translation.py": (
        "test_translation.py",
        "test_cache_faults.py",
        *FAULTS,
        "test_map.py",
        "test_damage.py",
    ),
    "kvcli/engine/update.py": (*CONTRACT, *TOKENS, *FOREIGN, "test_handles.py"),
    "kvcli/engine/void.py": ("test_void.py", "test_cli_store.py"),
    "kvcli/engine/writer.py": (
        "contract/test_store.py",
        "test_handles.py",
        *FAULTS,
        "test_locks.py",
        "test_interrupts.py",
    ),
}
BLIND = ("test_rows.py",)  # Tests that run nothing of kvcli.
SILENT_SECONDS_MAX = 60
BEGUN = re.compile(r"(tests/\S+::.*?)(?: (?:PASSED|FAILED|ERROR|SKIPPED).*)?\s*$")


def campaign(seed: int, rounds: int, *, plant: bool = False) -> Report:
    """Test so many mutants, which the seed chooses among all.

    `plant` tests them with tests that look at nothing, and so each survives, which the campaign must tell.
    """
    report = Report()
    chosen = sample(seed, rounds)
    with ExitStack() as stack, ThreadPoolExecutor(WORKERS) as workers:
        benches: SimpleQueue[Bench] = SimpleQueue()
        for _ in range(WORKERS):
            benches.put(Bench(stack.enter_context(tempfile.TemporaryDirectory())))

        def judge(mutant: Mutant) -> str:
            bench = benches.get()
            try:
                return bench.verdict(*mutant, BLIND if plant else TESTS[mutant[0]])
            finally:
                benches.put(bench)

        for mutant, verdict in zip(chosen, workers.map(judge, chosen), strict=True):
            name, survived = " ".join(mutant), verdict == SURVIVED
            explained = survived and not plant and name in EQUIVALENT
            report.seen[f"{verdict}, and changes nothing" if explained else verdict] += 1
            report.check(not survived or explained, f"survived: {name}")
            report.check(verdict != NOT_JUDGED, f"not judged, since tests fail without it, too: {name}")
    return report


def sample(seed: int, count: int) -> list[Mutant]:
    """Choose mutants by what their names hash to: a change of the code changes the choice no further than itself."""
    every = [(path, name) for path in TESTS for name in mutants(parsed(path))]
    return sorted(every, key=lambda each: hashlib.blake2b(f"{seed} {each}".encode()).digest())[:count]


def parsed(path: str) -> ast.Module:
    """Read a module as it is."""
    with open(f"{ROOT}/{path}", encoding="utf-8") as file:
        return ast.parse(file.read())


def source(path: str, name: str) -> str:
    """Write a mutant down."""
    tree = parsed(path)
    return next(ast.unparse(tree) for each in mutants(tree) if each == name)


class Bench:
    """A copy of the project, to break one thing in it at a time."""

    def __init__(self, folder: str) -> None:
        """Copy what the tests need."""
        self._folder = folder
        for name in ("kvcli", "tests", "completions", "man"):
            shutil.copytree(f"{ROOT}/{name}", f"{folder}/{name}", ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("pyproject.toml", "README.md"):
            shutil.copy(f"{ROOT}/{name}", folder)
        self._changes = 0

    def verdict(self, path: str, name: str, tests: tuple[str, ...]) -> str:
        """Say what the tests make of a mutant. One that fails without the mutant, too, says nothing about it."""
        with open(f"{self._folder}/{path}", encoding="utf-8") as file:
            right, wrong = file.read(), source(path, name)
        mute: list[str] = []
        for _ in range(MUTE_MAX):
            self._write(path, wrong)
            code, last = self._run([*(f"tests/{test}" for test in tests), *(f"--deselect={each}" for each in mute)])
            self._write(path, right)
            if code == 0:
                return SURVIVED
            if last is None or self._run([last])[0] == 0:
                return KILLED
            mute.append(last)
        return NOT_JUDGED

    def _run(self, tests: list[str]) -> tuple[int, str | None]:
        """Run tests until the first that fails, or is silent for too long; give the exit code, and the last that began."""
        with tempfile.TemporaryFile("w+", encoding="utf-8") as told:
            child = subprocess.Popen(
                [*PYTEST, *tests], cwd=self._folder, start_new_session=True, stdout=told, stderr=told
            )
            try:
                wait(child, told.fileno())
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(child.pid, signal.SIGKILL)  # With whatever its tests have left running.
            told.seek(0)
            begun = [found[1] for line in told if (found := BEGUN.match(line))]
            return child.wait(), begun[-1] if begun else None

    def _write(self, path: str, text: str) -> None:
        with open(f"{self._folder}/{path}", "w", encoding="utf-8") as file:
            file.write(text)
        self._changes += 1  # What Python has compiled it knows by the time of the change, in seconds.
        os.utime(f"{self._folder}/{path}", (self._changes, self._changes))


def wait(child: subprocess.Popen[bytes], told: int) -> None:
    """Wait for the end of a process, or until it has told nothing for too long."""
    size, since = -1, 0.0
    while True:
        with suppress(subprocess.TimeoutExpired):
            child.wait(0.5)
            return
        if os.fstat(told).st_size != size:
            size, since = os.fstat(told).st_size, time.monotonic()
        elif time.monotonic() - since > SILENT_SECONDS_MAX:
            return
