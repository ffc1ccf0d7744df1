"""A guest: a component with its engine and its store, from the file to the exit code."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wasmtime import Config, Engine, ExitTrap, Store, WasmtimeError
from wasmtime.component import Component, Linker

from kvcli.errors import GuestTrapped, MalformedData, NoSuchImport
from kvcli.wasm.border import link_class
from kvcli.wasm.compiled import load
from kvcli.wasm.exports import Exports
from kvcli.wasm.limits import Limits, attend
from kvcli.wasm.watcher import Watcher

if TYPE_CHECKING:
    from kvcli.wasm.border import Link
    from kvcli.wasm.host import Host
    from kvcli.wasm.sandbox import Sandbox

RUN, RUN_TYPE = "wasi:cli/run", "() -> result<_, _>"
MISSING = "matching implementation was not found in the linker"
# Where memory is limited: each of so many memories, and their number; and tables, an element of which takes so much.
MEMORIES_MAX, ELEMENT_BYTES = 16, 8
HOSTCALL_FUEL = "fuel allocated for hostcalls has been exhausted"


class Guest:
    """One run of a component."""

    def __init__(self, name: str, wasm: bytes, limits: Limits, folder: str | None = None) -> None:
        """Compile a component, or load it from `folder`. Raises MalformedData for what is none."""
        config = Config()
        config.epoch_interruption = True
        config.consume_fuel = limits.fuel is not None
        self.name, self.limits = name, limits
        self.engine = Engine(config)
        self._folder = folder
        self._configuration = "fuel" if limits.fuel is not None else "epoch"
        self.component = attend(lambda: self._load(wasm), lambda: None)

    def run(self, host: Host, sandbox: Sandbox) -> int:
        """Run it to its end and give its exit code.

        Raises NoSuchImport, MalformedData where it exports nothing to run, GuestTrapped, GuestTimedOut; and what failed
        in the host, if that is what ended it.
        """
        linker = Linker(self.engine)
        linker.add_wasip2()
        link = self._linked(linker, host)

        def stop() -> None:
            link.closed = True
            self.engine.increment_epoch()

        try:
            return attend(lambda: self._run(linker, sandbox, host, link), stop, self.limits.timeout)
        except ExitTrap as error:
            return error.code
        except WasmtimeError as error:
            if link.failure is not None:
                raise link.failure from error
            raise self._told(error) from error
        finally:
            host.close()

    def _linked(self, linker: Linker, host: Host) -> Link:
        kind = link_class(self.engine, self._compiled)
        try:
            return host.define(linker, self.component, self.engine, kind, self._compiled)
        except WasmtimeError as error:
            raise self._told(error) from error

    def _compiled(self, wasm: bytes) -> Component:
        return load(self.engine, wasm, self._folder, self._configuration)

    def _load(self, wasm: bytes) -> Component:
        try:
            return self._compiled(wasm)
        except WasmtimeError as error:
            raise MalformedData(f"{self.name} is no component: {reason(error)}") from error

    def _run(self, linker: Linker, sandbox: Sandbox, host: Host, link: Link) -> int:
        exports = self._exports(linker, sandbox, host, link)
        watcher = Watcher(exports) if host.changes is not None else None
        run = exports.find(RUN, "run", RUN_TYPE)
        if run is None:
            raise MalformedData(f"{self.name} exports no {RUN}, so that there is nothing to run: make it a command")
        try:
            code = 1 if run(exports.store).tag == "err" else 0
        except ExitTrap as error:
            code = error.code
            if watcher is not None:  # An instance that ended so cannot be entered any more.
                watcher = Watcher(self._exports(linker, sandbox, host, link))
        if watcher is not None and host.changes is not None:
            watcher.tell(host.changes, link, host.buckets)
        return code

    def _exports(self, linker: Linker, sandbox: Sandbox, host: Host, link: Link) -> Exports:
        store = self._store(sandbox)
        link.check()  # The epoch may have moved on before the store had its deadline, which counts from then.
        host.enter(store)
        try:
            instance = linker.instantiate(store, self.component)
        except WasmtimeError as error:
            if MISSING not in str(error).partition("\n")[0]:
                raise
            raise NoSuchImport(f"{self.name} imports what kvcli does not have: {missing(str(error))}") from error
        return Exports(self.name, self.component, store, instance, host.names)

    def _store(self, sandbox: Sandbox) -> Store:
        store = Store(self.engine)
        store.set_wasi(sandbox.config())
        store.set_epoch_deadline(1)
        if self.limits.memory is not None:
            store.set_limits(self.limits.memory, self.limits.memory // ELEMENT_BYTES, memories=MEMORIES_MAX)
        if self.limits.fuel is not None:
            store.set_fuel(self.limits.fuel)
        return store

    def _told(self, error: WasmtimeError) -> GuestTrapped:
        if HOSTCALL_FUEL in reason(error):
            return GuestTrapped(f"{self.name} passed more than 2.7 MB to the host in one call, which wasmtime ends")
        return GuestTrapped(f"{self.name} trapped: {reason(error)}")


def reason(error: WasmtimeError) -> str:
    """Give the one line that matters: the last cause of all, or the first line, where none is told."""
    first, _, causes = str(error).strip().rpartition("Caused by:")  # Functions have names that say anything.
    if not first:
        first, causes = causes, ""
    line = causes.strip().splitlines()[-1] if causes.strip() else first.splitlines()[0]
    return line.strip().removeprefix("wasm trap: ")


def missing(text: str) -> str:
    """Name what is missing, as wasmtime does: the interface, and the function of it if it is that alone."""
    names = text.split("`")[1::2]
    return " of ".join(f"`{name}`" for name in reversed(names))
