"""Bytes in JSON: UTF-8 as it is, anything else as base64 in a field called NAME_b64 instead. Always valid JSON."""

from __future__ import annotations

import json
from binascii import b2a_base64
from json.encoder import encode_basestring

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kvcli.commands import Listing


def json_line(fields: dict[str, object], *, ascii_only: bool) -> bytes:
    """Write one object on one line; `ascii_only` leaves nothing in it that could act on a terminal."""
    text = json.dumps(encoded(fields), ensure_ascii=ascii_only, separators=(",", ":"))
    if ascii_only:
        text = text.replace("\x7f", "\\u007f")
    return text.encode("utf-8") + b"\n"


def encoded(fields: dict[str, object]) -> dict[str, object]:
    """Give fields that JSON can hold."""
    result: dict[str, object] = {}
    for name, value in fields.items():
        if isinstance(value, dict):
            result[name] = encoded(value)
            continue
        raw = value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value
        if not isinstance(raw, bytes):
            result[name] = raw
            continue
        try:
            result[name] = raw.decode("utf-8")
        except UnicodeDecodeError:
            result[f"{name}_b64"] = b2a_base64(raw, newline=False).decode("ascii")
    return result


def json_page(page: list[tuple[bytes, bytes | None]], listing: Listing, terminal: bool) -> bytes:
    """Write a page of a listing, one object a line."""
    if listing.values:
        return b"".join([json_line({"key": key, "value": value}, ascii_only=terminal) for key, value in page])
    if terminal:
        return b"".join([json_line({"key": key}, ascii_only=True) for key, _ in page])
    return "".join([_key_line(key) for key, _ in page]).encode("utf-8")


def _key_line(key: bytes) -> str:
    # A million keys pass here; json.dumps would make an encoder for each.
    try:
        return f'{{"key":{encode_basestring(key.decode("utf-8"))}}}\n'
    except UnicodeDecodeError:
        return json_line({"key": key}, ascii_only=False).decode("ascii")
