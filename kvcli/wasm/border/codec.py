"""The codec: values of the component model as the structs of wasmtime's C API, read and written where they stand in memory.

What a value is in Python: text, bytes for list<u8>, another list as a list, a record as the tuple of its fields, an option as
None or its payload, a variant and a result as (case, payload), and a handle as the number that the host gave it.

Bytes are why this is not left to the binding: it converts each by itself, in 0.9 us, a second for a megabyte. In the C API a
byte is a struct of 32 bytes; here they are taken out of those, and put into them, by strided copies of some kilobytes, which
stay in the processor's caches, and do not double what the structs take.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from struct import Struct
from typing import Any

from wasmtime import WasmtimeError, component
from wasmtime import _ffi as ffi

from kvcli.wasm.border.link import Resources

Decode = Callable[[int, int], Any]  # From the address of a value, and that of the store's context.
Encode = Callable[[Any, int, int], None]  # A value, where to write it, and the context.

VAL = ctypes.sizeof(ffi.wasmtime_component_val_t)
OF = ffi.wasmtime_component_val_t.of.offset
ENTRY = ctypes.sizeof(ffi.wasmtime_component_valrecord_entry_t)
ENTRY_VAL = ffi.wasmtime_component_valrecord_entry_t.val.offset
WORD = ctypes.sizeof(ctypes.c_void_p)
NAME = ctypes.sizeof(ffi.wasm_name_t)
CHUNK = 4096  # Bytes of a list at a time.
LAYOUT = (VAL, OF, ENTRY, ENTRY_VAL, WORD, NAME)  # Of 50.0.1: selftest compares.
NUMBERS: dict[type, Any] = {
    component.Bool: ctypes.c_bool,
    component.U8: ctypes.c_uint8,
    component.S8: ctypes.c_int8,
    component.U16: ctypes.c_uint16,
    component.S16: ctypes.c_int16,
    component.U32: ctypes.c_uint32,
    component.S32: ctypes.c_int32,
    component.U64: ctypes.c_uint64,
    component.S64: ctypes.c_int64,
}

_kind, _word = ctypes.c_uint8.from_address, ctypes.c_uint64.from_address
_pair = Struct("QQ").unpack
_at, _move = ctypes.string_at, ctypes.memmove


def kind_of(name: str) -> int:
    """Give the number that says of a value in memory what it is."""
    return int(getattr(ffi, f"WASMTIME_COMPONENT_{name.upper()}").value)


U8, STRING, LIST, TUPLE, RECORD, OPTION, RESULT, VARIANT, RESOURCE = map(
    kind_of, ("u8", "string", "list", "tuple", "record", "option", "result", "variant", "resource")
)


def decoder(kind: Any) -> Decode:  # noqa: PLR0911 - a table of types
    """Make what reads a value of a type. Raises TypeError for a type that no interface here has."""
    number = NUMBERS.get(type(kind))
    if number is not None:
        read = number.from_address
        return lambda at, _: read(at + OF).value
    if isinstance(kind, component.String):
        return lambda at, _: _text(at + OF)
    if isinstance(kind, component.ListType):
        return _list_decoder(kind.element)
    if isinstance(kind, component.TupleType):
        return _tuple_decoder([decoder(each) for each in kind.elements], VAL, 0)
    if isinstance(kind, component.RecordType):
        return _tuple_decoder([decoder(each) for _, each in kind.fields], ENTRY, ENTRY_VAL)
    if isinstance(kind, component.OptionType):
        return _payload_decoder(decoder(kind.payload))
    if isinstance(kind, component.OwnType | component.BorrowType):
        return _handle
    raise TypeError(f"no values of the type {type(kind).__name__} are taken from a guest")


def _text(at: int) -> str:
    size, data = _pair(_at(at, 16))
    return _at(data, size).decode() if size else ""


def _list_decoder(element: Any) -> Decode:
    if isinstance(element, component.U8):

        def take(at: int, _: int) -> bytes:
            size, data = _pair(_at(at + OF, 16))
            starts = range(0, size, CHUNK)
            return b"".join([_at(data + start * VAL, min(size - start, CHUNK) * VAL)[OF::VAL] for start in starts])

        return take
    decode = decoder(element)

    def each(at: int, context: int) -> list[Any]:
        size, data = _pair(_at(at + OF, 16))
        return [decode(data + index * VAL, context) for index in range(size)]

    return each


def _tuple_decoder(decoders: list[Decode], stride: int, offset: int) -> Decode:
    places = [(index * stride + offset, decode) for index, decode in enumerate(decoders)]

    def take(at: int, context: int) -> tuple[Any, ...]:
        data = _word(at + OF + WORD).value
        return tuple([decode(data + place, context) for place, decode in places])

    return take


def _payload_decoder(decode: Decode) -> Decode:
    def take(at: int, context: int) -> Any:
        payload = _word(at + OF).value
        return decode(payload, context) if payload else None

    return take


def _handle(at: int, context: int) -> int:
    """Read which thing of the host's a handle stands for. A borrowed one has to be read, or the call traps at its end."""
    host = ctypes.POINTER(ffi.wasmtime_component_resource_host_t)()
    resource = ctypes.cast(_word(at + OF).value, ctypes.POINTER(ffi.wasmtime_component_resource_any_t))
    store = ctypes.cast(context, ctypes.POINTER(ffi.wasmtime_context_t))
    error = ffi.wasmtime_component_resource_any_to_host(store, resource, ctypes.byref(host))
    if error:
        raise WasmtimeError._from_ptr(error)  # noqa: SLF001
    number = ffi.wasmtime_component_resource_host_rep(host)
    ffi.wasmtime_component_resource_host_delete(host)
    return number


