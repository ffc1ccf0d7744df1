"""Compiled: components as machine code, kept in a private folder, so that only the first run of one waits for the compiler.

To load such a file is to run it, so the folder belongs to the user alone, and nothing is taken from one that does not. Files
are named by content, wasmtime's library and configuration, and replaced whole; one that wasmtime does not take is made anew.
"""

from __future__ import annotations

import os
from _blake2 import blake2b  # hashlib takes 14 ms to load.
from contextlib import suppress

from wasmtime import Engine, WasmtimeError
from wasmtime import _ffi as ffi
from wasmtime.component import Component

FILES_MAX = 32  # 33 MB each, for guests that bring Python along.
SUFFIX = ".compiled"


def load(engine: Engine, wasm: bytes, folder: str | None, configuration: str) -> Component:
    """Give a component, from `folder` if it was compiled before; without a folder it is compiled, and not kept.

    `configuration` names what of the engine's changes the code. Raises WasmtimeError for what is no component.
    """
    if folder is None or not is_private(folder):
        return Component(engine, wasm)
    file = os.path.join(folder, f"{blake2b(wasm, digest_size=32).hexdigest()}-{_library()}-{configuration}{SUFFIX}")
    if os.path.isfile(file):
        with suppress(WasmtimeError, UnicodeEncodeError):  # Cut short; or in a folder that wasmtime cannot name.
            return Component.deserialize_file(engine, file)
    component = Component(engine, wasm)
    with suppress(OSError):  # A full disk is no reason not to run.
        _keep(component.serialize(), file)
    return component


def _library() -> str:
    """Name the wasmtime that is installed. Its version is in the package's metadata, which take 20 ms to load."""
    status = os.stat(ffi.filename)
    return f"{status.st_size:x}-{status.st_mtime_ns:x}"


def is_private(folder: str) -> bool:
    """Make the folder if it is not there, and tell whether it is one that only this user can read or write."""
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        status = os.stat(folder)
    except OSError:
        return False
    return status.st_uid == os.geteuid() and not status.st_mode & 0o077


def _keep(code: bytes | bytearray, file: str) -> None:
    from tempfile import NamedTemporaryFile

    folder = os.path.dirname(file)
    with NamedTemporaryFile(dir=folder, suffix=SUFFIX, delete=False) as written:
        try:
            written.write(code)
            written.flush()
            os.fsync(
                written.fileno()
            )  # After a power cut half of it could stand there, and nothing but its start is checked.
            os.rename(written.name, file)
        except BaseException:
            os.unlink(written.name)
            raise
    _make_room(folder)


def _make_room(folder: str) -> None:
    """Remove the files that were compiled first, where there are too many; also what a process left that was killed."""
    files = [os.path.join(folder, name) for name in os.listdir(folder) if name.endswith(SUFFIX)]
    for file in sorted(files, key=os.path.getmtime)[:-FILES_MAX]:
        os.unlink(file)
