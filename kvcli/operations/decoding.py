"""Decoding: a line of JSON to an operation, or to what is wrong with it."""

from __future__ import annotations

import json
from binascii import Error, a2b_base64
from collections import Counter
from itertools import islice
from typing import Any

import msgspec
from msgspec import UNSET
from msgspec.structs import fields as fields_of

from kvcli.errors import KvError, MalformedData
from kvcli.operations import (
    LIST_KEYS,
    TAGS,
    AnyOperation,
    Cas,
    DeleteMany,
    GetMany,
    Incr,
    List,
    Malformed,
    Operation,
    SetMany,
)
from kvcli.operations.lines import (
    CROWDED,
    ELEMENT_BYTES_MAX,
    LINE_BYTES_MAX,
    TOKEN,
    TOKENS_MAX,
    TOO_LONG,
    UNCLOSED,
    Block,
    is_utf8,
)

decode = msgspec.json.Decoder(AnyOperation).decode
decode_raw = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
TEXTS = {"key", "value", "new", "expect", "prefix", "keys"}
HINT = "; one object a line: jq -c makes that of others"
NAMES = ", ".join(TAGS.values())
TOO_MUCH = "too many keys or items for one operation: use several"
REASON_CHARS_MAX = 300
LONG_BYTES = 1 << 20  # Of a line. A shorter one cannot hold so much that its objects take much memory.
FAILURES = (msgspec.MsgspecError, ValueError, RecursionError)


def decode_block(block: Block) -> list[Operation | Malformed]:
    """Decode all lines of a block, blank ones left out."""
    lines = block.lines if all(block.lines) else [line for line in block.lines if line]
    try:
        found: list[Operation | Malformed] = [] if holds_too_much(lines) else [decode(line) for line in lines]
    except FAILURES:
        found = []
    if found and _is_plain(block):
        quotes = sum([line.count(b'"') for line in lines])
        if quotes == sum([QUOTES[type(each)] for each in found]) or quotes == sum(map(_quotes, found)):
            return found
    del found
    numbered = enumerate(block.lines, block.number)  # One by one, then, to say which.
    return [decode_line(line, f"{block.unit} {at}") for at, line in numbered if line and not line.isspace()]


def holds_too_much(lines: list[bytes]) -> bool:
    """Tell whether a line is made of so many parts that to decode them would take many times the memory of the line."""
    for line in lines:
        if len(line) > LONG_BYTES and sum(map(line.count, (b",", b"[", b"{"))) > TOKENS_MAX // 4:
            tokens = TOKEN.finditer(line)  # What stands in texts is no part.
            if next(islice(tokens, TOKENS_MAX, None), None) is not None:
                return True
    return False


def _is_plain(block: Block) -> bool:
    """Tell whether ids, which are not decoded but given back, are text without escapes."""
    texts = [block.text] if block.text else block.lines
    return not any(b"\\" in each and (b"id" in each or b"\\u" in each) for each in texts) and all(map(is_utf8, texts))


def decode_line(line: bytes, place: str) -> Operation | Malformed:
    """Decode one line; `place` is what to call it in an error."""
    fields: dict[str, Any] = {}
    try:
        if line is TOO_LONG or line is UNCLOSED or line is CROWDED:
            raise MalformedData(_unreadable(line, place))
        if holds_too_much([line]):
            raise MalformedData(TOO_MUCH)
        line.decode()
        operation = _plain(line)
        if operation is None:  # It may be a form of it with base64.
            fields = _fields(line)
            operation = _convert(fields)
        if operation.id is not UNSET:
            msgspec.json.decode(operation.id)  # It is given back, so it must be JSON to its last escape.
        if _quotes(operation) != count_quotes(line):
            fields = fields or _fields(line)
            _check_names(line)
    except FAILURES as error:
        return _malformed(f"{place}: {_reason(error, line)}", fields)
    except KvError as error:
        return _malformed(f"{place}: {error}", fields)
    return operation


def _plain(line: bytes) -> Operation | None:
    try:
        operation: Operation = decode(line)
    except msgspec.ValidationError:
        return None
    return operation


def _unreadable(line: bytes, place: str) -> str:
    if line is UNCLOSED:
        return "the input ends inside of the array"
    if line is CROWDED:
        return TOO_MUCH
    if place.startswith("element"):
        return f"longer than {ELEMENT_BYTES_MAX} bytes, so where the next one starts cannot be told: use lines"
    return f"longer than {LINE_BYTES_MAX} bytes"


