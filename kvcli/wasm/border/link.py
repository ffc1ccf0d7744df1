"""Links: how the functions of a host, and their values, reach a guest. There are two, a fast one and one that the binding makes.

What is wrong with the binding (wasmtime 50.0.1, `wasmtime.component`):

1.  It converts list<u8> byte by byte, in 0.9 us each: a megabyte takes a second.
2.  It cannot return the error of a result whose ok case is an option: a case without payload is taken for `object`, which
    every value is.
3.  An exception that is no Exception, Ctrl-C for one, ends the process by SIGSEGV: the binding's callback lets it through, and
    C takes what comes back for the address of an error.
4.  It keeps an exception of the host in a global variable, from where it comes up in some later call.
5.  A borrowed handle that a function did not look at, since it refused before, makes the call trap.

So fast.FastLink does without it, on layouts that the C header promises and by private names of the binding. selftest looks whether
all is as it was when that was written; where it is not, public.PublicLink uses the binding's conversions, with 2 mended.
Both read all handles before a function is called, and stop whatever it raises; `failure` keeps that.
Roads not taken: a module in C would be faster still, and would have to be built for every platform; a core module in place of
a component would leave the canonical ABI to us.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from wasmtime.component import FuncType, LinkerInstance, ResourceType

from kvcli.errors import KvError

Function = Callable[..., Any]
Refuse = Callable[[KvError], Any]
Resources = Sequence[tuple[ResourceType, int]]


class Link:
    """What the functions of one host share: the numbers of its resources, and its first failure that was no answer."""

    def __init__(self, resources: Resources, refuse: Refuse) -> None:
        """`resources` are the host's, as the types of the component have them, each with its number.

        `refuse` makes the error of a function's result of a KvError that the function raised.
        """
        self.resources = resources
        self.refuse = refuse
        self.failure: BaseException | None = None
        self.closed = False  # Nobody waits for the guest any more: it gets no answers.

    def define(self, instance: LinkerInstance, name: str, kind: FuncType, function: Function) -> None:
        """Define an import. What `function` raises, other than a KvError, is a failure, and ends the guest.

        Raises TypeError for types that no interface here has.
        """
        raise NotImplementedError

    def call(self, function: Any, store: Any, arguments: Sequence[Any]) -> None:
        """Call an export that takes `arguments` and gives nothing back. Raises WasmtimeError for a trap."""
        raise NotImplementedError

    def check(self) -> None:
        """Raise KvError where the guest was left."""
        if self.closed:
            raise KvError("the guest was left")