def encoder(kind: Any, resources: Resources) -> Encode:  # noqa: C901, PLR0911 - a table of types
    """Make what writes a value of a type; `resources` are the host's own. Raises TypeError as decoder does."""
    number = NUMBERS.get(type(kind))
    if number is not None:
        return _number_encoder(number, kind_of(type(kind).__name__))
    if isinstance(kind, component.String):
        return _encode_text
    if isinstance(kind, component.ListType):
        if isinstance(kind.element, component.U8):
            return _encode_bytes
        return _list_encoder(encoder(kind.element, resources))
    if isinstance(kind, component.TupleType):
        return _tuple_encoder([encoder(each, resources) for each in kind.elements])
    if isinstance(kind, component.RecordType):
        return _record_encoder([(name.encode(), encoder(each, resources)) for name, each in kind.fields])
    if isinstance(kind, component.OptionType):
        return _option_encoder(boxed(kind.payload, resources))
    if isinstance(kind, component.ResultType):
        return _result_encoder({"ok": boxed(kind.ok, resources), "err": boxed(kind.err, resources)})
    if isinstance(kind, component.VariantType):
        return _variant_encoder({name: (name.encode(), boxed(each, resources)) for name, each in kind.cases})
    if isinstance(kind, component.OwnType | component.BorrowType):
        return _handle_encoder(kind, resources)
    raise TypeError(f"no values of the type {type(kind).__name__} are given to a guest")


def _number_encoder(number: Any, kind: int) -> Encode:
    write = number.from_address

    def put(value: int, at: int, _: int) -> None:
        _kind(at).value = kind
        write(at + OF).value = value

    return put


def _encode_text(text: str, at: int, _: int) -> None:
    _put_name(text.encode("utf-8", "replace"), at + OF)  # A message may name a file whose name is no UTF-8.
    _kind(at).value = STRING


def _put_name(raw: bytes, at: int) -> None:
    ffi.wasm_byte_vec_new_uninitialized(ctypes.byref(ffi.wasm_byte_vec_t.from_address(at)), len(raw))
    _move(_word(at + WORD).value, raw, len(raw))


def _new_list(size: int, at: int) -> int:
    ffi.wasmtime_component_vallist_new_uninit(
        ctypes.byref(ffi.wasmtime_component_vallist_t.from_address(at + OF)), size
    )
    _kind(at).value = LIST
    return int(_word(at + OF + WORD).value)


