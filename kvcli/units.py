"""Quantities as people write them: times as 500ms, 30s, 10m, 1h30m, 1hour 30min or plain milliseconds; sizes as 64K, 100MiB, 1G or bytes."""

from __future__ import annotations

from kvcli.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

TTL_MS_MAX = (1 << 32) - 1  # cache.wit: TTL-ms is an option<u32>.
MILLISECONDS = {
    **dict.fromkeys(("ms", "msec"), 1),
    **dict.fromkeys(("s", "sec", "second", "seconds"), 1000),
    **dict.fromkeys(("m", "min", "minute", "minutes"), 60_000),
    **dict.fromkeys(("h", "hr", "hour", "hours"), 3_600_000),
    **dict.fromkeys(("d", "day", "days"), 86_400_000),
    **dict.fromkeys(("w", "week", "weeks"), 604_800_000),
}
BYTES = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


def milliseconds(text: str, name: str) -> int:
    """Read a time, 1 to 2**32 - 1 milliseconds (49.7 days). Raises InvalidArgument, which calls it `name`."""
    total = int(text) if _is_number(text) else _sum(text.replace(" ", ""), MILLISECONDS)
    if total is None:
        raise InvalidArgument(f"{name} is a time as 500ms, 30s, 10m, 1h30m or plain milliseconds, not {text!r}")
    return checked_ttl(total, name)


def checked_ttl(ttl_ms: int, name: str = "a TTL") -> int:
    """Give back what is a u32 and not zero. Raises InvalidArgument."""
    if not 0 < ttl_ms <= TTL_MS_MAX:
        raise InvalidArgument(f"{name} is 1 ms to {TTL_MS_MAX} ms (49.7 days), not {ttl_ms} ms")
    return ttl_ms


def size(text: str, name: str) -> int:
    """Read a number of bytes; K is 1024, and so is KiB. Raises InvalidArgument."""
    upper = text.strip().upper().removesuffix("B").removesuffix("I")
    number = upper.rstrip("KMGT")
    factor = BYTES.get(upper[len(number) :])
    if factor is None or not _is_number(number):
        raise InvalidArgument(f"{name} is a size as 64M, 1G, 100MiB or plain bytes, not {text!r}")
    return int(number) * factor


def _sum(text: str, units: Mapping[str, int]) -> int | None:
    total, rest = 0, text
    while rest:
        digits = rest[: len(rest) - len(rest.lstrip("0123456789"))]
        rest = rest[len(digits) :]
        unit = rest[: len(rest) - len(rest.lstrip("abcdefghijklmnopqrstuvwxyz"))]
        rest = rest[len(unit) :]
        if not _is_number(digits) or unit not in units:
            return None
        total += int(digits) * units[unit]
    return total if text else None


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 18
