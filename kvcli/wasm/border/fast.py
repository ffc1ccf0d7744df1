"""The fast link: functions of the host that a guest imports, called by wasmtime's C API without its Python binding between.

What is wrong with the binding (wasmtime 50.0.1, `wasmtime.component`), and why this stands beside it:

1.  It converts list<u8> byte by byte; see codec.
2.  It cannot return the error of a result whose ok case is an option: a case without payload is taken for `object`, which
    every value is. public.mend mends that where the binding has to do.
3.  An exception that is no Exception, Ctrl-C for one, ends the process by SIGSEGV: the binding's callback lets it through, and
    C takes what comes back for the address of an error. Here everything stops, and `failure` keeps the first.
4.  It keeps an exception of the host in a global variable, from where it comes up in some later call.
5.  A borrowed handle that a function did not look at, since it refused before, makes the call trap. Here all handles are
    read before the function is called.

This rests on layouts that the C header promises, and on private names of the binding. So selftest looks whether all is as it
was when it was written, and where it is not, public.PublicLink does the same by the binding's own conversions.
Roads not taken: a module in C would be faster still, and would have to be built for every platform; a core module in place of
a component would leave the canonical ABI to us.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from typing import Any

from wasmtime import WasmtimeError
from wasmtime import _ffi as ffi
from wasmtime.component import FuncType, LinkerInstance, ResultType

from kvcli.errors import KvError
from kvcli.wasm.border.codec import VAL, Resources, decoder, encoder

Function = Callable[..., Any]
Refuse = Callable[[KvError], Any]
Answer = Callable[
    [Any, bool, int, int], None
]  # What a function gave, whether that is an error; where to write, the context.

THUNK = ctypes.CFUNCTYPE(  # wasmtime_component_func_callback_t with addresses for pointers, which would become objects.
    ctypes.c_size_t, *([ctypes.c_void_p] * 4), ctypes.c_size_t, ctypes.c_void_p, ctypes.c_size_t
)
NO_FINALIZER = ctypes.CFUNCTYPE(None, ctypes.c_void_p)()


class FastLink:
    """What the functions of one host share: the numbers of its resources, and its first failure that was no answer."""

    def __init__(self, resources: Resources, refuse: Refuse) -> None:
        """`resources` are the host's, as the types of the component have them, each with its number.

        `refuse` makes the error of a function's result of a KvError that the function raised.
        """
        self.resources = resources
        self._refuse = refuse
        self.failure: BaseException | None = None
        self.closed = False  # Nobody waits for the guest any more: it gets no answers.
        self._thunks: list[object] = []  # What C calls must not be removed.

    def define(self, instance: LinkerInstance, name: str, kind: FuncType, function: Function) -> None:
        """Define an import. What `function` raises, other than a KvError, is a failure, and ends the guest."""
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

    def check(self) -> None:
        """Raise KvError where the guest was left."""
        if self.closed:
            raise KvError("the guest was left")

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
            except BaseException as error:  # noqa: BLE001 - see 3 above
                self.failure = self.failure or error
                return ctypes.cast(ffi.wasmtime_error_new(b"the host failed"), ctypes.c_void_p).value or 0
            return 0

        return thunk

    def _result(self, kind: ResultType) -> Answer:
        refuse, encode = self._refuse, encoder(kind, self.resources)

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
        """Call an export that takes `arguments` and gives nothing back. Raises WasmtimeError for a trap."""
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