def _encode_bytes(value: bytes, at: int, _: int) -> None:
    data = _new_list(len(value), at)
    for start in range(0, len(value), CHUNK):
        part = value[start : start + CHUNK]
        structs = bytearray(len(part) * VAL)  # Not a view of the memory itself: strided copies into one are slow.
        structs[0::VAL] = bytes((U8,)) * len(part)
        structs[OF::VAL] = part
        _move(data + start * VAL, ctypes.byref(ctypes.c_char.from_buffer(structs)), len(structs))


def _list_encoder(encode: Encode) -> Encode:
    def put(values: list[Any], at: int, context: int) -> None:
        data = _new_list(len(values), at)
        for index, value in enumerate(values):
            encode(value, data + index * VAL, context)

    return put


def _tuple_encoder(encoders: list[Encode]) -> Encode:
    places = [(index * VAL, encode) for index, encode in enumerate(encoders)]

    def put(values: tuple[Any, ...], at: int, context: int) -> None:
        data = _new_list(len(places), at)  # It has the struct of a list, and another kind.
        _kind(at).value = TUPLE
        for value, (place, encode) in zip(values, places, strict=True):
            encode(value, data + place, context)

    return put


def _record_encoder(fields: list[tuple[bytes, Encode]]) -> Encode:
    def put(values: tuple[Any, ...], at: int, context: int) -> None:
        record = ffi.wasmtime_component_valrecord_t.from_address(at + OF)
        ffi.wasmtime_component_valrecord_new_uninit(ctypes.byref(record), len(fields))
        _kind(at).value = RECORD
        entry = _word(at + OF + WORD).value
        for value, (name, encode) in zip(values, fields, strict=True):
            _put_name(name, entry)
            encode(value, entry + ENTRY_VAL, context)
            entry += ENTRY

    return put


def boxed(kind: Any, resources: Resources) -> Callable[[Any, int], int]:
    """Make what writes a payload into memory of its own, and gives its address; 0 where a case has no payload."""
    if kind is None:
        return lambda _, __: 0
    encode = encoder(kind, resources)

    def box(value: Any, context: int) -> int:
        scratch = ffi.wasmtime_component_val_t()
        encode(value, ctypes.addressof(scratch), context)
        return ctypes.addressof(ffi.wasmtime_component_val_new(ctypes.byref(scratch)).contents)

    return box


def _option_encoder(box: Callable[[Any, int], int]) -> Encode:
    def put(value: Any, at: int, context: int) -> None:
        payload = 0 if value is None else box(value, context)
        _kind(at).value = OPTION
        _word(at + OF).value = payload

    return put


def _result_encoder(cases: dict[str, Callable[[Any, int], int]]) -> Encode:
    def put(value: tuple[str, Any], at: int, context: int) -> None:
        payload = cases[value[0]](value[1], context)
        _kind(at).value = RESULT
        _kind(at + OF).value = value[0] == "ok"
        _word(at + OF + WORD).value = payload

    return put


def _variant_encoder(cases: dict[str, tuple[bytes, Callable[[Any, int], int]]]) -> Encode:
    def put(value: tuple[str, Any], at: int, context: int) -> None:
        name, box = cases[value[0]]
        payload = box(value[1], context)
        _put_name(name, at + OF)
        _kind(at).value = VARIANT
        _word(at + OF + NAME).value = payload

    return put


def _handle_encoder(kind: Any, resources: Resources) -> Encode:
    """Write a handle. One that is a foreign resource's, as the binding gave it, passes as it is."""
    number = next((number for resource, number in resources if resource == kind.ty), None)
    is_owned = isinstance(kind, component.OwnType)

    def put(value: Any, at: int, context: int) -> None:
        if number is None:
            address = ctypes.addressof(value._consume().contents)  # noqa: SLF001
        else:
            resource = ctypes.POINTER(ffi.wasmtime_component_resource_any_t)()
            host = ffi.wasmtime_component_resource_host_new(is_owned, value, number)
            store = ctypes.cast(context, ctypes.POINTER(ffi.wasmtime_context_t))
            error = ffi.wasmtime_component_resource_host_to_any(store, host, ctypes.byref(resource))
            ffi.wasmtime_component_resource_host_delete(host)
            if error:
                raise WasmtimeError._from_ptr(error)  # noqa: SLF001
            address = ctypes.addressof(resource.contents)
        _kind(at).value = RESOURCE
        _word(at + OF).value = address

    return put
