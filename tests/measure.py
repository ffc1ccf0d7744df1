"""Measure which branches of the rooms that keep the data the tests go through.

    python -m tests.measure            the tests that are about those rooms; fails below what pyproject.toml demands
    python -m tests.measure WORD...    what these words let pytest run

Besides, it is a plug-in of coverage: that sees only threads which the module threading starts, and kvcli starts its own.
"""

from __future__ import annotations

import _thread
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TESTS = (
    *("contract", "test_draft.py", "test_handles.py", "test_lives.py", "test_locks.py", "test_map.py", "test_files.py"),
    *("test_foreign.py", "test_foreign_main.py", "test_gate.py", "test_readers.py", "test_threads.py", "test_void.py"),
    *("test_copies.py", "test_backup.py", "test_translation.py", "test_interrupts.py", "test_cli_store.py"),
    *(
        "test_cache_lives.py",
        "test_cache_files.py",
        "test_cache_rendezvous.py",
        "test_batch.py",
        "test_batch_review.py",
    ),
    *("test_engine_faults.py", "test_file_faults.py", "test_cache_faults.py", "test_claim_faults.py"),
    *("test_copy_faults.py", "test_exit_codes.py"),
    *("redis", "test_spin.py", "test_copy.py", "test_inspection.py"),
    # Of the many ways to damage a file, those that come to lines which nothing else comes to.
    *(
        f"test_damage.py::test_{name}"
        for name in (
            *("damaged_store_is_told", "file_that_ends_early_but_soundly_is_read", "keys_that_lead_back_are_told"),
            "highest_revision_is_not_followed",
        )
    ),
)
# They look at the system calls of a process, of which coverage makes some.
OTHERS = ("test_backup.py::test_backup_is_on_disk_before_it_has_its_name",)


def main(words: list[str]) -> int:
    """Run tests under coverage, children and all; what coverage says of it is the exit code."""
    with tempfile.TemporaryDirectory() as folder:
        # Children load this module, as coverage's plug-in, wherever they run.
        environment = {**os.environ, "PYTHONPATH": ROOT, "COVERAGE_FILE": os.path.join(folder, "data")}

        chosen = [*(f"tests/{test}" for test in TESTS), *(f"--deselect=tests/{test}" for test in OTHERS)]

        def run(*command: str) -> int:
            return subprocess.run([sys.executable, "-m", *command], cwd=ROOT, env=environment, check=False).returncode

        failed = run("coverage", "run", "-m", "pytest", "-n0", *(words or chosen))
        # A process that was killed while it wrote what it had seen leaves half of that, of which combine warns.
        run("coverage", "combine", "--quiet")
        return run("coverage", "report") or failed


def coverage_init(*_: object) -> None:
    """Be a plug-in that knows no kind of file, and follows every thread."""
    start: Callable[..., int] = _thread.start_new_thread

    def start_traced(function: Callable[..., object], *words: object) -> int:
        def run(*words: object, **named: object) -> None:
            sys.settrace(threading.gettrace())
            function(*words, **named)

        return start(run, *words)

    _thread.start_new_thread = start_traced


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
