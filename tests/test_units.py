"""How times and sizes are written."""

from __future__ import annotations

import pytest

from kvcli.errors import InvalidArgument
from kvcli.units import milliseconds, size

TIMES = {
    "1": 1,
    "500ms": 500,
    "30s": 30_000,
    "10m": 600_000,
    "1h": 3_600_000,
    "2d": 172_800_000,
    "1h30m": 5_400_000,
    "1m500ms": 60_500,
    "4294967295": 4294967295,
    "49d": 4_233_600_000,
    "007": 7,
    "1hour 30min": 5_400_000,
    "1 h": 3_600_000,
    "2weeks 1day": 1_296_000_000,
}
NO_TIMES = (
    *(
        "",
        "0",
        "0s",
        "-1",
        "-5s",
        "4294967296",
        "50d",
        "1y",
        "h",
        "1.5s",
        "1e3",
        "s1",
        "1h-5m",
        "١s",
        "1S",
        "1hh",
    ),
    *("0x10", "+5", "1_000", "9" * 5000, "\udcff"),
)
SIZES = {
    "1048576": 1 << 20,
    "64K": 1 << 16,
    "64k": 1 << 16,
    "100MiB": 100 << 20,
    "100MB": 100 << 20,
    "1G": 1 << 30,
    "1g": 1 << 30,
    "2T": 2 << 40,
    "12B": 12,
    "0": 0,
}
NO_SIZES = ("", "M", "-1", "1.5G", "1X", "1 M", "1MM", "MiB", "1e6", "١M")


@pytest.mark.parametrize("text", TIMES)
def test_times(text: str) -> None:
    """A time is milliseconds, or numbers with units: ms, s, m, h, d."""
    assert milliseconds(text, "--ttl") == TIMES[text]


@pytest.mark.parametrize("text", NO_TIMES)
def test_what_is_no_time(text: str) -> None:
    """Zero, negative, above u32 or of unknown unit: refused, by name."""
    with pytest.raises(InvalidArgument, match="--ttl"):
        milliseconds(text, "--ttl")


@pytest.mark.parametrize("text", SIZES)
def test_sizes(text: str) -> None:
    """A size is bytes, or a number with a unit of 1024."""
    assert size(text, "--max-size") == SIZES[text]


@pytest.mark.parametrize("text", NO_SIZES)
def test_what_is_no_size(text: str) -> None:
    """Anything else is refused, by name."""
    with pytest.raises(InvalidArgument, match="--max-size"):
        size(text, "--max-size")
