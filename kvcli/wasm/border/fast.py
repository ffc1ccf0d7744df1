"""The fast link: functions that a guest imports, called by wasmtime's C API without its Python binding between. See link."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from typing import Any

from wasmtime import WasmtimeError
from wasmtime import _ffi as ffi
from wasmtime.component import FuncType, LinkerInstance, ResultType

from kvcli.errors import KvError
from kvcli.wasm.border.codec import VAL, decoder, encoder
from kvcli.wasm.border.link import Function, Link, Refuse, Resources

# From what a function gave, and whether that is an error, to the room for results; and the context.
Answer = Callable[[Any, bool, int, int], None]

THUNK = ctypes.CFUNCTYPE(  # wasmtime_component_func_callback_t with addresses for pointers, which would become objects.
    ctypes.c_size_t, *([ctypes.c_void_p] * 4), ctypes.c_size_t, ctypes.c_void_p, ctypes.c_size_t
)
NO_FINALIZER = ctypes.CFUNCTYPE(None, ctypes.c_void_p)()


class FastLink(Link):
    """A link whose values are read and written where they stand in memory."""

    def __init__(self, resources: Resources, refuse: Refuse) -> None:
        """See Link."""
        super().__init__(resources, refuse)
        self._thunks: list[object] = []  # What C calls must not be removed.

    def define(self, instance: LinkerInstance, name: str, kind: FuncType, function: Function) -> None:
        """See Link.define."""
        thunk = THUNK(self._thunk(kind, function))
        self._thunks.append(thunk)
        callback = ctypes.cast(thunk, ffi.wasmtime_component_func_callback_t)
        raw = name.encode()
        text = ctypes.create_string_buffer(raw)
        error = ffi.wasmtime_component_linker_instance_add_func(
            instance.ptr(), text, len(raw), callback, None, NO_FINALIZER
        )
        if error:
            raise WasmtimeError._from_ptr(error)  # noqa: SLF001

    def _thunk(self, kind: FuncType, function: Function) -> Callable[..., int]:
        decoders = [(index * VAL, decoder(each)) for index, (_, each) in enumerate(kind.params)]
        answer = self._result(kind.result) if isinstance(kind.result, ResultType) else self._plain(kind.result)

        def thunk(_env: int, context: int, _kind: int, values: int, _count: int, results: int, _room: int) -> int:
            try:
                self.check()
                arguments = [decode(values + place, context) for place, decode in decoders]
                try:
                    given, failed = function(*arguments), False
                except KvError as error:
                    given, failed = error, True
                answer(given, failed, results, context)
            except BaseException as error:  # noqa: BLE001 - C would take it for an address
                self.failure = self.failure or error
                return ctypes.cast(ffi.wasmtime_error_new(b"the host failed"), ctypes.c_void_p).value or 0
            return 0

        return thunk

    def _result(self, kind: ResultType) -> Answer:
        refuse, encode = self.refuse, encoder(kind, self.resources)

        def answer(given: Any, failed: bool, results: int, context: int) -> None:
            encode(("err", refuse(given)) if failed else ("ok", given), results, context)

        return answer

    def _plain(self, kind: Any) -> Answer:
        encode = None if kind is None else encoder(kind, self.resources)

        def answer(given: Any, failed: bool, results: int, context: int) -> None:
            if failed:
                raise given
            if encode is not None:
                encode(given, results, context)

        return answer

    def call(self, function: Any, store: Any, arguments: Sequence[Any]) -> None:
        """See Link.call."""
        pointer = store._context()  # noqa: SLF001
        context = ctypes.cast(pointer, ctypes.c_void_p).value or 0
        values = (ffi.wasmtime_component_val_t * len(arguments))()
        for value, argument, (_, kind) in zip(values, arguments, function.type(store).params, strict=True):
            encoder(kind, self.resources)(argument, ctypes.addressof(value), context)
        error = ffi.wasmtime_component_func_call(
            ctypes.byref(function._func),  # noqa: SLF001
            pointer,
            values,
            len(arguments),
            None,
            0,
        )
        for value in values:
            ffi.wasmtime_component_val_delete(ctypes.byref(value))
        if error:
            raise WasmtimeError._from_ptr(error)  # noqa: SLF001
