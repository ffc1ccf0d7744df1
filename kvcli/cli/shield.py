"""The shield: where LMDB would die of a signal, on the pages of a damaged file, kvcli says so and ends with exit code 74.

LMDB maps the file and trusts it: a page that the file has lost is SIGBUS, a number that points nowhere is SIGSEGV, and what LMDB
itself finds impossible is SIGABRT. A handler of Python's `signal` only takes a note and returns, to the same instruction. So this one
is called by the C library at that very instruction: the fault is in LMDB's code, which holds no lock of the interpreter's.

Roads not taken: a child process for each command costs 2 ms, and has signals to pass on; to look through the file first takes
6 s for 500 MB. What is used is the core of `ctypes`, without the rest of it, which takes five times as long to load.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # `signal` itself loads enum, which takes longer than all of this.
import os

from kvcli.errors import DamagedStore

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

FATAL = (_signal.SIGBUS, _signal.SIGSEGV, _signal.SIGABRT, _signal.SIGFPE)

FULLY, BUFFER_BYTES = 0, 4096

_kept: list[object] = []  # What C calls must not be removed.


def raise_shield(tell: Callable[[DamagedStore], object]) -> None:
    """From now on, `tell` of a fatal signal, and end with the exit code of a damaged store.

    Not where KVCLI_DEBUG is set: there the signal, and what a debugger makes of it, is what is wanted.
    """

    def end(number: int) -> NoReturn:
        try:
            tell(
                DamagedStore(
                    f"the store is damaged, or was cut meanwhile (signal {number}): kvcli check looks through it"
                )
            )
        finally:
            os._exit(DamagedStore.exit_code)

    if not os.environ.get("KVCLI_DEBUG"):
        try:  # noqa: SIM105 - contextlib is slow to load
            _install(end)
        except ImportError:
            pass  # A Python that was built without ctypes.


def _install(end: Callable[[int], NoReturn]) -> None:
    import _ctypes

    class Int(_ctypes._SimpleCData):  # type: ignore[type-arg]  # noqa: SLF001
        _type_ = "i"

    class Pointer(_ctypes._SimpleCData):  # type: ignore[type-arg]  # noqa: SLF001
        _type_ = "P"

    def function(*arguments: type) -> Any:
        names = {"_flags_": _ctypes.FUNCFLAG_CDECL, "_restype_": None, "_argtypes_": arguments}
        return type("Function", (_ctypes.CFuncPtr,), names)

    find, library = _ctypes.dlsym, _ctypes.dlopen(None, 0)  # type: ignore[arg-type]
    handler = function(Int)(end)
    install = function(Int, type(handler))(find(library, "signal"))
    for number in FATAL:
        install(number, handler)
    # LMDB prints what it finds impossible; in a buffer of the C library, which nobody flushes, it does not stand beside our line.
    buffer = function(Pointer, Pointer, Int, Int)(find(library, "setvbuf"))
    buffer(Pointer.from_address(find(library, "stderr")), None, FULLY, BUFFER_BYTES)
    _kept.append(handler)
