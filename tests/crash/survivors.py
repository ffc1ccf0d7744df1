"""Survivors: mutants that no test notices because nothing that was promised changes. Each with the reason."""

from __future__ import annotations

EQUIVALENT: dict[str, str] = {}
