"""Fuzzing: one target for each parser. It takes any bytes, and raises where something that must hold does not.

A target lets through only what the parser is meant to raise; whatever else comes out of it is a fault. The same targets are
driven by mutations from a seed (tests/crash/fuzz.py) and, where atheris is installed, by what the inputs cover (guided.py).
"""

from __future__ import annotations

from collections.abc import Callable

Target = Callable[[bytes], object]