def _reason(error: Exception, line: bytes) -> str:
    if isinstance(error, RecursionError):
        return "nested too deeply"
    if isinstance(error, UnicodeDecodeError):
        return f"byte {error.start} of a text is no UTF-8; bytes go into fields that end in _b64"
    text = str(error)
    if len(text) > REASON_CHARS_MAX:
        text = f"{text[:REASON_CHARS_MAX]}..."  # It names a field, which may be as long as the line.
    if isinstance(error, msgspec.ValidationError):
        return f"{text}; op is one of {NAMES}" if "$.op" in text else text
    if "truncated" in text and b"\\ud" in line.lower():
        return "a lone surrogate is no character"
    return text + (HINT if len(line.strip()) < 3 or "truncated" in text else "")


def _malformed(message: str, fields: dict[str, Any]) -> Malformed:
    op = fields.get("op")
    return Malformed(MalformedData(message), op if op in TAGS.values() else None, fields.get("id", UNSET))


def _fields(line: bytes) -> dict[str, Any]:
    """Decode an object whatever its fields are; the id stays as it came."""
    fields: dict[str, Any] = msgspec.json.decode(line)
    if not isinstance(fields, dict):
        raise MalformedData('expected an object, such as {"op":"get","key":"a"}')
    if "id" in fields:
        fields["id"] = decode_raw(line)["id"]
    return fields


def _convert(fields: dict[str, Any]) -> Operation:
    plain = {name: value for name, value in fields.items() if name != "id"}
    if isinstance(plain.get("items"), list):
        plain["items"] = [_with_text(item) if isinstance(item, dict) else item for item in plain["items"]]
    operation: Operation = msgspec.convert(_with_text(plain), AnyOperation)
    operation.id = fields.get("id", UNSET)
    return operation


def _with_text(fields: dict[str, Any]) -> dict[str, Any]:
    """Put texts where base64 was."""
    result = dict(fields)
    for name in [name for name in fields if name.endswith("_b64") and name[:-4] in TEXTS]:
        if name[:-4] in fields:
            raise MalformedData(f"both `{name[:-4]}` and `{name}`")
        value = result.pop(name)
        result[name[:-4]] = [_text(each, name) for each in value] if name == "keys_b64" else _text(value, name)
    return result


def _text(value: object, name: str) -> str:
    if not isinstance(value, str):
        raise MalformedData(f"`{name}` is base64 text")
    try:
        return a2b_base64(value, strict_mode=True).decode("utf-8", "surrogateescape")
    except (Error, ValueError) as error:
        raise MalformedData(f"`{name}` is no base64") from error


def _check_names(line: bytes) -> None:
    """Refuse an object that names a field twice: msgspec, as most decoders, would take the last."""

    def check(pairs: list[tuple[str, object]]) -> None:
        names = [name for name, _ in pairs]
        if len(names) != len(set(names)):
            [(twice, _)] = Counter(names).most_common(1)
            raise MalformedData(f"`{twice[:REASON_CHARS_MAX]}` is there twice")

    json.loads(line, object_pairs_hook=check, parse_int=str, parse_float=str)


def count_quotes(text: bytes) -> int:
    """Count the quotation marks that begin or end a text, and so are not escaped."""
    if b"\\" in text:
        text = text.replace(rb"\\", b"").replace(rb"\"", b"")  # Pairs first: the second of one escapes nothing.
    return text.count(b'"')


# How many quotation marks an operation has in which no field stands twice, without those that only some have. To count
# them costs next to nothing; only what has another number is read again, name by name.
def _least_quotes(kind: type[Operation]) -> int:
    """Count those of the op, and of the fields that must be there."""
    return 4 + sum(4 if field.type is str else 2 for field in fields_of(kind) if field.required)


QUOTES: dict[type, int] = {kind: _least_quotes(kind) for kind in TAGS}


def _quotes(operation: Any) -> int:
    """Give the least number of quotation marks with which the operation can be written."""
    count = QUOTES[type(operation)]
    if operation.bucket is not None:
        count += 4
    if operation.id is not UNSET:
        count += 2 + count_quotes(bytes(operation.id))
    if isinstance(operation, SetMany):
        return count + 8 * len(operation.items)
    if isinstance(operation, GetMany | DeleteMany):
        return count + 2 * len(operation.keys)
    if isinstance(operation, Cas):
        return count + sum(
            2 if each is None else 4 for each in (operation.expect, operation.token) if each is not UNSET
        )
    if isinstance(operation, List):
        return (
            count + 4 * bool(operation.prefix) + 4 * (operation.cursor is not None) + 2 * (operation.limit != LIST_KEYS)
        )
    if isinstance(operation, Incr) and operation.delta != 1:
        return count + (4 if isinstance(operation.delta, str) else 2)
    return count
