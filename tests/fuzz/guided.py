"""Inputs that atheris makes, guided by what they cover; one process for each target, since its engine ends the process.

python -m tests.fuzz.guided TARGET --seed 3 --runs 10000
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from contextlib import ExitStack

from tests.crash.report import Report
from tests.processes import ROOT

DONE = re.compile(rb"Done (\d+) runs")
INPUT_BYTES_MAX = 512
SECONDS_MAX = 120


def run(report: Report, name: str, seed: int, runs: int) -> None:
    """Give so many inputs to a target."""
    with tempfile.TemporaryDirectory() as folder:
        words = [name, "--seed", str(seed), "--runs", str(runs), "--found", folder]
        command = [sys.executable, "-m", "tests.fuzz.guided", *words]
        ran = subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        inputs = []
        for each in os.listdir(folder):
            with open(os.path.join(folder, each), "rb") as file:
                inputs.append(file.read())
    done = DONE.search(ran.stderr)
    report.seen["guided inputs"] += int(done[1]) if done is not None else 0
    told = ran.stderr.decode(errors="replace").splitlines()
    told = [line for line in told if "Error" in line] or told[-3:]
    report.check(done is not None and not inputs, f"{name}: exit code {ran.returncode}, {inputs}: {told}")


def main() -> None:
    """Run one target until it is done, or fails; never returns."""
    parser = argparse.ArgumentParser()
    parser.add_argument("target")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--found", default=".")
    chosen = parser.parse_args()
    import atheris

    with atheris.instrument_imports(include=["kvcli"]):
        from tests.fuzz.table import PLANTED, aims
    folder = tempfile.mkdtemp(dir="/dev/shm" if os.path.isdir("/dev/shm") else None)
    target, seeds, _ = aims(folder, ExitStack(), plant=chosen.target == PLANTED)[chosen.target]
    corpus = os.path.join(folder, "corpus")
    os.mkdir(corpus)
    for number, data in enumerate(seeds):
        with open(os.path.join(corpus, str(number)), "wb") as file:
            file.write(data)
    options = [f"-seed={chosen.seed}", f"-runs={chosen.runs}", f"-max_len={INPUT_BYTES_MAX}", "-timeout=10"]
    limits = [f"-artifact_prefix={chosen.found}/", f"-max_total_time={SECONDS_MAX}"]
    atheris.Setup([sys.argv[0], *options, *limits, corpus], target)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
